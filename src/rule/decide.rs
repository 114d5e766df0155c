//! The decision: which faults, when, how much. Pure.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;
use smallvec::SmallVec;

use crate::call::{Call, Moment};
use crate::draw::Draws;
use crate::effect::{FaultPlan, Planned, RuleToken};
use crate::rule::{Denied, Pull, RuleSet, RuleSpec};
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
    /// The trigger fired, and something else forbade it.
    Denied(Denied),
    Hit,
    /// The trigger did not fire.
    Missed,
}

impl Verdict {
    pub fn is_hit(&self) -> bool {
        self.kind == VerdictKind::Hit
    }

    /// Whether only a dry run kept it from acting.
    pub fn would_fire(&self) -> bool {
        self.kind == VerdictKind::Denied(Denied::DryRun)
    }
}

/// The verdicts of all selecting rules, and the plan of those that hit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    pub verdicts: SmallVec<[Verdict; 2]>,
    pub plan: FaultPlan,
}

impl Decision {
    /// Counts the verdicts, and disarms the rules that panicked. To be called once a call, when
    /// the limits have been asked. Returns whether a rule was disarmed: the caller then rings the
    /// workers.
    pub fn count(&self, rules: &RuleSet) -> bool {
        let mut disarmed = false;
        for verdict in &self.verdicts {
            let Some(cell) = rules.cells().get(verdict.token.index as usize) else {
                continue;
            };
            let counters = &cell.counters;
            counters.selected.fetch_add(1, Ordering::Relaxed);
            if verdict.kind != VerdictKind::Missed {
                counters.hit.fetch_add(1, Ordering::Relaxed);
            }
            if let VerdictKind::Denied(why) = verdict.kind {
                counters.denied(why).fetch_add(1, Ordering::Relaxed);
                if why == Denied::Panic {
                    cell.disarm();
                    disarmed = true;
                }
            }
        }
        disarmed
    }

    /// Turns a rule's hit into a denial: its effects leave the plan.
    pub(super) fn deny(&mut self, rule: u32, why: Denied) {
        for verdict in &mut self.verdicts {
            if verdict.token.index == rule {
                verdict.kind = VerdictKind::Denied(why);
            }
        }
        self.plan.effects.retain(|it| it.token.index != rule);
    }
}

/// Decides for one call: each selecting rule draws for itself, in file order. `halted`: a global
/// halt is in force. Rules with limits still have to be admitted: [`crate::rule::Admissions::ask`].
pub fn decide(
    rules: &RuleSet,
    selected: &[Selected],
    call: &Call<'_>,
    seed: Seed,
    halted: bool,
) -> Decision {
    let mut decision = Decision::default();
    for it in selected {
        let Some(spec) = rules.specs().get(it.rule as usize) else {
            continue;
        };
        let token = RuleToken {
            rule: Arc::clone(&spec.name),
            index: it.rule,
            epoch: it.epoch,
        };
        let pull = spec.trigger.pull(&spec.name, call, &it.moment, seed);
        let denied = if pull.denied.is_some() {
            pull.denied
        } else if halted {
            Some(Denied::Halt)
        } else if !spec.schedule.is_open(it.moment.since_armed) {
            Some(Denied::Schedule)
        } else if spec.dry_run || rules.dry_run() {
            Some(Denied::DryRun)
        } else {
            None
        };
        let kind = match denied {
            _ if !pull.hit => VerdictKind::Missed,
            Some(why) => VerdictKind::Denied(why),
            // A panic in one rule's fault must not harm the call, nor the rules beside it.
            None => {
                let planned = &mut decision.plan.effects;
                let before = planned.len();
                let armed = catch_unwind(AssertUnwindSafe(|| {
                    arm(spec, &token, call, it, seed, &pull, planned);
                }));
                if armed.is_ok() {
                    VerdictKind::Hit
                } else {
                    planned.truncate(before);
                    VerdictKind::Denied(Denied::Panic)
                }
            }
        };
        decision.verdicts.push(Verdict {
            token,
            draw: pull.draw,
            kind,
        });
    }
    decision
}

/// Plans the effects of all faults of a rule that hit.
fn arm(
    spec: &RuleSpec,
    token: &RuleToken,
    call: &Call<'_>,
    selected: &Selected,
    seed: Seed,
    pull: &Pull,
    planned: &mut Vec<Planned>,
) {
    let number = selected.moment.number;
    let draw = pull.draw.unwrap_or_default();
    let asked = pull.asked.as_ref();
    let own = asked.is_none_or(|asked| asked.own(draw));
    let faults = spec.faults.iter().enumerate().filter(|_| own);
    for (index, fault) in faults {
        let mut draws = Draws::new(seed, &spec.name, call.listener, index, number);
        for effect in fault.fault.arm(call, &mut draws) {
            planned.push(Planned {
                token: token.clone(),
                fault: fault.name,
                // A rule has fewer faults than that: the configuration sees to it.
                fault_index: u16::try_from(index).unwrap_or(u16::MAX),
                effect,
            });
        }
    }
    let effects = asked.map_or_else(Vec::new, |asked| asked.effects(draw));
    for (index, (fault, effect)) in (spec.faults.len()..).zip(effects) {
        planned.push(Planned {
            token: token.clone(),
            fault,
            fault_index: u16::try_from(index).unwrap_or(u16::MAX),
            effect,
        });
    }
}
