//! An explanation for people and for programs.

use std::io;
use std::time::Duration;

use owo_colors::Style;
use serde_json::{Value, json};

use super::decision::{Explanation, RuleFate};
use crate::call::{Phase, Side};
use crate::cli::console::Console;
use crate::effect::{Effect, Fate, NotApplicable, Rate, Stage, WaitTime};
use crate::protocol::NativeError;
use crate::rule::{Step, Trigger, VerdictKind};

pub(super) fn print(explanation: &Explanation<'_>, console: &Console) -> io::Result<()> {
    let it = explanation;
    console.line(format_args!(
        "call {} on listener `{}` ({}), to upstream `{}`",
        it.moment.number, it.listener.name, it.protocol, it.upstream
    ))?;
    let described = described(it);
    if !described.is_empty() {
        console.line(format_args!("  {}", described.join(", ")))?;
    }
    if it.never {
        return console.line("\n[safety] never: no rule touches this path");
    }
    for rule in &it.rules {
        print_rule(rule, console)?;
    }
    console.line("\nthe client")?;
    for step in &it.steps {
        console.line(format_args!("  {}", told(step)))?;
    }
    match &it.answer {
        Some(answer) => print_answer(answer, console),
        None if it.steps.is_empty() => console.line("  gets the upstream's answer, untouched"),
        None => Ok(()),
    }
}

fn described(explanation: &Explanation<'_>) -> Vec<String> {
    let Ok(Value::Object(described)) = serde_json::to_value(&explanation.description) else {
        return Vec::new();
    };
    let parts = described.iter();
    parts
        .map(|(name, value)| format!("{name} = {value}"))
        .collect()
}

fn print_rule(rule: &RuleFate<'_>, console: &Console) -> io::Result<()> {
    let (word, why) = verdict(rule);
    let style = match word {
        "hit" => Style::new().red(),
        "missed" | "denied" => Style::new().yellow(),
        _ => Style::new().dimmed(),
    };
    let word = console.styled(&format!("{word:<12}"), style);
    console.line(format_args!("\nrule `{}`", rule.spec.name))?;
    console.line(format_args!("  {word} {why}"))
}

/// What became of a rule, in a word and in a sentence.
fn verdict(rule: &RuleFate<'_>) -> (&'static str, String) {
    let Some(verdict) = &rule.verdict else {
        let why = if rule.unmet.is_empty() {
            if rule.spec.armed {
                "it never hits: its probability is 0%".to_owned()
            } else {
                "it is not armed".to_owned()
            }
        } else {
            let told: Vec<String> = rule.unmet.iter().map(ToString::to_string).collect();
            told.join("; ")
        };
        return ("not selected", why);
    };
    let why = trigger(&rule.spec.trigger, verdict.draw);
    match verdict.kind {
        VerdictKind::Hit => ("hit", why),
        VerdictKind::Missed => ("missed", why),
        VerdictKind::Denied(denied) => ("denied", format!("by {}; {why}", text(&denied))),
    }
}

fn trigger(trigger: &Trigger, draw: Option<f64>) -> String {
    match (trigger, draw) {
        (Trigger::Chance { probability, key }, Some(draw)) => {
            let sign = if draw < probability.fraction() {
                "<"
            } else {
                ">="
            };
            let of = key
                .as_ref()
                .map_or(String::new(), |it| format!(" (shared by header {it})"));
            format!("draw {:.4}% {sign} {probability}{of}", draw * 100.0)
        }
        (Trigger::Chance { key: Some(key), .. }, None) => {
            format!("no header {key}: such calls are never hit")
        }
        (Trigger::Chance { .. }, None) => "nothing drawn".into(),
        (Trigger::Caller(_), None) => "the caller's headers, or none of them".into(),
        (Trigger::Caller(_), Some(draw)) => {
            format!("the caller asks, and draws {:.4}%", draw * 100.0)
        }
        (Trigger::Nth(nth), _) => format!("{nth:?} of its selected calls"),
    }
}

/// One step of the plan in a sentence.
fn told(step: &Step) -> String {
    let what = effect(&step.planned.effect);
    let by = format!("{} of `{}`", step.planned.fault, step.planned.token.rule);
    match step.fate {
        Fate::Superseded => format!("(never comes to: {what}, {by})"),
        Fate::NotApplicable(NotApplicable::FaultCap) => {
            format!("(beyond max_faults_per_call: {what}, {by})")
        }
        _ => format!("{what} ({by})"),
    }
}

fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Answer { at, .. } => format!("gets an injected error {}", place(*at)),
        Effect::Blackhole { at, time, .. } => match time {
            Some(time) => format!("sees {} of silence {}", duration(*time), place(*at)),
            None => format!("sees silence {} until it leaves", place(*at)),
        },
        Effect::Close { at, .. } => format!("sees the connection closed {}", place(*at)),
        Effect::FailConnect { reason } => format!("sees the upstream fail: {}", text(reason)),
        Effect::Level { state } => format!("finds the listener {}", text(state)),
        Effect::Pace { side, rate } => format!("has its {} slowed to {}", name(*side), pace(*rate)),
        Effect::Reset { at, .. } => format!("sees the connection reset {}", place(*at)),
        Effect::RewriteHead { side, edits } => {
            format!(
                "has the head of its {} edited in {} places",
                name(*side),
                edits.len()
            )
        }
        Effect::Send { times, .. } => format!("has its request sent {times} times more"),
        Effect::Transform { side, stage, .. } => match stage {
            Stage::Corrupt { .. } => format!("has the body of its {} damaged", name(*side)),
            Stage::Truncate { at, .. } => {
                format!("has the body of its {} cut at {}", name(*side), text(at))
            }
        },
        Effect::Wait { at, time, .. } => match time {
            WaitTime::Once(time) => format!("waits {} {}", duration(*time), place(*at)),
            WaitTime::Each { law, .. } => format!("waits {} {}", text(law), place(*at)),
        },
    }
}

fn place(at: Phase) -> String {
    match at {
        Phase::Byte(n) => format!("at byte {n}"),
        Phase::Token(n) => format!("at token {n}"),
        Phase::Unit(n) => format!("at unit {n}"),
        at => format!("at {}", text(&at).trim_matches('"')),
    }
}

const fn name(side: Side) -> &'static str {
    match side {
        Side::Request => "request",
        Side::Response => "response",
    }
}

fn pace(rate: Rate) -> String {
    match rate {
        Rate::Bytes { per_second, .. } => format!("{per_second} bytes a second"),
        Rate::Tokens { gap } => format!("a token each {}", duration(gap)),
        Rate::Units { gap } => format!("a unit each {}", duration(gap)),
    }
}

fn duration(time: Duration) -> String {
    // Nanoseconds would only tell of the draw.
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    humantime::format_duration(Duration::from_micros(micros)).to_string()
}

/// A small value as its JSON.
fn text(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_string(value).unwrap_or_default();
    text.trim_matches('"').to_owned()
}

fn print_answer(answer: &NativeError, console: &Console) -> io::Result<()> {
    console.line(format_args!("\n  HTTP/1.1 {}", answer.status))?;
    for (name, value) in &answer.headers {
        console.line(format_args!("  {name}: {value}"))?;
    }
    console.line(format_args!(
        "\n  {}",
        String::from_utf8_lossy(&answer.body).trim_end()
    ))
}

pub(super) fn to_json(explanation: &Explanation<'_>) -> Value {
    let it = explanation;
    let rules: Vec<Value> = it
        .rules
        .iter()
        .map(|rule| {
            let (word, why) = verdict(rule);
            json!({
                "rule": &*rule.spec.name,
                "verdict": word.replace(' ', "_"),
                "why": why,
                "draw": rule.verdict.as_ref().and_then(|it| it.draw),
                "unmet": rule.unmet,
            })
        })
        .collect();
    let steps: Vec<Value> = it
        .steps
        .iter()
        .map(|step| json!({ "planned": step.planned, "fate": step.fate, "told": told(step) }))
        .collect();
    json!({
        "listener": &*it.listener.name,
        "protocol": it.protocol,
        "upstream": it.upstream,
        "number": it.moment.number,
        "description": it.description,
        "never": it.never,
        "rules": rules,
        "plan": steps,
        "answer": it.answer.as_ref().map(|answer| json!({
            "status": answer.status.as_u16(),
            "headers": answer.headers,
            "body": String::from_utf8_lossy(&answer.body),
        })),
    })
}
