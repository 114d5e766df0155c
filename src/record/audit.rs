//! The figures of the audit log, which others keep.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Lines of the audit log. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct AuditStats(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    written: AtomicU64,
    unwritten: AtomicU64,
    /// Of those not written: not told by a line yet.
    untold: AtomicU64,
}

impl AuditStats {
    /// Lines that are in the file.
    pub fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }

    /// Lines that are not: the disk was full or stuck, or refusals came too fast to tell each.
    pub fn unwritten(&self) -> u64 {
        self.0.unwritten.load(Ordering::Relaxed)
    }

    pub(crate) fn wrote(&self) {
        self.0.written.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn lose(&self) {
        self.0.unwritten.fetch_add(1, Ordering::Relaxed);
        self.untell(1);
    }

    /// How many lines were lost since the last one that says so.
    pub(crate) fn take_untold(&self) -> u64 {
        self.0.untold.swap(0, Ordering::Relaxed)
    }

    /// The line that was to say so was lost, too.
    pub(crate) fn untell(&self, count: u64) {
        self.0.untold.fetch_add(count, Ordering::Relaxed);
    }
}
