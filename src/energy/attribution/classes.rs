//! The running sums of figures, by all that calls have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smallvec::SmallVec;

use super::call::Charge;
use super::call::Sums;
use super::ranges::{Range, Told};
use crate::call::Outcome;
use crate::energy::ledger::Finish;
use crate::energy::totals::{Class, ClassTotal, EnergyOutcome, OutcomeSum, Totals};
use crate::record::{Bounds, Histogram};
use crate::units::MicroJoules;

/// Distinct models and rules that are told apart: they come from clients and from the API.
const NAMES: usize = 256;

/// What a call is counted under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Labels {
    outcome: EnergyOutcome,
    listener: Arc<str>,
    rule: Option<Arc<str>>,
    model: Option<Arc<str>>,
}

/// Labels by number: those of the call's own work, and of what went on after its cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallLabels {
    pub(super) own: u32,
    pub(super) zombie: u32,
}

/// Calls that are told as one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    /// All labels agree.
    Class(u32),
    Model(Option<Arc<str>>),
    Outcome(EnergyOutcome),
    Rule(Option<Arc<str>>),
    Total,
}

/// Figures of calls with the same labels.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    dynamic: Option<MicroJoules>,
    /// Less what went on after their cut.
    own: Option<MicroJoules>,
    idle: Option<MicroJoules>,
    calls: u64,
}

#[derive(Debug, Default)]
pub(super) struct Classes {
    labels: Vec<Labels>,
    /// By number of the labels: thousands of calls a round end alike, and what they have in common
    /// is worked out when it is asked for.
    told: Vec<Figures>,
    /// What went on after cuts.
    zombie: Option<OutcomeSum>,
    /// Those of the last call: the next one's are nearly always the same.
    last: Option<(Labels, CallLabels)>,
    numbers: BTreeMap<Labels, u32>,
    names: BTreeSet<Arc<str>>,
    /// By number of the labels.
    sums: Vec<SmallVec<[Sum; 1]>>,
    by_outcome: [OfOutcome; Outcome::ALL.len()],
}

/// What one source charged to calls with the same labels.
#[derive(Clone, Copy, Debug)]
struct Sum {
    source: usize,
    energy: MicroJoules,
    calls: u64,
}

#[derive(Debug, Default)]
struct OfOutcome {
    calls: u64,
    sizes: Option<Histogram>,
}

impl Classes {
    pub(super) fn end(&mut self, outcome: Outcome) {
        self.by_outcome[outcome as usize].calls += 1;
    }

    pub(super) fn labels(&mut self, finish: &Finish) -> CallLabels {
        if let Some((labels, numbers)) = &self.last
            && labels.are_of(finish)
        {
            return *numbers;
        }
        let own = Labels {
            outcome: EnergyOutcome::Call(finish.outcome),
            listener: Arc::clone(&finish.listener),
            rule: self.name(finish.rule.as_ref()),
            model: self.name(finish.model.as_ref()),
        };
        let zombie = Labels {
            outcome: EnergyOutcome::ZOMBIE,
            ..own.clone()
        };
        let numbers = CallLabels {
            own: self.number(own.clone()),
            zombie: self.number(zombie),
        };
        self.last = own.are_of(finish).then_some((own, numbers));
        numbers
    }

    fn number(&mut self, labels: Labels) -> u32 {
        if let Some(number) = self.numbers.get(&labels) {
            return *number;
        }
        let number = u32::try_from(self.labels.len()).unwrap_or(u32::MAX);
        self.labels.push(labels.clone());
        self.numbers.insert(labels, number);
        number
    }

    fn name(&mut self, name: Option<&Arc<str>>) -> Option<Arc<str>> {
        let name = name?;
        if let Some(known) = self.names.get(name) {
            return Some(Arc::clone(known));
        }
        if self.names.len() >= NAMES {
            return Some("(other)".into());
        }
        self.names.insert(Arc::clone(name));
        Some(Arc::clone(name))
    }

    /// All groups that calls with these labels are in.
    pub(super) fn groups(&self, number: u32) -> [Group; 5] {
        let labels = &self.labels[number as usize];
        [
            Group::Class(number),
            Group::Model(labels.model.clone()),
            Group::Outcome(labels.outcome),
            Group::Rule(labels.rule.clone()),
            Group::Total,
        ]
    }

    /// What one source charged to a call that is over.
    pub(super) fn add(&mut self, charge: &Charge, labels: CallLabels) {
        if charge.windows == 0 {
            return;
        }
        let mut count = |number: u32, uj| {
            let number = number as usize;
            if self.sums.len() <= number {
                self.sums.resize_with(number + 1, SmallVec::new);
            }
            let sums = &mut self.sums[number];
            let known = sums.iter().position(|it| it.source == charge.source);
            let index = known.unwrap_or_else(|| {
                sums.push(Sum {
                    source: charge.source,
                    energy: MicroJoules::ZERO,
                    calls: 0,
                });
                sums.len() - 1
            });
            sums[index].energy += MicroJoules(u128::from(uj));
            sums[index].calls += 1;
        };
        if charge.zombie_uj > 0 {
            count(labels.zombie, charge.zombie_uj);
        }
        count(labels.own, charge.dyn_uj - charge.zombie_uj);
    }

