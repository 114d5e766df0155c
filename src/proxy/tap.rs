//! An observer of an answer's units: reads bytes as they pass, and never holds them.

use tokio::time::Instant;

use crate::protocol::{Framer, UnitEnd, UnitKind};
use crate::proxy::call::InFlight;

/// Watches the units of one answer.
#[derive(Debug)]
pub(super) struct Tap {
    framer: Box<dyn Framer>,
    ends: Vec<UnitEnd>,
    units: u64,
    tokens: u64,
    first_token: Option<Instant>,
    last_token: Option<Instant>,
    gaps: Vec<std::time::Duration>,
}

impl Tap {
    pub(super) fn new(framer: Box<dyn Framer>) -> Self {
        Self {
            framer,
            ends: Vec::new(),
            units: 0,
            tokens: 0,
            first_token: None,
            last_token: None,
            gaps: Vec::new(),
        }
    }

    /// Payload passes.
    pub(super) fn see(&mut self, payload: &[u8]) {
        self.framer.push(payload, &mut self.ends);
        for end in self.ends.drain(..) {
            self.units += 1;
            if end.kind == UnitKind::Token {
                let now = Instant::now();
                self.tokens += 1;
                self.first_token.get_or_insert(now);
                if let Some(last) = self.last_token.replace(now) {
                    self.gaps.push(now - last);
                }
            }
        }
    }

    /// Whether a unit reported an error although the status did not.
    pub(super) fn saw_error(&self) -> bool {
        self.framer.saw_error()
    }

    /// Writes what it saw into the call.
    pub(super) fn tell(self, call: &mut InFlight<'_>) {
        let counters = call.counters();
        for gap in &self.gaps {
            counters.token_gap(*gap);
        }
        if call.is_touched() {
            let touched = counters.touched();
            for gap in &self.gaps {
                touched.token_gap(*gap);
            }
        }
        call.units = self.units;
        call.tokens = self.tokens;
        call.first_token = self.first_token;
        call.output_tokens = self.framer.usage().and_then(|usage| usage.output_tokens);
    }
}
