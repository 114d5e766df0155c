//! Rules compiled for the listeners they watch.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::call::Call;
use crate::rule::RuleCell;

/// All rules of one snapshot.
#[derive(Debug, Default)]
pub struct RuleSet {
    cells: Vec<Arc<RuleCell>>,
    listeners: Vec<ListenerRules>,
}

impl RuleSet {
    /// A set of nothing but cells, for tests of what only arms, disarms and counts.
    #[cfg(test)]
    pub(crate) fn of_cells(cells: Vec<Arc<RuleCell>>) -> Self {
        Self {
            cells,
            ..Self::default()
        }
    }

    /// The rules that watch a listener, by its index in the snapshot.
    pub fn listener(&self, listener: usize) -> Option<&ListenerRules> {
        self.listeners.get(listener)
    }

    pub fn cells(&self) -> &[Arc<RuleCell>] {
        &self.cells
    }
}

/// The rules that watch one listener, indexed so that a thousand cost little more than one.
#[derive(Debug, Default)]
pub struct ListenerRules {}

impl ListenerRules {
    /// Whether no rule can ever select a call here: the fast path.
    pub fn is_empty(&self) -> bool {
        true
    }

    /// Rules that the call may be selected by, judged by its head. Where one of them depends on
    /// what only the body tells, `needs_description` or `pointers` say so, and the caller looks
    /// into the body before [`Self::select`].
    pub fn candidates<'r>(&'r self, _call: &Call<'_>) -> Candidates<'r> {
        Candidates::default()
    }

    /// The candidates that select the call, now that all is known that can be: indices into
    /// [`RuleSet::cells`], in file order.
    pub fn select(&self, _candidates: &Candidates<'_>, _call: &Call<'_>) -> SmallVec<[u32; 8]> {
        SmallVec::new()
    }
}

/// What [`ListenerRules::candidates`] found.
#[derive(Debug, Default)]
pub struct Candidates<'r> {
    pub rules: SmallVec<[u32; 8]>,
    /// Whether a candidate asks for model, stream or another part of the protocol's description
    /// that the head did not tell.
    pub needs_description: bool,
    /// JSON pointers into the request body that candidates ask for.
    pub pointers: SmallVec<[&'r str; 4]>,
}
