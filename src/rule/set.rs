//! Rules compiled for the listeners they watch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use smallvec::SmallVec;

use crate::call::Moment;
use crate::effect::{Fate, RuleToken};
use crate::rule::cell::micros;
use crate::rule::listener::Entry;
use crate::rule::{ListenerRules, PathGlob, RuleCell, RuleSpec, Selected, Trigger};

/// All rules of one snapshot, in file order.
#[derive(Debug, Default)]
pub struct RuleSet {
    cells: Vec<Arc<RuleCell>>,
    specs: Vec<RuleSpec>,
    listeners: Vec<ListenerRules>,
    dry_run: bool,
}

/// What rules are compiled for.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// Names of the listeners, in the order of the snapshot.
    pub listeners: &'a [Arc<str>],
    /// Paths that no rule ever touches.
    pub never: &'a [PathGlob],
    /// No rule touches anything; what they would do is decided and counted.
    pub dry_run: bool,
    /// Now, since the process started.
    pub at: Duration,
    /// The rules that these replace: the state of unchanged ones is kept.
    pub previous: Option<&'a RuleSet>,
}

impl RuleSet {
    pub fn compile(specs: Vec<RuleSpec>, setting: &Setting<'_>) -> Self {
        let mut known = setting.previous.map_or_else(BTreeMap::new, Self::by_name);
        let cells: Vec<Arc<RuleCell>> = specs
            .iter()
            .map(|spec| {
                // Taken out: of two rules with one name, which the configuration refuses, the
                // first keeps its state.
                let kept = known.remove(&*spec.name).filter(|it| it.is_of(spec));
                let kept = kept.cloned();
                kept.unwrap_or_else(|| Arc::new(RuleCell::of(spec, setting.at)))
            })
            .collect();
        let listeners = setting
            .listeners
            .iter()
            .map(|listener| {
                let strips = specs.iter().any(|spec| {
                    matches!(spec.trigger, Trigger::Caller(_)) && watches(spec, listener)
                });
                ListenerRules::new(entries(&specs, &cells, listener), setting.never, strips)
            })
            .collect();
        Self {
            cells,
            specs,
            listeners,
            dry_run: setting.dry_run,
        }
    }

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

    /// What was configured, in the order of [`Self::cells`].
    pub fn specs(&self) -> &[RuleSpec] {
        &self.specs
    }

    /// The moment of each rule that selects a call: its ordinal is counted here, so this is asked
    /// once a call. Rules that were disarmed meanwhile, or expired, are left out.
    pub fn moments(&self, rules: &[u32], number: u64, at: Duration) -> SmallVec<[Selected; 4]> {
        rules
            .iter()
            .filter_map(|&rule| {
                let cell = self.cells.get(rule as usize)?;
                // Read before `is_armed`: whoever disarms in between makes this epoch an old one.
                let epoch = cell.epoch();
                let now = micros(at);
                let expired = cell.expires_at_micros().is_some_and(|end| end <= now);
                if !cell.is_armed() || expired {
                    return None;
                }
                let since_armed = now.saturating_sub(cell.armed_at_micros());
                let moment = Moment {
                    number,
                    ordinal: cell.next_ordinal(),
                    since_armed: Duration::from_micros(since_armed),
                };
                Some(Selected {
                    rule,
                    moment,
                    epoch,
                })
            })
            .collect()
    }

    /// Whether the arming that an effect was decided under still lasts.
    pub fn stands(&self, token: &RuleToken) -> bool {
        self.cells
            .get(token.index as usize)
            .is_some_and(|cell| cell.is_armed() && cell.epoch() == token.epoch)
    }

    /// Counts what became of one planned effect.
    pub fn count_fate(&self, token: &RuleToken, fate: &Fate) {
        let Some(cell) = self.cells.get(token.index as usize) else {
            return;
        };
        let counters = &cell.counters;
        let counter = match fate {
            Fate::Applied | Fate::Clamped => &counters.applied,
            Fate::NotApplicable(_) => &counters.not_applicable,
            Fate::Revoked => &counters.revoked,
            Fate::Superseded => &counters.superseded,
            Fate::NotReached => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Disarms the rules whose time to live is over, and tells how many. The caller rings the
    /// workers if there were any.
    pub fn expire(&self, at: Duration) -> usize {
        let now = micros(at);
        let expired = self.cells.iter().filter(|cell| {
            cell.is_armed() && cell.expires_at_micros().is_some_and(|end| end <= now)
        });
        expired.map(|cell| cell.disarm()).count()
    }

    pub(super) fn dry_run(&self) -> bool {
        self.dry_run
    }

    /// The state of each rule by its name.
    fn by_name(&self) -> BTreeMap<&str, &Arc<RuleCell>> {
        let cells = self.cells.iter();
        cells.map(|cell| (&*cell.name, cell)).collect()
    }
}

fn watches(spec: &RuleSpec, listener: &str) -> bool {
    let named = spec.listeners.as_ref();
    named.is_none_or(|names| names.iter().any(|name| name == listener))
}

/// The rules that watch a listener. One that can never hit is none.
fn entries(specs: &[RuleSpec], cells: &[Arc<RuleCell>], listener: &str) -> Vec<Entry> {
    (0..)
        .zip(specs.iter().zip(cells))
        .filter(|(_, (spec, _))| {
            let acts = !spec.faults.is_empty() || matches!(spec.trigger, Trigger::Caller(_));
            watches(spec, listener) && !spec.trigger.is_never() && acts
        })
        .map(|(rule, (spec, cell))| Entry {
            rule,
            cell: Arc::clone(cell),
            select: Arc::clone(&spec.select),
        })
        .collect()
}
