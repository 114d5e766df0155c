//! What is counted of every call, whether it is recorded or not.
//!
//! Each worker writes its own cells with plain loads and stores; whoever wants figures sums the
//! cells of all workers, without a lock. Nothing is looked up while a call runs: a worker asks
//! once for the [`SlotCounters`] of a listener and protocol and keeps them.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::call::Outcome;
use crate::effect::{Fate, Planned};
use crate::error::Origin;
use crate::histogram::{Bounds, HistogramCells, add};
use crate::record::totals::{Tally, Totals};

/// Rule and fault pairs that are told apart; what comes later counts as `other`.
const FAULTS: usize = 1000;
const OTHER: &str = "other";

/// All workers' cells.
#[derive(Clone, Debug, Default)]
pub struct CounterRegistry {
    workers: Arc<ArcSwap<Vec<Arc<WorkerCells>>>>,
}

impl CounterRegistry {
    /// The cells of one more worker.
    pub fn worker(&self) -> WorkerCounters {
        let cells = Arc::new(WorkerCells::default());
        self.workers.rcu(|workers| {
            let mut workers = Vec::clone(workers);
            workers.push(Arc::clone(&cells));
            workers
        });
        WorkerCounters { cells }
    }

    /// A number that rises with every call and connection that begins or ends: equal numbers say
    /// that [`Self::totals`] are what they were. Far less to read than those.
    pub fn activity(&self) -> u64 {
        let of = |slot: &Arc<SlotCells>| {
            let cells = [&slot.started, &slot.ended, &slot.opened, &slot.closed];
            let counts = cells.into_iter().map(|it| it.load(Ordering::Acquire));
            counts.fold(0, u64::wrapping_add)
        };
        let workers = self.workers.load();
        let slots = workers.iter().map(|it| it.slots.load_full());
        slots.fold(0, |sum, slots| {
            slots.iter().map(of).fold(sum, u64::wrapping_add)
        })
    }

    /// The sums over all workers, those that have ended included.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for worker in self.workers.load().iter() {
            for slot in worker.slots.load().iter() {
                totals.add_slot(slot);
            }
            for fault in worker.faults.load().iter() {
                totals.add_fault(fault);
            }
        }
        totals
    }
}

/// Cells that one worker writes. The lists only grow, so that a reload loses no count.
#[derive(Debug, Default)]
struct WorkerCells {
    slots: ArcSwap<Vec<Arc<SlotCells>>>,
    faults: ArcSwap<Vec<Arc<FaultCells>>>,
}

/// What is counted of one listener and protocol on one worker. Aligned, so that two workers never
/// write to one cache line.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct SlotCells {
    pub(crate) listener: Arc<str>,
    pub(crate) protocol: &'static str,
    pub(crate) all: TallyCells,
    /// Of those, calls that a fault acted on; made with the first one.
    pub(crate) touched: OnceLock<Box<TallyCells>>,
    /// Of these, calls that failed in a way that a fault can be the cause of.
    pub(crate) broken: AtomicU64,
    pub(crate) started: AtomicU64,
    pub(crate) ended: AtomicU64,
    pub(crate) opened: AtomicU64,
    pub(crate) closed: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) request_bytes: AtomicU64,
    pub(crate) response_bytes: AtomicU64,
    pub(crate) overhead: HistogramCells,
}

impl SlotCells {
    fn new(listener: Arc<str>, protocol: &'static str) -> Self {
        Self {
            listener,
            protocol,
            all: TallyCells::new(),
            touched: OnceLock::new(),
            broken: AtomicU64::new(0),
            started: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            opened: AtomicU64::new(0),
            closed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            request_bytes: AtomicU64::new(0),
            response_bytes: AtomicU64::new(0),
            overhead: HistogramCells::new(&Bounds::OVERHEAD),
        }
    }
}

/// How calls ended and how long they took, on one worker.
#[derive(Debug)]
pub(crate) struct TallyCells {
    pub(crate) calls: [[AtomicU64; Origin::ALL.len()]; Outcome::ALL.len()],
    pub(crate) duration: HistogramCells,
    pub(crate) first_token: HistogramCells,
    pub(crate) token_gap: HistogramCells,
}

impl TallyCells {
    fn new() -> Self {
        Self {
            calls: Default::default(),
            duration: HistogramCells::new(&Bounds::CALL),
            first_token: HistogramCells::new(&Bounds::CALL),
            token_gap: HistogramCells::new(&Bounds::TOKEN_GAP),
        }
    }

    fn ended(&self, outcome: Outcome, origin: Origin, duration: Duration) {
        add(&self.calls[outcome as usize][origin as usize], 1);
        self.duration.observe(duration);
    }

    /// Adds what was counted so far.
    pub(crate) fn fold(&self, into: &mut Tally) {
        into.calls.fold(&self.calls);
        self.duration.fold(&mut into.duration);
        self.first_token.fold(&mut into.first_token);
        self.token_gap.fold(&mut into.token_gap);
    }
}

/// What became of one fault of one rule on one worker.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct FaultCells {
    pub(crate) rule: Arc<str>,
    pub(crate) fault: &'static str,
    pub(crate) results: [AtomicU64; RESULTS.len()],
}

/// The `result` label of a fate, in the order of [`FaultCells::results`].
pub(crate) const RESULTS: [&str; 6] = [
    "applied",
    "clamped",
    "not_applicable",
    "not_reached",
    "revoked",
    "superseded",
];

const fn result_index(fate: &Fate) -> usize {
    match fate {
        Fate::Applied => 0,
        Fate::Clamped => 1,
        Fate::NotApplicable(_) => 2,
        Fate::NotReached => 3,
        Fate::Revoked => 4,
        Fate::Superseded => 5,
    }
}

