//! `[[rules]]`: which calls are hurt, when, how, and how much at most.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::{CallerConfig, TriggerConfig};
use crate::fault::{Complaint, FaultConfig};
use crate::model::Limits;
use crate::rule::{
    Caller, FaultSpec, Nth, OneOrMany, RuleSource, RuleSpec, Schedule, Select, Trigger,
};
use crate::units::{Probability, Span};

/// A rule: which calls it selects, which of those it hits, and with what faults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// unique; metrics, logs and draws carry it
    pub name: String,
    /// the listener it watches, or a list of them; all where absent
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<OneOrMany<String>>,
    /// the calls it may touch; all where absent
    #[serde(default)]
    pub select: Select,
    /// how many of those it hits; all where neither this nor `nth` is given
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<Probability>,
    /// calls that share this share one draw: `{ header = "x-user-id" }`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyConfig>,
    /// which of those it hits, by their order
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nth: Option<NthConfig>,
    /// calls ask for faults themselves, in headers: `{ caller = { secret_file = "…" } }`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<TriggerConfig>,
    /// when it acts, counted from its arming; always where absent
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleConfig>,
    /// how many calls it hurts at most
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsConfig>,
    /// whether it acts from the start; `hormesis arm NAME` arms it later
    #[serde(default = "yes")]
    pub armed: bool,
    /// decide and count, but touch nothing
    #[serde(default)]
    pub dry_run: bool,
    /// how long after its arming it disarms itself
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Span>,
    /// what it does to the calls that it hits; may be left out where the caller asks
    #[serde(default)]
    pub faults: Vec<FaultConfig>,
}

/// What makes calls share a draw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// the value of this header; calls without it are never hit
    pub header: String,
}

/// `{ first = 5 }`, `{ after = 100, count = 20 }` or `{ every = 10 }`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NthConfig {
    /// the first so many selected calls
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<NonZeroU64>,
    /// all selected calls after so many
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// with `after`: only so many of them
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<NonZeroU64>,
    /// each selected call whose number is a multiple of this
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<NonZeroU64>,
}

/// Windows in which the rule acts.
#[expect(
    clippy::manual_non_exhaustive,
    reason = "the hidden field is a word that is refused"
)]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleConfig {
    /// how long after its arming the first window begins; at once where absent
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Span>,
    /// how long a window is; without end where absent
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub length: Option<Span>,
    /// from one window's begin to the next one's; only one window where absent
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    #[serde(skip_serializing, deserialize_with = "refuse_ramp")]
    #[schemars(skip)]
    ramp: (),
}

/// Limits that hold under any load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
// Not to be taken for the section of that name.
#[schemars(rename = "RuleLimits")]
pub struct LimitsConfig {
    /// calls hurt at once
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<NonZeroU32>,
    /// calls hurt since the rule exists
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<NonZeroU64>,
    /// calls hurt of those it selects: each selected call adds the share, each hurt one costs 1
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<Probability>,
}

const fn yes() -> bool {
    true
}

/// A word that the design knows and this version does not: said in so many words.
fn refuse_ramp<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(serde::de::Error::custom(
        "`ramp` is not supported yet: a schedule has start, for and every",
    ))
}

impl NthConfig {
    /// Which of the selected calls; `None` only where there was a complaint.
    fn resolve(&self, complaints: &mut Vec<Complaint>) -> Option<Nth> {
        match *self {
            Self {
                first: Some(first),
                after: None,
                count: None,
                every: None,
            } => Some(Nth::First(first)),
            Self {
                first: None,
                after: Some(after),
                count,
                every: None,
            } => Some(Nth::After { after, count }),
            Self {
                first: None,
                after: None,
                count: None,
                every: Some(every),
            } => Some(Nth::Every(every)),
            _ => {
                complaints.push(Complaint::new(
                    "nth",
                    "which of the selected calls?",
                    "give { first = 5 }, { after = 100 }, { after = 100, count = 20 } or { every = 10 }",
                ));
                None
            }
        }
    }
}

impl RuleConfig {
    /// All that makes no sense about the rule although each field by itself does.
    pub fn check(&self) -> Vec<Complaint> {
        self.resolve().err().unwrap_or_default()
    }

