//! From what was typed to the rule as the admin API takes it. Only the fault's kind is checked
//! here, for its suggestion; the rest the sidecar reads as it reads a configuration.

use std::str::FromStr;

use serde_json::{Map, Value, json};

use super::AddArguments;
use crate::cli::UsageError;
use crate::error::nearest;
use crate::fault::{self, FaultConfig};

/// `KEY=VALUE`, the key with its dots.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pair {
    key: String,
    value: Value,
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => Ok(Self {
                key: key.trim().to_owned(),
                value: typed(value),
            }),
            _ => Err("write KEY=VALUE".to_owned()),
        }
    }
}

/// A value of TOML where it is one, else text: `503`, `true`, `{ min = 1 }`, but also `250ms`.
fn typed(text: &str) -> Value {
    let text = text.trim();
    toml::from_str::<toml::Table>(&format!("v = {text}"))
        .ok()
        // One line that became several keys was no value.
        .filter(|table| table.len() == 1)
        .and_then(|mut table| as_json(table.remove("v")?))
        .unwrap_or_else(|| Value::from(text))
}

/// Dates and what is no number are no values of a rule.
fn as_json(value: toml::Value) -> Option<Value> {
    Some(match value {
        toml::Value::Array(items) => {
            Value::Array(items.into_iter().map(as_json).collect::<Option<_>>()?)
        }
        toml::Value::Boolean(value) => value.into(),
        toml::Value::Datetime(_) => return None,
        toml::Value::Float(value) => serde_json::Number::from_f64(value)?.into(),
        toml::Value::Integer(value) => value.into(),
        toml::Value::String(value) => value.into(),
        toml::Value::Table(table) => Value::Object(
            table
                .into_iter()
                .map(|(key, value)| Some((key, as_json(value)?)))
                .collect::<Option<_>>()?,
        ),
    })
}

/// A value as the configuration would have it on one line.
pub(super) fn in_toml(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(in_toml).collect();
            format!("[{}]", items.join(", "))
        }
        // The table itself is seen by its only key: `delay = { … }`.
        Value::Object(map) if map.len() == 1 => entries(map).concat(),
        other => nested(other),
    }
}

fn nested(value: &Value) -> String {
    match value {
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => format!("{{ {} }}", entries(map).join(", ")),
        Value::Array(_) => in_toml(value),
        // JSON's escapes are TOML's.
        other => other.to_string(),
    }
}

pub(super) fn entries(map: &Map<String, Value>) -> Vec<String> {
    let entry = |(key, value): (&String, &Value)| format!("{} = {}", toml_key(key), nested(value));
    map.iter().map(entry).collect()
}

fn toml_key(key: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !key.is_empty() && key.bytes().all(bare) {
        key.to_owned()
    } else {
        Value::from(key).to_string()
    }
}

/// A rule by name, as `PUT /rules/{name}` takes it.
#[derive(Clone, Debug)]
pub(super) struct RuleText {
    pub(super) name: String,
    pub(super) body: Value,
}

impl RuleText {
    pub(super) fn of(arguments: &AddArguments) -> Result<Self, UsageError> {
        let faults = faults(arguments)?;
        let name = arguments.name.clone().unwrap_or_else(|| {
            let kinds: Vec<&str> = faults.iter().map(|(kind, _)| kind.as_str()).collect();
            format!("{}-{}", kinds.join("-"), arguments.on.join("-"))
        });
        let faults: Vec<Value> = faults
            .into_iter()
            .map(|(kind, table)| json!({ kind: table }))
            .collect();
        let mut body = Map::new();
        body.insert("name".into(), name.as_str().into());
        body.insert("listener".into(), json!(arguments.on));
        body.insert("faults".into(), faults.into());
        let select = table(&arguments.select, &["headers", "query", "body"])?;
        if !select.is_empty() {
            body.insert("select".into(), select.into());
        }
        let limits = table(&arguments.limit, &[])?;
        if !limits.is_empty() {
            body.insert("limits".into(), limits.into());
        }
        if let Some(probability) = arguments.probability {
            body.insert("probability".into(), probability.to_string().into());
        }
        if let Some(time) = arguments.time {
            body.insert("ttl".into(), time.to_string().into());
        }
        if arguments.dry_run {
            body.insert("dry_run".into(), true.into());
        }
        Ok(Self {
            name,
            body: body.into(),
        })
    }
}

