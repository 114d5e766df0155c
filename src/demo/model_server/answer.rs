//! Answers and native errors of the two APIs.

use std::convert::Infallible;
use std::pin::Pin;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::{Body, Bytes};
use serde::Serialize;
use serde_json::json;

/// A whole body or a stream, which stays on its thread.
pub(super) type AnswerBody = Either<Full<Bytes>, Stream>;
pub(super) type Stream = Pin<Box<dyn Body<Data = Bytes, Error = Infallible>>>;

/// Which API a path belongs to: it decides what an error looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    OpenAi,
    OpenInference,
}

impl Dialect {
    pub(super) fn of(path: &str) -> Self {
        if path == "/v1" || path.starts_with("/v1/") {
            Self::OpenAi
        } else {
            Self::OpenInference
        }
    }

    /// An error as a client of this API expects it.
    pub(super) fn error(self, status: StatusCode, message: &str) -> Response<AnswerBody> {
        match self {
            Self::OpenAi => openai_error(status, message, None, None),
            Self::OpenInference => json_answer(status, &json!({ "error": message })),
        }
    }
}

/// An error of the chat API, which names the parameter that is wrong.
pub(super) fn openai_error(
    status: StatusCode,
    message: &str,
    param: Option<&str>,
    code: Option<&str>,
) -> Response<AnswerBody> {
    let kind = if status.is_server_error() {
        "server_error"
    } else {
        "invalid_request_error"
    };
    let error = json!({ "message": message, "type": kind, "param": param, "code": code });
    json_answer(status, &json!({ "error": error }))
}

pub(super) fn json_answer(status: StatusCode, value: &impl Serialize) -> Response<AnswerBody> {
    match serde_json::to_vec(value) {
        Ok(body) => whole(status, "application/json", Bytes::from(body)),
        Err(error) => whole(
            StatusCode::INTERNAL_SERVER_ERROR,
            "text/plain",
            Bytes::from(error.to_string()),
        ),
    }
}

pub(super) fn empty(status: StatusCode) -> Response<AnswerBody> {
    let mut response = Response::new(Either::Left(Full::new(Bytes::new())));
    *response.status_mut() = status;
    response
}

fn whole(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<AnswerBody> {
    with_type(status, content_type, Either::Left(Full::new(body)))
}

pub(super) fn with_type(
    status: StatusCode,
    content_type: &'static str,
    body: AnswerBody,
) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
