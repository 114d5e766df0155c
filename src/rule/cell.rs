//! What changes of a rule while it runs: armed or not, its epoch, ordinals, counters, models.
//! Shared by all workers and kept over a reload while the rule's text is unchanged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// Why a selected rule that hit did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Denied {
    DryRun,
    Halt,
    Limit,
    Schedule,
    Unreadable,
}

/// The answer to "why did nothing happen?".
#[derive(Debug, Default)]
pub struct Counters {
    pub selected: AtomicU64,
    pub hit: AtomicU64,
    pub denied_dry_run: AtomicU64,
    pub denied_halt: AtomicU64,
    pub denied_limit: AtomicU64,
    pub denied_schedule: AtomicU64,
    pub denied_unreadable: AtomicU64,
    pub applied: AtomicU64,
    pub superseded: AtomicU64,
    pub not_applicable: AtomicU64,
    pub revoked: AtomicU64,
    /// Calls on which an effect of this rule acts right now.
    pub active: AtomicU64,
}

/// The running state of one rule.
#[derive(Debug)]
pub struct RuleCell {
    pub name: Arc<str>,
    armed: AtomicBool,
    epoch: AtomicU32,
    ordinal: AtomicU64,
    /// Microseconds since the process started.
    armed_at: AtomicU64,
    pub counters: Counters,
}

impl RuleCell {
    pub fn new(name: Arc<str>, armed: bool) -> Self {
        Self {
            name,
            armed: AtomicBool::new(armed),
            epoch: AtomicU32::new(0),
            ordinal: AtomicU64::new(0),
            armed_at: AtomicU64::new(0),
            counters: Counters::default(),
        }
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
}
