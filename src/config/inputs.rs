//! What a configuration is read with, beside its text.

use std::fmt;

use super::Environment;
use crate::units::Seed;

/// What a configuration is read with, beside its text.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// Looks variables up for `${NAME}`.
    pub environment: Environment<'a>,
    /// In place of the text's.
    pub seed: Option<Seed>,
    /// Rules decide and count, and touch nothing, whatever the text says.
    pub dry_run: bool,
}

impl<'a> Inputs<'a> {
    /// The inputs without flags.
    pub fn new(environment: Environment<'a>) -> Self {
        Self {
            environment,
            seed: None,
            dry_run: false,
        }
    }
}

impl fmt::Debug for Inputs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs")
            .field("seed", &self.seed)
            .field("dry_run", &self.dry_run)
            .finish_non_exhaustive()
    }
}
