//! Sums over calls and sources: for metrics, status and summaries. For each source
//! `classes + in flight + folded + self + others + unattributed + idle + gap = meter`, exactly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::reading::{Domain, Tier};
use crate::call::Outcome;
use crate::record::Histogram;
use crate::units::MicroJoules;

/// A snapshot of everything counted so far.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Totals {
    pub sources: Vec<SourceTotals>,
    pub classes: Vec<ClassTotal>,
    /// Sums of figures, with ranges of their own: not sums of the calls' ranges.
    pub total: OutcomeSum,
    pub outcomes: BTreeMap<EnergyOutcome, OutcomeSum>,
    /// By the rule that hit; empty where none did.
    pub rules: BTreeMap<Arc<str>, OutcomeSum>,
    /// By model; empty where none is known.
    pub models: BTreeMap<Arc<str>, OutcomeSum>,
    /// Calls by their dynamic energy, in µJ.
    #[serde(skip)]
    pub sizes: BTreeMap<Outcome, Histogram>,
    /// Calls by how they ended, those without a figure included.
    pub calls: BTreeMap<Outcome, u64>,
    /// Calls that no figure was made for because the worker's ring was full.
    pub folded_calls: u64,
}

/// Where the joules of one source went.
#[derive(Clone, Debug, Serialize)]
pub struct SourceTotals {
    pub id: Arc<str>,
    #[serde(serialize_with = "as_text")]
    pub domain: Domain,
    pub tier: Tier,
    /// Whether it counts now: another meter may have taken its place.
    pub live: bool,
    /// All that it counted.
    pub meter: MicroJoules,
    /// Calls with a figure (the sum of this source's classes).
    pub calls: MicroJoules,
    /// Calls that have no figure yet.
    pub in_flight: MicroJoules,
    /// Calls that folded into a class total.
    pub folded: MicroJoules,
    pub own: MicroJoules,
    pub others: MicroJoules,
    /// Dynamic energy with nothing in flight, or whose owner cannot be told.
    pub unattributed: MicroJoules,
    pub idle: MicroJoules,
    /// Energy known to have passed in gaps.
    pub gap: MicroJoules,
    /// Time without a trustworthy reading.
    pub gap_time: Duration,
    pub windows: u64,
}

impl SourceTotals {
    /// What is left of the meter's energy when all parts are taken off it: 0, always.
    pub fn missing(&self) -> i128 {
        let parts = [
            self.calls,
            self.in_flight,
            self.folded,
            self.own,
            self.others,
            self.unattributed,
            self.idle,
            self.gap,
        ];
        let parts: MicroJoules = parts.into_iter().sum();
        self.meter.0.cast_signed() - parts.0.cast_signed()
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn as_text<S: serde::Serializer>(domain: &Domain, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(domain.as_str())
}

/// Sums of the figures of calls that have something in common: an outcome, a rule, a model.
/// `None`, never 0, where no figure resolved.
///
/// `low` is the energy of windows in which only such calls were in flight, `high` of all windows
/// that any of them was in flight in, each window once: never more than the meter counted, times
/// the most that a model's coefficients may be off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OutcomeSum {
    pub dynamic: Option<MicroJoules>,
    pub idle: Option<MicroJoules>,
    pub low: Option<MicroJoules>,
    pub high: Option<MicroJoules>,
    pub calls: u64,
}

/// Dynamic energy of calls that agree in all labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClassTotal {
    #[serde(flatten)]
    pub class: Class,
    pub energy: MicroJoules,
    /// As in [`OutcomeSum`].
    pub low: MicroJoules,
    pub high: MicroJoules,
    /// Calls with windows of this source. A zombie's call counts under its outcome too.
    pub calls: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Class {
    /// [`SourceTotals::id`].
    pub source: Arc<str>,
    pub outcome: EnergyOutcome,
    pub listener: Arc<str>,
    pub rule: Option<Arc<str>>,
    pub model: Option<Arc<str>>,
}

/// How energy ended: as its call did, or after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case", untagged)]
pub enum EnergyOutcome {
    Call(Outcome),
    /// Spent after the call was cut.
    Zombie(Zombie),
}

/// The word for energy spent after a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Zombie {
    Zombie,
}

impl EnergyOutcome {
    pub const ZOMBIE: Self = Self::Zombie(Zombie::Zombie);

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Call(outcome) => outcome.as_str(),
            Self::Zombie(_) => "zombie",
        }
    }

    /// All but `ok`.
    pub fn is_wasted(self) -> bool {
        self != Self::Call(Outcome::Ok)
    }
}

impl Totals {
    /// Dynamic energy of all calls that have a figure.
    pub fn dynamic(&self) -> MicroJoules {
        self.classes.iter().map(|it| it.energy).sum()
    }

    /// Dynamic energy of calls that did not end well.
    pub fn wasted(&self) -> MicroJoules {
        self.classes
            .iter()
            .filter(|it| it.class.outcome.is_wasted())
            .map(|it| it.energy)
            .sum()
    }

    pub fn by_outcome(&self) -> BTreeMap<EnergyOutcome, MicroJoules> {
        let mut sums = BTreeMap::new();
        for it in &self.classes {
            *sums.entry(it.class.outcome).or_insert(MicroJoules::ZERO) += it.energy;
        }
        sums
    }

    /// Dynamic joules of all calls, failures included, over successes. `None` before the first
    /// success, and where no energy resolved.
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    pub fn joules_per_success(&self) -> Option<f64> {
        let successes = self.calls.get(&Outcome::Ok).copied().unwrap_or(0);
        let energy = self.dynamic();
        (successes > 0 && energy > MicroJoules::ZERO).then(|| energy.joules() / successes as f64)
    }
}
