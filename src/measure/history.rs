//! What was counted, by time: differences between samples, of which any window is the sum.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::histogram::Growth;
use crate::measure::seen::SlotGrowth;
use crate::measure::{Population, Seen};
use crate::record::Totals;
use crate::rule::{RuleCell, TreatedTotals};

/// How often the counters are read.
pub const SAMPLE: Duration = Duration::from_millis(100);
/// How far back windows reach.
pub const LONGEST: Duration = Duration::from_secs(300);
/// So far back each sample stands by itself; beyond that they are put together by the second.
const FINE: Duration = Duration::from_secs(15);

/// The samples of [`LONGEST`]. Times are those since the process started. An idle sidecar's takes
/// no room; a busy listener's some hundred kilobytes.
#[derive(Debug)]
pub struct History {
    began: Duration,
    now: Duration,
    fine: VecDeque<Slice>,
    coarse: VecDeque<Slice>,
    before: Totals,
    rules_before: Vec<(Arc<RuleCell>, TreatedTotals)>,
}

/// What came between two samples. What is not in it did not change.
#[derive(Debug)]
struct Slice {
    to: Duration,
    /// By listener and protocol.
    slots: Vec<(Key, SlotGrowth)>,
    rules: Vec<(Arc<str>, RuleGrowth)>,
}

type Key = (Arc<str>, &'static str);

/// What came to the calls that one rule's faults acted on.
#[derive(Debug, Default)]
struct RuleGrowth {
    calls: u64,
    errors: u64,
    duration: Growth,
}

impl History {
    /// A history that begins now: what was counted before lies before it.
    pub fn new(at: Duration, totals: Totals) -> Self {
        Self {
            began: at,
            now: at,
            fine: VecDeque::new(),
            coarse: VecDeque::new(),
            before: totals,
            rules_before: Vec::new(),
        }
    }

    /// When it began, and when the last sample was taken.
    pub const fn reach(&self) -> (Duration, Duration) {
        (self.began, self.now)
    }

    /// The counters are as they were.
    pub fn idle(&mut self, at: Duration) {
        self.now = self.now.max(at);
        self.forget();
    }

    /// Takes a sample of all counters and of the rules in force.
    pub fn take(&mut self, at: Duration, totals: Totals, rules: &[Arc<RuleCell>]) {
        self.now = self.now.max(at);
        let mut slots = Vec::new();
        for slot in &totals.slots {
            let same = |it: &&crate::record::SlotTotals| {
                it.listener == slot.listener && it.protocol == slot.protocol
            };
            let growth = SlotGrowth::new(slot, self.before.slots.iter().find(same));
            if !growth.is_empty() {
                slots.push(((Arc::clone(&slot.listener), slot.protocol), growth));
            }
        }
        self.before = totals;
        let rules = self.rules(rules);
        if !slots.is_empty() || !rules.is_empty() {
            self.fine.push_back(Slice {
                to: self.now,
                slots,
                rules,
            });
        }
        self.forget();
    }

    fn rules(&mut self, cells: &[Arc<RuleCell>]) -> Vec<(Arc<str>, RuleGrowth)> {
        let before = std::mem::take(&mut self.rules_before);
        let mut grown = Vec::new();
        for cell in cells {
            let known = before.iter().find(|(it, _)| Arc::ptr_eq(it, cell));
            let Some(now) = cell.treated(known.map(|(_, known)| known)) else {
                self.rules_before.extend(known.cloned());
                continue;
            };
            let known = known.map(|(_, known)| known);
            let growth = RuleGrowth {
                calls: now.calls.saturating_sub(known.map_or(0, |it| it.calls)),
                errors: now.errors.saturating_sub(known.map_or(0, |it| it.errors)),
                duration: now.duration.growth(known.map(|it| &it.duration)),
            };
            grown.push((Arc::clone(&cell.name), growth));
            self.rules_before.push((Arc::clone(cell), now));
        }
        grown
    }

    /// Old samples are put together, and older ones go.
    fn forget(&mut self) {
        while self.fine.front().is_some_and(|it| it.to + FINE < self.now) {
            let Some(slice) = self.fine.pop_front() else {
                break;
            };
            match self.coarse.back_mut() {
                Some(last) if last.to.as_secs() == slice.to.as_secs() => last.merge(slice),
                _ => self.coarse.push_back(slice),
            }
        }
        while self
            .coarse
            .front()
            .is_some_and(|it| it.to + LONGEST < self.now)
        {
            self.coarse.pop_front();
        }
    }

    /// What was counted of these listeners between two moments.
    pub fn seen(&self, listener: impl Fn(&str) -> bool, from: Duration, to: Duration) -> Seen {
        let mut seen = Seen::default();
        for slice in self.slices(from, to) {
            let slots = slice.slots.iter();
            for (_, growth) in slots.filter(|((name, _), _)| listener(name)) {
                seen.add(growth);
            }
        }
        seen
    }

    /// The calls that a rule's faults acted on, as far back as is asked.
    pub fn treated(&self, rule: &str, over: Duration) -> Population {
        let (mut calls, mut errors) = (0, 0);
        let mut duration = crate::record::Tally::default().duration;
        for slice in self.slices(self.now.saturating_sub(over), self.now) {
            for (_, growth) in slice.rules.iter().filter(|(name, _)| **name == *rule) {
                calls += growth.calls;
                errors += growth.errors;
                duration.grow(&growth.duration);
            }
        }
        Population::new(calls, errors, &duration)
    }

    /// The calls of these listeners that no fault acted on.
    pub fn untouched(&self, listener: impl Fn(&str) -> bool, over: Duration) -> Population {
        let seen = self.seen(listener, self.now.saturating_sub(over), self.now);
        Population::of(&seen.unharmed(crate::measure::Counting::NotInjected))
    }

    fn slices(&self, from: Duration, to: Duration) -> impl Iterator<Item = &Slice> {
        let newest_first = self.fine.iter().rev().chain(self.coarse.iter().rev());
        newest_first
            .skip_while(move |it| it.to > to)
            .take_while(move |it| it.to > from)
    }
}

impl Slice {
    fn merge(&mut self, later: Self) {
        self.to = later.to;
        for (key, growth) in later.slots {
            match self.slots.iter_mut().find(|(it, _)| *it == key) {
                Some((_, known)) => known.merge(&growth),
                None => self.slots.push((key, growth)),
            }
        }
        for (rule, growth) in later.rules {
            match self.rules.iter_mut().find(|(it, _)| *it == rule) {
                Some((_, known)) => {
                    known.calls += growth.calls;
                    known.errors += growth.errors;
                    known.duration.merge(&growth.duration);
                }
                None => self.rules.push((rule, growth)),
            }
        }
    }
}
