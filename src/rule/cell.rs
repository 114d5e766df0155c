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
    /// The caller asked for a fault without the secret.
    Secret,
    /// What the selector asks for could not be read: whether the rule would have hit is not known. Or what the caller asks for could not be.
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
    pub denied_secret: AtomicU64,
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
            Denied::Secret => &self.denied_secret,
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
/// How many changes of rules there were.
static REVISIONS: AtomicU64 = AtomicU64::new(0);
/// An end that never comes.
const NEVER: u64 = u64::MAX;

/// The running state of one rule.
#[derive(Debug)]
pub struct RuleCell {
    pub name: Arc<str>,
    text: String,
    /// Whether it is a rule of the admin API.
    of_api: bool,
    /// Microseconds from an arming to its end.
    ttl: Option<u64>,
    armed: AtomicBool,
    epoch: AtomicU32,
    ordinal: AtomicU64,
    /// Microseconds since the process started.
    armed_at: AtomicU64,
    /// The same clock.
    ends_at: AtomicU64,
    /// Another number after each change, unique among all rules.
    revision: AtomicU64,
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
            of_api: false,
            ttl: None,
            armed: AtomicBool::new(armed),
            epoch: AtomicU32::new(0),
            ordinal: AtomicU64::new(0),
            armed_at: AtomicU64::new(0),
            ends_at: AtomicU64::new(NEVER),
            revision: AtomicU64::new(next_revision()),
            counters: Counters::default(),
            treated: OnceLock::new(),
            limiter: None,
        }
    }

    /// The state of a rule that is new `at` this time since the process started.
    pub(super) fn of(spec: &RuleSpec, at: Duration) -> Self {
        let (ttl, now) = (spec.ttl.map(micros), micros(at));
        Self {
            text: spec.text.clone(),
            of_api: spec.source.is_api(),
            ttl,
            armed_at: AtomicU64::new(now),
            ends_at: AtomicU64::new(end(now, ttl)),
            limiter: (!spec.limits.is_none()).then(|| Arc::new(Limiter::new(spec.limits))),
            // A changed rule of the same name is another: what stood under the old one must not
            // stand under it.
            epoch: AtomicU32::new(STATES.fetch_add(1, Ordering::Relaxed).wrapping_mul(EPOCHS)),
            ..Self::new(Arc::clone(&spec.name), spec.armed)
        }
    }

    /// Whether this is the state of a rule with this text, from the same source: a rule of a file
    /// does not end when the time of one of the admin API is over, whose words were the same.
    pub(super) fn is_of(&self, spec: &RuleSpec) -> bool {
        let same_source = self.of_api == spec.source.is_api();
        // What the API puts has its time anew with each put.
        let same_time = self.of_api || self.ttl == spec.ttl.map(micros);
        self.name == spec.name && self.text == spec.text && same_source && same_time
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

    /// When an arming that holds ends by itself, in microseconds since the process started.
    pub fn expires_at_micros(&self) -> Option<u64> {
        self.ends_at_micros().filter(|_| self.is_armed())
    }

    /// When its time is over, armed or not.
    pub fn ends_at_micros(&self) -> Option<u64> {
        let end = self.ends_at.load(Ordering::Acquire);
        (end != NEVER).then_some(end)
    }

    /// Ends the arming: effects under it are revoked. The caller rings the workers.
    pub fn disarm(&self) {
        self.armed.store(false, Ordering::Release);
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.changed();
    }

    /// Revokes the effects of calls under way; the rule stays as it is for calls to come. The
    /// caller rings the workers.
    pub fn revoke(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// Begins an arming that lasts as long as the rule says; of the admin API's, `most` at most.
    pub fn arm(&self, now_micros: u64, most: Duration) {
        let most = self.of_api.then(|| micros(most));
        let ttl = self.ttl.into_iter().chain(most).min();
        self.arm_until(now_micros, end(now_micros, ttl));
    }

    /// A rule of the admin API ends by then, if it did not sooner: what may live so long is less
    /// than it was.
    pub fn bound(&self, now_micros: u64, most: Duration) {
        if self.of_api {
            let end = end(now_micros, Some(micros(most)));
            self.ends_at.fetch_min(end, Ordering::AcqRel);
        }
    }

    /// Begins an arming that lasts so long.
    pub fn arm_for(&self, now_micros: u64, ttl: Duration) {
        self.arm_until(now_micros, end(now_micros, Some(micros(ttl))));
    }

    fn arm_until(&self, now_micros: u64, end: u64) {
        // The end first: an arming never lasts to the end of the one before it.
        self.ends_at.store(end, Ordering::Release);
        self.armed_at.store(now_micros, Ordering::Release);
        self.armed.store(true, Ordering::Release);
        self.changed();
    }

    /// Its time begins anew, and nothing else does.
    pub fn prolong(&self, now_micros: u64, ttl: Duration) {
        let end = end(now_micros, Some(micros(ttl)));
        self.ends_at.store(end, Ordering::Release);
    }

    /// A number that no other rule has or had, and this one only while nothing of it is changed.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// Something beside the state is another now.
    pub fn changed(&self) {
        self.revision.store(next_revision(), Ordering::Release);
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

fn next_revision() -> u64 {
    REVISIONS.fetch_add(1, Ordering::Relaxed)
}

fn end(now_micros: u64, ttl: Option<u64>) -> u64 {
    ttl.map_or(NEVER, |ttl| now_micros.saturating_add(ttl))
}

/// Saturates after half a million years.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