    /// The rule that this describes, or all that makes no sense about it.
    pub fn resolve(&self) -> Result<RuleSpec, Vec<Complaint>> {
        let mut complaints = Vec::new();
        self.check_name(&mut complaints);
        self.check_select(&mut complaints);
        let trigger = self.trigger(&mut complaints);
        let schedule = self.schedule(&mut complaints);
        let limits = self.limits(&mut complaints);
        let faults = self.faults(&mut complaints);
        if self.ttl == Some(Span::ZERO) {
            complaints.push(Complaint::new(
                "ttl",
                "a rule that lives for 0 does nothing",
                "give a time like \"10m\", or leave `ttl` out to keep it",
            ));
        }
        let text = serde_json::to_string(self).unwrap_or_else(|_| format!("{self:?}"));
        let Some(trigger) = trigger.filter(|_| complaints.is_empty()) else {
            return Err(complaints);
        };
        Ok(RuleSpec {
            name: self.name.as_str().into(),
            text,
            listeners: self.listener.as_ref().map(|it| it.as_slice().to_vec()),
            select: Arc::new(self.select.clone()),
            trigger,
            schedule,
            limits,
            armed: self.armed,
            dry_run: self.dry_run,
            ttl: self.ttl.map(Span::get),
            faults,
            source: RuleSource::File,
        })
    }

    fn check_name(&self, complaints: &mut Vec<Complaint>) {
        let fits = |c: char| c.is_alphanumeric() || "-_.:/".contains(c);
        if self.name.is_empty() || self.name.len() > 100 || !self.name.chars().all(fits) {
            complaints.push(Complaint::new(
                "name",
                "a rule's name has 1 to 100 letters, digits or - _ . : /",
                "write it like \"slow-first-token\"",
            ));
        }
    }

    fn check_select(&self, complaints: &mut Vec<Complaint>) {
        for name in self.select.headers.keys() {
            check_header(&format!("select.headers.{name}"), name, complaints);
        }
        for pointer in self.select.body.keys() {
            if !pointer.is_empty() && !pointer.starts_with('/') {
                complaints.push(Complaint::new(
                    format!("select.body.{pointer}"),
                    format!("{pointer:?} is no JSON pointer: one begins with /"),
                    format!("write \"/{}\"", pointer.replace('.', "/")),
                ));
            }
        }
    }

    /// What makes the rule hit; `None` only where there was a complaint.
    fn trigger(&self, complaints: &mut Vec<Complaint>) -> Option<Trigger> {
        if let Some(key) = &self.key {
            check_header("key.header", &key.header, complaints);
        }
        if let Some(TriggerConfig { caller }) = &self.trigger {
            return self.caller(caller, complaints);
        }
        let Some(nth) = &self.nth else {
            if self.key.is_some() && self.probability.is_none() {
                complaints.push(Complaint::new(
                    "key",
                    "a key shares draws, and without a probability nothing is drawn",
                    "give `probability` too, like \"20%\"",
                ));
            }
            return Some(Trigger::Chance {
                probability: self.probability.unwrap_or(Probability::ALWAYS),
                key: self.key.as_ref().map(|it| it.header.as_str().into()),
            });
        };
        if self.key.is_some() {
            complaints.push(Complaint::new(
                "key",
                "a key shares draws, and `nth` draws nothing",
                "leave `key` out, or use `probability` in place of `nth`",
            ));
        }
        if self.probability.is_some() {
            complaints.push(Complaint::new(
                "nth",
                "a rule hits by `probability` or by `nth`",
                "leave one of them out",
            ));
        }
        nth.resolve(complaints).map(Trigger::Nth)
    }

