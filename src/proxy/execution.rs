//! One call's plan while it is carried out: what is still to do, what became of the rest, and how
//! much injected waiting the call may still take.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use smallvec::SmallVec;
use tokio::time::Instant;

use crate::call::{Phase, Side};
use crate::effect::{Effect, Fate, HeadEdit, NotApplicable, Planned, RuleToken, WaitTime};
use crate::proxy::acting::Acting;
use crate::proxy::timer::{Timer, Waited};
use crate::record::EffectRecord;
use crate::rule::{Course, Denied, RuleSet, WaitBudget};

/// A plan under way. Shared by the two directions of a call, never across an await in a borrow.
#[derive(Debug)]
pub(super) struct Execution {
    steps: RefCell<Vec<Step>>,
    /// Injected waiting that is left of `max_delay_per_call`.
    budget: Cell<WaitBudget>,
    injected: Cell<Duration>,
    rules: Arc<RuleSet>,
    timer: Timer,
    /// The client left while a wait of ours was pending.
    abandoned: Cell<bool>,
    acting: Acting,
}

#[derive(Debug)]
struct Step {
    planned: Rc<Planned>,
    fate: Fate,
    waited: Option<Duration>,
}

impl Step {
    fn acted(&self) -> bool {
        matches!(self.fate, Fate::Applied | Fate::Clamped)
            || self.waited.is_some_and(|waited| !waited.is_zero())
    }
}

/// How a wait under the plan ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Passed,
    Revoked,
}

impl Execution {
    pub(super) fn new(
        course: Course,
        rules: Arc<RuleSet>,
        timer: Timer,
        max_delay: Duration,
    ) -> Self {
        let steps = course
            .into_steps()
            .into_iter()
            .map(|step| Step {
                planned: Rc::new(step.planned),
                fate: step.fate,
                waited: step.waited,
            })
            .collect();
        Self {
            steps: RefCell::new(steps),
            budget: Cell::new(WaitBudget::new(max_delay)),
            injected: Cell::new(Duration::ZERO),
            rules,
            timer,
            abandoned: Cell::new(false),
            acting: Acting::default(),
        }
    }

    /// With the gauges of the rules that act.
    pub(super) fn showing(self, acting: Acting) -> Self {
        Self { acting, ..self }
    }

    pub(super) fn is_live(&self, token: &RuleToken) -> bool {
        // A drain does not wait for faults.
        self.rules.stands(token) && !self.timer.is_hurried()
    }

    pub(super) fn timer(&self) -> &Timer {
        &self.timer
    }

