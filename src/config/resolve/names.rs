//! Names that sections refer to each other by.

use std::collections::BTreeMap;

use crate::config::Problems;
use crate::config::hint::unknown_name;
use crate::config::tree::Located;

/// The names of one kind of table, with their indices.
#[derive(Debug)]
pub(super) struct Names<'a> {
    what: &'static str,
    known: BTreeMap<&'a str, usize>,
    /// A file could not be read: a name that is not here may stand there.
    partial: bool,
}

impl<'a> Names<'a> {
    pub(super) fn new(
        what: &'static str,
        names: impl Iterator<Item = &'a str>,
        partial: bool,
    ) -> Self {
        let known = names.enumerate().map(|(index, name)| (name, index));
        Self {
            what,
            known: known.collect(),
            partial,
        }
    }

    /// The index of a name; an unknown one is a problem with what stands at `path`.
    pub(super) fn index<T>(
        &self,
        at: &Located<'_, T>,
        path: &str,
        name: &str,
        problems: &mut Problems,
    ) -> Option<usize> {
        let found = self.known.get(name).copied();
        if found.is_none() && !self.partial {
            let known: Vec<&str> = self.known.keys().copied().collect();
            let hint = unknown_name(self.what, name, &known);
            let help = if known.is_empty() {
                Some(format!("there is none yet: add `[{}s.{name}]`", self.what))
            } else {
                hint.help
            };
            at.error(problems, path, hint.message, help);
        }
        found
    }
}
