//! Why a rule does not select a call: each of its conditions asked by itself, with the functions
//! that select.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use crate::call::Call;
use crate::rule::{RuleSet, RuleSpec, Select, Setting, parameters};

/// A condition that does not hold for a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Unmet {
    /// As the configuration names it: `path`, `headers.x-tenant`.
    what: String,
    /// What the configuration wants of it, as JSON.
    wants: Value,
    /// What the call has; null where it has none.
    is: Value,
    /// The call does not tell, so that not even `not` holds.
    unknown: bool,
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what, wants, is, ..
        } = self;
        if self.unknown {
            write!(f, "unknown: {what}, wants {wants}")
        } else if is.is_null() {
            write!(f, "{what} is absent, wants {wants}")
        } else {
            write!(f, "{what} is {is}, wants {wants}")
        }
    }
}

/// The conditions of a rule that do not hold for a call; a `recorded` one has lost its headers.
pub(super) fn unmet(spec: &RuleSpec, call: &Call<'_>, recorded: bool) -> Vec<Unmet> {
    conditions(&spec.select)
        .into_iter()
        .filter(|it| !selects(spec, &it.alone, call))
        .map(|it| {
            let is = value(call, it.name, it.key.as_deref());
            Unmet {
                what: match it.key {
                    Some(key) => format!("{}.{key}", it.name),
                    None => it.name.to_owned(),
                },
                wants: it.wants,
                unknown: is.is_null() && (is_told_late(it.name) || (recorded && of_head(it.name))),
                is,
            }
        })
        .collect()
}

/// A condition of a selector, and as a selector of its own.
struct Condition {
    name: &'static str,
    /// Of a header, a parameter or a pointer.
    key: Option<String>,
    wants: Value,
    alone: Select,
}

/// The fields of [`Select`].
const NAMES: [&str; 15] = [
    "protocol",
    "operation",
    "method",
    "path",
    "host",
    "query",
    "headers",
    "peer",
    "sni",
    "model",
    "version",
    "stream",
    "prompt_chars",
    "max_tokens",
    "body",
];

/// Each condition of a selector.
fn conditions(select: &Select) -> Vec<Condition> {
    let Ok(Value::Object(mut all)) = serde_json::to_value(select) else {
        return Vec::new();
    };
    let mut singles = Vec::new();
    let mut add = |name, key: Option<String>, wants: Value, alone: Value| {
        if let Ok(alone) = serde_json::from_value(alone) {
            singles.push(Condition {
                name,
                key,
                wants,
                alone,
            });
        }
    };
    for name in NAMES {
        match (name, all.remove(name)) {
            (_, None) => {}
            ("headers" | "query" | "body", Some(Value::Object(entries))) => {
                for (key, wants) in entries {
                    let alone = json!({ name: { &*key: &wants } });
                    add(name, Some(key), wants, alone);
                }
            }
            (_, Some(wants)) => {
                let alone = json!({ name: &wants });
                add(name, None, wants, alone);
            }
        }
    }
    singles
}

/// Whether a condition is on what the protocol or the body tells, and maybe does not.
fn is_told_late(name: &str) -> bool {
    matches!(
        name,
        "operation"
            | "model"
            | "version"
            | "stream"
            | "prompt_chars"
            | "max_tokens"
            | "body"
            | "peer"
            | "sni"
    )
}

/// Whether a condition is on what a line of the decision log leaves out of the head.
fn of_head(name: &str) -> bool {
    matches!(name, "headers" | "host" | "query")
}

/// What a call has of what a condition is on; null where it has none.
fn value(call: &Call<'_>, name: &str, key: Option<&str>) -> Value {
    let text = |bytes: &[u8]| Value::from(String::from_utf8_lossy(bytes));
    let told = &call.description;
    match (name, key) {
        ("protocol", _) => call.protocol.into(),
        ("operation", _) => told.operation.as_deref().into(),
        ("method", _) => call.method.into(),
        ("path", _) => call.path.into(),
        ("host", _) => call.host.into(),
        ("query", Some(key)) => {
            let found = parameters(call.query).find(|(name, _)| name.as_ref() == key.as_bytes());
            found.map_or(Value::Null, |(_, value)| text(&value))
        }
        ("headers", Some(key)) => call.header(key).next().map_or(Value::Null, text),
        ("sni", _) => call.sni.into(),
        ("peer", _) => call.peer.map(|it| it.ip().to_string()).into(),
        ("model", _) => told.model.as_deref().into(),
        ("version", _) => told.version.as_deref().into(),
        ("stream", _) => told.stream.into(),
        ("prompt_chars", _) => told.prompt_chars.into(),
        ("max_tokens", _) => told.max_tokens.into(),
        ("body", Some(key)) => call.body(key).cloned().unwrap_or_default(),
        _ => Value::Null,
    }
}

/// Whether a rule with only this condition would select the call.
fn selects(spec: &RuleSpec, select: &Select, call: &Call<'_>) -> bool {
    let single = RuleSpec {
        select: Arc::new(select.clone()),
        listeners: None,
        armed: true,
        ..spec.clone()
    };
    let rules = RuleSet::compile(
        vec![single],
        &Setting {
            listeners: &[Arc::from(call.listener)],
            never: &[],
            dry_run: false,
            at: Duration::ZERO,
            previous: None,
        },
    );
    rules
        .listener(0)
        .is_some_and(|it| !it.select(&it.candidates(call), call).is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names are written out, so that a new condition must find its way here.
    #[test]
    fn every_condition_of_a_selector_is_known() {
        let mut schema = schemars::schema_for!(Select).to_value();
        let properties = schema["properties"].take();
        let mut fields: Vec<_> = properties.as_object().unwrap().keys().cloned().collect();
        let mut names = NAMES.map(str::to_owned).to_vec();
        fields.sort();
        names.sort();
        assert_eq!(fields, names);
    }
}
