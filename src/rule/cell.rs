//! What changes of a rule while it runs: armed or not, its epoch, ordinals, counters, limits.
//! Shared by all workers and kept over a reload while the rule's text is unchanged.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::histogram::{Bounds, Histogram, HistogramCells};
use crate::model::Limiter;
use crate::rule::RuleSpec;

/// Why a rule that hit did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Denied {
    DryRun,
    Halt,
    Limit,
    /// A fault of the rule panicked: the rule is disarmed.
    Panic,
    Schedule,
    /// What the selector asks for could not be read: whether the rule would have hit is not known.
    Unreadable,
}

/// The answer to "why did nothing happen?".
#[derive(Debug, Default)]
pub struct Counters {
    pub selected: AtomicU64,
    /// Selected calls on which the trigger fired: those denied (but unreadable) and those hurt.
    pub hit: AtomicU64,
    pub denied_dry_run: AtomicU64,
    pub denied_halt: AtomicU64,
    pub denied_limit: AtomicU64,
    pub denied_panic: AtomicU64,
    pub denied_schedule: AtomicU64,
    pub denied_unreadable: AtomicU64,
    pub applied: AtomicU64,
    pub superseded: AtomicU64,
    pub not_applicable: AtomicU64,
    pub revoked: AtomicU64,
    /// Calls on which an effect of this rule acts right now.
    pub active: AtomicU64,
}

impl Counters {
    pub const fn denied(&self, why: Denied) -> &AtomicU64 {
        match why {
            Denied::DryRun => &self.denied_dry_run,
            Denied::Halt => &self.denied_halt,
            Denied::Limit => &self.denied_limit,
            Denied::Panic => &self.denied_panic,
            Denied::Schedule => &self.denied_schedule,
            Denied::Unreadable => &self.denied_unreadable,
        }
    }
}

/// Calls that a rule's faults acted on, as their clients saw them.
#[derive(Debug)]
struct Treated {
    calls: AtomicU64,
    errors: AtomicU64,
    duration: HistogramCells,
}

/// The same, as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreatedTotals {
    pub calls: u64,
    /// Those whose client did not get a true and whole answer.
    pub errors: u64,
    pub duration: Histogram,
}

/// Epochs that one state may use up before it meets those of the next.
const EPOCHS: u32 = 1 << 12;
/// How many states of rules there were.
static STATES: AtomicU32 = AtomicU32::new(0);

/// The running state of one rule.
#[derive(Debug)]
pub struct RuleCell {
    pub name: Arc<str>,
    text: String,
    /// Microseconds from an arming to its end.
    ttl: Option<u64>,
    armed: AtomicBool,
    epoch: AtomicU32,
    ordinal: AtomicU64,
    /// Microseconds since the process started.
    armed_at: AtomicU64,
    pub counters: Counters,
    /// Made with the first one.
    treated: OnceLock<Box<Treated>>,
    limiter: Option<Arc<Limiter>>,
}

impl RuleCell {
    /// The state of a rule without limits or end, armed when the process started.
    pub fn new(name: Arc<str>, armed: bool) -> Self {
        Self {
            name,
            text: String::new(),
            ttl: None,
            armed: AtomicBool::new(armed),
            epoch: AtomicU32::new(0),
            ordinal: AtomicU64::new(0),
            armed_at: AtomicU64::new(0),
            counters: Counters::default(),
            treated: OnceLock::new(),
            limiter: None,
        }
    }

    /// The state of a rule that is new `at` this time since the process started.
    pub(super) fn of(spec: &RuleSpec, at: Duration) -> Self {
        Self {
            text: spec.text.clone(),
            ttl: spec.ttl.map(micros),
            armed_at: AtomicU64::new(micros(at)),
            limiter: (!spec.limits.is_none()).then(|| Arc::new(Limiter::new(spec.limits))),
            // A changed rule of the same name is another: what stood under the old one must not
            // stand under it.
            epoch: AtomicU32::new(STATES.fetch_add(1, Ordering::Relaxed).wrapping_mul(EPOCHS)),
            ..Self::new(Arc::clone(&spec.name), spec.armed)
        }
    }

    /// Whether this is the state of a rule with this text.
    pub(super) fn is_of(&self, spec: &RuleSpec) -> bool {
        self.name == spec.name && self.text == spec.text
    }

    pub fn is_armed(&self) -> bool {
        self.armed.load(Ordering::Acquire)
    }

    /// The arming that effects decided now stand under.
    pub fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The ordinal of a newly selected call, from 0.
    pub fn next_ordinal(&self) -> u64 {
        self.ordinal.fetch_add(1, Ordering::Relaxed)
    }

    pub fn armed_at_micros(&self) -> u64 {
        self.armed_at.load(Ordering::Acquire)
    }

    /// When it ends by itself, in microseconds since the process started.
    pub fn expires_at_micros(&self) -> Option<u64> {
        let ttl = self.ttl.filter(|_| self.is_armed())?;
        Some(self.armed_at_micros().saturating_add(ttl))
    }

    /// Ends the arming: effects under it are revoked. The caller rings the workers.
    pub fn disarm(&self) {
        self.armed.store(false, Ordering::Release);
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// Revokes the effects of calls under way; the rule stays as it is for calls to come. The
    /// caller rings the workers.
    pub fn revoke(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    pub fn arm(&self, now_micros: u64) {
        self.armed_at.store(now_micros, Ordering::Release);
        self.armed.store(true, Ordering::Release);
    }

    /// Counts a call that its faults acted on.
    pub fn count_treated(&self, is_error: bool, took: Duration) {
        let treated = self.treated.get_or_init(|| {
            Box::new(Treated {
                calls: AtomicU64::new(0),
                errors: AtomicU64::new(0),
                duration: HistogramCells::new(&Bounds::CALL),
            })
        });
        treated.duration.observe_shared(took);
        if is_error {
            treated.errors.fetch_add(1, Ordering::Relaxed);
        }
        treated.calls.fetch_add(1, Ordering::Release);
    }

    /// The calls that its faults acted on; `None` where there are no more of them than `known`.
    pub fn treated(&self, known: Option<&TreatedTotals>) -> Option<TreatedTotals> {
        let treated = self.treated.get()?;
        let calls = treated.calls.load(Ordering::Acquire);
        (calls > known.map_or(0, |it| it.calls)).then(|| TreatedTotals {
            calls,
            errors: treated.errors.load(Ordering::Relaxed),
            duration: treated.duration.read(),
        })
    }

    /// What bounds how many calls it hurts, if anything does.
    pub fn limiter(&self) -> Option<&Arc<Limiter>> {
        self.limiter.as_ref()
    }
}

/// Saturates after half a million years.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
