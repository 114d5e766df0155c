//! What the calls are like now: the counters by time, and the conditions that stop all faults.
//! Everything here is read from counters; no call is asked and none waits.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::control::{Cause, END_TIME, Handle, NoSuchRule, join_within, lock};
use crate::measure::{Evaluation, Expression, History, Mistake, Population, SAMPLE};
use crate::record::{ConditionFigures, Totals};

/// What was counted by time.
#[derive(Debug)]
pub(super) struct Watch {
    history: History,
    /// Of the counters, when they were read last.
    activity: u64,
    /// What was before the last resume stops nothing.
    since: Duration,
}

impl Watch {
    pub(super) fn new(at: Duration) -> Self {
        Self {
            history: History::new(at, Totals::default()),
            activity: 0,
            since: at,
        }
    }
}

/// The calls that a rule's faults acted on, beside those of its listeners that no fault touched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effect {
    pub treated: Population,
    pub untouched: Population,
}

impl Handle {
    /// Reads the counters, and halts where a stop condition is true. To be called every
    /// [`SAMPLE`].
    pub fn watch_conditions(&self) {
        let snapshot = self.0.live.current();
        let breach = {
            let mut watch = lock(&self.0.watch);
            self.read_counters(&mut watch);
            let mut conditions = snapshot.safety.stop_when.iter();
            conditions.find_map(|condition| {
                let said =
                    condition.evaluate(&watch.history, snapshot.safety.counting, watch.since);
                (said.holds == Some(true)).then(|| told(condition, said))
            })
        };
        let Some(reason) = breach.filter(|_| !self.0.live.halted()) else {
            return;
        };
        if let Err(error) = self.halt_for(&reason, Cause::Condition) {
            tracing::error!(%error, "halted by a condition, but not over a restart");
        }
    }

    /// What an expression says now.
    ///
    /// # Errors
    /// Where it names a listener that is not there.
    pub fn probe(&self, expression: &Expression) -> Result<Evaluation, Mistake> {
        let snapshot = self.0.live.current();
        let names: Vec<&str> = snapshot.listeners.iter().map(|it| &*it.name).collect();
        if let Some(mistake) = expression.check_listeners(&names).into_iter().next() {
            return Err(mistake);
        }
        let mut watch = lock(&self.0.watch);
        self.read_counters(&mut watch);
        Ok(expression.evaluate(&watch.history, snapshot.safety.counting, Duration::ZERO))
    }

    /// What a rule does to calls, as far back as is asked.
    ///
    /// # Errors
    /// Where no rule has that name.
    pub fn effect(&self, rule: &str, over: Duration) -> Result<Effect, NoSuchRule> {
        let snapshot = self.0.live.current();
        let mut specs = snapshot.rules.specs().iter();
        let spec = specs.find(|it| *it.name == *rule);
        let spec = spec.ok_or_else(|| NoSuchRule(rule.to_owned()))?;
        let watched = |name: &str| {
            let listeners = spec.listeners.as_ref();
            listeners.is_none_or(|names| names.iter().any(|it| it == name))
        };
        let mut watch = lock(&self.0.watch);
        self.read_counters(&mut watch);
        Ok(Effect {
            treated: watch.history.treated(rule, over),
            untouched: watch.history.untouched(watched, over),
        })
    }

    /// Each stop condition with its present value.
    pub fn conditions(&self) -> Vec<ConditionFigures> {
        let snapshot = self.0.live.current();
        let watch = lock(&self.0.watch);
        let safety = &snapshot.safety;
        let figures = |condition: &Expression| {
            let said = condition.evaluate(&watch.history, safety.counting, watch.since);
            ConditionFigures {
                expr: condition.to_string().into(),
                unit: condition.measurement.measure.unit.name(),
                value: said.value,
                of: said.of,
                breached: said.holds,
            }
        };
        safety.stop_when.iter().map(figures).collect()
    }

    /// From now on windows fill anew: what led to a halt does not halt again.
    pub(super) fn forget_breaches(&self) {
        let mut watch = lock(&self.0.watch);
        self.read_counters(&mut watch);
        watch.since = watch.history.reach().1;
    }

    fn read_counters(&self, watch: &mut Watch) {
        let at = self.0.live.elapsed();
        let activity = self.0.counters.activity();
        if std::mem::replace(&mut watch.activity, activity) == activity {
            watch.history.idle(at);
            return;
        }
        let snapshot = self.0.live.current();
        let totals = self.0.counters.totals();
        watch.history.take(at, totals, snapshot.rules.cells());
    }
}

/// The expression, and what was seen.
fn told(condition: &Expression, said: Evaluation) -> String {
    let value = said.value.map(|it| condition.quantity(it).to_string());
    let value = value.unwrap_or_default();
    format!("{condition}: {value} of {} calls", said.of)
}

/// The thread that watches the conditions.
#[derive(Debug)]
pub struct ConditionThread {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl ConditionThread {
    /// # Errors
    /// No thread can be started.
    pub fn start(handle: Handle) -> io::Result<Self> {
        let (stop, stopped) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("conditions".to_owned())
            .spawn(move || {
                while stopped.recv_timeout(SAMPLE) == Err(RecvTimeoutError::Timeout) {
                    look(&handle, Handle::watch_conditions);
                }
            })?;
        Ok(Self { stop, thread })
    }

    pub fn stop(self) {
        drop(self.stop);
        // It may be writing a halt, to a disk that is stuck.
        join_within(self.thread, END_TIME, "conditions");
    }
}

/// One look at the conditions. Nobody can tell whether faults do harm where it panics: then none is
/// to act.
fn look(handle: &Handle, watch: impl FnOnce(&Handle)) {
    let watched = catch_unwind(AssertUnwindSafe(|| watch(handle)));
    if watched.is_ok() || handle.halted().is_some() {
        return;
    }
    let reason = "the stop conditions could not be looked at: this is a bug in hormesis";
    if let Err(error) = handle.halt_for(reason, Cause::Condition) {
        tracing::error!(%error, "halted, but not over a restart");
    }
}

#[cfg(test)]
mod tests {
    use crate::control::tests::handle;

    use super::*;

    #[test]
    fn conditions_that_cannot_be_looked_at_are_a_halt() {
        let handle = handle(&[], None);
        look(&handle, |_| {});
        assert_eq!(handle.halted(), None);
        look(&handle, |handle| assert!(handle.draining(), "on purpose"));
        let halt = handle.halted().unwrap();
        assert_eq!(halt.cause, Cause::Condition);
        assert!(halt.reason.contains("a bug in hormesis"), "{halt:?}");
        // Latched as every halt.
        look(&handle, |_| {});
        assert_eq!(handle.halted(), Some(halt));
    }
}
