//! What an event of a stream says: content, usage, an error, the end.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::super::UnitKind;
use super::super::sse::{Event, EventKind};
use super::usage;
use crate::view::Usage;

/// What a stream means beyond its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Content,
    End,
    Error,
    Nothing,
}

/// Tells events apart and remembers what they reported.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    usage: Option<Usage>,
    saw_error: bool,
    saw_end: bool,
}

impl EventKind for Kinds {
    fn kind(&mut self, event: Event<'_>) -> UnitKind {
        self.saw_error |= event.name == b"error";
        if event.data.trim_ascii() == b"[DONE]" {
            self.saw_end = true;
            return UnitKind::Control;
        }
        // What is no JSON has no content that a client of this protocol could read.
        let Some(chunk) = Chunk::parse(event.data) else {
            return UnitKind::Control;
        };
        // Where servers report as they go, the last report counts all.
        self.usage = chunk.usage().or(self.usage);
        self.saw_end |= chunk.is_last();
        match chunk.effect() {
            Effect::Content => return UnitKind::Token,
            Effect::End => self.saw_end = true,
            Effect::Error => self.saw_error = true,
            Effect::Nothing => {}
        }
        UnitKind::Control
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn saw_error(&self) -> bool {
        self.saw_error
    }

    fn saw_end(&self) -> Option<bool> {
        Some(self.saw_end)
    }
}

/// The parts of a chunk that matter, of any of the APIs. Scalars are read leniently: what a server
/// puts in one that we do not expect must not hide the others.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Chunk {
    /// Chat and completions.
    choices: Option<Vec<Choice>>,
    /// llama.cpp's `/completion`.
    content: Filled,
    /// The same: true in its last chunk.
    stop: Truth,
    tokens_evaluated: Value,
    tokens_predicted: Value,
    /// An object, or a text.
    error: Filled,
    /// `"error"` in the error chunks of older vLLM.
    object: Tag,
    /// The name of an event of the responses and audio APIs.
    #[serde(rename = "type")]
    tag: Tag,
    /// Text in the same.
    delta: Filled,
    response: Response,
    usage: Value,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Choice {
    delta: Option<Delta>,
    /// Completions.
    text: Filled,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Delta {
    content: Filled,
    function_call: Filled,
    reasoning: Filled,
    /// The same, by the name that `DeepSeek` gave it.
    reasoning_content: Filled,
    refusal: Filled,
    tool_calls: Filled,
}

/// The answer so far, of which the events of the responses API carry a copy.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct ResponseFields {
    usage: Value,
}

#[derive(Debug, Default)]
struct Response(ResponseFields);

impl<'de> Deserialize<'de> for Response {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|fields| Self(fields.unwrap_or_default()))
    }
}

impl Chunk {
    /// `None` where the text is no JSON object of a form that any of the APIs has.
    pub(super) fn parse(data: &[u8]) -> Option<Self> {
        serde_json::from_slice(data).ok().or_else(|| {
            // Doubled keys are refused above; the last one counts, as for most readers.
            let value: Value = serde_json::from_slice(data).ok()?;
            Self::deserialize(value).ok()
        })
    }

    pub(super) fn effect(&self) -> Effect {
        if self.error.0 || self.object == Tag::Error || self.tag == Tag::Error {
            return Effect::Error;
        }
        let in_choice = |choice: &Choice| {
            choice.text.0
                || choice.delta.as_ref().is_some_and(|delta| {
                    delta.content.0
                        || delta.function_call.0
                        || delta.reasoning.0
                        || delta.reasoning_content.0
                        || delta.refusal.0
                        || delta.tool_calls.0
                })
        };
        let has_content = self.content.0
            || (self.tag == Tag::Delta && self.delta.0)
            || self.choices.iter().flatten().any(in_choice);
        if has_content {
            Effect::Content
        } else if self.is_last() {
            Effect::End
        } else {
            Effect::Nothing
        }
    }

    /// Whether this is the last of its stream, by the API that it belongs to.
    fn is_last(&self) -> bool {
        self.stop.0 || self.tag == Tag::Last
    }

    fn usage(&self) -> Option<Usage> {
        let usage = if self.usage.is_null() {
            &self.response.0.usage
        } else {
            &self.usage
        };
        usage::from_parts(usage, &self.tokens_evaluated, &self.tokens_predicted)
    }
}

/// The names of events that mean something here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Tag {
    Delta,
    Error,
    Last,
    #[default]
    Other,
}

impl Tag {
    fn of(name: &str) -> Self {
        match name {
            "error" | "response.failed" => Self::Error,
            "response.completed" | "response.incomplete" | "transcript.text.done" => Self::Last,
            _ => match name.rsplit_once('.') {
                Some((_, "delta")) => Self::Delta,
                _ => Self::Other,
            },
        }
    }
}

/// Whether a value has something in it: a text, list or object that is not empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Filled(bool);

/// Whether a value is `true`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Truth(bool);

/// Reads any value without keeping it.
#[derive(Debug)]
struct Glance;

#[derive(Debug)]
enum Seen {
    Bool(bool),
    Empty,
    Filled,
    Text(Tag, bool),
}

impl<'de> Visitor<'de> for Glance {
    type Value = Seen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Seen, E> {
        Ok(Seen::Bool(value))
    }

    fn visit_i64<E>(self, _value: i64) -> Result<Seen, E> {
        Ok(Seen::Empty)
    }

    fn visit_u64<E>(self, _value: u64) -> Result<Seen, E> {
        Ok(Seen::Empty)
    }

    fn visit_f64<E>(self, _value: f64) -> Result<Seen, E> {
        Ok(Seen::Empty)
    }

    fn visit_str<E>(self, value: &str) -> Result<Seen, E> {
        Ok(Seen::Text(Tag::of(value), !value.is_empty()))
    }

    fn visit_unit<E>(self) -> Result<Seen, E> {
        Ok(Seen::Empty)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Seen, A::Error> {
        let mut seen = Seen::Empty;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            seen = Seen::Filled;
        }
        Ok(seen)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Seen, A::Error> {
        let mut seen = Seen::Empty;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            seen = Seen::Filled;
        }
        Ok(seen)
    }
}

impl<'de> Deserialize<'de> for Filled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seen = deserializer.deserialize_any(Glance)?;
        Ok(Self(matches!(seen, Seen::Filled | Seen::Text(_, true))))
    }
}

impl<'de> Deserialize<'de> for Truth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seen = deserializer.deserialize_any(Glance)?;
        Ok(Self(matches!(seen, Seen::Bool(true))))
    }
}

impl<'de> Deserialize<'de> for Tag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match deserializer.deserialize_any(Glance)? {
            Seen::Text(tag, _) => tag,
            Seen::Bool(_) | Seen::Empty | Seen::Filled => Self::Other,
        })
    }
}

#[cfg(test)]
#[path = "chunk_tests.rs"]
mod tests;
