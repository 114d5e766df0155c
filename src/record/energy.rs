//! Energy as it is told: plain figures, filled in from the energy engine where one runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::Histogram;
use crate::call::Outcome;
use crate::units::MicroJoules;

/// What one call cost, known some windows after its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EnergyLine {
    /// The id of the call.
    pub call: u64,
    /// Above idle. `None`: nothing resolves it, which is not 0.
    pub dynamic: Option<MicroJoules>,
    /// The part of it that the upstream spent after the call was cut.
    pub zombie: Option<MicroJoules>,
    /// The call's share of what the machine draws anyway.
    pub idle: Option<MicroJoules>,
    /// The least and the most that the call can have cost.
    pub low: Option<MicroJoules>,
    pub high: Option<MicroJoules>,
    /// How the figure came about: measured, modelled, assumed.
    pub tier: Option<&'static str>,
    /// How windows were split among calls.
    pub split: &'static str,
    pub windows: u32,
    /// Time without a reading.
    pub gap_ms: u64,
    pub meters: Vec<Arc<str>>,
    /// Mean number of calls at work beside it, itself included.
    pub concurrency: Option<f64>,
    /// What is to be known before the figure is compared with another.
    pub flags: Vec<&'static str>,
}

/// The energy of the whole process so far. All of what the meters counted is in one of the parts:
/// `calls + in flight + folded + self + others + unattributed + idle + gap = meter`, exactly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct EnergyTotals {
    /// The weakest tier of the meters that count.
    pub tier: Option<&'static str>,
    pub meters: Vec<Arc<str>>,
    /// By name of the outcome.
    pub by_outcome: BTreeMap<&'static str, OutcomeEnergy>,
    /// By name of the rule that hit; empty where none did.
    pub by_rule: BTreeMap<Arc<str>, OutcomeEnergy>,
    /// Empty where no model is known.
    pub by_model: BTreeMap<Arc<str>, OutcomeEnergy>,
    /// All calls. Its range is no sum of ranges: calls of two outcomes may share a window.
    pub total: OutcomeEnergy,
    /// The parts that `hormesis_energy_joules_total` shows.
    #[serde(skip)]
    pub classes: Vec<EnergyClass>,
    /// Calls by their energy above idle, by name of the outcome.
    #[serde(skip)]
    pub sizes: BTreeMap<&'static str, Histogram>,
    /// Calls with a figure.
    #[serde(rename = "calls_uj")]
    pub calls: Option<MicroJoules>,
    /// Calls whose figure is not known yet.
    #[serde(rename = "in_flight_uj")]
    pub in_flight: Option<MicroJoules>,
    /// Calls that were too many to be told apart.
    #[serde(rename = "folded_uj")]
    pub folded: Option<MicroJoules>,
    #[serde(rename = "self_uj")]
    pub own: Option<MicroJoules>,
    #[serde(rename = "others_uj")]
    pub others: Option<MicroJoules>,
    #[serde(rename = "unattributed_uj")]
    pub unattributed: Option<MicroJoules>,
    #[serde(rename = "idle_uj")]
    pub idle: Option<MicroJoules>,
    /// Known to have passed in time without a trustworthy reading.
    #[serde(rename = "gap_uj")]
    pub gap: Option<MicroJoules>,
    /// Seconds without a reading.
    pub gap_s: f64,
    #[serde(rename = "meter_uj")]
    pub meter: Option<MicroJoules>,
    /// All joules, failures included, over successes. `None` without a success.
    pub joules_per_success: Option<f64>,
}

impl EnergyTotals {
    /// What metrics tell of it, summed over rules; calls that ended by a fault become calls that the
    /// sidecar itself rejected.
    pub(crate) fn hide_faults(&mut self) {
        let (injected, rejected) = (Outcome::InjectedFault.as_str(), Outcome::Rejected.as_str());
        let mut sums: BTreeMap<_, MicroJoules> = BTreeMap::new();
        for class in self.classes.drain(..) {
            let outcome = if class.outcome == injected {
                rejected
            } else {
                class.outcome
            };
            let key = (class.meter, class.domain, outcome, class.listener);
            let sum = sums.entry(key).or_default();
            *sum = MicroJoules(sum.0 + class.energy.0);
        }
        let classes = sums.into_iter();
        let class = |((meter, domain, outcome, listener), energy)| EnergyClass {
            meter,
            domain,
            outcome,
            listener,
            rule: "".into(),
            energy,
        };
        self.classes = classes.map(class).collect();
        if let Some(sizes) = self.sizes.remove(injected) {
            match self.sizes.get_mut(rejected) {
                Some(sum) => sum.grow(&sizes.growth(None)),
                None => drop(self.sizes.insert(rejected, sizes)),
            }
        }
    }
}

/// The energy of calls that have an outcome, a rule or a model in common.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct OutcomeEnergy {
    #[serde(rename = "dyn_uj")]
    pub dynamic: Option<MicroJoules>,
    #[serde(rename = "idle_uj")]
    pub idle: Option<MicroJoules>,
    #[serde(rename = "lo_uj")]
    pub low: Option<MicroJoules>,
    #[serde(rename = "hi_uj")]
    pub high: Option<MicroJoules>,
    pub calls: u64,
}

/// The dynamic energy of calls that share all labels.
#[derive(Clone, Debug, PartialEq)]
pub struct EnergyClass {
    pub meter: Arc<str>,
    pub domain: Arc<str>,
    pub outcome: &'static str,
    pub listener: Arc<str>,
    /// Empty: no rule hit; `several`: more than one.
    pub rule: Arc<str>,
    pub energy: MicroJoules,
}
