//! What of the decision log is configured.

use std::path::PathBuf;

use xxhash_rust::xxh3::xxh3_64;

use crate::record::Facts;

/// Where the decision log goes, and how much of it.
#[derive(Clone, Debug, PartialEq)]
pub struct LogSettings {
    pub decisions: DecisionLevel,
    /// Standard output where absent.
    pub file: Option<PathBuf>,
    /// The file is rotated at this size.
    pub max_bytes: u64,
    /// So many rotated files are kept.
    pub keep: usize,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            decisions: DecisionLevel::Fired,
            file: None,
            max_bytes: 64 << 20,
            keep: 5,
        }
    }
}

/// Which calls the decision log tells of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DecisionLevel {
    All,
    /// Calls on which an effect acted or would have.
    Fired,
    Off,
    /// This share of all calls, by hash of the call's id.
    Sample(f64),
    /// Calls that a rule selected.
    Selected,
}

impl DecisionLevel {
    /// Whether a call is told of.
    pub fn wants(self, facts: Facts) -> bool {
        match self {
            Self::All => true,
            Self::Fired => facts.fired,
            Self::Off => false,
            Self::Sample(share) => sampled(facts.call, share),
            Self::Selected => facts.selected || facts.fired,
        }
    }
}

/// Whether a call falls into the share: a function of its id, so that a call's lines of every
/// kind are all there or none.
fn sampled(call: u64, share: f64) -> bool {
    // 53 bits: every value is exact, 1.0 is never reached, so a share of 1 takes all calls.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
    let point = (xxh3_64(&call.to_le_bytes()) >> 11) as f64 / (1u64 << 53) as f64;
    point < share
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(call: u64, selected: bool, fired: bool) -> Facts {
        Facts {
            call,
            selected,
            fired,
        }
    }

    #[test]
    fn each_level_tells_of_its_calls_only() {
        let untouched = facts(1, false, false);
        let selected = facts(2, true, false);
        let fired = facts(3, true, true);
        for (level, expected) in [
            (DecisionLevel::All, [true, true, true]),
            (DecisionLevel::Fired, [false, false, true]),
            (DecisionLevel::Off, [false, false, false]),
            (DecisionLevel::Sample(0.0), [false, false, false]),
            (DecisionLevel::Sample(1.0), [true, true, true]),
            (DecisionLevel::Selected, [false, true, true]),
        ] {
            let got = [untouched, selected, fired].map(|it| level.wants(it));
            assert_eq!(got, expected, "{level:?}");
        }
    }

    #[test]
    fn a_sample_takes_its_share_of_ids_and_always_the_same() {
        let level = DecisionLevel::Sample(0.05);
        let wanted = |id| level.wants(facts(id, false, false));
        let taken = (0..100_000).filter(|&id| wanted(id)).count();
        // 4σ of a binomial with n = 100,000 and p = 0.05 is 276.
        assert!(taken.abs_diff(5_000) < 276, "{taken}");
        assert!((0..1000).all(|id| wanted(id) == wanted(id)));
    }
}
