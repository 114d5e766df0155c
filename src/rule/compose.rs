//! The order in which the effects of a plan act, and what bounds them. Pure: the driver walks the
//! steps and writes into each what became of it.

use std::time::Duration;

use crate::call::{Phase, Side};
use crate::effect::{Effect, Fate, FaultPlan, NotApplicable, Planned};

/// One effect on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub planned: Planned,
    /// [`Fate::NotReached`] until it has acted or is known never to act.
    pub fate: Fate,
    /// How long it really waited.
    pub waited: Option<Duration>,
}

/// The steps of one call: by phase; within a phase waits first (they add), then changes in the
/// order of the rules, then what ends the call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    steps: Vec<Step>,
}

impl Course {
    /// Orders a plan. Faults beyond `max_faults`, counted in the order of the rules, do not apply.
    pub fn new(plan: FaultPlan, max_faults: usize) -> Self {
        let mut faults = 0;
        let mut last = None;
        let mut steps: Vec<Step> = Vec::with_capacity(plan.effects.len());
        for planned in plan.effects {
            let fault = Some((planned.token.index, planned.fault_index));
            if fault != last {
                faults += 1;
                last = fault;
            }
            let fate = if faults > max_faults {
                Fate::NotApplicable(NotApplicable::FaultCap)
            } else {
                Fate::NotReached
            };
            steps.push(Step {
                planned,
                fate,
                waited: None,
            });
        }
        // Stable: what is alike keeps the order of the rules.
        steps.sort_by_key(|step| order(&step.planned.effect));
        Self { steps }
    }

    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The step with this index, to write into it what became of it.
    pub fn step_mut(&mut self, index: usize) -> Option<&mut Step> {
        self.steps.get_mut(index)
    }

    /// The steps that are still to act, with their indices, in the order in which they act.
    pub fn pending(&self) -> impl Iterator<Item = (usize, &Effect)> {
        self.steps
            .iter()
            .enumerate()
            .filter(|(_, step)| step.fate == Fate::NotReached)
            .map(|(index, step)| (index, &step.planned.effect))
    }

    /// The first step still to act at a phase and side.
    pub fn next_at(&self, at: Phase, side: Side) -> Option<usize> {
        self.pending()
            .find(|(_, effect)| effect.phase() == at && effect.side() == side)
            .map(|(index, _)| index)
    }

    /// The step at `index` is terminal and has acted: it ends the plan, and what has not acted yet
    /// never will.
    pub fn end(&mut self, index: usize) {
        for (other, step) in self.steps.iter_mut().enumerate() {
            if other == index {
                step.fate = Fate::Applied;
            } else if step.fate == Fate::NotReached {
                step.fate = Fate::Superseded;
            }
        }
    }

    pub fn into_steps(self) -> Vec<Step> {
        self.steps
    }
}

/// Where an effect stands among those of its call: stage of the call, phase, class.
fn order(effect: &Effect) -> (u8, Phase, u8) {
    let phase = effect.phase();
    // A request's body passes between the two heads, whatever its positions are called.
    let stage = match (effect.side(), phase) {
        (_, phase) if phase.before_upstream() => 0,
        (Side::Request, _) => 1,
        (Side::Response, _) => 2,
    };
    let class = match effect {
        Effect::Blackhole { .. } | Effect::Wait { .. } => 0,
        effect if effect.is_terminal() => 2,
        _ => 1,
    };
    (stage, phase, class)
}

/// What is left of `max_delay_per_call`, which the waits and stalls of all rules share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitBudget(Duration);

impl WaitBudget {
    pub const fn new(max: Duration) -> Self {
        Self(max)
    }

    pub const fn left(self) -> Duration {
        self.0
    }

    /// Takes a wait out of it: how long to wait, and whether that is less than was asked for.
    pub fn take(&mut self, wanted: Duration) -> (Duration, bool) {
        let granted = wanted.min(self.0);
        self.0 -= granted;
        (granted, granted < wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::{Answer, ErrorKind, ErrorSpec, Rate, RuleToken, WaitTime};

    fn planned(rule: u32, effect: Effect) -> Planned {
        Planned {
            token: RuleToken {
                rule: format!("rule-{rule}").into(),
                index: rule,
                epoch: 0,
            },
            fault: "test",
            fault_index: 0,
            effect,
        }
    }

    fn wait(at: Phase) -> Effect {
        let time = WaitTime::Once(Duration::from_secs(1));
        let side = Side::Response;
        Effect::Wait { at, side, time }
    }

    fn abort(at: Phase) -> Effect {
        let answer = Answer {
            error: ErrorSpec::Kind(ErrorKind::Internal),
            headers: Vec::new(),
            body: None,
        };
        Effect::Answer { at, answer }
    }

    fn reset(at: Phase, side: Side) -> Effect {
        Effect::Reset { at, side }
    }

    fn pace(side: Side) -> Effect {
        let rate = Rate::Units {
            gap: Duration::from_secs(1),
        };
        Effect::Pace { side, rate }
    }

    fn course(effects: Vec<Effect>, max: usize) -> Course {
        let effects = (0..).zip(effects).map(|(rule, it)| planned(rule, it));
        Course::new(
            FaultPlan {
                effects: effects.collect(),
            },
            max,
        )
    }

    fn rules(course: &Course) -> Vec<u32> {
        course
            .steps()
            .iter()
            .map(|it| it.planned.token.index)
            .collect()
    }

    #[test]
    fn waits_come_first_then_the_first_end_and_the_rest_is_superseded() {
        let at = Phase::ResponseHead;
        let mut course = course(
            vec![
                abort(at),
                wait(at),
                reset(at, Side::Response),
                wait(at),
                wait(Phase::End),
            ],
            8,
        );
        assert_eq!(rules(&course), [1, 3, 0, 2, 4]);
        for _ in 0..2 {
            let index = course.next_at(at, Side::Response).unwrap();
            course.step_mut(index).unwrap().fate = Fate::Applied;
        }
        let index = course.next_at(at, Side::Response).unwrap();
        assert_eq!(index, 2);
        course.end(index);
        let fates: Vec<_> = course.into_steps().into_iter().map(|it| it.fate).collect();
        assert_eq!(
            fates,
            [
                Fate::Applied,
                Fate::Applied,
                Fate::Applied,
                Fate::Superseded,
                Fate::Superseded
            ]
        );
    }

    #[test]
    fn the_request_passes_before_the_answer() {
        let course = course(
            vec![
                pace(Side::Response),
                wait(Phase::ResponseHead),
                reset(Phase::Byte(9), Side::Request),
                wait(Phase::BeforeUpstream),
            ],
            8,
        );
        assert_eq!(rules(&course), [3, 2, 1, 0]);
    }

    #[test]
    fn faults_beyond_the_cap_do_not_apply() {
        let at = Phase::BeforeUpstream;
        let course = course(vec![wait(at), wait(at), abort(at)], 2);
        let capped = Fate::NotApplicable(NotApplicable::FaultCap);
        let fates: Vec<_> = course.steps().iter().map(|it| it.fate.clone()).collect();
        assert_eq!(fates, [Fate::NotReached, Fate::NotReached, capped]);
        assert_eq!(course.pending().count(), 2);
    }

    #[test]
    fn waits_share_one_budget() {
        let s = Duration::from_secs;
        let mut budget = WaitBudget::new(s(10));
        assert_eq!(budget.take(s(6)), (s(6), false));
        assert_eq!(budget.take(s(6)), (s(4), true));
        assert_eq!(budget.take(s(1)), (s(0), true));
        assert_eq!(budget.left(), s(0));
    }
}
