//! The lines of the decision log: a stable form, documented in `docs/decision-log.md`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::Value;
use smallvec::SmallVec;

use crate::call::{Description, Outcome};
use crate::effect::{Effect, Fate, NotApplicable};
use crate::error::Origin;
use crate::model::Admission;
use crate::record::{EffectRecord, EnergyLine, Record, TraceContext};
use crate::rule::{Denied, Verdict, VerdictKind};
use crate::toxic::Placed;
use crate::units::{MicroJoules, micros};

/// Writes a line, its end included, in place of what `text` held.
pub(crate) fn render<T: ToLine>(text: &mut Vec<u8>, line: &T) {
    text.clear();
    if let Err(error) = serde_json::to_writer(&mut *text, &line.to_line()) {
        // No type of ours gets here; a line that says so beats a torn one.
        text.clear();
        let reason = Value::from(error.to_string());
        text.extend_from_slice(format!(r#"{{"kind":"unreadable","reason":{reason}}}"#).as_bytes());
    }
    text.push(b'\n');
}

/// The form in which something stands in the log.
pub(crate) trait ToLine {
    type Line<'a>: Serialize
    where
        Self: 'a;

    fn to_line(&self) -> Self::Line<'_>;
}

#[derive(Debug, Serialize)]
pub(crate) struct CallForm<'a> {
    kind: &'static str,
    call: u64,
    time: String,
    listener: &'a str,
    protocol: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<&'a str>,
    number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<SocketAddr>,
    #[serde(skip_serializing_if = "str::is_empty")]
    method: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    path: &'a str,
    #[serde(flatten)]
    description: &'a Description,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<TraceContext>,
    outcome: Outcome,
    origin: Origin,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    rules: SmallVec<[RuleForm<'a>; 4]>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    admissions: &'a [Admission],
    effects: SmallVec<[EffectForm<'a>; 2]>,
    total_us: u64,
    injected_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_sent_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_head_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_token_us: Option<u64>,
    request_bytes: u64,
    response_bytes: u64,
    units: u64,
    tokens: u64,
}

#[derive(Debug, Serialize)]
struct RuleForm<'a> {
    rule: &'a str,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    denied: Option<Denied>,
    #[serde(skip_serializing_if = "Option::is_none")]
    draw: Option<f64>,
}

#[derive(Debug, Serialize)]
struct EffectForm<'a> {
    rule: &'a str,
    fault: &'static str,
    fault_index: u16,
    effect: Acted<'a>,
    fate: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<NotApplicable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waited_us: Option<u64>,
}

/// What acted: a fault's effect, or a toxic on the bytes of one direction.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Acted<'a> {
    Effect(&'a Effect),
    Toxic { toxic: Direction },
}

#[derive(Debug, Serialize)]
struct Direction {
    stream: &'static str,
}

#[derive(Debug, Serialize)]
pub(crate) struct EnergyForm<'a> {
    kind: &'static str,
    call: u64,
    dyn_uj: Option<MicroJoules>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zombie_uj: Option<MicroJoules>,
    idle_uj: Option<MicroJoules>,
    lo_uj: Option<MicroJoules>,
    hi_uj: Option<MicroJoules>,
    tier: Option<&'static str>,
    split: &'a str,
    windows: u32,
    gap_ms: u64,
    meters: &'a [Arc<str>],
    concurrency: Option<f64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    flags: &'a [&'static str],
}

impl ToLine for Record {
    type Line<'a> = CallForm<'a>;

    fn to_line(&self) -> CallForm<'_> {
        let timing = &self.timing;
        let effects = self.effects.iter().map(effect_form);
        let toxics = self.toxics.iter().map(|it| toxic_form(it));
        CallForm {
            kind: "call",
            call: self.id,
            time: rfc3339(self.started),
            listener: &self.listener,
            protocol: self.protocol,
            upstream: self.upstream.as_deref(),
            number: self.number,
            peer: self.peer,
            method: &self.method,
            path: &self.path,
            description: &self.description,
            attempt: self.attempt,
            trace: self.trace,
            outcome: self.outcome,
            origin: self.origin,
            status: self.status,
            reason: self.reason.as_deref(),
            rules: self.verdicts.iter().map(rule_form).collect(),
            admissions: &self.admissions,
            effects: effects.chain(toxics).collect(),
            total_us: micros::of(timing.total),
            injected_us: micros::of(timing.injected),
            upstream_sent_us: timing.upstream_sent.map(micros::of),
            response_head_us: timing.response_head.map(micros::of),
            first_token_us: timing.first_token.map(micros::of),
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
            units: self.units,
            tokens: self.tokens,
        }
    }
}

impl ToLine for EnergyLine {
    type Line<'a> = EnergyForm<'a>;

    fn to_line(&self) -> EnergyForm<'_> {
        EnergyForm {
            kind: "energy",
            call: self.call,
            dyn_uj: self.dynamic,
            zombie_uj: self.zombie,
            idle_uj: self.idle,
            lo_uj: self.low,
            hi_uj: self.high,
            tier: self.tier,
            split: self.split,
            windows: self.windows,
            gap_ms: self.gap_ms,
            meters: &self.meters,
            concurrency: self.concurrency,
            flags: &self.flags,
        }
    }
}

fn rule_form(verdict: &Verdict) -> RuleForm<'_> {
    let (word, denied) = match verdict.kind {
        VerdictKind::Denied(why) => ("denied", Some(why)),
        VerdictKind::Hit => ("hit", None),
        VerdictKind::Missed => ("missed", None),
    };
    RuleForm {
        rule: &verdict.token.rule,
        verdict: word,
        denied,
        draw: verdict.draw,
    }
}

fn effect_form(record: &EffectRecord) -> EffectForm<'_> {
    let why = match record.fate {
        Fate::NotApplicable(why) => Some(why),
        _ => None,
    };
    let planned = &record.planned;
    EffectForm {
        rule: &planned.token.rule,
        fault: planned.fault,
        fault_index: planned.fault_index,
        effect: Acted::Effect(&planned.effect),
        fate: record.fate.as_str(),
        why,
        waited_us: record.waited.map(micros::of),
    }
}

/// A toxic that acted, told as an effect: as a rule it has its proxy's name and its own.
fn toxic_form(placed: &Placed) -> EffectForm<'_> {
    let direction = placed.toxic.direction.as_str();
    EffectForm {
        rule: &placed.rule,
        fault: placed.toxic.kind.name(),
        fault_index: 0,
        effect: Acted::Toxic {
            toxic: Direction { stream: direction },
        },
        fate: Fate::Applied.as_str(),
        why: None,
        waited_us: None,
    }
}

/// RFC 3339 in UTC, to the microsecond. A clock outside 1970 to 9999 is shown at its end.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    const LAST: Duration = Duration::from_micros(253_402_300_799_999_999);
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .min(LAST);
    humantime::format_rfc3339_micros(SystemTime::UNIX_EPOCH + since).to_string()
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
