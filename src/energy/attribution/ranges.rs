//! Ranges of groups of calls, by windows: the ranges of single calls do not add up, as a window
//! that many calls share is within the range of each.
//!
//! The low end of a group is the energy of windows in which only its calls were in flight, the
//! high end that of all windows that any of its calls was in flight in. What group a call is in
//! shows at its end, so a window is kept until all of its calls are over.

use std::collections::{BTreeMap, VecDeque};

use super::call::Charge;
use super::classes::{CallLabels, Classes, Group};
use crate::energy::reading::Spread;
use crate::energy::window::Stretch;
use crate::units::MicroJoules;

/// Calls in windows that are kept, some 2 MB: 100 calls over 65 s at the default interval. Older
/// windows count at once, for calls that go on without a low end.
const MOST_TOUCHES: usize = 65_536;

/// What fell to one program's calls in one window.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) source: usize,
    pub(super) stretch: Stretch,
    /// What is theirs for sure; 0 where others than these calls may have used it.
    pub(super) low_uj: u64,
    pub(super) high_uj: u64,
    /// What the counter may be off at either end of the window.
    pub(super) edge_uj: u64,
    /// By call, ascending.
    pub(super) touches: Vec<Touch>,
    /// How many of these calls are not over.
    pub(super) going_on: usize,
    /// The place behind the last that was found: calls are over nearly in their order.
    pub(super) next: usize,
}

impl Record {
    /// Where a call is among those of the window.
    fn place(&mut self, call: u64) -> Option<usize> {
        let is_next = |it: &Touch| it.call == call;
        let at = if self.touches.get(self.next).is_some_and(is_next) {
            self.next
        } else {
            self.touches
                .binary_search_by_key(&call, |it| it.call)
                .ok()?
        };
        self.next = at + 1;
        Some(at)
    }
}

/// A call in a window.
#[derive(Debug)]
pub(super) struct Touch {
    call: u64,
    /// It was in flight: at work or held.
    own: bool,
    ghost: Ghost,
    /// Known once it is over.
    labels: Option<CallLabels>,
}

/// Whether a call may have been worked for after its cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ghost {
    /// It may, and nothing was charged for it: the others were not alone for sure.
    Bystander,
    Counts,
    None,
}

impl Touch {
    pub(super) fn new(call: u64, own: bool, ghost: Ghost) -> Self {
        Self {
            call,
            own,
            ghost,
            labels: None,
        }
    }
}

/// How far a source is to be trusted, and all that it counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub(super) spread: Spread,
    pub(super) meter_uj: u128,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Range {
    pub(super) low: MicroJoules,
    pub(super) high: MicroJoules,
}

impl Range {
    /// Widened where it leaves out the value.
    pub(super) fn around(self, value: MicroJoules) -> Self {
        Self {
            low: self.low.min(value),
            high: self.high.max(value),
        }
    }
}

/// Ranges by group and source.
#[derive(Debug)]
pub(super) struct Told(BTreeMap<Group, Vec<(usize, Range)>>);

impl Told {
    pub(super) fn of_source(&self, source: usize, group: &Group) -> Option<Range> {
        let ranges = self.0.get(group)?;
        let found = ranges.iter().find(|it| it.0 == source);
        found.map(|it| it.1)
    }

    /// Over all sources.
    pub(super) fn whole(&self, group: &Group) -> Option<Range> {
        let ranges = self.0.get(group)?;
        Some(Range {
            low: ranges.iter().map(|it| it.1.low).sum(),
            high: ranges.iter().map(|it| it.1.high).sum(),
        })
    }
}

/// Windows whose calls are not all over, and the sums of those before.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    open: VecDeque<Record>,
    /// Records that left `open`: the number of its first.
    gone: u64,
    touches: usize,
    sums: Sums,
}

type Sums = BTreeMap<(Group, usize), Span>;

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    low: Bound,
    high: Bound,
}

/// One end of a range. Within a run of windows that follow each other, what the counter is off
/// at the end of one is made good by the next: each run has two uncertain edges.
#[derive(Clone, Copy, Debug, Default)]
struct Bound {
    uj: u128,
    /// Of runs that are over.
    edges: u128,
    run_to: u64,
    run_edge: u64,
}

impl Bound {
    fn add(&mut self, uj: u64, record: &Record) {
        self.uj += u128::from(uj);
        let goes_on = self.run_to == record.stretch.from || self.run_to == record.stretch.to;
        if !goes_on {
            self.edges += 2 * u128::from(self.run_edge);
            self.run_edge = 0;
        }
        self.run_edge = self.run_edge.max(record.edge_uj);
        self.run_to = record.stretch.to;
    }

    fn edges(&self) -> u128 {
        self.edges + 2 * u128::from(self.run_edge)
    }
}

impl Ranges {
    /// The number that the next record will have.
    pub(super) fn next_number(&self) -> u64 {
        self.gone + self.open.len() as u64
    }

