//! `http`: messages of which only the framing is known. Each server-sent event with data and each
//! JSON line is a token: what it says is not known, that it says something is.

use serde_json::Value;

use super::frame::Units;
use super::lines::{LineBoundary, Lines};
use super::registry::ProtocolInfo;
use super::sse::{Event, EventKind, Events, SseBoundary};
use super::{
    Dialect, Framer, JSON, NativeError, RequestHead, ResponseHead, TEXT, UnitKind, is_encoded,
    media_type, native,
};
use crate::call::{Call, Description, Found};
use crate::effect::Answer;
use crate::view::Usage;

pub(super) const INFO: ProtocolInfo = ProtocolInfo {
    name: "http",
    summary: "HTTP of any kind; streamed events and JSON lines are units",
    doc: include_str!("docs/http.md"),
    operations: &[],
    units: "server-sent events (`text/event-stream`) and JSON lines (`application/x-ndjson`)",
    dialect: Some(&Http),
};

#[derive(Debug)]
pub(super) struct Http;

impl Dialect for Http {
    fn describe(&self, _head: &RequestHead<'_>) -> Description {
        Description::default()
    }

    fn pointers(
        &self,
        _head: &RequestHead<'_>,
        _description: &Description,
    ) -> &'static [&'static str] {
        &[]
    }

    fn complete(&self, _description: &mut Description, _found: &[Found<'_>]) {}

    fn framer(
        &self,
        _description: &Description,
        head: &ResponseHead<'_>,
    ) -> Option<Box<dyn Framer>> {
        if is_encoded(head.fields) {
            return None;
        }
        match media_type(head.fields)?.as_str() {
            "text/event-stream" => Some(Box::new(Units::new(
                SseBoundary::new(),
                Events::new(AnyEvent),
            ))),
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines" => Some(Box::new(Units::new(LineBoundary, Lines))),
            _ => None,
        }
    }

    fn error(&self, answer: &Answer, call: &Call<'_>) -> NativeError {
        let status = native::status(&answer.error);
        let reason = native::reason(status);
        let wants_json = call
            .header("accept")
            .any(|accept| memchr::memmem::find(accept, b"json").is_some());
        if wants_json {
            let body = serde_json::json!({ "error": reason, "status": status.as_u16() });
            native::render(answer, JSON, body.to_string().into_bytes())
        } else {
            let body = format!("{} {reason}\n", status.as_u16());
            native::render(answer, TEXT, body.into_bytes())
        }
    }

    fn error_in_stream(&self, _answer: &Answer, _description: &Description) -> Option<Vec<u8>> {
        None
    }

    fn usage(&self, _body: &Value) -> Option<Usage> {
        None
    }

    fn is_error_unit(&self, _unit: &[u8]) -> bool {
        false
    }
}

/// An event is a token whatever it says.
#[derive(Debug)]
struct AnyEvent;

impl EventKind for AnyEvent {
    fn kind(&mut self, _event: Event<'_>) -> UnitKind {
        UnitKind::Token
    }
}
