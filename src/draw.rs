//! Randomness that can be replayed: every draw is a hash of the seed and of what it is drawn for,
//! so neither thread count, nor order, nor other rules move it.

use rand::Rng;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64_with_seed;

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
    let mut text = keyed(b"trigger", rule, listener);
    match identity {
        Identity::Number(number) => {
            text.push(0);
            text.extend_from_slice(&number.to_le_bytes());
        }
        Identity::Key(key) => {
            text.push(1);
            text.extend_from_slice(key);
        }
        Identity::Redraw {
            connection,
            downstream,
            redraw,
        } => {
            text.extend_from_slice(&[2, u8::from(downstream)]);
            text.extend_from_slice(&connection.to_le_bytes());
            text.extend_from_slice(&redraw.to_le_bytes());
        }
    }
    unit_interval(xxh3_64_with_seed(&text, seed.0))
}

/// A stream of parameter draws for one fault of one rule on one call.
#[derive(Clone, Debug)]
pub struct Draws(Xoshiro256PlusPlus);

impl Draws {
    pub fn new(seed: Seed, rule: &str, listener: &str, fault_index: usize, call: u64) -> Self {
        let mut text = keyed(b"parameter", rule, listener);
        text.extend_from_slice(&(fault_index as u64).to_le_bytes());
        text.extend_from_slice(&call.to_le_bytes());
        Self::from_sub_seed(xxh3_64_with_seed(&text, seed.0))
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

/// What a draw is for, as bytes: a short text is hashed in a tenth of the time that a running hash
/// takes to set up.
fn keyed(purpose: &[u8], rule: &str, listener: &str) -> SmallVec<[u8; 128]> {
    let mut text = SmallVec::from_slice(purpose);
    // Lengths keep ("ab", "c") apart from ("a", "bc").
    for part in [rule, listener] {
        text.extend_from_slice(&(part.len() as u64).to_le_bytes());
        text.extend_from_slice(part.as_bytes());
    }
    text
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