/// One worker's hold on its cells. Move it to the worker's thread before use: a second thread that
/// writes the same cells loses counts.
#[derive(Debug)]
pub struct WorkerCounters {
    cells: Arc<WorkerCells>,
}

impl WorkerCounters {
    /// The counters of a listener and protocol; the same ones for the same names. Ask once a
    /// generation, not once a call.
    pub fn slot(&self, listener: &Arc<str>, protocol: &'static str) -> SlotCounters {
        let slots = self.cells.slots.load();
        let known = slots
            .iter()
            .find(|it| it.listener == *listener && it.protocol == protocol);
        let cells = known.map_or_else(
            || {
                let cells = Arc::new(SlotCells::new(Arc::clone(listener), protocol));
                let mut grown = Vec::clone(&slots);
                grown.push(Arc::clone(&cells));
                self.cells.slots.store(Arc::new(grown));
                cells
            },
            Arc::clone,
        );
        SlotCounters {
            cells,
            thread: PhantomData,
        }
    }

    /// Counts what became of one planned effect. Looks its rule up: it is called only where
    /// something was planned.
    pub fn fate(&self, planned: &Planned, fate: &Fate) {
        self.fault(&planned.token.rule, planned.fault, fate);
    }

    /// The same for what was not planned: a toxic.
    pub fn fault(&self, rule: &str, fault: &'static str, fate: &Fate) {
        let faults = self.cells.faults.load();
        let known = |rule: &str, fault: &str| {
            faults
                .iter()
                .find(|it| *it.rule == *rule && it.fault == fault)
        };
        let cells = known(rule, fault).or_else(|| {
            (faults.len() >= FAULTS)
                .then(|| known(OTHER, OTHER))
                .flatten()
        });
        let index = result_index(fate);
        if let Some(cells) = cells {
            add(&cells.results[index], 1);
            return;
        }
        let (rule, fault) = if faults.len() < FAULTS {
            (rule.into(), fault)
        } else {
            (OTHER.into(), OTHER)
        };
        let cells = Arc::new(FaultCells {
            rule,
            fault,
            results: Default::default(),
        });
        add(&cells.results[index], 1);
        let mut grown = Vec::clone(&faults);
        grown.push(cells);
        self.cells.faults.store(Arc::new(grown));
    }
}

/// The counters of one listener and protocol on one worker: a few plain stores a call. Bound to
/// its thread, since one thread alone may write.
#[derive(Clone, Debug)]
pub struct SlotCounters {
    cells: Arc<SlotCells>,
    thread: PhantomData<Rc<RefCell<()>>>,
}

impl SlotCounters {
    pub fn connection_opened(&self) {
        add(&self.cells.opened, 1);
    }

    pub fn connection_closed(&self) {
        add(&self.cells.closed, 1);
    }

    /// A connection was closed at once: its listener had no room.
    pub fn connection_refused(&self) {
        add(&self.cells.refused, 1);
    }

    /// A call's head was parsed. Each one is followed by one [`Self::call_ended`].
    pub fn call_started(&self) {
        add(&self.cells.started, 1);
    }

    /// A call ended. `overhead` is the time spent in hormesis itself: neither waiting for a peer
    /// nor injected; `None` where it is not known.
    pub fn call_ended(
        &self,
        outcome: Outcome,
        origin: Origin,
        duration: Duration,
        overhead: Option<Duration>,
    ) {
        let cells = &self.cells;
        cells.all.ended(outcome, origin, duration);
        if let Some(overhead) = overhead {
            cells.overhead.observe(overhead);
        }
        add(&cells.ended, 1);
    }

    /// Body bytes that were read from the client.
    pub fn request_bytes(&self, count: u64) {
        add(&self.cells.request_bytes, count);
    }

    /// Body bytes that were written to the client.
    pub fn response_bytes(&self, count: u64) {
        add(&self.cells.response_bytes, count);
    }

    /// The first unit with content was passed on, so long after the request's head.
    pub fn first_token(&self, since_head: Duration) {
        self.cells.all.first_token.observe(since_head);
    }

    /// A further unit with content was passed on, so long after the one before it.
    pub fn token_gap(&self, gap: Duration) {
        self.cells.all.token_gap.observe(gap);
    }

    /// What is counted beside all this of calls that a fault acted on.
    pub fn touched(&self) -> TouchedCounters<'_> {
        let cells = self
            .cells
            .touched
            .get_or_init(|| Box::new(TallyCells::new()));
        TouchedCounters {
            cells,
            broken: &self.cells.broken,
        }
    }
}

/// Counts a call that a fault acted on a second time, among its like: what is left of the first
/// count are the others.
#[derive(Clone, Copy, Debug)]
pub struct TouchedCounters<'c> {
    cells: &'c TallyCells,
    broken: &'c AtomicU64,
}

impl TouchedCounters<'_> {
    pub fn call_ended(self, outcome: Outcome, origin: Origin, duration: Duration) {
        self.cells.ended(outcome, origin, duration);
    }

    /// It failed, with neither a whole answer of its own nor by a rule's order: the peer may have
    /// lost patience with what a fault did. Told after [`Self::call_ended`].
    pub fn broke(self) {
        add(self.broken, 1);
    }

    pub fn first_token(self, since_head: Duration) {
        self.cells.first_token.observe(since_head);
    }

    pub fn token_gap(self, gap: Duration) {
        self.cells.token_gap.observe(gap);
    }
}

#[cfg(test)]
#[path = "counters_tests.rs"]
mod tests;
