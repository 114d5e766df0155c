//! `latency`: each piece leaves so long after it was read. What waits behind it waits at the same
//! time, so that throughput stays.

use std::time::Duration;

use tokio::time::Instant;

use crate::draw::Draws;
use crate::proxy::toxic::chain::{Chunk, Inbox};
use crate::proxy::toxic::stage::Turn;

#[derive(Debug)]
pub(super) struct Latency {
    /// In milliseconds, as the other.
    delay: i64,
    jitter: i64,
    /// When the first piece leaves; `None`: not drawn yet.
    due: Option<Due>,
}

/// A time that may be beyond all that can be counted: then there is none.
#[derive(Clone, Copy, Debug)]
struct Due(Option<Instant>);

impl Latency {
    pub(super) fn new(delay: i64, jitter: i64) -> Self {
        Self {
            delay,
            jitter,
            due: None,
        }
    }

    pub(super) fn step(&mut self, turn: &mut Turn<'_>) {
        while let Some(first) = turn.inbox.front() {
            let read = first.at;
            let due = match self.due {
                Some(Due(due)) => due,
                None => read.checked_add(self.draw(turn.draws)),
            };
            self.due = Some(Due(due));
            turn.done.acted |= due != Some(read);
            if !turn.is_due(due) || !turn.out.has_room() {
                return;
            }
            self.due = None;
            if let Some(mut chunk) = turn.take() {
                // A second latency counts from here: the two add up.
                chunk.at = due.unwrap_or(read);
                turn.send(chunk);
            }
        }
        turn.pass_end();
    }

    /// Uniform among the whole milliseconds from `delay - jitter` up to below `delay + jitter`.
    fn draw(&self, draws: &mut Draws) -> Duration {
        let mut delay = self.delay;
        if let Ok(jitter) = u64::try_from(self.jitter)
            && jitter > 0
        {
            let spread = draws.below(jitter.saturating_mul(2));
            let spread = i64::try_from(spread).unwrap_or(i64::MAX);
            delay = delay.saturating_sub(self.jitter).saturating_add(spread);
        }
        Duration::from_millis(u64::try_from(delay).unwrap_or(0))
    }

    /// The piece that it is waiting with.
    pub(super) fn interrupt(&mut self, inbox: &mut Inbox) -> Option<Chunk> {
        self.due.take().and_then(|_| inbox.pop())
    }
}
