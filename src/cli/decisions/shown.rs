//! A line of the decision log for people.

use std::fmt::Write;

use owo_colors::Style;
use serde_json::Value;

use crate::cli::console::Console;
use crate::cli::figures::{seconds, time_of_day};

/// The call as one line; `None` for what is no call.
pub(super) fn shown(line: &Value, console: &Console) -> Option<String> {
    if line["kind"] != "call" {
        return None;
    }
    let text = |key: &str| line[key].as_str().unwrap_or_default();
    let mut what = vec![
        text("method"),
        text("path"),
        text("operation"),
        text("model"),
    ];
    what.retain(|it| !it.is_empty());
    let outcome = text("outcome");
    let origin = text("origin");
    let style = match (outcome, origin) {
        ("ok", _) => Style::new(),
        (_, "injected") => Style::new().yellow(),
        _ => Style::new().red(),
    };
    let mut ended = outcome.to_owned();
    // A string takes all that is written.
    if let Some(status) = line["status"].as_u64() {
        write!(ended, " {status}").unwrap_or_default();
    }
    if outcome != "ok" {
        write!(ended, " ({origin})").unwrap_or_default();
    }
    let took = micros(&line["total_us"]).unwrap_or_default();
    let mut shown = format!(
        "{}  {} #{}  {}  {}  {took}",
        time_of_day(text("time")),
        text("listener"),
        line["number"],
        what.join(" "),
        console.styled(&ended, style),
    );
    for told in rules(line) {
        shown.push_str("  ");
        shown.push_str(&console.styled(&told, Style::new().cyan()));
    }
    Some(shown)
}

/// What each rule that hit did, or why it did not.
fn rules(line: &Value) -> Vec<String> {
    let list = |key: &str| line[key].as_array().into_iter().flatten();
    let mut told = Vec::new();
    for rule in list("rules") {
        let name = rule["rule"].as_str().unwrap_or_default();
        match rule["verdict"].as_str() {
            Some("hit") => {
                let own = list("effects").filter(|it| it["rule"] == rule["rule"]);
                let effects: Vec<String> = own.map(effect).collect();
                told.push(format!("{name}: {}", effects.join(", ")));
            }
            Some("denied") => told.push(format!("{name}: denied by {}", word(&rule["denied"]))),
            _ => {}
        }
    }
    // Toxics are nobody's rules.
    let toxics = list("effects").filter(|it| !it["effect"]["toxic"].is_null());
    told.extend(toxics.map(|it| {
        let name = it["rule"].as_str().unwrap_or_default();
        format!("{name}: {}", effect(it))
    }));
    told
}

fn effect(effect: &Value) -> String {
    let fault = effect["fault"].as_str().unwrap_or_default();
    let waited = micros(&effect["waited_us"]).map(|it| format!(" {it}"));
    let waited = waited.unwrap_or_default();
    match effect["fate"].as_str() {
        Some("applied") | None => format!("{fault}{waited}"),
        Some(fate) => format!("{fault}{waited} {}", fate.replace('_', " ")),
    }
}

fn micros(value: &Value) -> Option<String> {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    value.as_u64().map(|it| seconds(it as f64 / 1e6))
}

/// A reason is a word, or a table whose only key is one.
fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(map) => map.keys().next().cloned().unwrap_or_default(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::ColorChoice;

    #[test]
    fn a_call_is_one_line_with_what_each_rule_did() {
        let console = Console::of_process(ColorChoice::Never);
        let line = json!({
            "kind": "call", "time": "2026-11-27T11:05:12.123456Z", "listener": "chat", "number": 42,
            "method": "POST", "path": "/v1/chat/completions", "operation": "chat.completions",
            "model": "llama-3", "outcome": "injected_fault", "origin": "injected", "status": 503,
            "total_us": 1_020_000,
            "rules": [
                { "rule": "slow", "verdict": "hit" },
                { "rule": "full", "verdict": "denied", "denied": "limit" },
                { "rule": "rare", "verdict": "missed" },
            ],
            "effects": [
                { "rule": "slow", "fault": "delay", "fate": "applied", "waited_us": 1_000_000 },
                { "rule": "slow", "fault": "stall", "fate": "not_reached" },
            ],
        });
        assert_eq!(
            shown(&line, &console).unwrap(),
            "11:05:12  chat #42  POST /v1/chat/completions chat.completions llama-3  \
             injected_fault 503 (injected)  1.02 s  slow: delay 1.00 s, stall not reached  \
             full: denied by limit"
        );
        assert_eq!(shown(&json!({ "kind": "energy" }), &console), None);
    }
}
