//! The book of one source: where each of its µJ went.

use std::sync::Arc;
use std::time::Duration;

use crate::energy::idle::IdlePower;
use crate::energy::reading::{Domain, Reach, Source, Spread, Tier};
use crate::energy::totals::SourceTotals;
use crate::energy::window::Stretch;
use crate::units::MicroJoules;

#[derive(Debug)]
pub(super) struct Book {
    id: Arc<str>,
    domain: Domain,
    pub(super) tier: Tier,
    pub(super) reach: Reach,
    pub(super) spread: Spread,
    pub(super) quantum_uj: u64,
    pub(super) lag_ns: u64,
    pub(super) idle_power: IdlePower,
    live: bool,
    /// All before it is divided.
    pub(super) horizon: u64,
    sums: Sums,
}

/// In µJ.
#[derive(Debug, Default)]
struct Sums {
    meter: u128,
    calls: u128,
    in_flight: u128,
    folded: u128,
    own: u128,
    others: u128,
    unattributed: u128,
    idle: u128,
    gap: u128,
    gap_ns: u64,
    windows: u64,
}

/// Where a part of a window goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Folded,
    Idle,
    InFlight,
    Others,
    Own,
    Unattributed,
}

impl Book {
    pub(super) fn new(source: &Source, idle_uw: Option<u64>, at: u64) -> Self {
        Self {
            id: source.id.as_str().into(),
            domain: source.domain,
            tier: source.tier,
            reach: source.reach,
            spread: source.spread,
            quantum_uj: source.quantum_uj,
            lag_ns: source.lag_ns,
            idle_power: IdlePower::new(idle_uw),
            live: true,
            horizon: at,
            sums: Sums::default(),
        }
    }

    pub(super) fn id(&self) -> &Arc<str> {
        &self.id
    }

    pub(super) fn live(&self) -> bool {
        self.live
    }

    pub(super) fn close(&mut self) {
        self.live = false;
    }

    pub(super) fn reopen(&mut self, at: u64) {
        self.live = true;
        self.horizon = at;
    }

    /// The window's whole energy; its parts follow by [`Book::put`].
    pub(super) fn window(&mut self, stretch: Stretch, uj: u64) {
        self.horizon = stretch.to;
        self.sums.windows += 1;
        self.sums.meter += u128::from(uj);
    }

    pub(super) fn put(&mut self, part: Part, uj: u64) {
        let sum = match part {
            Part::Folded => &mut self.sums.folded,
            Part::Idle => &mut self.sums.idle,
            Part::InFlight => &mut self.sums.in_flight,
            Part::Others => &mut self.sums.others,
            Part::Own => &mut self.sums.own,
            Part::Unattributed => &mut self.sums.unattributed,
        };
        *sum += u128::from(uj);
    }

    pub(super) fn gap(&mut self, stretch: Stretch, uj: u64) {
        self.horizon = stretch.to;
        self.sums.meter += u128::from(uj);
        self.sums.gap += u128::from(uj);
        self.sums.gap_ns += stretch.length();
    }

    /// A call that had this much has its figure now.
    pub(super) fn settle(&mut self, uj: u64) {
        self.sums.in_flight -= u128::from(uj);
        self.sums.calls += u128::from(uj);
    }

    pub(super) fn meter_uj(&self) -> u128 {
        self.sums.meter
    }

    pub(super) fn totals(&self) -> SourceTotals {
        let sums = &self.sums;
        SourceTotals {
            id: Arc::clone(&self.id),
            domain: self.domain,
            tier: self.tier,
            live: self.live,
            meter: MicroJoules(sums.meter),
            calls: MicroJoules(sums.calls),
            in_flight: MicroJoules(sums.in_flight),
            folded: MicroJoules(sums.folded),
            own: MicroJoules(sums.own),
            others: MicroJoules(sums.others),
            unattributed: MicroJoules(sums.unattributed),
            idle: MicroJoules(sums.idle),
            gap: MicroJoules(sums.gap),
            gap_time: Duration::from_nanos(sums.gap_ns),
            windows: sums.windows,
        }
    }
}
