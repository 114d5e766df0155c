//! The sums over all workers, as they are shown.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::call::Outcome;
use crate::error::Origin;
use crate::histogram::{Bounds, Histogram};
use crate::record::counters::{FaultCells, RESULTS, SlotCells};

/// Everything counted so far.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// By listener and protocol, in order of first use.
    pub slots: Vec<SlotTotals>,
    pub faults: Vec<FateCount>,
}

/// What is counted of one listener and protocol.
#[derive(Clone, Debug)]
pub struct SlotTotals {
    pub listener: Arc<str>,
    pub protocol: &'static str,
    pub all: Tally,
    /// Of those, calls that a fault acted on; absent where there was none.
    pub touched: Option<Box<Tally>>,
    /// Of these, calls that failed in a way that a fault can be the cause of.
    pub broken: u64,
    pub started: u64,
    ended: u64,
    pub connections_opened: u64,
    connections_closed: u64,
    pub connections_refused: u64,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub overhead: Histogram,
}

/// How calls ended and how long they took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    pub calls: Calls,
    pub duration: Histogram,
    pub first_token: Histogram,
    pub token_gap: Histogram,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            calls: Calls::default(),
            duration: Histogram::new(&Bounds::CALL),
            first_token: Histogram::new(&Bounds::CALL),
            token_gap: Histogram::new(&Bounds::TOKEN_GAP),
        }
    }
}

/// Calls that ended, by outcome and origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls(pub(crate) [[u64; Origin::ALL.len()]; Outcome::ALL.len()]);

impl Calls {
    pub const fn of(&self, outcome: Outcome, origin: Origin) -> u64 {
        self.0[outcome as usize][origin as usize]
    }

    pub fn of_outcome(&self, outcome: Outcome) -> u64 {
        self.0[outcome as usize].iter().sum()
    }

    pub fn of_origin(&self, origin: Origin) -> u64 {
        self.0.iter().map(|row| row[origin as usize]).sum()
    }

    pub fn all(&self) -> u64 {
        self.0.iter().flatten().sum()
    }

    /// Calls that ended by a fault become calls that the sidecar itself rejected.
    pub(crate) fn reject_injected(&mut self) {
        let mut injected = 0;
        for (outcome, row) in self.0.iter_mut().enumerate() {
            for (origin, count) in row.iter_mut().enumerate() {
                if outcome == Outcome::InjectedFault as usize || origin == Origin::Injected as usize
                {
                    injected += std::mem::take(count);
                }
            }
        }
        self.0[Outcome::Rejected as usize][Origin::Proxy as usize] += injected;
    }

    pub(crate) fn fold(&mut self, cells: &[[AtomicU64; Origin::ALL.len()]; Outcome::ALL.len()]) {
        for (sum, cell) in self.0.iter_mut().flatten().zip(cells.iter().flatten()) {
            *sum += cell.load(Ordering::Relaxed);
        }
    }
}

/// Calls that share all labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallCount<'a> {
    pub listener: &'a str,
    pub protocol: &'static str,
    pub outcome: Outcome,
    pub origin: Origin,
    pub count: u64,
}

/// What became of one fault of one rule.
#[derive(Clone, Debug)]
pub struct FateCount {
    pub rule: Arc<str>,
    pub fault: &'static str,
    pub(crate) results: [u64; RESULTS.len()],
}

impl Totals {
    /// Calls by listener, protocol, outcome and origin; combinations that never came are left out.
    pub fn calls(&self) -> impl Iterator<Item = CallCount<'_>> {
        self.slots.iter().flat_map(SlotTotals::calls)
    }

    pub(crate) fn add_slot(&mut self, cells: &SlotCells) {
        let known = self
            .slots
            .iter()
            .position(|it| it.listener == cells.listener && it.protocol == cells.protocol);
        let index = known.unwrap_or_else(|| {
            self.slots.push(SlotTotals::new(cells));
            self.slots.len() - 1
        });
        self.slots[index].add(cells);
    }

    pub(crate) fn add_fault(&mut self, cells: &FaultCells) {
        let known = self
            .faults
            .iter()
            .position(|it| it.rule == cells.rule && it.fault == cells.fault);
        let index = known.unwrap_or_else(|| {
            self.faults.push(FateCount {
                rule: Arc::clone(&cells.rule),
                fault: cells.fault,
                results: [0; RESULTS.len()],
            });
            self.faults.len() - 1
        });
        for (sum, cell) in self.faults[index].results.iter_mut().zip(&cells.results) {
            *sum += cell.load(Ordering::Relaxed);
        }
    }
}

impl SlotTotals {
    fn new(cells: &SlotCells) -> Self {
        Self {
            listener: Arc::clone(&cells.listener),
            protocol: cells.protocol,
            all: Tally::default(),
            touched: None,
            broken: 0,
            started: 0,
            ended: 0,
            connections_opened: 0,
            connections_closed: 0,
            connections_refused: 0,
            request_bytes: 0,
            response_bytes: 0,
            overhead: Histogram::new(&Bounds::OVERHEAD),
        }
    }

    fn add(&mut self, cells: &SlotCells) {
        // Calls that were touched are counted among all before, and those that broke among these:
        // so there are never more of them.
        self.broken += cells.broken.load(Ordering::Relaxed);
        if let Some(touched) = cells.touched.get() {
            touched.fold(self.touched.get_or_insert_default());
        }
        cells.all.fold(&mut self.all);
        for (sum, cell) in [
            // What ended is read before what started, so that a difference is never below zero
            // by more than another thread's delay in seeing stores.
            (&mut self.ended, &cells.ended),
            (&mut self.started, &cells.started),
            (&mut self.connections_closed, &cells.closed),
            (&mut self.connections_refused, &cells.refused),
            (&mut self.connections_opened, &cells.opened),
            (&mut self.request_bytes, &cells.request_bytes),
            (&mut self.response_bytes, &cells.response_bytes),
        ] {
            *sum += cell.load(Ordering::Relaxed);
        }
        cells.overhead.fold(&mut self.overhead);
    }

    /// Calls by outcome and origin.
    pub fn calls(&self) -> impl Iterator<Item = CallCount<'_>> {
        Outcome::ALL.into_iter().flat_map(move |outcome| {
            Origin::ALL.into_iter().filter_map(move |origin| {
                let count = self.all.calls.of(outcome, origin);
                (count > 0).then_some(CallCount {
                    listener: &self.listener,
                    protocol: self.protocol,
                    outcome,
                    origin,
                    count,
                })
            })
        })
    }

    /// Calls under way.
    pub const fn active(&self) -> u64 {
        self.started.saturating_sub(self.ended)
    }

    /// Client connections that are open.
    pub const fn connections(&self) -> u64 {
        self.connections_opened
            .saturating_sub(self.connections_closed)
    }
}

impl FateCount {
    /// Name and count of each result that came.
    pub fn results(&self) -> impl Iterator<Item = (&'static str, u64)> {
        RESULTS
            .into_iter()
            .zip(self.results)
            .filter(|&(_, count)| count > 0)
    }
}
