//! `open-inference`: the Open Inference Protocol (`KServe` v2) over HTTP, as Triton, `MLServer`,
//! `KServe` and `OpenVINO` Model Server speak it, with the generate extension.
//! Source: <https://github.com/kserve/open-inference-protocol>, Triton's `protocol` folder.

mod error;
mod events;
mod operation;
mod tensor;

use serde_json::Value;

use self::events::{Generated, is_error};
use self::operation::OPERATIONS;
pub use self::tensor::{JsonTensor, outputs};
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
    name: "open-inference",
    summary: "the Open Inference Protocol (KServe v2) over HTTP: Triton, MLServer, KServe",
    doc: include_str!("../docs/open-inference.md"),
    operations: OPERATIONS,
    units: "server-sent events of `generate_stream`; those with output are tokens",
    dialect: Some(&OpenInference),
};

const GENERATE: &str = "generate";
const GENERATE_STREAM: &str = "generate_stream";

#[derive(Debug)]
pub(super) struct OpenInference;

impl Dialect for OpenInference {
    fn describe(&self, head: &RequestHead<'_>) -> Description {
        let Some(found) = operation::find(head.method, head.path) else {
            return Description::default();
        };
        Description {
            operation: Some(found.name.into()),
            model: found.model,
            version: found.version,
            // The path decides: no body of this protocol asks for a stream.
            stream: match found.name {
                GENERATE_STREAM => Some(true),
                "infer" | GENERATE => Some(false),
                _ => None,
            },
            ..Description::default()
        }
    }

    fn pointers(
        &self,
        head: &RequestHead<'_>,
        description: &Description,
    ) -> &'static [&'static str] {
        match description.operation.as_deref() {
            Some(GENERATE | GENERATE_STREAM) if may_be_json(head.fields) => {
                &["/max_tokens", "/parameters/max_tokens", "chars:/text_input"]
            }
            _ => &[],
        }
    }

    fn complete(&self, description: &mut Description, found: &[Found<'_>]) {
        description.max_tokens = ["/max_tokens", "/parameters/max_tokens"]
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
                Events::new(Generated::default()),
            ))
        })
    }

    fn error(&self, answer: &Answer, call: &Call<'_>) -> NativeError {
        error::whole(answer, call.description.model.as_deref())
    }

    fn error_in_stream(&self, answer: &Answer, description: &Description) -> Option<Vec<u8>> {
        (description.operation.as_deref() == Some(GENERATE_STREAM))
            .then(|| error::event(answer, description.model.as_deref()))
    }

    fn usage(&self, _body: &Value) -> Option<Usage> {
        None
    }

    fn is_error_unit(&self, unit: &[u8]) -> bool {
        let mut seen = false;
        sse::for_each_event(sse::without_mark(unit), &mut Vec::new(), |event| {
            seen |= is_error(event.data);
        });
        seen
    }
}

#[cfg(test)]
mod tests;
