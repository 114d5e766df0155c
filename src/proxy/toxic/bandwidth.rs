//! `bandwidth`: each piece costs its time before it leaves, and a large one leaves in slices of a
//! tenth of a second.

use std::time::Duration;

use tokio::time::Instant;

use crate::proxy::toxic::chain::Chunk;
use crate::proxy::toxic::stage::Turn;

/// What leaves at once is worth no more time than this.
const SLICE: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Bandwidth {
    /// Bytes a millisecond; 0: nothing passes.
    rate: u64,
    held: Option<Chunk>,
    /// Nanoseconds that what is held is still to wait; less than none where it has waited longer.
    debt: i128,
    /// The wait that is under way began then.
    since: Option<Instant>,
}

impl Bandwidth {
    pub(super) fn new(rate: i64) -> Self {
        Self {
            rate: u64::try_from(rate).unwrap_or(0),
            held: None,
            debt: 0,
            since: None,
        }
    }

    pub(super) fn step(&mut self, turn: &mut Turn<'_>) {
        loop {
            if self.held.is_none() {
                let Some(chunk) = turn.take() else {
                    return turn.pass_end();
                };
                self.since = Some(turn.now);
                self.debt += self.cost(chunk.bytes.len());
                self.held = Some(chunk);
            }
            let (Some(chunk), Some(since)) = (&mut self.held, self.since) else {
                return;
            };
            let slice = usize::try_from(self.rate.saturating_mul(100)).unwrap_or(usize::MAX);
            if slice == 0 {
                // Not even the end passes, until it is updated or removed.
                turn.done.acted = true;
                return;
            }
            let whole = chunk.bytes.len() <= slice;
            let wait = if whole { nanos(self.debt) } else { SLICE };
            turn.done.acted |= !wait.is_zero();
            if !turn.is_due(since.checked_add(wait)) || !turn.out.has_room() {
                return;
            }
            let waited = turn.now - since;
            let leaving = if whole {
                self.debt -= waited.as_nanos().cast_signed();
                self.held.take()
            } else {
                let bytes = chunk.bytes.split_to(slice);
                let at = chunk.at;
                // Looked at late, the next slice comes the earlier; but not all at once.
                let late = waited.saturating_sub(wait).min(SLICE);
                self.debt -= SLICE.as_nanos().cast_signed();
                self.since = Some(turn.now - late);
                Some(Chunk { bytes, at })
            };
            if let Some(leaving) = leaving {
                turn.send(leaving);
            }
        }
    }

    fn cost(&self, bytes: usize) -> i128 {
        let nanos = (bytes as u128 * 1_000_000).checked_div(u128::from(self.rate));
        nanos.unwrap_or(0).cast_signed()
    }

    pub(super) fn interrupt(&mut self) -> Option<Chunk> {
        self.debt = 0;
        self.held.take()
    }
}

fn nanos(debt: i128) -> Duration {
    Duration::from_nanos(u64::try_from(debt.max(0)).unwrap_or(u64::MAX))
}
