//! The toxics that end a connection, or hold its end back: `slow_close`, `timeout`, `reset_peer`,
//! `limit_data`.

use std::time::Duration;

use tokio::time::Instant;

use crate::proxy::toxic::chain::Chunk;
use crate::proxy::toxic::stage::{Harm, Turn, millis};

/// Only the end comes later.
#[derive(Debug)]
pub(super) struct SlowClose {
    delay: Duration,
    /// The end came then.
    since: Option<Instant>,
}

impl SlowClose {
    pub(super) fn new(delay_ms: i64) -> Self {
        Self {
            delay: millis(delay_ms),
            since: None,
        }
    }

    pub(super) fn step(&mut self, turn: &mut Turn<'_>) {
        while !turn.inbox.is_empty() && turn.out.has_room() {
            if let Some(chunk) = turn.take() {
                turn.send(chunk);
            }
        }
        if turn.inbox.is_over() {
            let since = *self.since.get_or_insert(turn.now);
            turn.done.acted |= !self.delay.is_zero();
            if turn.is_due(since.checked_add(self.delay)) {
                turn.pass_end();
            }
        }
    }
}

/// Nothing passes, and after a time the connection ends. The time counts from when the toxic begins
/// to act on the connection: traffic does not put it off.
#[derive(Debug)]
pub(super) struct Timeout {
    /// `None`: it never ends by itself.
    timeout: Option<Duration>,
    since: Instant,
}

impl Timeout {
    pub(super) fn new(timeout_ms: i64, now: Instant) -> Self {
        let timeout = millis(timeout_ms);
        Self {
            timeout: (!timeout.is_zero()).then_some(timeout),
            since: now,
        }
    }

    pub(super) fn step(&mut self, turn: &mut Turn<'_>) {
        if turn.inbox.clear() {
            turn.done.moved = true;
            turn.done.acted = true;
            turn.done.harm = Harm::Dropped;
        }
        turn.pass_end();
        if let Some(timeout) = self.timeout
            && !turn.out.is_ended()
            && turn.is_due(self.since.checked_add(timeout))
        {
            turn.close();
        }
    }
}

/// The first bytes, or the end, start the clock; nothing passes, and when it has run down the
/// connection ends.
#[derive(Debug)]
pub(super) struct ResetPeer {
    pub(super) timeout: Duration,
    since: Option<Instant>,
    /// The bytes that started it.
    held: Option<Chunk>,
}

impl ResetPeer {
    pub(super) fn new(timeout_ms: i64) -> Self {
        Self {
            timeout: millis(timeout_ms),
            since: None,
            held: None,
        }
    }

    pub(super) fn step(&mut self, turn: &mut Turn<'_>) {
        if self.since.is_none() {
            self.held = turn.take();
            if self.held.is_none() && !turn.inbox.is_over() {
                return;
            }
            self.since = Some(turn.now);
            turn.done.acted = true;
        }
        let due = self.since.and_then(|it| it.checked_add(self.timeout));
        if turn.is_due(due) {
            turn.close();
        }
    }

    /// It does not end the connection after all.
    pub(super) fn let_go(&mut self) -> Option<Chunk> {
        self.since = None;
        self.held.take()
    }
}

/// So many bytes pass, then the connection ends.
#[derive(Debug)]
pub(super) struct LimitData {
    pub(super) limit: i64,
    passed: u64,
}

impl LimitData {
    pub(super) fn new(limit: i64) -> Self {
        Self { limit, passed: 0 }
    }

    fn left(&self) -> usize {
        let left = u64::try_from(self.limit).unwrap_or(0);
        usize::try_from(left.saturating_sub(self.passed)).unwrap_or(usize::MAX)
    }

    pub(super) fn step(&mut self, turn: &mut Turn<'_>) {
        while !turn.inbox.is_empty() {
            let left = self.left();
            if left > 0 {
                if !turn.out.has_room() {
                    return;
                }
                let Some(mut chunk) = turn.take() else { return };
                chunk.bytes.truncate(left);
                self.passed += chunk.bytes.len() as u64;
                turn.send(chunk);
            }
            if self.left() == 0 {
                return turn.close();
            }
        }
        turn.pass_end();
    }
}
