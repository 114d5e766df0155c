//! `slicer`: what was read at once leaves in small pieces, with a pause after each.

use std::time::Duration;

use tokio::time::Instant;

use crate::draw::Draws;
use crate::proxy::toxic::chain::Chunk;
use crate::proxy::toxic::stage::Turn;

#[derive(Debug)]
pub(super) struct Slicer {
    average: usize,
    variation: usize,
    pause: Duration,
    /// What is left of the piece that is being sliced.
    held: Option<Chunk>,
    /// The lengths of its parts that are still to be halved or to leave, the first one last.
    parts: Vec<usize>,
    /// Nothing leaves before.
    until: Option<Instant>,
}

impl Slicer {
    /// An average or variation that Toxiproxy would crash on gives the smallest slices: of one byte.
    pub(super) fn new(average: i64, variation: i64, pause_us: i64) -> Self {
        Self {
            average: usize::try_from(average).unwrap_or(0),
            variation: usize::try_from(variation).unwrap_or(0),
            pause: Duration::from_micros(u64::try_from(pause_us).unwrap_or(0)),
            held: None,
            parts: Vec::new(),
            until: None,
        }
    }

    pub(super) fn step(&mut self, turn: &mut Turn<'_>) {
        loop {
            if let Some(until) = self.until {
                if !turn.is_due(Some(until)) {
                    return;
                }
                self.until = None;
            }
            if self.held.is_none() {
                let Some(chunk) = turn.take() else {
                    return turn.pass_end();
                };
                self.parts.push(chunk.bytes.len());
                self.held = Some(chunk);
            }
            if !turn.out.has_room() {
                return;
            }
            let length = self.next_slice(turn.draws);
            let Some(chunk) = &mut self.held else { return };
            let (bytes, at) = (chunk.bytes.split_to(length), chunk.at);
            if chunk.bytes.is_empty() {
                self.held = None;
            } else {
                turn.done.acted = true;
            }
            turn.send(Chunk { bytes, at });
            if !self.pause.is_zero() {
                self.until = turn.now.checked_add(self.pause);
            }
        }
    }

    /// Halves the first part, give or take the variation, until it is small enough; the order of
    /// the draws is that of a recursion, first half first, without its depth.
    fn next_slice(&mut self, draws: &mut Draws) -> usize {
        loop {
            let length = self.parts.pop().unwrap_or(1);
            if length <= 1 || length.saturating_sub(self.average) <= self.variation {
                return length;
            }
            let mut half = length / 2;
            if self.variation > 0 {
                let spread = draws.below((self.variation as u64).saturating_mul(2));
                let spread = usize::try_from(spread).unwrap_or(usize::MAX);
                half = half.saturating_add(spread).saturating_sub(self.variation);
            }
            // Both halves have something.
            let half = half.clamp(1, length - 1);
            self.parts.push(length - half);
            self.parts.push(half);
        }
    }

    /// What is left leaves in one piece.
    pub(super) fn interrupt(&mut self) -> Option<Chunk> {
        self.parts.clear();
        self.until = None;
        self.held.take()
    }
}
