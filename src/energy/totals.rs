//! Sums over calls and sources: for metrics, status and summaries. For each source
//! `classes + in flight + folded + self + others + unattributed + idle + gap = meter`, exactly.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::figure::CallEnergy;
use super::ledger::Finish;
use super::reading::{Domain, Tier};
use crate::call::Outcome;
use crate::units::MicroJoules;

/// A snapshot of everything counted so far.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Totals {
    pub sources: Vec<SourceTotals>,
    pub classes: Vec<ClassTotal>,
    /// Sums of figures.
    pub outcomes: BTreeMap<EnergyOutcome, OutcomeSum>,
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

/// Sums of the figures of calls of one outcome. `None`, never 0, where no figure resolved.
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

/// Distinct models and rules that are told apart: they come from clients and from the API.
const NAMES: usize = 256;

/// The running sums of classes.
#[derive(Debug, Default)]
pub(super) struct Classes {
    sums: BTreeMap<Class, (MicroJoules, u64)>,
    names: BTreeSet<Arc<str>>,
    outcomes: BTreeMap<EnergyOutcome, OutcomeSum>,
    calls: BTreeMap<Outcome, u64>,
}

impl Classes {
    pub(super) fn end(&mut self, outcome: Outcome) {
        *self.calls.entry(outcome).or_default() += 1;
    }

    pub(super) fn tell(&mut self, figure: &CallEnergy) {
        let outcome = EnergyOutcome::Call(figure.finish.outcome);
        let sum = self.outcomes.entry(outcome).or_default();
        let zombie = figure.zombie_uj.unwrap_or(0);
        let own = figure.dyn_uj.map(|uj| uj - zombie).filter(|uj| *uj > 0);
        plus(&mut sum.dynamic, own);
        plus(&mut sum.idle, figure.idle_uj);
        plus(&mut sum.low, figure.lo_uj);
        plus(&mut sum.high, figure.hi_uj);
        sum.calls += 1;
        if figure.zombie_uj.is_some() {
            let sum = self.outcomes.entry(EnergyOutcome::ZOMBIE).or_default();
            plus(&mut sum.dynamic, figure.zombie_uj);
            sum.calls += 1;
        }
    }

    pub(super) fn add(&mut self, source: &Arc<str>, finish: &Finish, uj: u64, zombie_uj: u64) {
        let class = Class {
            source: Arc::clone(source),
            outcome: EnergyOutcome::Call(finish.outcome),
            listener: Arc::clone(&finish.listener),
            rule: self.name(finish.rule.as_ref()),
            model: self.name(finish.model.as_ref()),
        };
        if zombie_uj > 0 {
            let zombie = Class {
                outcome: EnergyOutcome::ZOMBIE,
                ..class.clone()
            };
            self.count(zombie, zombie_uj);
        }
        self.count(class, uj);
    }

    fn count(&mut self, class: Class, uj: u64) {
        let sum = self.sums.entry(class).or_default();
        sum.0 += MicroJoules(u128::from(uj));
        sum.1 += 1;
    }

    fn name(&mut self, name: Option<&Arc<str>>) -> Option<Arc<str>> {
        let name = name?;
        if let Some(known) = self.names.get(name) {
            return Some(Arc::clone(known));
        }
        if self.names.len() >= NAMES {
            return Some("(other)".into());
        }
        self.names.insert(Arc::clone(name));
        Some(Arc::clone(name))
    }

    /// Puts these sums into a snapshot.
    pub(super) fn fill(&self, totals: &mut Totals) {
        totals.classes = self
            .sums
            .iter()
            .map(|(class, (energy, calls))| ClassTotal {
                class: class.clone(),
                energy: *energy,
                calls: *calls,
            })
            .collect();
        totals.outcomes.clone_from(&self.outcomes);
        totals.calls.clone_from(&self.calls);
    }
}

fn plus(sum: &mut Option<MicroJoules>, uj: Option<u64>) {
    if let Some(uj) = uj {
        *sum.get_or_insert(MicroJoules::ZERO) += MicroJoules(u128::from(uj));
    }
}
