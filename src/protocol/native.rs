//! What all HTTP dialects share in writing errors: the status of a kind, and an answer's own
//! headers and body in place of the protocol's.

use std::borrow::Cow;

use http::StatusCode;

use super::NativeError;
use crate::effect::{Answer, ErrorKind, ErrorSpec};

/// The status of an error.
pub(super) fn status(error: &ErrorSpec) -> StatusCode {
    match error {
        ErrorSpec::Kind(kind) => status_of_kind(*kind),
        // An interim or unknown status cannot stand for an answer; `check` refuses those.
        ErrorSpec::Status(code @ 200..=599) => {
            StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        }
        ErrorSpec::Status(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn status_of_kind(kind: ErrorKind) -> StatusCode {
    match kind {
        // 499 is nobody's standard, but what nginx and most gateways say of a call given up.
        ErrorKind::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::REQUEST_TIMEOUT),
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Internal | ErrorKind::OutOfMemory => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::Loading | ErrorKind::Overloaded | ErrorKind::Unavailable => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        // There is nowhere to redirect to: "not for this server" (RFC 9110 §15.5.20).
        ErrorKind::Moved => StatusCode::MISDIRECTED_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::ReadOnly => StatusCode::FORBIDDEN,
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Unauthorized => StatusCode::UNAUTHORIZED,
    }
}

/// The kind whose words fit an error; a bare status has that of its meaning, where it has one.
pub(super) fn kind(error: &ErrorSpec) -> Option<ErrorKind> {
    match error {
        ErrorSpec::Kind(kind) => Some(*kind),
        ErrorSpec::Status(code) => Some(match code {
            400 | 422 => ErrorKind::Invalid,
            401 => ErrorKind::Unauthorized,
            404 => ErrorKind::NotFound,
            409 => ErrorKind::Conflict,
            421 => ErrorKind::Moved,
            429 => ErrorKind::RateLimited,
            499 => ErrorKind::Cancelled,
            500 => ErrorKind::Internal,
            503 => ErrorKind::Unavailable,
            504 => ErrorKind::Timeout,
            _ => return None,
        }),
    }
}

/// What a status is called; a text for those without a name.
pub(super) fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or(match status.as_u16() {
        499 => "Client Closed Request",
        400..500 => "Client Error",
        500..600 => "Server Error",
        _ => "Unknown Status",
    })
}

/// An error with the protocol's own body and content type, or with those that the answer brings.
/// Servers that are short of capacity say when to come back, in whole seconds (RFC 9110 §10.2.3).
pub(super) fn render(answer: &Answer, content_type: &'static str, body: Vec<u8>) -> NativeError {
    let status = status(&answer.error);
    let mut headers: Vec<(Cow<'static, str>, String)> = Vec::new();
    let body = match &answer.body {
        _ if has_no_body(status) => Vec::new(),
        Some(own) => {
            headers.push((Cow::Borrowed("content-type"), type_of(own).to_owned()));
            own.clone().into_bytes()
        }
        None => {
            headers.push((Cow::Borrowed("content-type"), content_type.to_owned()));
            body
        }
    };
    if matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    ) {
        headers.push((Cow::Borrowed("retry-after"), "1".to_owned()));
    }
    headers.retain(|(own, _)| {
        let replaced = |(name, _): &(String, String)| name.eq_ignore_ascii_case(own);
        !answer.headers.iter().any(replaced)
    });
    let added = answer.headers.iter().cloned();
    headers.extend(added.map(|(name, value)| (Cow::Owned(name), value)));
    NativeError {
        status,
        headers,
        body,
    }
}

/// Whether an answer of this status ends with its head (RFC 9110 §6.4.1), or must be empty (205).
fn has_no_body(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
    )
}

fn type_of(body: &str) -> &'static str {
    if serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok() {
        super::JSON
    } else {
        super::TEXT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(error: ErrorSpec) -> Answer {
        Answer {
            error,
            headers: Vec::new(),
            body: None,
        }
    }

    #[test]
    fn headers_of_the_answer_replace_and_its_body_names_its_type() {
        let mut answer = answer(ErrorSpec::Kind(ErrorKind::RateLimited));
        answer.headers = vec![("Retry-After".to_owned(), "30".to_owned())];
        answer.body = Some("slow down".to_owned());
        let error = render(&answer, super::super::JSON, b"{}".to_vec());
        assert_eq!(error.status, 429);
        assert_eq!(error.body, b"slow down");
        let headers: Vec<_> = error
            .headers
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_str()))
            .collect();
        assert_eq!(
            headers,
            [("content-type", super::super::TEXT), ("Retry-After", "30")]
        );
        answer.body = Some("{\"a\":1}".to_owned());
        let error = render(&answer, super::super::TEXT, Vec::new());
        assert_eq!(error.headers[0].1, super::super::JSON);
    }

    #[test]
    fn a_status_without_a_body_gets_none() {
        for code in [204, 205, 304] {
            let error = render(
                &answer(ErrorSpec::Status(code)),
                "text/plain",
                b"x".to_vec(),
            );
            assert_eq!(error.status, code);
            assert!(error.body.is_empty() && error.headers.is_empty(), "{code}");
        }
    }

    #[test]
    fn every_kind_is_an_error_status_and_a_status_is_taken_as_it_is() {
        for kind in ErrorKind::ALL {
            let status = status(&ErrorSpec::Kind(kind));
            assert!(status.is_client_error() || status.is_server_error());
        }
        assert_eq!(status(&ErrorSpec::Status(418)), 418);
        assert_eq!(status(&ErrorSpec::Status(100)), 500);
        assert_eq!(status(&ErrorSpec::Status(999)), 500);
    }
}
