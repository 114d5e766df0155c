//! Which decisions are wanted: the same words as the admin API takes.

use std::fmt::Write;
use std::str::FromStr;

use serde_json::Value;

use crate::admin::client::escaped;
use crate::call::Outcome;
use crate::cli::UsageError;

use crate::error::{Origin, nearest};
use crate::fault;
use crate::toxic::ToxicKind;

/// `KEY=VALUE`.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    key: &'static str,
    value: String,
}

const KEYS: [&str; 5] = ["rule", "listener", "fault", "outcome", "origin"];

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| "write KEY=VALUE, such as rule=delay-chat".to_owned())?;
        let key = pick("filter", key, &KEYS)?;
        let value = match key {
            "fault" => {
                let faults = fault::registry().iter().map(|it| it.name);
                let kinds: Vec<_> = faults.chain(ToxicKind::NAMES).collect();
                pick("fault", value, &kinds)?
            }
            "outcome" => pick("outcome", value, &Outcome::ALL.map(Outcome::as_str))?,
            "origin" => pick("origin", value, &Origin::ALL.map(Origin::as_str))?,
            _ => value,
        };
        Ok(Self {
            key,
            value: value.to_owned(),
        })
    }
}

fn pick(what: &str, word: &str, known: &[&'static str]) -> Result<&'static str, String> {
    if let Some(found) = known.iter().find(|it| **it == word) {
        return Ok(found);
    }
    Err(match nearest(word, known) {
        Some(near) => format!("there is no {what} {word:?}: did you mean {near:?}?"),
        None => format!(
            "there is no {what} {word:?}: there are {}",
            known.join(", ")
        ),
    })
}

/// Conditions, all of which must hold.
#[derive(Clone, Debug)]
pub(super) struct Filter(Vec<Condition>);

impl Filter {
    pub(super) fn of(conditions: &[Condition]) -> Result<Self, UsageError> {
        for (index, condition) in conditions.iter().enumerate() {
            if conditions[..index].iter().any(|it| it.key == condition.key) {
                return Err(UsageError(format!(
                    "{} is given twice, and a call has one",
                    condition.key
                )));
            }
        }
        Ok(Self(conditions.to_vec()))
    }

    /// As a query, with its question mark.
    pub(super) fn query(&self) -> String {
        let mut query = String::new();
        for (index, Condition { key, value }) in self.0.iter().enumerate() {
            let mark = if index == 0 { '?' } else { '&' };
            // A string takes all that is written.
            write!(query, "{mark}{key}={}", escaped(value)).unwrap_or_default();
        }
        query
    }

    /// Whether a line of the log is wanted.
    pub(super) fn holds(&self, line: &Value) -> bool {
        self.0.iter().all(|Condition { key, value }| match *key {
            // A toxic is no rule of the call's; what it did is told.
            "rule" => any(line, "rules", "rule", value) || any(line, "effects", "rule", value),
            "fault" => any(line, "effects", "fault", value),
            key => line[key].as_str() == Some(value.as_str()),
        })
    }
}

/// Whether one of a list has this word. A rule that only looked at the call is not meant.
fn any(line: &Value, list: &str, key: &str, word: &str) -> bool {
    let entries = line[list].as_array().into_iter().flatten();
    let mut acted = entries.filter(|it| it["verdict"] != "missed");
    acted.any(|it| it[key].as_str() == Some(word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filter(texts: &[&str]) -> Filter {
        let conditions: Vec<Condition> = texts.iter().map(|it| it.parse().unwrap()).collect();
        Filter::of(&conditions).unwrap()
    }

    #[test]
    fn all_conditions_must_hold() {
        let line = json!({
            "listener": "chat",
            "outcome": "ok",
            "origin": "upstream",
            "rules": [{ "rule": "slow", "verdict": "hit" }, { "rule": "other", "verdict": "missed" }],
            "effects": [{ "rule": "slow", "fault": "delay" }],
        });
        assert!(filter(&[]).holds(&line));
        assert!(filter(&["rule=slow", "fault=delay", "outcome=ok", "listener=chat"]).holds(&line));
        assert!(!filter(&["rule=other"]).holds(&line));
        assert!(!filter(&["rule=slow", "origin=injected"]).holds(&line));
        assert!(!filter(&["fault=abort"]).holds(&line));
        let line = json!({
            "rules": [],
            "effects": [{ "rule": "redis/slow", "fault": "latency", "fate": "applied" }],
        });
        assert!(filter(&["rule=redis/slow", "fault=latency"]).holds(&line));
        assert!(!filter(&["fault=bandwidth"]).holds(&line));
    }

    #[test]
    fn words_that_are_none_are_told_with_what_was_meant() {
        let wrong = |text: &str| text.parse::<Condition>().unwrap_err();
        assert!(wrong("ruel=x").contains("\"rule\""));
        assert!(wrong("outcome=injectd_fault").contains("\"injected_fault\""));
        assert!(wrong("fault=xyzzy").contains("abort, corrupt"));
        assert!(wrong("slow").contains("KEY=VALUE"));
        let twice: Vec<Condition> = ["rule=a", "rule=b"].map(|it| it.parse().unwrap()).into();
        assert!(Filter::of(&twice).is_err());
    }

    #[test]
    fn the_query_is_escaped() {
        assert_eq!(filter(&[]).query(), "");
        assert_eq!(
            filter(&["rule=a b&c", "origin=injected"]).query(),
            "?rule=a%20b%26c&origin=injected"
        );
    }
}
