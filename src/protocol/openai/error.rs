//! Errors as servers of this API write them.
//! Source: <https://platform.openai.com/docs/guides/error-codes>; llama.cpp's server for `loading`.

use http::StatusCode;
use serde_json::{Value, json};

use super::super::{JSON, NativeError, native, sse};
use crate::call::Description;
use crate::effect::{Answer, ErrorKind};

/// The object under `error`.
#[derive(Debug)]
struct Words {
    message: String,
    class: &'static str,
    code: Value,
}

impl Words {
    fn object(&self) -> Value {
        json!({
            "message": self.message,
            "type": self.class,
            "param": null,
            "code": self.code,
        })
    }
}

/// In place of a whole answer.
pub(super) fn whole(answer: &Answer, model: Option<&str>) -> NativeError {
    let body = json!({ "error": words(answer, model).object() });
    native::render(answer, JSON, body.to_string().into_bytes())
}

/// In the middle of a stream: an event.
pub(super) fn event(answer: &Answer, description: &Description) -> Vec<u8> {
    if let Some(own) = &answer.body {
        return sse::event_of(None, own);
    }
    let words = words(answer, description.model.as_deref());
    if description.operation.as_deref() == Some("responses") {
        // The responses API names its events and has the error's fields at the top.
        let body = json!({
            "type": "error",
            "code": words.code,
            "message": words.message,
            "param": null,
        });
        return sse::event_of(Some("error"), &body.to_string());
    }
    sse::event_of(None, &json!({ "error": words.object() }).to_string())
}

fn words(answer: &Answer, model: Option<&str>) -> Words {
    let Some(kind) = native::kind(&answer.error) else {
        return words_of_status(native::status(&answer.error));
    };
    let (message, class, code) = match kind {
        ErrorKind::Cancelled => ("Request was cancelled.", "invalid_request_error", None),
        ErrorKind::Conflict => (
            "The resource was updated by another request.",
            "invalid_request_error",
            Some("conflict"),
        ),
        ErrorKind::Internal => (
            "The server had an error while processing your request. Sorry about that!",
            "server_error",
            None,
        ),
        ErrorKind::Invalid => (
            "The request could not be processed: invalid value.",
            "invalid_request_error",
            Some("invalid_value"),
        ),
        ErrorKind::Loading => return loading(),
        ErrorKind::Moved => (
            "This endpoint has moved.",
            "invalid_request_error",
            Some("moved"),
        ),
        ErrorKind::NotFound => return not_found(model),
        ErrorKind::OutOfMemory => ("CUDA out of memory.", "server_error", Some("out_of_memory")),
        ErrorKind::Overloaded => (
            "The engine is currently overloaded, please try again later.",
            "server_error",
            Some("engine_overloaded"),
        ),
        ErrorKind::RateLimited => (
            "Rate limit reached for requests. Please try again in 1s.",
            "requests",
            Some("rate_limit_exceeded"),
        ),
        ErrorKind::ReadOnly => (
            "You have insufficient permissions for this operation.",
            "invalid_request_error",
            Some("insufficient_permissions"),
        ),
        ErrorKind::Timeout => ("Request timed out.", "timeout", Some("timeout")),
        ErrorKind::Unauthorized => (
            "Incorrect API key provided.",
            "invalid_request_error",
            Some("invalid_api_key"),
        ),
        ErrorKind::Unavailable => (
            "The server is temporarily unavailable, please try again later.",
            "server_error",
            Some("service_unavailable"),
        ),
    };
    Words {
        message: message.to_owned(),
        class,
        code: code.map_or(Value::Null, Value::from),
    }
}

/// Only servers that load models themselves say this; so, in the words of llama.cpp.
fn loading() -> Words {
    Words {
        message: "Loading model".to_owned(),
        class: "unavailable_error",
        code: Value::from(503),
    }
}

fn not_found(model: Option<&str>) -> Words {
    Words {
        message: format!(
            "The model `{}` does not exist or you do not have access to it.",
            model.unwrap_or("unknown")
        ),
        class: "invalid_request_error",
        code: Value::from("model_not_found"),
    }
}

fn words_of_status(status: StatusCode) -> Words {
    Words {
        message: native::reason(status).to_owned(),
        class: if status.is_server_error() {
            "server_error"
        } else {
            "invalid_request_error"
        },
        code: Value::Null,
    }
}
