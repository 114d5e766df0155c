//! Waits between units: a server that is slower by d at each unit.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use crate::draw::Draws;
use crate::effect::Planned;
use crate::law::Law;
use crate::protocol::UnitKind;
use crate::proxy::execution::Execution;

/// A wait at each of the positions of a `between-…` phase. Unit k leaves at
/// `arrival(k) + d₂ + … + d_k`, and never less than its arrival gap plus `d_k` after unit k − 1.
#[derive(Debug)]
pub(super) struct Between {
    pub(super) step: usize,
    pub(super) planned: Rc<Planned>,
    tokens_only: bool,
    law: Law,
    draws: Draws,
    /// All waits so far, carried along by every later unit.
    shift: Duration,
    /// Arrival and departure of the unit before.
    last: Option<(Instant, Instant)>,
}

impl Between {
    pub(super) fn new(
        step: usize,
        planned: Rc<Planned>,
        tokens_only: bool,
        law: Law,
        sub_seed: u64,
    ) -> Self {
        let draws = Draws::from_sub_seed(sub_seed);
        Self {
            step,
            planned,
            tokens_only,
            law,
            draws,
            shift: Duration::ZERO,
            last: None,
        }
    }

    fn concerns(&self, kind: UnitKind) -> bool {
        !self.tokens_only || kind == UnitKind::Token
    }

    /// When a unit may leave at the earliest; `None` where this wait does not concern it.
    pub(super) fn due(
        &mut self,
        kind: UnitKind,
        arrival: Instant,
        execution: &Execution,
    ) -> Option<Instant> {
        if !self.concerns(kind) || !execution.is_live(&self.planned.token) {
            return None;
        }
        // The first unit is not between two.
        let (last_arrival, last_leave) = self.last?;
        let drawn = self.law.sample(&mut self.draws);
        let wait = execution.draw_budget(self.step, drawn);
        self.shift += wait;
        let gap = arrival.saturating_duration_since(last_arrival);
        Some((arrival + self.shift).max(last_leave + gap + wait))
    }

    /// Revoked: units pass as they come again.
    pub(super) fn forget_shift(&mut self) {
        self.shift = Duration::ZERO;
    }

    pub(super) fn left(&mut self, kind: UnitKind, arrival: Instant, leave: Instant) {
        if self.concerns(kind) {
            self.last = Some((arrival, leave));
        }
    }
}
