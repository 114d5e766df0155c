//! Bytes damaged as they pass. What is hit depends on the place in the body and the seed alone, so
//! any split of the same body is damaged alike (but for a swap across two reads, see `strike`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use crate::draw::Draws;
use crate::effect::{Damage, Fate, NotApplicable, Planned};
use crate::proxy::execution::Execution;

#[derive(Debug)]
pub(super) struct Damager {
    step: usize,
    planned: Rc<Planned>,
    how: How,
    skip: u64,
    draws: Draws,
    acted: bool,
}

#[derive(Debug)]
enum How {
    /// Bit positions in the body, ascending, last first (so that the next is popped).
    Bits(Vec<u64>),
    /// Events with a chance each: the next place that is hit, in bits or bytes of the body.
    Each {
        kind: Kind,
        chance: f64,
        next: Option<u64>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    FlipBit,
    Random,
    /// The byte and the one before it change places.
    Swap,
    Zero,
}

impl Damager {
    pub(super) fn new(
        step: usize,
        planned: Rc<Planned>,
        damage: Damage,
        skip: u64,
        sub_seed: u64,
        length: Option<u64>,
    ) -> Result<Self, NotApplicable> {
        let mut draws = Draws::from_sub_seed(sub_seed);
        let each = |kind, chance| How::Each {
            kind,
            chance,
            next: None,
        };
        let how = match damage {
            Damage::BitFlipCount(count) => {
                let bytes = length.ok_or(NotApplicable::Length)?.saturating_sub(skip);
                How::Bits(distinct_bits(count, skip, bytes, &mut draws))
            }
            Damage::BitFlipRate(chance) => each(Kind::FlipBit, chance),
            Damage::Random(chance) => each(Kind::Random, chance),
            Damage::Swap(chance) => each(Kind::Swap, chance),
            Damage::Zero(chance) => each(Kind::Zero, chance),
        };
        Ok(Self {
            step,
            planned,
            how,
            skip,
            draws,
            acted: false,
        })
    }

    /// As [`Self::damage`]; a panic in it disarms the rule. Whether there was none.
    pub(super) fn damage_or_disarm(
        &mut self,
        bytes: &mut [u8],
        offset: u64,
        execution: &Execution,
    ) -> bool {
        // What a panic leaves of this damager is never used again: its rule is disarmed.
        let tried = catch_unwind(AssertUnwindSafe(|| self.damage(bytes, offset, execution)));
        if tried.is_err() {
            execution.panicked(&self.planned.token);
        }
        tried.is_ok()
    }

    /// Damages the bytes that stand at `offset` of the body.
    fn damage(&mut self, bytes: &mut [u8], offset: u64, execution: &Execution) {
        if !execution.is_live(&self.planned.token) {
            if !self.acted {
                execution.settle(self.step, Fate::Revoked);
            }
            return;
        }
        let end = offset + bytes.len() as u64;
        let hit = match &mut self.how {
            How::Bits(bits) => flip_listed(bits, bytes, offset, end),
            How::Each { kind, chance, next } => {
                let scale = if *kind == Kind::FlipBit { 8 } else { 1 };
                let mut hit = false;
                loop {
                    let place = *next.get_or_insert_with(|| {
                        (self.skip * scale).saturating_add(gap(*chance, &mut self.draws))
                    });
                    if place / scale >= end {
                        break hit;
                    }
                    if place / scale >= offset {
                        let index = usize::try_from(place / scale - offset).unwrap_or(usize::MAX);
                        hit |= strike(*kind, bytes, index, place % 8, &mut self.draws);
                    }
                    *next = Some(
                        place
                            .saturating_add(1)
                            .saturating_add(gap(*chance, &mut self.draws)),
                    );
                }
            }
        };
        if hit && !self.acted {
            self.acted = true;
            execution.settle(self.step, Fate::Applied);
        }
    }
}

fn flip_listed(bits: &mut Vec<u64>, bytes: &mut [u8], offset: u64, end: u64) -> bool {
    let mut hit = false;
    while let Some(bit) = bits.pop_if(|bit| *bit / 8 < end) {
        if let Some(byte) = usize::try_from((bit / 8).wrapping_sub(offset))
            .ok()
            .and_then(|at| bytes.get_mut(at))
        {
            *byte ^= 1 << (bit % 8);
            hit = true;
        }
    }
    hit
}

fn strike(kind: Kind, bytes: &mut [u8], index: usize, bit: u64, draws: &mut Draws) -> bool {
    match kind {
        Kind::FlipBit => bytes[index] ^= 1 << bit,
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        Kind::Random => bytes[index] = draws.below(256) as u8,
        // The first byte of a piece has its neighbour in the piece before, which is gone: the one
        // after it serves.
        Kind::Swap if index > 0 => bytes.swap(index - 1, index),
        Kind::Swap if bytes.len() > 1 => bytes.swap(0, 1),
        Kind::Swap => return false,
        Kind::Zero => bytes[index] = 0,
    }
    true
}

/// How many trials pass before the next hit: geometric, one draw a hit and none for the rest.
fn gap(chance: f64, draws: &mut Draws) -> u64 {
    if chance >= 1.0 {
        return 0;
    }
    // ln(1-u)/ln(1-p); a chance of 0 gives infinity, which saturates.
    let trials = (-draws.uniform()).ln_1p() / (-chance).ln_1p();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates; never negative"
    )]
    let trials = if trials.is_nan() {
        u64::MAX
    } else {
        trials as u64
    };
    trials
}

/// `count` different bits of `bytes` bytes after `skip`; all of them where there are fewer.
fn distinct_bits(count: u32, skip: u64, bytes: u64, draws: &mut Draws) -> Vec<u64> {
    let all = bytes.saturating_mul(8);
    let count = u64::from(count).min(all);
    // Floyd's sampling: each set of `count` bits is equally likely, and each is drawn once.
    let mut chosen = std::collections::BTreeSet::new();
    for top in all - count..all {
        let bit = draws.below(top + 1);
        if !chosen.insert(bit) {
            chosen.insert(top);
        }
    }
    chosen.into_iter().rev().map(|bit| bit + skip * 8).collect()
}
