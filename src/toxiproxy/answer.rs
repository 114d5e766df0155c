//! Answers as the clients of Toxiproxy know them.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::control::ProxyError;

use super::json::Writer;

/// What a request asked for.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// JSON; nothing at all where there is nothing to say.
    pub(super) body: Option<String>,
}

impl Answer {
    pub(super) fn json(status: StatusCode, body: String) -> Self {
        Self {
            status,
            body: Some(body),
        }
    }

    pub(super) fn nothing() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            body: None,
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self.body {
            Some(body) => with_type(self.status, "application/json", body),
            None => empty(self.status),
        }
    }
}

/// An error as the API tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) text: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
        }
    }

    pub(super) fn bad_body(why: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("bad request body: {why}"))
    }

    pub(super) fn missing(what: &str) -> Self {
        let text = format!("missing required field: {what}");
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    pub(super) fn proxy_not_found() -> Self {
        ProxyError::NotFound.into()
    }

    pub(super) fn toxic_not_found() -> Self {
        ProxyError::ToxicNotFound.into()
    }

    /// What could not be listened on: Go puts what it was doing before the reason.
    pub(super) fn listening(mut self) -> Self {
        if self.status == StatusCode::INTERNAL_SERVER_ERROR && !self.text.starts_with("listen ") {
            self.text.insert_str(0, "listen tcp: ");
        }
        self
    }

    /// The fields of the error's object, without its braces.
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.raw("\"error\":").string(&self.text);
        writer
            .raw(",\"status\":")
            .integer(self.status.as_u16().into());
    }
}

impl From<ProxyError> for ApiError {
    fn from(error: ProxyError) -> Self {
        let failed = StatusCode::INTERNAL_SERVER_ERROR;
        match error {
            ProxyError::NotFound => Self::new(StatusCode::NOT_FOUND, "proxy not found"),
            ProxyError::ToxicNotFound => Self::new(StatusCode::NOT_FOUND, "toxic not found"),
            ProxyError::Exists => Self::new(StatusCode::CONFLICT, "proxy already exists"),
            ProxyError::ToxicExists => Self::new(StatusCode::CONFLICT, "toxic already exists"),
            ProxyError::Resolve { what, source } => {
                let host = what.rsplit_once(':').map_or(&*what, |(host, _)| host);
                tracing::debug!(%what, %source, "an address to listen on has no meaning");
                Self::new(failed, format!("lookup {host}: no such host"))
            }
            ProxyError::Bind { address, source } => {
                let reason = reason(&source);
                Self::new(failed, format!("listen tcp {address}: bind: {reason}"))
            }
            ProxyError::Refused(why) => Self::new(failed, why),
        }
    }
}

/// The operating system's word for an error, as Go writes it.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// Go's `http.Error` says that the body is plain text, although it is JSON here; clients have
/// learned to live with it.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut writer = Writer::default();
        writer.raw("{");
        self.write(&mut writer);
        writer.raw("}");
        text_error(self.status, &writer.into_text())
    }
}

/// A line of text as Go's `http.Error` sends it.
pub(super) fn text_error(status: StatusCode, line: &str) -> Response {
    let mut response = with_type(status, "text/plain; charset=utf-8", format!("{line}\n"));
    let nosniff = HeaderValue::from_static("nosniff");
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
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
    response
}

pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn errors_of_the_system_read_as_in_go() {
        let source = io::Error::from_raw_os_error(rustix::io::Errno::ADDRINUSE.raw_os_error());
        let error = ApiError::from(ProxyError::Bind {
            address: "127.0.0.1:3310".to_owned(),
            source,
        });
        let text = "listen tcp 127.0.0.1:3310: bind: address already in use";
        assert_eq!(error.listening().text, text);
        let source = io::Error::other("failed to lookup address information");
        let error = ApiError::from(ProxyError::Resolve {
            what: "nowhere.invalid:80".to_owned(),
            source,
        });
        let text = "listen tcp: lookup nowhere.invalid: no such host";
        assert_eq!(error.listening().text, text);
    }
}
