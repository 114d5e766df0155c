//! The rules of one listener. Two steps: what the head of a call tells finds groups of rules with
//! the same conditions on the head; what the body tells finds the rules within. So a thousand rules
//! that differ in header, model and body pointer cost a few lookups.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use crate::call::Call;
use crate::rule::index::Index;
use crate::rule::path_glob::is_never;
use crate::rule::select::Truth;
use crate::rule::{PathGlob, RuleCell, Select};

/// The rules that watch one listener, indexed so that a thousand cost little more than one.
#[derive(Debug, Default)]
pub struct ListenerRules {
    groups: Vec<Group>,
    /// Finds groups by the head.
    index: Index,
    /// Paths that no rule ever touches.
    never: Vec<PathGlob>,
    /// Callers may ask for faults here: what they ask with goes no further.
    strips: bool,
}

/// One rule as its listener sees it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) rule: u32,
    pub(super) cell: Arc<RuleCell>,
    pub(super) select: Arc<Select>,
}

/// Rules with the same conditions on the head.
#[derive(Debug)]
pub(super) struct Group {
    head: Select,
    entries: Vec<Entry>,
    /// Finds entries by description and body.
    index: Index,
    /// All that its entries ask for, together.
    asks: Select,
}

/// What [`ListenerRules::candidates`] found.
#[derive(Debug, Default)]
pub struct Candidates<'r> {
    groups: SmallVec<[&'r Group; 4]>,
    /// Whether a candidate asks for model, stream or another part of the protocol's description
    /// that the head did not tell.
    pub needs_description: bool,
    /// Whether a candidate asks for the length of the prompt: the whole body must be read.
    pub needs_prompt_chars: bool,
    /// JSON pointers into the request body that candidates ask for, each once.
    pub pointers: SmallVec<[&'r str; 4]>,
}

impl Candidates<'_> {
    /// Whether no rule can select the call, whatever is in its body.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether the body must be looked into before [`ListenerRules::select`].
    pub fn needs_look(&self) -> bool {
        self.needs_description || !self.pointers.is_empty()
    }
}

impl ListenerRules {
    pub(super) fn new(entries: Vec<Entry>, never: &[PathGlob], strips: bool) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        let mut by_head: HashMap<String, usize> = HashMap::new();
        for entry in entries {
            let head = entry.select.head_part();
            // Without a text to compare, which no selector lacks, the rule is a group of its own.
            let place = serde_json::to_string(&head)
                .ok()
                .map_or(groups.len(), |text| {
                    *by_head.entry(text).or_insert(groups.len())
                });
            match groups.get_mut(place) {
                Some(group) => group.entries.push(entry),
                None => groups.push(Group {
                    head,
                    entries: vec![entry],
                    index: Index::default(),
                    asks: Select::default(),
                }),
            }
        }
        for group in &mut groups {
            let terms: Vec<_> = group
                .entries
                .iter()
                .map(|it| it.select.deep_terms())
                .collect();
            group.index = Index::new(&terms);
            for entry in &group.entries {
                group.asks.ask_also(&entry.select);
            }
        }
        let terms: Vec<_> = groups.iter().map(|it| it.head.head_terms()).collect();
        let index = Index::new(&terms);
        Self {
            groups,
            index,
            never: never.to_vec(),
            strips,
        }
    }

    /// Whether headers by which callers ask for faults are taken out of requests, armed or not.
    pub fn strips_asking(&self) -> bool {
        self.strips
    }

    /// Whether no rule can select a call here now: the fast path.
    pub fn is_empty(&self) -> bool {
        !self.groups.iter().any(Group::is_armed)
    }

    /// Rules that the call may be selected by, judged by its head. Where one of them depends on
    /// what only the body tells, `needs_description` or `pointers` say so, and the caller looks
    /// into the body before [`Self::select`].
    pub fn candidates<'r>(&'r self, call: &Call<'_>) -> Candidates<'r> {
        let mut candidates = Candidates::default();
        if is_never(&self.never, call.path) {
            return candidates;
        }
        for id in self.index.lookup(call, true) {
            let Some(group) = self.groups.get(id as usize) else {
                continue;
            };
            if group.is_armed() && group.head.head_may(call) && group.survey(call, &mut candidates)
            {
                candidates.groups.push(group);
            }
        }
        candidates.pointers.sort_unstable();
        candidates.pointers.dedup();
        candidates
    }

    /// The candidates that select the call, now that all is known that can be: indices into
    /// [`crate::rule::RuleSet::cells`], in file order.
    pub fn select(&self, candidates: &Candidates<'_>, call: &Call<'_>) -> SmallVec<[u32; 8]> {
        let mut rules: SmallVec<[u32; 8]> = SmallVec::new();
        for group in &candidates.groups {
            let selecting = group
                .index
                .lookup(call, false)
                .into_iter()
                .filter_map(|id| group.entries.get(id as usize))
                .filter(|entry| entry.cell.is_armed() && entry.select.deep(call) == Truth::Yes);
            rules.extend(selecting.map(|entry| entry.rule));
        }
        rules.sort_unstable();
        rules
    }

    /// The body could not be read as far as candidates ask: those that it keeps from knowing count
    /// the call as denied. To be called once, in place of the look's success.
    pub fn unreadable(&self, candidates: &Candidates<'_>, call: &Call<'_>) {
        for entry in candidates.groups.iter().flat_map(|group| &group.entries) {
            if entry.cell.is_armed() && entry.select.deep(call) == Truth::Unknown {
                let counter = &entry.cell.counters.denied_unreadable;
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Group {
    /// Beyond so many entries the needs of all are told for those of the candidates among them.
    const FEW: usize = 16;

    fn is_armed(&self) -> bool {
        self.entries.iter().any(|entry| entry.cell.is_armed())
    }

    /// Adds what its entries need to know of the call; tells whether one may select it.
    fn survey<'r>(&'r self, call: &Call<'_>, candidates: &mut Candidates<'r>) -> bool {
        if self.entries.len() > Self::FEW {
            if self.index.untold(call) > Self::FEW {
                candidates.need(&self.asks, call);
                return true;
            }
            let found = self.index.lookup(call, true);
            if found.len() > Self::FEW {
                candidates.need(&self.asks, call);
                return true;
            }
            let entries = found.iter().filter_map(|&id| self.entries.get(id as usize));
            return Self::survey_each(entries, call, candidates);
        }
        Self::survey_each(self.entries.iter(), call, candidates)
    }

    fn survey_each<'r>(
        entries: impl Iterator<Item = &'r Entry>,
        call: &Call<'_>,
        candidates: &mut Candidates<'r>,
    ) -> bool {
        let mut any = false;
        for entry in entries.filter(|entry| entry.cell.is_armed()) {
            match entry.select.deep(call) {
                Truth::No => {}
                Truth::Unknown => {
                    candidates.need(&entry.select, call);
                    any = true;
                }
                Truth::Yes => any = true,
            }
        }
        any
    }
}

impl<'r> Candidates<'r> {
    fn need(&mut self, select: &'r Select, call: &Call<'_>) {
        self.needs_description |= select.lacks_description(&call.description);
        self.needs_prompt_chars |= select.lacks_prompt_chars(&call.description);
        let pointers = select.body.keys().map(String::as_str);
        self.pointers
            .extend(pointers.filter(|it| call.body(it).is_none()));
    }
}
