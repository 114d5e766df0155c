//! `openai`: the HTTP API of `OpenAI` as it, Azure, vLLM, llama.cpp and their kin serve it.
//! Sources: <https://platform.openai.com/docs/api-reference>, the servers' own documentation.

mod chunk;
mod error;
mod operation;
mod usage;
mod view;

use serde_json::Value;

use self::chunk::{Chunk, Effect, Kinds};
use self::operation::{Body, OPERATIONS};
pub use self::view::{AnswerText, AnswerUsage};
use super::frame::Units;
use super::registry::ProtocolInfo;
use super::sse::{self, Events, SseBoundary};
use super::{
    Dialect, Framer, NativeError, RequestHead, ResponseHead, is_encoded, look, may_be_json,
    media_type,
};
use crate::call::{Call, Description, Found};
use crate::effect::Answer;
use crate::view::Usage;

pub(super) const INFO: ProtocolInfo = ProtocolInfo {
    name: "openai",
    summary: "the OpenAI API, as OpenAI, Azure, vLLM and llama.cpp serve it",
    doc: include_str!("../docs/openai.md"),
    operations: OPERATIONS,
    units: "server-sent events; those with text, reasoning, a refusal or a tool-call delta are tokens",
    dialect: Some(&OpenAi),
};

#[derive(Debug)]
pub(super) struct OpenAi;

impl Dialect for OpenAi {
    fn describe(&self, head: &RequestHead<'_>) -> Description {
        operation::find(head.method, head.path).map_or_else(Description::default, |found| {
            Description {
                operation: Some(found.name.into()),
                model: found.model,
                ..Description::default()
            }
        })
    }

    fn pointers(
        &self,
        head: &RequestHead<'_>,
        description: &Description,
    ) -> &'static [&'static str] {
        if may_be_json(head.fields) {
            body_of(description).pointers()
        } else {
            &[]
        }
    }

    fn complete(&self, description: &mut Description, found: &[Found<'_>]) {
        let body = body_of(description);
        // A deployment in the path decides before a model in the body.
        if description.model.is_none() {
            description.model = text(found, "/model");
        }
        if body.can_stream() {
            description.stream = match look::value(found, "/stream") {
                None | Some(Value::Null) => Some(false),
                Some(Value::Bool(stream)) => Some(*stream),
                Some(_) => None,
            };
        }
        // The newer names first: where several are set, servers obey these.
        description.max_tokens = [
            "/max_completion_tokens",
            "/max_output_tokens",
            "/max_tokens",
            "/n_predict",
        ]
        .into_iter()
        .find_map(|pointer| look::value(found, pointer)?.as_u64());
        description.prompt_chars = look::total_chars(found);
    }

    fn framer(
        &self,
        _description: &Description,
        head: &ResponseHead<'_>,
    ) -> Option<Box<dyn Framer>> {
        let is_stream = media_type(head.fields)? == "text/event-stream";
        (is_stream && !is_encoded(head.fields)).then(|| -> Box<dyn Framer> {
            Box::new(Units::new(
                SseBoundary::new(),
                Events::new(Kinds::default()),
            ))
        })
    }

    fn error(&self, answer: &Answer, call: &Call<'_>) -> NativeError {
        error::whole(answer, call.description.model.as_deref())
    }

    fn error_in_stream(&self, answer: &Answer, description: &Description) -> Option<Vec<u8>> {
        (description.stream != Some(false)).then(|| error::event(answer, description))
    }

    fn usage(&self, body: &Value) -> Option<Usage> {
        usage::of(body)
    }

    fn is_error_unit(&self, unit: &[u8]) -> bool {
        let mut is_error = false;
        sse::for_each_event(sse::without_mark(unit), &mut Vec::new(), |event| {
            is_error |= event.name == b"error"
                || Chunk::parse(event.data).is_some_and(|chunk| chunk.effect() == Effect::Error);
        });
        is_error
    }
}

fn body_of(description: &Description) -> Body {
    description
        .operation
        .as_deref()
        .map_or(Body::None, operation::body)
}

fn text(found: &[Found<'_>], pointer: &str) -> Option<String> {
    look::value(found, pointer)?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests;