    fn caller(&self, config: &CallerConfig, complaints: &mut Vec<Complaint>) -> Option<Trigger> {
        for (field, there) in [("key", self.key.is_some()), ("nth", self.nth.is_some())] {
            if there {
                complaints.push(Complaint::new(
                    field,
                    format!("the caller says which calls are hit, and so does `{field}`"),
                    "leave one of them out; `probability` caps the share that a caller gets",
                ));
            }
        }
        if config.max_delay == Span::ZERO {
            complaints.push(Complaint::new(
                "trigger.caller.max_delay",
                "no caller could ask for a delay",
                "give a time like \"5s\"",
            ));
        }
        if config.min_throughput.get() == 0 {
            complaints.push(Complaint::new(
                "trigger.caller.min_throughput",
                "a caller could hold its call for ever",
                "give a number of bytes a second like \"1KiB\"",
            ));
        }
        match config.secret() {
            Ok(secret) => Some(Trigger::Caller(Caller {
                secret,
                max_delay: config.max_delay.get(),
                min_throughput: config.min_throughput.get(),
                probability: self.probability.unwrap_or(Probability::ALWAYS),
                has_faults: !self.faults.is_empty(),
            })),
            Err(complaint) => {
                complaints.push(complaint);
                None
            }
        }
    }

    fn schedule(&self, complaints: &mut Vec<Complaint>) -> Schedule {
        let Some(ScheduleConfig {
            start,
            length,
            every,
            ..
        }) = self.schedule
        else {
            return Schedule::default();
        };
        let mut complain = |field: &str, message: &str, help: &str| {
            complaints.push(Complaint::new(format!("schedule.{field}"), message, help));
        };
        if length == Some(Span::ZERO) {
            complain(
                "for",
                "a window of 0 does nothing",
                "give a time like \"5m\"",
            );
        }
        match (length, every) {
            (None, Some(_)) => complain(
                "every",
                "a window without end comes only once",
                "give `for` too, shorter than `every`",
            ),
            (Some(length), Some(every)) if every <= length => complain(
                "every",
                "each window would begin before the last one ends",
                "give an `every` longer than `for`, or leave it out",
            ),
            _ => {}
        }
        let start = start.map_or(Duration::ZERO, Span::get);
        Schedule::new(start, length.map(Span::get), every.map(Span::get))
    }

    fn limits(&self, complaints: &mut Vec<Complaint>) -> Limits {
        let Some(LimitsConfig {
            concurrent,
            total,
            share,
        }) = self.limits
        else {
            return Limits::default();
        };
        let mut complain = |field: &str, message: String| {
            let help = "give less, or leave the limit out";
            complaints.push(Complaint::new(format!("limits.{field}"), message, help));
        };
        if concurrent.is_some_and(|it| it.get() > Limits::MAX_CONCURRENT) {
            complain("concurrent", format!("at most {}", Limits::MAX_CONCURRENT));
        }
        if total.is_some_and(|it| it.get() > Limits::MAX_TOTAL) {
            complain("total", format!("at most {}", Limits::MAX_TOTAL));
        }
        if share == Some(Probability::NEVER) {
            complaints.push(Complaint::new(
                "limits.share",
                "a share of 0 lets no fault through",
                "give more, or write armed = false",
            ));
        }
        Limits {
            concurrent,
            total,
            share,
        }
    }

    fn faults(&self, complaints: &mut Vec<Complaint>) -> Vec<FaultSpec> {
        let count = self.faults.len();
        let least = usize::from(self.trigger.is_none());
        if !(least..=MAX_FAULTS).contains(&count) {
            complaints.push(Complaint::new(
                "faults",
                format!("a rule has 1 to {MAX_FAULTS} faults, and this one has {count}"),
                "`hormesis faults` lists the kinds: [[rules.faults]] delay = { fixed = \"10ms\" }",
            ));
        }
        let mut faults = Vec::with_capacity(count);
        for (index, config) in self.faults.iter().enumerate() {
            match config.build() {
                Ok(fault) => faults.push(FaultSpec {
                    name: config.name(),
                    fault,
                }),
                Err(found) => {
                    let outer = format!("faults[{index}]");
                    complaints.extend(found.into_iter().map(|it| it.under(&outer)));
                }
            }
        }
        faults
    }
}

/// More than any call carries (`max_faults_per_call`), so that a typo is found.
const MAX_FAULTS: usize = 64;

fn check_header(field: &str, name: &str, complaints: &mut Vec<Complaint>) {
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        complaints.push(Complaint::new(
            field,
            format!("{name:?} is no header name"),
            "a name has letters, digits and -",
        ));
    }
}

#[cfg(test)]
mod tests;
