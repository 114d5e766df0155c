//! Answers as JSON, errors included.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An error as the API tells it: what is wrong, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Error)]
pub struct Refusal {
    #[serde(skip)]
    status: Code,
    /// What is wrong.
    pub error: String,
    /// What to do.
    pub help: String,
    /// Each mistake, where a rule or a configuration has several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Told>,
}

/// One mistake of several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct Told {
    /// What is wrong.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Where: `file:line:column`, or the path of the key in the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// The status is told by the head of the answer, not by its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Code(StatusCode);

impl Refusal {
    pub(super) fn new(
        status: StatusCode,
        error: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            status: Code(status),
            error: error.into(),
            help: help.into(),
            problems: Vec::new(),
        }
    }

    /// With each mistake of several.
    #[must_use]
    pub(super) fn with_problems(mut self, problems: Vec<Told>) -> Self {
        self.problems = problems;
        self
    }

    /// The same with another status.
    #[must_use]
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self {
            status: Code(status),
            ..self
        }
    }

    /// What never happens, unless hormesis itself is wrong.
    pub(super) fn bug(error: impl Into<String>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            error,
            "this is a bug in hormesis: please report it",
        )
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = json(self.status.0, &self);
        response.extensions_mut().insert(Said {
            error: Some(self.error),
        });
        response
    }
}

/// What an answer says, for the audit log.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    pub(super) error: Option<String>,
}

pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(mut text) => {
            // A shell's prompt begins on a line of its own.
            text.push(b'\n');
            with_type(status, "application/json", text)
        }
        Err(error) => {
            tracing::error!(%error, "an answer of the admin API could not be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Done, and nothing to say about it.
pub(super) fn no_content() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    secure(&mut response);
    response
}

pub(super) fn with_type(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Body>,
) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    secure(&mut response);
    response
}

/// What every answer says: no copy is kept of it, and it is what it says it is.
fn secure(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
}
