//! That rules act on a call, shown by their gauges.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use crate::rule::{RuleCell, RuleSet, Verdict};

/// Shows that rules act on a call, for as long as it lives or until they are revoked: gauges come
/// back to zero on every path, also where the call goes on for long after what acted on it ended.
#[derive(Debug, Default)]
pub(super) struct Acting(RefCell<Cells>);

/// Rules by their index.
type Cells = SmallVec<[(u32, Arc<RuleCell>); 2]>;

impl Acting {
    pub(super) fn new(rules: &RuleSet, verdicts: &[Verdict]) -> Self {
        let hits = verdicts.iter().filter(|verdict| verdict.is_hit());
        let cells: Cells = hits
            .filter_map(|verdict| {
                let index = verdict.token.index;
                Some((index, rules.cells().get(index as usize).cloned()?))
            })
            .collect();
        for (_, cell) in &cells {
            cell.counters.active.fetch_add(1, Ordering::Relaxed);
        }
        Self(RefCell::new(cells))
    }

    /// A rule, by its index, was revoked: nothing of it acts any more.
    pub(super) fn end(&self, rule: u32) {
        let mut cells = self.0.borrow_mut();
        let place = cells.iter().position(|(index, _)| *index == rule);
        if let Some(place) = place {
            let (_, cell) = cells.swap_remove(place);
            cell.counters.active.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        for (_, cell) in self.0.get_mut() {
            cell.counters.active.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
