//! What a configuration is read with, beside its text.

use std::fmt;
use std::time::Duration;

use super::Environment;
use crate::rule::RuleSet;
use crate::units::Seed;

/// What a configuration is read with, beside its text. A reload gives all of it, a start only the
/// environment and what flags say.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// Looks variables up for `${NAME}`.
    pub environment: Environment<'a>,
    /// In place of the text's.
    pub seed: Option<Seed>,
    /// Rules decide and count, and touch nothing, whatever the text says.
    pub dry_run: bool,
    /// The number of the snapshot; the first is 1.
    pub generation: u64,
    /// Now, since the process started.
    pub at: Duration,
    /// The rules that are replaced: unchanged ones keep their state.
    pub previous: Option<&'a RuleSet>,
}

impl<'a> Inputs<'a> {
    /// The inputs of a start without flags.
    pub fn new(environment: Environment<'a>) -> Self {
        Self {
            environment,
            seed: None,
            dry_run: false,
            generation: 1,
            at: Duration::ZERO,
            previous: None,
        }
    }
}

impl fmt::Debug for Inputs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs")
            .field("seed", &self.seed)
            .field("dry_run", &self.dry_run)
            .field("generation", &self.generation)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