    /// Whether the client left during an injected wait.
    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.get()
    }

    /// All injected waiting so far.
    pub(super) fn injected(&self) -> Duration {
        self.injected.get()
    }

    /// Steps still to be done that `wanted` picks, in order.
    pub(super) fn pending(&self, wanted: impl Fn(&Effect) -> bool) -> Vec<(usize, Rc<Planned>)> {
        self.steps
            .borrow()
            .iter()
            .enumerate()
            .filter(|(_, step)| step.fate == Fate::NotReached && wanted(&step.planned.effect))
            .map(|(index, step)| (index, step.planned.clone()))
            .collect()
    }

    pub(super) fn has(&self, wanted: impl Fn(&Effect) -> bool) -> bool {
        self.steps
            .borrow()
            .iter()
            .any(|step| step.fate == Fate::NotReached && wanted(&step.planned.effect))
    }

    /// On a stream of bytes an answer has no head: what acts there acts before its first byte.
    pub(super) fn without_heads(&self) {
        for step in self.steps.borrow_mut().iter_mut() {
            if step.planned.effect.phase() == Phase::ResponseHead {
                Rc::make_mut(&mut step.planned)
                    .effect
                    .move_to(Phase::Byte(0));
            }
        }
    }

    /// Whether an effect acts on body bytes of one direction.
    pub(super) fn touches_body(&self, side: Side) -> bool {
        self.has(|effect| effect.side() == side && acts_on_body(effect))
    }

    pub(super) fn settle(&self, index: usize, fate: Fate) {
        if let Some(step) = self.steps.borrow_mut().get_mut(index) {
            // A clamped wait stays one: it says more than "applied".
            if fate == Fate::Revoked && !self.rules.stands(&step.planned.token) {
                self.acting.end(step.planned.token.index);
            }
            if step.fate != Fate::Clamped || fate != Fate::Applied {
                step.fate = fate;
            }
        }
    }

    pub(super) fn not_applicable(&self, wanted: impl Fn(&Effect) -> bool, why: NotApplicable) {
        for step in self.steps.borrow_mut().iter_mut() {
            if step.fate == Fate::NotReached && wanted(&step.planned.effect) {
                step.fate = Fate::NotApplicable(why);
            }
        }
    }

    /// A terminal effect was carried out: whatever has not acted yet never will.
    pub(super) fn supersede_rest(&self) {
        self.supersede(|_| true);
    }

    /// The same for a part of the plan: one direction's body has ended.
    pub(super) fn supersede(&self, which: impl Fn(&Effect) -> bool) {
        for step in self.steps.borrow_mut().iter_mut() {
            if step.fate == Fate::NotReached && which(&step.planned.effect) {
                step.fate = Fate::Superseded;
            }
        }
    }

    /// Whether a terminal effect of a phase stands.
    pub(super) fn ends_at(&self, phase: Phase) -> bool {
        self.pending(|effect| {
            effect.phase() == phase && effect.is_terminal() && !acts_on_body(effect)
        })
        .iter()
        .any(|(_, planned)| self.is_live(&planned.token))
    }

    /// The waits of one phase, then its first terminal effect that still stands. With `committed`
    /// the terminal effect is carried out even if it was revoked meanwhile: what would have been
    /// passed on without it is gone.
    pub(super) async fn enter(
        &self,
        phase: Phase,
        committed: bool,
    ) -> Option<(usize, Rc<Planned>)> {
        for (index, planned) in
            self.pending(|effect| effect.phase() == phase && !acts_on_body(effect))
        {
            let bound = committed && planned.effect.is_terminal();
            if !bound && !self.is_live(&planned.token) {
                self.settle(index, Fate::Revoked);
                continue;
            }
            match &planned.effect {
                Effect::Wait {
                    time: WaitTime::Once(time),
                    ..
                } => {
                    self.hold(index, &planned.token, Some(*time)).await;
                }
                Effect::Blackhole { time, .. } => {
                    self.hold(index, &planned.token, *time).await;
                }
                effect if effect.is_terminal() => return Some((index, planned)),
                _ => {}
            }
        }
        None
    }

    /// Waits under a rule: `None` waits until revoked or until the call may wait no longer. The
    /// future may be dropped; what was waited until then is counted.
    pub(super) async fn hold(
        &self,
        index: usize,
        token: &RuleToken,
        time: Option<Duration>,
    ) -> Held {
        let left = self.budget.get().left();
        let allowed = time.map_or(left, |time| time.min(left));
        let mut guard = HoldGuard::new(self, index);
        let deadline = guard.start.checked_add(allowed);
        let waited = self.timer.wait_until(deadline, Some(token.clone())).await;
        guard.finished = true;
        match waited {
            Waited::Elapsed if time == Some(allowed) => self.settle(index, Fate::Applied),
            Waited::Elapsed => self.settle(index, Fate::Clamped),
            Waited::Revoked => {
                self.settle(index, Fate::Revoked);
                return Held::Revoked;
            }
        }
        Held::Passed
    }

    /// Takes a wait from what the call may still wait; marks the step where it was cut.
    pub(super) fn draw_budget(&self, index: usize, time: Duration) -> Duration {
        let mut budget = self.budget.get();
        let (allowed, clamped) = budget.take(time);
        self.budget.set(budget);
        if clamped {
            self.settle(index, Fate::Clamped);
        }
        allowed
    }

    /// Adds to what an effect has waited.
    pub(super) fn count_wait(&self, index: usize, waited: Duration) {
        self.injected.set(self.injected.get() + waited);
        if let Some(step) = self.steps.borrow_mut().get_mut(index) {
            step.waited = Some(step.waited.unwrap_or_default() + waited);
        }
    }

    pub(super) fn abandon(&self) {
        self.abandoned.set(true);
    }

    /// Whether any effect acted.
    pub(super) fn fired(&self) -> bool {
        self.steps.borrow().iter().any(Step::acted)
    }

    /// The rules whose effects acted, each once.
    pub(super) fn acted(&self) -> SmallVec<[u32; 2]> {
        let steps = self.steps.borrow();
        let acted = steps.iter().filter(|step| step.acted());
        let mut rules: SmallVec<_> = acted.map(|step| step.planned.token.index).collect();
        rules.sort_unstable();
        rules.dedup();
        rules
    }

    /// A stage of a rule panicked: the rule is disarmed, and the panic counted.
    pub(super) fn panicked(&self, token: &RuleToken) {
        if let Some(cell) = self.rules.cells().get(token.index as usize) {
            cell.disarm();
            cell.counters
                .denied(Denied::Panic)
                .fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether the client was sent something else than the true answer.
    pub(super) fn altered(&self) -> bool {
        self.steps.borrow().iter().any(|step| {
            step.fate == Fate::Applied
                && matches!(
                    step.planned.effect,
                    Effect::Transform { .. } | Effect::RewriteHead { .. }
                )
        })
    }

    /// Edits of a head that still stand, marked as applied.
    pub(super) fn take_head_edits(&self, side: Side) -> Vec<HeadEdit> {
        let mut edits = Vec::new();
        let on_head =
            |effect: &Effect| matches!(effect, Effect::RewriteHead { .. }) && effect.side() == side;
        for (index, planned) in self.pending(on_head) {
            let Effect::RewriteHead { edits: wanted, .. } = &planned.effect else {
                continue;
            };
            let live = self.is_live(&planned.token);
            self.settle(index, if live { Fate::Applied } else { Fate::Revoked });
            if live {
                edits.extend(wanted.iter().cloned());
            }
        }
        edits
    }

    /// What became of every effect; those whose phase never came stay so.
    pub(super) fn take_records(&self) -> Vec<EffectRecord> {
        self.steps
            .take()
            .into_iter()
            .map(|step| EffectRecord {
                planned: Rc::unwrap_or_clone(step.planned),
                fate: step.fate,
                waited: step.waited,
            })
            .collect()
    }
}

/// Counts a wait however it ends, by time, by revocation or because the client left.
struct HoldGuard<'e> {
    execution: &'e Execution,
    index: usize,
    start: Instant,
    finished: bool,
}

