//! Why a rule does not select a call: each of its conditions asked by itself, with the functions
//! that select.

use std::sync::Arc;
use std::time::Duration;

use globset::GlobSet;
use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::rule::{RuleSet, RuleSpec, Select, Setting};

/// The conditions of a rule that do not hold for a call, as its configuration writes them.
pub(super) fn unmet(spec: &RuleSpec, call: &Call<'_>) -> Vec<String> {
    conditions(&spec.select)
        .into_iter()
        .filter(|(_, select)| !selects(spec, select, call))
        .map(|(text, _)| text)
        .collect()
}

/// Each condition of a selector, with its text and as a selector of its own.
fn conditions(select: &Select) -> Vec<(String, Select)> {
    let Ok(Value::Object(all)) = serde_json::to_value(select) else {
        return Vec::new();
    };
    let mut singles = Vec::new();
    for (name, value) in all {
        match (name.as_str(), value) {
            ("headers" | "query" | "body", Value::Object(entries)) => {
                for (key, value) in entries {
                    let text = format!("{name}.{key} = {value}");
                    singles.push((text, json!({ &*name: { key: value } })));
                }
            }
            (_, value) => {
                let text = format!("{name} = {value}");
                singles.push((text, Value::Object(Map::from_iter([(name, value)]))));
            }
        }
    }
    singles
        .into_iter()
        .filter_map(|(text, value)| Some((text, serde_json::from_value(value).ok()?)))
        .collect()
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
            never: &GlobSet::empty(),
            dry_run: false,
            at: Duration::ZERO,
            previous: None,
        },
    );
    rules
        .listener(0)
        .is_some_and(|it| !it.select(&it.candidates(call), call).is_empty())
}
