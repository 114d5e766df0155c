//! The decision: which faults, when, how much. Pure.

use std::time::Duration;

use serde::Serialize;
use smallvec::SmallVec;

use crate::call::{Call, Moment};
use crate::effect::{FaultPlan, RuleToken};
use crate::model::Admission;
use crate::rule::{Denied, RuleSet};
use crate::units::Seed;

/// A rule that selects the call, with the moment that the driver filled in.
#[derive(Clone, Copy, Debug)]
pub struct Selected {
    /// Index into [`RuleSet::cells`].
    pub rule: u32,
    pub moment: Moment,
    pub epoch: u32,
}

/// What one selecting rule decided.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    pub token: RuleToken,
    /// The trigger's draw, where it drew: the rule hits iff `draw < probability`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draw: Option<f64>,
    pub kind: VerdictKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictKind {
    Denied(Denied),
    Hit,
    Missed,
}

/// The verdicts of all selecting rules, and the plan of those that hit.
#[derive(Clone, Debug, Default)]
pub struct Decision {
    pub verdicts: SmallVec<[Verdict; 2]>,
    pub plan: FaultPlan,
}

/// Decides for one call. Rules with limits still have to be admitted: [`Admissions::ask`].
pub fn decide(_rules: &RuleSet, _selected: &[Selected], _call: &Call<'_>, _seed: Seed) -> Decision {
    Decision::default()
}

/// The places that one call holds in its rules' models; given back when dropped.
#[derive(Debug, Default)]
pub struct Admissions {}

impl Admissions {
    /// Asks the models of every rule that hit, at `at` since the process started. A refused rule's
    /// verdict becomes `Denied(Limit)` and its effects leave the plan. Returns the answers in
    /// order, for the record.
    pub fn ask(
        _rules: &std::sync::Arc<RuleSet>,
        _decision: &mut Decision,
        _at: Duration,
    ) -> (Self, Vec<Admission>) {
        (Self::default(), Vec::new())
    }
}
