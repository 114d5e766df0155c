//! What the control plane changes while calls run, as the data plane reads it: atomics and one
//! pointer, no lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::snapshot::Snapshot;

/// The state that control plane and workers share. The data plane reads; `control::Handle` writes.
#[derive(Debug)]
pub struct Live {
    started: Instant,
    snapshot: ArcSwap<Snapshot>,
    halted: AtomicBool,
    /// Moves on with every change, so that one load tells whether anything is to be looked at.
    changes: AtomicU64,
    doorbells: ArcSwap<Vec<Arc<Notify>>>,
}

impl Live {
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            started: Instant::now(),
            snapshot: ArcSwap::new(snapshot),
            halted: AtomicBool::new(false),
            changes: AtomicU64::new(0),
            doorbells: ArcSwap::default(),
        }
    }

    /// The generation in force, borrowed for the length of a decision. Use [`Self::current`] to
    /// hold it across an await.
    pub fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// The generation in force, to keep.
    pub fn current(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Whether no fault may act. One load. Read it after the epochs of the rules: a halt sets this
    /// first and moves the epochs on then, so that a call sees one of the two.
    pub fn halted(&self) -> bool {
        self.halted.load(Ordering::Acquire)
    }

    /// How many changes there were. Equal numbers: nothing was halted, armed, disarmed or
    /// reloaded in between.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Time since the process started: the clock of `RuleCell::arm` and of models.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// [`Self::elapsed`] in whole microseconds.
    pub fn elapsed_micros(&self) -> u64 {
        u64::try_from(self.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// A time of that clock.
    pub fn instant(&self, micros: u64) -> Instant {
        let since = Duration::from_micros(micros);
        let far = Duration::from_secs(3600);
        let time = self.started.checked_add(since);
        time.unwrap_or_else(|| Instant::now() + far)
    }

    /// A worker's doorbell: it rings after every change. One task of the worker waits on
    /// `notified()` and wakes the worker's waiting calls, which look whether their rule's epoch
    /// moved on. A ring while nobody waits is kept for the next wait.
    pub fn doorbell(&self) -> Arc<Notify> {
        let bell = Arc::new(Notify::new());
        self.doorbells.rcu(|bells| {
            let mut bells = Vec::clone(bells);
            bells.push(Arc::clone(&bell));
            bells
        });
        bell
    }

    pub(crate) fn set_halted(&self, halted: bool) {
        self.halted.store(halted, Ordering::Release);
    }

    /// Puts another generation in force; gives back the one before it.
    pub(crate) fn swap(&self, snapshot: Arc<Snapshot>) -> Arc<Snapshot> {
        self.snapshot.swap(snapshot)
    }

    /// Tells every worker that something changed. Call it after the change.
    pub(crate) fn ring(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        for bell in self.doorbells.load().iter() {
            bell.notify_one();
        }
    }
}