/// A table of pairs. Below the keys in `flat` one name follows, whatever dots it has: a header, a
/// JSON pointer.
fn table(pairs: &[Pair], flat: &[&str]) -> Result<Map<String, Value>, UsageError> {
    let mut all = Map::new();
    for Pair { key, value } in pairs {
        let parts: Vec<&str> = match key.split_once('.') {
            Some((first, name)) if flat.contains(&first) => vec![first, name],
            _ => key.split('.').collect(),
        };
        insert(&mut all, &parts, value.clone()).ok_or_else(|| {
            UsageError(format!("{key} is given twice, or as a value and a table"))
        })?;
    }
    Ok(all)
}

/// `None` where something else stands there.
fn insert(table: &mut Map<String, Value>, path: &[&str], value: Value) -> Option<()> {
    match path {
        [] => None,
        [last] => match table.insert((*last).to_owned(), value) {
            Some(_) => None,
            None => Some(()),
        },
        [first, rest @ ..] => {
            let inner = table
                .entry((*first).to_owned())
                .or_insert_with(|| Value::Object(Map::new()));
            insert(inner.as_object_mut()?, rest, value)
        }
    }
}

/// Each fault by its kind and table.
fn faults(arguments: &AddArguments) -> Result<Vec<(String, Value)>, UsageError> {
    let text = arguments.fault.trim();
    let mut given = table(&arguments.parameters, &["headers"])?;
    if let Some(at) = &arguments.at {
        let at = match at.split_once('=') {
            Some((kind, number)) if !at.trim_start().starts_with('{') => {
                json!({ kind.trim(): typed(number) })
            }
            _ => typed(at),
        };
        insert(&mut given, &["at"], at)
            .ok_or_else(|| UsageError("`at` is given twice".to_owned()))?;
    }
    if !text.contains(['=', '{']) {
        let table = completed(text, given)?;
        return Ok(vec![(text.to_owned(), table)]);
    }
    let written = toml::from_str::<toml::Table>(text).map_err(|error| {
        UsageError(format!(
            "{text:?} is neither a kind of fault nor TOML: {}",
            error.message()
        ))
    })?;
    let mut faults = Vec::new();
    for (kind, value) in written {
        known(&kind)?;
        let Some(Value::Object(mut table)) = as_json(value) else {
            return Err(UsageError(format!(
                "a fault is a table: write '{kind} = {{ … }}'"
            )));
        };
        for (key, value) in &given {
            insert(&mut table, &[key], value.clone())
                .ok_or_else(|| UsageError(format!("{key} is given twice")))?;
        }
        faults.push((kind, table.into()));
    }
    if faults.is_empty() {
        return Err(UsageError(format!("{text:?} names no fault")));
    }
    Ok(faults)
}

/// What was given, with the kind's usual parameters where it could not do without.
fn completed(kind: &str, given: Map<String, Value>) -> Result<Value, UsageError> {
    let info = known(kind)?;
    let whole = |table: &Map<String, Value>| {
        serde_json::from_value::<FaultConfig>(json!({ kind: table }))
            .is_ok_and(|fault| fault.build().is_ok())
    };
    if whole(&given) {
        return Ok(given.into());
    }
    let usual = toml::from_str::<toml::Table>(info.doc.usual).ok();
    let usual = usual.and_then(|it| as_json(toml::Value::Table(it)));
    if let Some(Value::Object(mut usual)) = usual {
        usual.extend(given.clone());
        if whole(&usual) {
            return Ok(usual.into());
        }
    }
    // The sidecar says what is wrong with it.
    Ok(given.into())
}

fn known(kind: &str) -> Result<&'static fault::FaultInfo, UsageError> {
    let registry = fault::registry();
    registry.iter().find(|it| it.name == kind).ok_or_else(|| {
        let names: Vec<&str> = registry.iter().map(|it| it.name).collect();
        let help = match nearest(kind, &names) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("there are {}", names.join(", ")),
        };
        UsageError(format!("no fault is called {kind:?}: {help}"))
    })
}

#[cfg(test)]
mod tests;