    /// Takes a window. Where too many are kept, the oldest count at once: `early` is told what
    /// the calls that go on had in them.
    pub(super) fn remember(
        &mut self,
        record: Record,
        classes: &Classes,
        mut early: impl FnMut(u64, usize, u64),
    ) {
        self.touches += record.touches.len();
        self.open.push_back(record);
        while self.touches > MOST_TOUCHES {
            let Some(record) = self.take_first() else {
                break;
            };
            let most = record.high_uj.saturating_add(2 * record.edge_uj);
            for touch in record.touches.iter().filter(|it| it.labels.is_none()) {
                early(touch.call, record.source, most);
            }
            count(&mut self.sums, &record, classes);
        }
    }

    fn take_first(&mut self) -> Option<Record> {
        let record = self.open.pop_front()?;
        self.gone += 1;
        self.touches -= record.touches.len();
        Some(record)
    }

    /// What windows held that were put away while the call went on.
    pub(super) fn late(&mut self, charge: &Charge, labels: CallLabels, classes: &Classes) {
        if charge.early_uj == 0 {
            return;
        }
        let zombie = (charge.zombie_uj > 0).then_some(labels.zombie);
        let groups: std::collections::BTreeSet<Group> = std::iter::once(labels.own)
            .chain(zombie)
            .flat_map(|number| classes.groups(number))
            .collect();
        for group in groups {
            let span = self.sums.entry((group, charge.source)).or_default();
            span.high.uj += u128::from(charge.early_uj);
        }
    }

    /// A call is over; `first`: the number of its first record.
    pub(super) fn resolve(
        &mut self,
        call: u64,
        first: Option<u64>,
        labels: CallLabels,
        classes: &Classes,
    ) {
        let Some(first) = first else { return };
        let skipped = usize::try_from(first.saturating_sub(self.gone)).unwrap_or(usize::MAX);
        for record in self.open.iter_mut().skip(skipped) {
            if let Some(at) = record.place(call) {
                let known = record.touches[at].labels.replace(labels);
                record.going_on -= usize::from(known.is_none());
            }
        }
        let whole = |record: &Record| record.going_on == 0;
        while self.open.front().is_some_and(whole) {
            if let Some(record) = self.take_first() {
                count(&mut self.sums, &record, classes);
            }
        }
    }

    /// The ranges as far as they are known now. `scales`: by source.
    pub(super) fn told(&self, scales: &[Scale], classes: &Classes) -> Told {
        let mut sums = self.sums.clone();
        for record in &self.open {
            count(&mut sums, record, classes);
        }
        let mut told: BTreeMap<Group, Vec<(usize, Range)>> = BTreeMap::new();
        for ((group, source), span) in sums {
            let range = span.range(scales[source]);
            told.entry(group).or_default().push((source, range));
        }
        Told(told)
    }
}

impl Span {
    fn range(&self, scale: Scale) -> Range {
        let scaled = |uj: u128, thousandths: u64| uj * u128::from(thousandths) / 1000;
        let low = scaled(self.low.uj, scale.spread.low).saturating_sub(self.low.edges());
        let high = scaled(self.high.uj, scale.spread.high).saturating_add(self.high.edges());
        // What the counter is off at the edges of windows it counted in others.
        let most = scaled(scale.meter_uj, scale.spread.high);
        Range {
            low: MicroJoules(low),
            high: MicroJoules(high.min(most)),
        }
    }
}

/// Adds a window to the groups of its calls. A call that goes on is in none, and leaves none alone.
fn count(sums: &mut Sums, record: &Record, classes: &Classes) {
    let mut seen: Vec<(u32, bool)> = Vec::new();
    // Neighbours nearly always end alike.
    let mut see = |it: (u32, bool)| {
        if seen.last() != Some(&it) {
            seen.push(it);
        }
    };
    for touch in &record.touches {
        let Some(labels) = touch.labels else { continue };
        if touch.own {
            see((labels.own, true));
        }
        match touch.ghost {
            Ghost::None => {}
            Ghost::Bystander => see((labels.zombie, false)),
            Ghost::Counts => see((labels.zombie, true)),
        }
    }
    let known = record.going_on == 0;
    seen.sort_unstable();
    seen.dedup();
    // By group: of how many of these it is, and whether it counts for any.
    let mut groups: BTreeMap<Group, (usize, bool)> = BTreeMap::new();
    for (number, counts) in &seen {
        for group in classes.groups(*number) {
            let it = groups.entry(group).or_default();
            it.0 += 1;
            it.1 |= counts;
        }
    }
    for (group, (labels, _)) in groups.into_iter().filter(|(_, it)| it.1) {
        let span = sums.entry((group, record.source)).or_default();
        span.high.add(record.high_uj, record);
        if known && labels == seen.len() && record.low_uj > 0 {
            span.low.add(record.low_uj, record);
        }
    }
}
