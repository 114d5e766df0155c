//! A bound socket that all workers accept from, and the listener that it stands for now.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::snapshot::{ListenerSpec, ListenerState, Snapshot};

/// What the accept loops of one socket share, over all generations that keep the socket.
#[derive(Debug)]
pub(super) struct Endpoint {
    served: ArcSwap<Served>,
    accepting: watch::Sender<Accepting>,
    /// Accepting pauses: the process has no descriptors left.
    pub(super) pausing: AtomicBool,
    pub(super) pause_told: Seldom,
    pub(super) refusal_told: Seldom,
    /// Connections refused since that was last told.
    pub(super) refused: AtomicU64,
}

/// A listener, and the last generation that has it: so that a connection finds its settings on
/// a worker that never saw that generation.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) listener: Arc<ListenerState>,
    pub(super) snapshot: Arc<Snapshot>,
}

impl Served {
    pub(super) fn of(spec: &ListenerSpec, snapshot: &Arc<Snapshot>) -> Self {
        Self {
            listener: Arc::clone(&spec.state),
            snapshot: Arc::clone(snapshot),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepting {
    Yes,
    /// The listener is gone: take what waits, then close the socket.
    Closing,
    /// The same, and the whole process ends.
    Draining,
}

impl Endpoint {
    pub(super) fn new(served: Served) -> Arc<Self> {
        Arc::new(Self {
            served: ArcSwap::from_pointee(served),
            accepting: watch::channel(Accepting::Yes).0,
            pausing: AtomicBool::new(false),
            pause_told: Seldom::default(),
            refusal_told: Seldom::default(),
            refused: AtomicU64::new(0),
        })
    }

    pub(super) fn served(&self) -> Arc<Served> {
        self.served.load_full()
    }

    /// The socket stands for this listener from now on.
    pub(super) fn serve(&self, served: Served) {
        self.served.store(Arc::new(served));
    }

    pub(super) fn stop(&self, how: Accepting) {
        self.accepting.send_replace(how);
    }

    pub(super) fn accepting(&self) -> watch::Receiver<Accepting> {
        self.accepting.subscribe()
    }
}

/// Something that is told at most once a second, however often it happens.
#[derive(Debug)]
pub(super) struct Seldom {
    epoch: Instant,
    /// Milliseconds since then, plus one; 0: never.
    last: AtomicU64,
}

impl Default for Seldom {
    fn default() -> Self {
        Self {
            epoch: Instant::now(),
            last: AtomicU64::new(0),
        }
    }
}

impl Seldom {
    const PAUSE_MS: u64 = 1000;

    /// Whether to tell it now.
    pub(super) fn is_due(&self) -> bool {
        let now = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1;
        let last = self.last.load(Ordering::Relaxed);
        let due = last == 0 || now.saturating_sub(last) >= Self::PAUSE_MS;
        // Of several threads one tells.
        let order = Ordering::Relaxed;
        due && self.last.compare_exchange(last, now, order, order).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_seldom_told_is_told_once_a_second() {
        let seldom = Seldom::default();
        assert!(seldom.is_due() && !seldom.is_due());
        tokio::time::advance(Duration::from_millis(999)).await;
        assert!(!seldom.is_due());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(seldom.is_due() && !seldom.is_due());
    }
}
