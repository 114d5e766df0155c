//! The activity ledger: how the data plane tells when an upstream worked for which call. Each
//! worker owns the sending end of a ring; the sampler thread owns the other ends.
//!
//! Sending never blocks and makes no system call. A place in the ring is kept for the end of each
//! call that is in it, so an end is never lost; when no place is left for a new call, its interval
//! folds into a class total of its upstream: the work is known, whose it was is not.

mod fold;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rtrb::{Consumer, Producer, RingBuffer};
use tokio::time::Instant;

use self::fold::Folds;
use crate::call::Outcome;

/// Places in a worker's ring: some 2 MB, enough for 50,000 calls a second at the default interval.
pub const RING_PLACES: usize = 16 * 1024;

/// Entries whose places are given back together.
const TAKEN_AT_ONCE: usize = 256;

/// A worker's end of its ring.
#[derive(Debug)]
pub struct ActivitySender {
    open: Option<Box<OpenSender>>,
}

#[derive(Debug)]
struct OpenSender {
    ring: Producer<Activity>,
    epoch: Instant,
    folds: Arc<Folds>,
    /// Places that are owed: one for the end of each call in the ring, one for the end of its
    /// work, one for each release.
    owed: usize,
    folded: BTreeMap<u64, Folded>,
    /// Calls in the ring that are held.
    held: BTreeSet<u64>,
    /// Calls in the ring whose work is over.
    done: BTreeSet<u64>,
}

#[derive(Debug)]
struct Folded {
    upstream: u16,
    /// Whether it counts as active now.
    active: bool,
    done: bool,
}

/// What is known of a call's work at its end.
#[derive(Clone, Debug)]
pub struct Finish {
    pub outcome: Outcome,
    pub listener: Arc<str>,
    pub protocol: &'static str,
    pub model: Option<Arc<str>>,
    /// The rule that hit, `several`, or none.
    pub rule: Option<Arc<str>>,
    /// Whether an injected wait was pending when the client left.
    pub abort_injected: bool,
    pub output_tokens: Option<u64>,
    pub output_units: u64,
    /// The upstream's last byte was received: whatever the outcome, it does not work on.
    pub whole: bool,
    /// Whether somebody is told of this call alone: else its figure is only summed up.
    pub told: bool,
}

/// One entry of the ledger.
#[derive(Clone, Debug)]
pub struct Activity {
    pub call: u64,
    /// Nanoseconds since the epoch.
    pub at: u64,
    pub event: Event,
}

#[derive(Clone, Debug)]
pub enum Event {
    Begin {
        upstream: u16,
    },
    /// The work is over; its end tells the outcome.
    Done,
    End(Finish),
    Hold,
    Release,
}

/// The receiving ends, and the epoch that all times count from.
#[derive(Debug)]
pub struct Rings {
    epoch: Instant,
    ends: Vec<Consumer<Activity>>,
    folds: Vec<Arc<Folds>>,
    upstreams: usize,
}

/// A ledger with one sender a worker. `upstreams`: how many there are; calls to those beyond
/// (added by a reload) are counted under the last when they fold.
pub fn ledger(workers: usize, upstreams: usize, places: usize) -> (Vec<ActivitySender>, Rings) {
    let epoch = Instant::now();
    let mut senders = Vec::with_capacity(workers);
    let mut ends = Vec::with_capacity(workers);
    let mut folds = Vec::with_capacity(workers);
    for _ in 0..workers {
        let (producer, consumer) = RingBuffer::new(places.max(2));
        let shared = Arc::new(Folds::new(upstreams));
        ends.push(consumer);
        folds.push(Arc::clone(&shared));
        senders.push(ActivitySender {
            open: Some(Box::new(OpenSender {
                ring: producer,
                epoch,
                folds: shared,
                owed: 0,
                folded: BTreeMap::new(),
                held: BTreeSet::new(),
                done: BTreeSet::new(),
            })),
        });
    }
    let rings = Rings {
        epoch,
        ends,
        folds,
        upstreams,
    };
    (senders, rings)
}

impl ActivitySender {
    /// A sender that costs one branch: where no energy is counted.
    pub const fn disabled() -> Self {
        Self { open: None }
    }

    pub const fn is_enabled(&self) -> bool {
        self.open.is_some()
    }

    /// The first byte of a call goes to an upstream (its index in the snapshot).
    pub fn begin(&mut self, call: u64, upstream: u16, at: Instant) {
        if let Some(open) = &mut self.open {
            open.begin(call, upstream, at);
        }
    }

    /// From here on we, or a slow client, hold bytes of the answer unread.
    pub fn hold(&mut self, call: u64, at: Instant) {
        if let Some(open) = &mut self.open {
            open.hold(call, at);
        }
    }

    /// The answer is read again.
    pub fn release(&mut self, call: u64, at: Instant) {
        if let Some(open) = &mut self.open {
            open.release(call, at);
        }
    }

