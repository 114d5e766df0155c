//! Class totals of a worker: the activity of calls that found no place in its ring.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use super::FoldedWork;

/// One slot an upstream. Only the worker writes; the sampler reads.
#[derive(Debug)]
pub(super) struct Folds {
    slots: Vec<Slot>,
    stray: AtomicU64,
}

/// The active time up to `at` is `open · at + offset`: ends add their time, begins take it off.
#[derive(Debug, Default)]
struct Slot {
    open: AtomicI64,
    offset: AtomicI64,
    ended: AtomicU64,
}

impl Folds {
    pub(super) fn new(upstreams: usize) -> Self {
        Self {
            slots: (0..upstreams.max(1)).map(|_| Slot::default()).collect(),
            stray: AtomicU64::new(0),
        }
    }

    pub(super) fn begin(&self, upstream: u16, at: u64) {
        self.resume(upstream, at);
    }

    pub(super) fn pause(&self, upstream: u16, at: u64) {
        let slot = self.slot(usize::from(upstream));
        slot.open.fetch_sub(1, Relaxed);
        slot.offset.fetch_add(signed(at), Relaxed);
    }

    pub(super) fn resume(&self, upstream: u16, at: u64) {
        let slot = self.slot(usize::from(upstream));
        slot.open.fetch_add(1, Relaxed);
        slot.offset.fetch_sub(signed(at), Relaxed);
    }

    pub(super) fn end(&self, upstream: u16, at: u64, active: bool) {
        if active {
            self.pause(upstream, at);
        }
        self.slot(usize::from(upstream)).ended.fetch_add(1, Relaxed);
    }

    pub(super) fn stray(&self) {
        self.stray.fetch_add(1, Relaxed);
    }

    /// A reading between two writes is off by one interval, and right at the next one.
    pub(super) fn work(&self, upstream: usize, at: u64) -> FoldedWork {
        let slot = self.slot(upstream);
        let active = slot
            .open
            .load(Relaxed)
            .saturating_mul(signed(at))
            .saturating_add(slot.offset.load(Relaxed));
        FoldedWork {
            active_ns: u64::try_from(active).unwrap_or(0),
            calls: slot.ended.load(Relaxed),
        }
    }

    fn slot(&self, upstream: usize) -> &Slot {
        &self.slots[upstream.min(self.slots.len() - 1)]
    }
}

fn signed(at: u64) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}
