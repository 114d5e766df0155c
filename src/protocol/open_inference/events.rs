//! The events of `generate_stream`: one JSON object each, with the output tensors by name.

use serde_json::Value;

use super::super::UnitKind;
use super::super::sse::{Event, EventKind};

/// What stands beside the outputs.
const NO_OUTPUTS: [&str; 7] = [
    "id",
    "model_name",
    "model_version",
    "parameters",
    "sequence_end",
    "sequence_id",
    "sequence_start",
];

#[derive(Debug, Default)]
pub(super) struct Generated {
    saw_error: bool,
}

impl EventKind for Generated {
    fn kind(&mut self, event: Event<'_>) -> UnitKind {
        let Ok(Value::Object(fields)) = serde_json::from_slice(event.data) else {
            return UnitKind::Control;
        };
        if fields.contains_key("error") {
            self.saw_error = true;
            return UnitKind::Control;
        }
        let has_output = match fields.get("text_output") {
            // The conventional output decides where there is one: log probabilities beside an
            // empty text are no content.
            Some(text) => is_filled(text),
            None => fields
                .iter()
                .any(|(name, value)| !NO_OUTPUTS.contains(&name.as_str()) && is_filled(value)),
        };
        if has_output {
            UnitKind::Token
        } else {
            UnitKind::Control
        }
    }

    fn saw_error(&self) -> bool {
        self.saw_error
    }
}

fn is_filled(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => items.iter().any(is_filled),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// Whether an event reports an error.
pub(super) fn is_error(data: &[u8]) -> bool {
    serde_json::from_slice::<Value>(data).is_ok_and(|value| value.get("error").is_some())
}