    /// The last byte was received: nothing more is asked of the upstream, however long the client
    /// takes. The outcome follows with the end.
    pub fn done(&mut self, call: u64, at: Instant) {
        if let Some(open) = &mut self.open {
            open.done(call, at);
        }
    }

    /// The call is over, and with it its work, unless that was done before.
    pub fn end(&mut self, call: u64, at: Instant, finish: Finish) {
        if let Some(open) = &mut self.open {
            open.end(call, at, finish);
        }
    }
}

impl OpenSender {
    fn begin(&mut self, call: u64, upstream: u16, at: Instant) {
        let at = since(self.epoch, at);
        // One place for this entry, one for the end of the work, one for the end of the call.
        if self.free(3) {
            self.push(call, at, Event::Begin { upstream });
            self.owed += 2;
        } else {
            self.folds.begin(upstream, at);
            let folded = Folded {
                upstream,
                active: true,
                done: false,
            };
            self.folded.insert(call, folded);
        }
    }

    fn hold(&mut self, call: u64, at: Instant) {
        let at = since(self.epoch, at);
        if let Some(folded) = self.folded.get_mut(&call) {
            if folded.active {
                folded.active = false;
                self.folds.pause(folded.upstream, at);
            }
        } else if !self.held.contains(&call) && !self.done.contains(&call) && self.free(2) {
            self.push(call, at, Event::Hold);
            self.held.insert(call);
            self.owed += 1;
        }
    }

    fn release(&mut self, call: u64, at: Instant) {
        let at = since(self.epoch, at);
        if let Some(folded) = self.folded.get_mut(&call) {
            if !folded.active && !folded.done {
                folded.active = true;
                self.folds.resume(folded.upstream, at);
            }
        } else if self.held.remove(&call) {
            self.owed -= 1;
            self.push(call, at, Event::Release);
        }
    }

    fn done(&mut self, call: u64, at: Instant) {
        let at = since(self.epoch, at);
        if let Some(folded) = self.folded.get_mut(&call) {
            folded.done = true;
            if folded.active {
                folded.active = false;
                self.folds.pause(folded.upstream, at);
            }
        } else if self.done.insert(call) {
            self.forget_hold(call);
            self.owed = self.owed.saturating_sub(1);
            self.push(call, at, Event::Done);
        }
    }

    fn end(&mut self, call: u64, at: Instant, finish: Finish) {
        let at = since(self.epoch, at);
        if !self.folded.is_empty()
            && let Some(folded) = self.folded.remove(&call)
        {
            self.folds.end(folded.upstream, at, folded.active);
            return;
        }
        self.forget_hold(call);
        let owed = if self.done.remove(&call) { 1 } else { 2 };
        self.owed = self.owed.saturating_sub(owed);
        self.push(call, at, Event::End(finish));
    }

    /// A release will not come.
    fn forget_hold(&mut self, call: u64) {
        if self.held.remove(&call) {
            self.owed -= 1;
        }
    }

    /// Whether so many entries have a place beside those that are owed.
    fn free(&self, entries: usize) -> bool {
        self.ring.slots() >= self.owed + entries
    }

    fn push(&mut self, call: u64, at: u64, event: Event) {
        // A place was kept. Only an end without its begin finds none, and that says nothing.
        let pushed = self.ring.push(Activity { call, at, event });
        if pushed.is_err() {
            self.folds.stray();
        }
    }
}

/// Work of calls that found no place in a ring, on one upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FoldedWork {
    /// Nanoseconds of activity, summed over calls, up to the time asked for.
    pub active_ns: u64,
    /// Calls that ended.
    pub calls: u64,
}

impl Rings {
    pub fn epoch(&self) -> Instant {
        self.epoch
    }

    pub fn upstreams(&self) -> usize {
        self.upstreams
    }

    /// Takes what the workers wrote, ring by ring; in each in the order of its worker.
    pub fn drain(&mut self, mut take: impl FnMut(&Activity)) {
        for ring in &mut self.ends {
            // Bounded, so that a busy worker cannot keep the reader here.
            let mut left = ring.slots();
            while let Ok(chunk) = ring.read_chunk(left.min(TAKEN_AT_ONCE))
                && !chunk.is_empty()
            {
                left -= chunk.len();
                let (first, second) = chunk.as_slices();
                first.iter().chain(second).for_each(&mut take);
                chunk.commit_all();
            }
        }
    }

    /// Folded work of an upstream since the epoch, at time `at`.
    pub fn folded(&self, upstream: usize, at: u64) -> FoldedWork {
        let mut sum = FoldedWork::default();
        for folds in &self.folds {
            let work = folds.work(upstream, at);
            sum.active_ns += work.active_ns;
            sum.calls += work.calls;
        }
        sum
    }
}

/// Nanoseconds from the epoch to a time: 584 years fit.
pub fn since(epoch: Instant, at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(epoch).as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
