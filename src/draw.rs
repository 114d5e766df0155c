//! Randomness that can be replayed: every draw is a hash of the seed and of what it is drawn for,
//! so neither thread count, nor order, nor other rules move it.

use rand::Rng;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use crate::units::Seed;

/// What makes two calls the same to a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity<'a> {
    /// The call's number on its listener.
    Number(u64),
    /// The value of the rule's `key`: a sticky cohort.
    Key(&'a [u8]),
    /// One direction of a connection, decided for the n-th time.
    Redraw {
        connection: u64,
        downstream: bool,
        redraw: u64,
    },
}

/// The trigger draw of one rule for one call, uniform in `0.0..1.0`. A hit is `u < p`, so raising
/// `p` only adds calls.
pub fn trigger(seed: Seed, rule: &str, listener: &str, identity: Identity<'_>) -> f64 {
    let hashed = |parts: &[&[u8]]| hash(seed, b"trigger", rule, listener, parts);
    unit_interval(match identity {
        Identity::Number(number) => hashed(&[&[0], &number.to_le_bytes()]),
        Identity::Key(key) => hashed(&[&[1], key]),
        Identity::Redraw {
            connection,
            downstream,
            redraw,
        } => hashed(&[
            &[2, u8::from(downstream)],
            &connection.to_le_bytes(),
            &redraw.to_le_bytes(),
        ]),
    })
}

/// A stream of parameter draws for one fault of one rule on one call.
#[derive(Clone, Debug)]
pub struct Draws(Xoshiro256PlusPlus);

impl Draws {
    pub fn new(seed: Seed, rule: &str, listener: &str, fault_index: usize, call: u64) -> Self {
        let index = (fault_index as u64).to_le_bytes();
        let parts: [&[u8]; 2] = [&index, &call.to_le_bytes()];
        Self::from_sub_seed(hash(seed, b"parameter", rule, listener, &parts))
    }

    /// A stream that an effect carries with it, to draw for each unit or byte as it comes.
    pub fn from_sub_seed(sub_seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(sub_seed))
    }

    /// The seed of a stream of its own.
    pub fn sub_seed(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `0.0..1.0`.
    pub fn uniform(&mut self) -> f64 {
        unit_interval(self.0.next_u64())
    }

    /// Uniform in `0..bound`; 0 where `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // Multiply-shift: its bias is below 2^-64 times the bound, far under any statistic here.
        ((u128::from(self.0.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// The generator itself, for distributions.
    pub fn rng(&mut self) -> &mut Xoshiro256PlusPlus {
        &mut self.0
    }
}

/// The hash of what a draw is for. Put together on the stack where it fits: one short text is hashed
/// in a tenth of the time that a running hash takes to set up.
fn hash(seed: Seed, purpose: &[u8], rule: &str, listener: &str, identity: &[&[u8]]) -> u64 {
    const ROOM: usize = 256;
    // Lengths keep ("ab", "c") apart from ("a", "bc").
    let lengths = [rule.len(), listener.len()].map(|it| (it as u64).to_le_bytes());
    let named: [&[u8]; 5] = [
        purpose,
        &lengths[0],
        rule.as_bytes(),
        &lengths[1],
        listener.as_bytes(),
    ];
    let parts = || named.iter().chain(identity);
    if parts().map(|it| it.len()).sum::<usize>() > ROOM {
        let mut running = Xxh3::with_seed(seed.0);
        parts().for_each(|it| running.update(it));
        return running.digest();
    }
    let mut text = [0; ROOM];
    let mut end = 0;
    for part in parts() {
        text[end..end + part.len()].copy_from_slice(part);
        end += part.len();
    }
    xxh3_64_with_seed(&text[..end], seed.0)
}

fn unit_interval(bits: u64) -> f64 {
    // 53 bits: every value is exact, 1.0 is never reached.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
    let value = (bits >> 11) as f64 / (1u64 << 53) as f64;
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_functions_of_their_names() {
        let one = trigger(Seed(7), "slow", "chat", Identity::Number(1));
        assert_eq!(
            one.to_bits(),
            trigger(Seed(7), "slow", "chat", Identity::Number(1)).to_bits()
        );
        for other in [
            trigger(Seed(8), "slow", "chat", Identity::Number(1)),
            trigger(Seed(7), "slowc", "hat", Identity::Number(1)),
            trigger(Seed(7), "slow", "chat", Identity::Number(2)),
            trigger(Seed(7), "slow", "chat", Identity::Key(&1u64.to_le_bytes())),
        ] {
            assert_ne!(one.to_bits(), other.to_bits());
        }
    }

    #[test]
    fn draws_are_the_same_in_every_release() {
        let close = |is: f64, want: f64| assert!((is - want).abs() < 1e-15, "{is:?}");
        close(
            trigger(Seed(7), "slow", "chat", Identity::Number(1)),
            0.740_508_665_725_723_8,
        );
        close(
            trigger(Seed(7), "slow", "chat", Identity::Key(b"user-1")),
            0.311_262_981_856_135_43,
        );
        let redraw = Identity::Redraw {
            connection: 3,
            downstream: true,
            redraw: 2,
        };
        close(
            trigger(Seed(7), "slow", "chat", redraw),
            0.700_707_092_747_845_9,
        );
        // One that is put together on the stack, and one that is too long for it.
        for (name, want) in [
            ("slow", 7_006_476_796_204_139_221),
            ("s".repeat(300).as_str(), 1_511_811_310_423_102_532),
        ] {
            assert_eq!(Draws::new(Seed(7), name, "chat", 1, 5).sub_seed(), want);
        }
    }

    #[test]
    fn trigger_is_uniform_over_call_numbers() {
        let calls = 100_000;
        let hits = (0..calls)
            .filter(|&n| trigger(Seed(1), "r", "l", Identity::Number(n)) < 0.1)
            .count();
        // 4σ of a binomial with n = 100,000 and p = 0.1 is 379.
        assert!(hits.abs_diff(10_000) < 380, "{hits}");
    }

    #[test]
    fn below_covers_its_range_and_no_more() {
        let mut draws = Draws::from_sub_seed(3);
        let mut seen = [false; 7];
        for _ in 0..1000 {
            seen[usize::try_from(draws.below(7)).unwrap()] = true;
        }
        assert_eq!(seen, [true; 7]);
        assert_eq!(draws.below(0), 0);
    }
}
