//! What a report tells of: one run in phases, as plain data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::load::{PhaseFigures, Second, Slice};

/// One run. `schema` rises when a field changes its meaning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub schema: u32,
    /// Version of hormesis.
    pub version: String,
    /// RFC 3339, UTC.
    pub started: String,
    pub seed: u64,
    /// What repeats the run.
    pub command: String,
    pub phases: Vec<Phase>,
    /// By second of a call's intended arrival.
    pub seconds: Vec<Second>,
    pub total: Slice,
    /// Reasons of failures as clients saw them.
    pub reasons: BTreeMap<String, u64>,
    pub rules: Vec<RuleCount>,
    /// `None`: no meter gave a reading.
    pub energy: Option<Energy>,
    /// What a reader must know to read the figures right.
    pub notes: Vec<String>,
}

/// A part of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    pub start_s: f64,
    pub end_s: f64,
    /// Rules were live in it.
    pub fault: bool,
    pub figures: PhaseFigures,
    pub energy: Option<PhaseEnergy>,
}

/// Energy of the calls that ended in a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseEnergy {
    /// Dynamic energy of all calls.
    pub dyn_uj: u64,
    /// Of those that did not end `ok`.
    pub wasted_uj: u64,
    /// Calls that ended `ok`, as the sidecar counts them.
    pub successes: u64,
}

impl PhaseEnergy {
    /// All joules, failures included, over successes.
    pub fn joules_per_success(&self) -> Option<f64> {
        (self.successes > 0).then(|| joules(self.dyn_uj) / float(self.successes))
    }
}

/// What became of one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCount {
    pub name: String,
    /// What it did, in words.
    pub does: String,
    pub selected: u64,
    pub hit: u64,
    /// Hits outside the rule's time, which the schedule lets pass.
    pub outside: u64,
    pub applied: u64,
}

/// Energy of the run, where a meter gave readings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Energy {
    /// The weakest of its meters: `measured`, `sampled`, `modelled` or `assumed`.
    pub tier: String,
    pub meters: Vec<String>,
    pub by_outcome: BTreeMap<String, OutcomeEnergy>,
    /// All calls. Its range is no sum of ranges: calls of two outcomes may share a window.
    #[serde(default)]
    pub total: Option<OutcomeEnergy>,
    pub self_uj: Option<u64>,
    pub others_uj: Option<u64>,
    pub unattributed_uj: Option<u64>,
    pub idle_uj: Option<u64>,
    pub gap_s: Option<f64>,
}

/// Energy of the calls with one outcome.
/// `None`: nothing resolved it, which is not 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeEnergy {
    pub calls: u64,
    pub dyn_uj: Option<u64>,
    pub lo_uj: Option<u64>,
    pub hi_uj: Option<u64>,
}

impl OutcomeEnergy {
    fn plus(self, other: Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            dyn_uj: plus(self.dyn_uj, other.dyn_uj),
            lo_uj: plus(self.lo_uj, other.lo_uj),
            hi_uj: plus(self.hi_uj, other.hi_uj),
        }
    }

    /// A part cannot have cost more than the whole.
    fn at_most(self, whole: Self) -> Self {
        let hi_uj = match (self.hi_uj, whole.hi_uj) {
            (Some(part), Some(whole)) => Some(part.min(whole)),
            (part, _) => part,
        };
        Self { hi_uj, ..self }
    }

    /// What the calls can have cost at least and at most, in joules.
    pub(super) fn range(&self) -> Option<(f64, f64)> {
        Some((joules(self.lo_uj?), joules(self.hi_uj?)))
    }
}

/// What is known of a sum, from what is known of its parts.
fn plus(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (known, None) | (None, known) => known,
    }
}

impl Energy {
    /// Of all calls.
    pub fn total(&self) -> OutcomeEnergy {
        if let Some(total) = self.total {
            return total;
        }
        let outcomes = self.by_outcome.values().copied();
        outcomes.fold(OutcomeEnergy::default(), OutcomeEnergy::plus)
    }

    /// Of the calls that did not end `ok`.
    pub fn wasted(&self) -> OutcomeEnergy {
        self.by_outcome
            .iter()
            .filter(|(outcome, _)| outcome.as_str() != "ok")
            .fold(OutcomeEnergy::default(), |sum, (_, it)| sum.plus(*it))
            .at_most(self.total())
    }
}

impl Run {
    /// The phase in which rules were live.
    pub fn fault(&self) -> Option<&Phase> {
        self.phases.iter().find(|phase| phase.fault)
    }

    /// The last phase before the fault.
    pub fn baseline(&self) -> Option<&Phase> {
        self.phases.iter().take_while(|phase| !phase.fault).last()
    }

    /// The first phase after the fault.
    pub fn recovery(&self) -> Option<&Phase> {
        let mut phases = self.phases.iter().skip_while(|phase| !phase.fault);
        phases.find(|phase| !phase.fault)
    }
}

pub(super) fn joules(microjoules: u64) -> f64 {
    float(microjoules) / 1e6
}

/// A count as a float; counts here are far below 2^53.
pub(super) fn float(count: u64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "rounding above 2^53 is invisible"
    )]
    let value = count as f64;
    value
}

/// Share of failed calls, 0 to 1; `None` without calls.
pub(super) fn failed_share(slice: &Slice) -> Option<f64> {
    (slice.calls > 0).then(|| float(slice.errors.total()) / float(slice.calls))
}