impl<'e> HoldGuard<'e> {
    fn new(execution: &'e Execution, index: usize) -> Self {
        Self {
            execution,
            index,
            start: Instant::now(),
            finished: false,
        }
    }
}

impl Drop for HoldGuard<'_> {
    fn drop(&mut self) {
        let waited = self.start.elapsed();
        let mut budget = self.execution.budget.get();
        budget.take(waited);
        self.execution.budget.set(budget);
        self.execution.count_wait(self.index, waited);
        if !self.finished {
            // Dropped in the middle: the client left. The wait did act.
            self.execution.abandon();
            self.execution.settle(self.index, Fate::Applied);
        }
    }
}

/// Whether an effect is carried out while body bytes pass, and not at a point of the call's head.
pub(super) fn acts_on_body(effect: &Effect) -> bool {
    match effect {
        Effect::Pace { .. } | Effect::Transform { .. } => true,
        Effect::Answer { .. }
        | Effect::Blackhole { .. }
        | Effect::Close { .. }
        | Effect::Reset { .. }
        | Effect::Wait { .. } => effect.phase() > Phase::ResponseHead,
        Effect::FailConnect { .. }
        | Effect::Level { .. }
        | Effect::RewriteHead { .. }
        | Effect::Send { .. } => false,
    }
}
