//! Errors as servers of this protocol write them: `{"error": "text"}`.
//! Texts after Triton's (`server/src/http_server.cc`, `core/src/`) and `KServe`'s
//! (`kserve/errors.py`).

use serde_json::json;

use super::super::{JSON, NativeError, native, sse};
use crate::effect::{Answer, ErrorKind};

/// In place of a whole answer.
pub(super) fn whole(answer: &Answer, model: Option<&str>) -> NativeError {
    let body = json!({ "error": words(answer, model) });
    native::render(answer, JSON, body.to_string().into_bytes())
}

/// In the middle of `generate_stream`: an event.
pub(super) fn event(answer: &Answer, model: Option<&str>) -> Vec<u8> {
    match &answer.body {
        Some(own) => sse::event_of(None, own),
        None => sse::event_of(None, &json!({ "error": words(answer, model) }).to_string()),
    }
}

fn words(answer: &Answer, model: Option<&str>) -> String {
    let model = model.unwrap_or("unknown");
    let text = match native::kind(&answer.error) {
        None => native::reason(native::status(&answer.error)),
        Some(ErrorKind::Loading) => return format!("Model with name {model} is not ready."),
        Some(ErrorKind::NotFound) => {
            return format!("Request for unknown model: '{model}' is not found");
        }
        Some(ErrorKind::Cancelled) => "Request was cancelled",
        Some(ErrorKind::Conflict) => "model is being loaded or unloaded by another request",
        Some(ErrorKind::Internal) => "inference failed: internal error",
        Some(ErrorKind::Invalid) => "failed to parse the request JSON buffer: Invalid value. at 0",
        Some(ErrorKind::Moved) => "model is served elsewhere",
        Some(ErrorKind::OutOfMemory) => "CUDA error: out of memory",
        Some(ErrorKind::Overloaded) => "Exceeds maximum queue size",
        Some(ErrorKind::RateLimited) => "Too many requests",
        Some(ErrorKind::ReadOnly) => {
            "explicit model load / unload is not allowed if polling is enabled"
        }
        Some(ErrorKind::Timeout) => "Request timeout expired",
        Some(ErrorKind::Unauthorized) => "Unauthorized",
        Some(ErrorKind::Unavailable) => "Server is not ready",
    };
    text.to_owned()
}