    /// The figure of a call.
    pub(super) fn tell(&mut self, outcome: Outcome, figure: &Sums, labels: CallLabels) {
        let number = labels.own as usize;
        if self.told.len() <= number {
            self.told.resize(number + 1, Figures::default());
        }
        let zombie = figure.zombie_uj.unwrap_or(0);
        let own = figure.dyn_uj.map(|uj| uj - zombie).filter(|uj| *uj > 0);
        let sum = &mut self.told[number];
        plus(&mut sum.dynamic, figure.dyn_uj);
        plus(&mut sum.own, own);
        plus(&mut sum.idle, figure.idle_uj);
        sum.calls += 1;
        if let Some(uj) = figure.dyn_uj {
            let sizes = &mut self.by_outcome[outcome as usize].sizes;
            sizes
                .get_or_insert_with(|| Histogram::new(&Bounds::ENERGY))
                .observe_millionths(uj);
        }
        if figure.zombie_uj.is_some() {
            let sum = self.zombie.get_or_insert_default();
            plus(&mut sum.dynamic, figure.zombie_uj);
            sum.calls += 1;
        }
    }

    /// The figures of each group but the classes.
    fn sums_of_groups(&self) -> BTreeMap<Group, OutcomeSum> {
        let mut groups: BTreeMap<Group, OutcomeSum> = BTreeMap::new();
        for (number, told) in (0..).zip(&self.told).filter(|(_, told)| told.calls > 0) {
            for group in self.groups(number) {
                let dynamic = match group {
                    Group::Class(_) => continue,
                    Group::Outcome(_) => told.own,
                    Group::Model(_) | Group::Rule(_) | Group::Total => told.dynamic,
                };
                let sum = groups.entry(group).or_default();
                join(&mut sum.dynamic, dynamic);
                join(&mut sum.idle, told.idle);
                sum.calls += told.calls;
            }
        }
        if let Some(zombie) = self.zombie {
            groups.insert(Group::Outcome(EnergyOutcome::ZOMBIE), zombie);
        }
        groups
    }

    /// Puts these sums into a snapshot that has its sources.
    pub(super) fn fill(&self, totals: &mut Totals, ranges: &Told) {
        let class = |number: u32, sum: &Sum| {
            let Sum {
                source,
                energy,
                calls,
            } = *sum;
            let labels = &self.labels[number as usize];
            let range = ranges.of_source(source, &Group::Class(number));
            let range = range.unwrap_or_default().around(energy);
            ClassTotal {
                class: Class {
                    source: Arc::clone(&totals.sources[source].id),
                    outcome: labels.outcome,
                    listener: Arc::clone(&labels.listener),
                    rule: labels.rule.clone(),
                    model: labels.model.clone(),
                },
                energy,
                low: range.low,
                high: range.high,
                calls,
            }
        };
        let sums = (0..).zip(&self.sums);
        totals.classes = sums
            .flat_map(|(number, sums)| sums.iter().map(move |sum| (number, sum)))
            .map(|(number, sum)| class(number, sum))
            .collect();
        totals.classes.sort_by(|a, b| a.class.cmp(&b.class));
        for (group, sum) in self.sums_of_groups() {
            let range = ranges.whole(&group);
            let range = match sum.dynamic {
                Some(energy) => Some(range.unwrap_or_default().around(energy)),
                None => range,
            };
            let sum = OutcomeSum {
                low: range.map(|it: Range| it.low),
                high: range.map(|it| it.high),
                ..sum
            };
            let named = |name: Option<Arc<str>>| name.unwrap_or_else(|| "".into());
            match group {
                Group::Class(_) => {}
                Group::Model(model) => drop(totals.models.insert(named(model), sum)),
                Group::Outcome(outcome) => drop(totals.outcomes.insert(outcome, sum)),
                Group::Rule(rule) => drop(totals.rules.insert(named(rule), sum)),
                Group::Total => totals.total = sum,
            }
        }
        for (outcome, of) in Outcome::ALL.into_iter().zip(&self.by_outcome) {
            if of.calls > 0 {
                totals.calls.insert(outcome, of.calls);
            }
            if let Some(sizes) = &of.sizes {
                totals.sizes.insert(outcome, sizes.clone());
            }
        }
    }
}

impl Labels {
    /// Whether a call that ends so has these; not told where its names are among the `(other)`.
    fn are_of(&self, finish: &Finish) -> bool {
        self.outcome == EnergyOutcome::Call(finish.outcome)
            && self.listener == finish.listener
            && self.rule == finish.rule
            && self.model == finish.model
    }
}

fn plus(sum: &mut Option<MicroJoules>, uj: Option<u64>) {
    join(sum, uj.map(|uj| MicroJoules(u128::from(uj))));
}

fn join(sum: &mut Option<MicroJoules>, more: Option<MicroJoules>) {
    if let Some(more) = more {
        *sum.get_or_insert(MicroJoules::ZERO) += more;
    }
}
