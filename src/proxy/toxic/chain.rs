//! One direction's toxics, one after the other, each with the pieces that wait for it. Bytes come in
//! at the front with the time at which they were read and leave at the end; in between there is no
//! socket and no clock, only the time that it is told.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use crate::draw::{Draws, Identity, trigger};
use crate::proxy::toxic::stage::{Came, Harm, Stage, Turn};
use crate::toxic::{Direction, Placed, ToxicKind};
use crate::units::Seed;

/// What was read at once.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    pub(super) bytes: Bytes,
    /// When it was read; behind a latency, when it was to leave that.
    pub(super) at: Instant,
}

/// What waits for one stage, or to be written.
#[derive(Debug)]
pub(super) struct Inbox {
    chunks: VecDeque<Chunk>,
    room: usize,
    /// Nothing comes after these.
    ended: bool,
}

impl Inbox {
    pub(super) fn new(room: usize) -> Self {
        Self {
            chunks: VecDeque::new(),
            room,
            ended: false,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.chunks.len() < self.room && !self.ended
    }

    /// Also where there is no room: what is flushed must go somewhere. Behind an end nothing comes.
    pub(super) fn push(&mut self, chunk: Chunk) {
        if !self.ended && !chunk.bytes.is_empty() {
            self.chunks.push_back(chunk);
        }
    }

    pub(super) fn front(&self) -> Option<&Chunk> {
        self.chunks.front()
    }

    pub(super) fn front_mut(&mut self) -> Option<&mut Chunk> {
        self.chunks.front_mut()
    }

    pub(super) fn pop(&mut self) -> Option<Chunk> {
        self.chunks.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether there was something to drop.
    pub(super) fn clear(&mut self) -> bool {
        let held = !self.chunks.is_empty();
        self.chunks.clear();
        held
    }

    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Whether the end is what comes next.
    pub(super) fn is_over(&self) -> bool {
        self.ended && self.chunks.is_empty()
    }
}

/// What a chain's draws are drawn for.
#[derive(Clone, Debug)]
pub(super) struct Drawn {
    pub(super) seed: Seed,
    pub(super) listener: Arc<str>,
    pub(super) connection: u64,
    pub(super) direction: Direction,
}

impl Drawn {
    /// Whether a toxic acts on this direction of this connection.
    fn acts(&self, placed: &Placed) -> bool {
        let identity = Identity::Redraw {
            connection: self.connection,
            downstream: self.direction == Direction::Downstream,
            redraw: placed.redraw,
        };
        let draw = trigger(self.seed, &placed.rule, &self.listener, identity);
        // The nearest number below 1 is 1 as a float of 32 bits: compared as the longer ones.
        draw < f64::from(placed.toxic.toxicity)
    }

    fn draws(&self, placed: &Placed) -> Draws {
        let redraw = usize::try_from(placed.redraw).unwrap_or(usize::MAX);
        Draws::new(
            self.seed,
            &placed.rule,
            &self.listener,
            redraw,
            self.connection,
        )
    }
}

/// The stages of one direction of one connection.
#[derive(Debug)]
pub(super) struct Chain {
    drawn: Drawn,
    stages: Vec<Stage>,
    out: Inbox,
    /// Nothing that comes in can leave any more.
    severed: bool,
    /// Toxics that have acted for the first time, to be counted.
    acted: Vec<Arc<Placed>>,
    /// The toxic that has ended the stream.
    closed_by: Option<Arc<Placed>>,
    /// A toxic has dropped bytes.
    dropped: Option<Arc<Placed>>,
}

impl Chain {
    pub(super) fn new(drawn: Drawn) -> Self {
        Self {
            drawn,
            stages: Vec::new(),
            out: Inbox::new(1),
            severed: false,
            acted: Vec::new(),
            closed_by: None,
            dropped: None,
        }
    }

    /// Changes to the toxics that are wanted now. Those that stay keep what they know; whether they
    /// act is decided anew where their draw has changed. `came`: when those that are new came.
    pub(super) fn refresh(&mut self, wanted: &[Arc<Placed>], came: Came, now: Instant) {
        let mut place = 0;
        while let Some(stage) = self.stages.get(place) {
            if wanted.iter().any(|it| it.id == stage.placed.id) {
                place += 1;
            } else {
                self.remove(place);
            }
        }
        for placed in wanted {
            if placed.toxic.direction != self.drawn.direction {
                continue;
            }
            let known = self.stages.iter_mut().find(|it| it.placed.id == placed.id);
            match known {
                Some(stage) if stage.placed.redraw == placed.redraw => {}
                Some(stage) => {
                    let acts = self.drawn.acts(placed);
                    stage.restart(placed, acts, self.drawn.draws(placed), now);
                }
                None if self.severed => {}
                None => {
                    let acts = self.drawn.acts(placed);
                    let draws = self.drawn.draws(placed);
                    let stage = Stage::new(placed, acts, came, draws, now);
                    self.stages.push(stage);
                }
            }
        }
    }

    /// Takes a stage out: what it holds passes on undelayed. A timeout that acts takes the
    /// connection with it, since what it has dropped cannot be given back.
    fn remove(&mut self, place: usize) {
        let stage = self.stages.remove(place);
        let next = match self.stages.get_mut(place) {
            Some(stage) => &mut stage.inbox,
            None => &mut self.out,
        };
        if stage.acts && matches!(stage.placed.toxic.kind, ToxicKind::Timeout { .. }) {
            if !next.ended {
                self.closed_by.get_or_insert(stage.placed);
            }
            next.end();
            self.severed = true;
        } else {
            stage.spill(next);
        }
    }

    /// Whether bytes may pass beside it: it has no stage, holds nothing and has not ended.
    pub(super) fn is_bare(&self) -> bool {
        self.stages.is_empty() && self.out.is_empty() && !self.out.ended
    }

    /// Whether more can be read for it.
    pub(super) fn has_room(&self) -> bool {
        !self.severed
            && self
                .stages
                .first()
                .map_or(&self.out, |it| &it.inbox)
                .has_room()
    }

    pub(super) fn push(&mut self, chunk: Chunk) {
        self.first().push(chunk);
    }

    /// The source has ended.
    pub(super) fn end(&mut self) {
        self.first().end();
    }

    fn first(&mut self) -> &mut Inbox {
        match self.stages.first_mut() {
            Some(stage) => &mut stage.inbox,
            None => &mut self.out,
        }
    }

    /// What is to be written.
    pub(super) fn out(&mut self) -> &mut Inbox {
        &mut self.out
    }

    /// Moves everything as far as it goes at this time; when there is more to do by then.
    pub(super) fn advance(&mut self, now: Instant) -> Option<Instant> {
        loop {
            let (mut moved, mut wake) = (false, None);
            for place in (0..self.stages.len()).rev() {
                let (stages, later) = self.stages.split_at_mut(place + 1);
                let stage = &mut stages[place];
                let out = later.first_mut().map_or(&mut self.out, |it| &mut it.inbox);
                let turn = stage.step(now, out);
                moved |= turn.moved;
                wake = earlier(wake, turn.wake);
                if turn.acted && !stage.told {
                    stage.told = true;
                    self.acted.push(Arc::clone(&stage.placed));
                }
                let blamed = match turn.harm {
                    Harm::None => None,
                    Harm::Dropped => Some(&mut self.dropped),
                    Harm::Closed => Some(&mut self.closed_by),
                };
                if let Some(blamed) = blamed {
                    blamed.get_or_insert_with(|| Arc::clone(&stage.placed));
                }
                if stage.closed {
                    // What stands before it is cut off.
                    self.severed = true;
                    break;
                }
            }
            if !moved {
                return wake;
            }
        }
    }

    /// Whether nothing more is to be written.
    pub(super) fn is_over(&self) -> bool {
        self.out.is_over()
    }

    /// Whether a toxic has ended the connection that waits for no receiver.
    pub(super) fn is_cut_off(&self) -> bool {
        let kind = self.closed_by.as_ref().map(|it| it.toxic.kind);
        matches!(
            kind,
            Some(ToxicKind::Timeout { .. } | ToxicKind::ResetPeer { .. })
        )
    }

    /// Toxics that have acted for the first time since this was last asked.
    pub(super) fn take_acted(&mut self) -> Vec<Arc<Placed>> {
        std::mem::take(&mut self.acted)
    }

    /// The toxic because of which the receiver did not get what was sent, if there is one.
    pub(super) fn harmed_by(&self) -> Option<&Arc<Placed>> {
        self.closed_by.as_ref().or(self.dropped.as_ref())
    }

    /// Whether the sockets are to be reset when they are closed: a `reset_peer` acts on the
    /// connection since its start.
    pub(super) fn resets(&self) -> bool {
        let mut stages = self.stages.iter();
        stages.any(|it| {
            it.acts
                && it.came == Came::First
                && matches!(it.placed.toxic.kind, ToxicKind::ResetPeer { .. })
        })
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Passes on all that has come.
pub(super) fn pass(turn: &mut Turn<'_>) {
    while !turn.inbox.is_empty() && turn.out.has_room() {
        if let Some(chunk) = turn.inbox.pop() {
            turn.send(chunk);
        }
    }
    turn.pass_end();
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
