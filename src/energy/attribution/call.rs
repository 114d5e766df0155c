//! A call in flight: when it was at work, and what each source charged to it so far.

use std::sync::Arc;

use smallvec::SmallVec;

use super::classes::CallLabels;
use crate::call::Outcome;
use crate::energy::figure::{CallEnergy, Flag, Flags};
use crate::energy::ledger::Finish;
use crate::energy::reading::{Spread, Tier};
use crate::energy::window::Stretch;

/// The name of the rule that divides a program's part over its calls.
const RULE: &str = "upstream-active";

#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) program: Option<usize>,
    begun: u64,
    segments: SmallVec<[Segment; 1]>,
    /// When its work was over, where that was before its end.
    done: Option<u64>,
    pub(super) ended: Option<End>,
    pub(super) charges: SmallVec<[Charge; 1]>,
    pub(super) flags: Flags,
    /// Its first window among those whose calls are not all over.
    pub(super) first_record: Option<u64>,
}

/// How a call ended.
#[derive(Debug)]
pub(super) struct End {
    /// When its work was over.
    at: u64,
    pub(super) outcome: Outcome,
    pub(super) labels: CallLabels,
    /// Kept of few: thousands of calls that are only summed up wait for their window.
    told: Option<Box<Finish>>,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    kind: Kind,
    /// `to` is `u64::MAX` while it lasts.
    stretch: Stretch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Active,
    /// The call was cut; whether the upstream works on is not known yet.
    Ghost,
    Held,
}

/// Nanoseconds of a window that a call was there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Presence {
    pub(super) active: u64,
    pub(super) ghost: u64,
    pub(super) held: u64,
}

impl Presence {
    pub(super) fn any(self) -> bool {
        self.active > 0 || self.ghost > 0 || self.held > 0
    }
}

/// What one source charged to a call.
#[derive(Clone, Debug)]
pub(super) struct Charge {
    pub(super) source: usize,
    pub(super) dyn_uj: u64,
    pub(super) zombie_uj: u64,
    pub(super) idle_uj: u64,
    /// What was in windows that were put away before the call was over.
    pub(super) early_uj: u64,
    pub(super) windows: u32,
    detail: Option<Box<Detail>>,
}

/// What only the figure of one call tells. Kept apart, as thousands of calls are only summed up.
#[derive(Clone, Debug)]
pub(super) struct Detail {
    pub(super) lo_uj: u64,
    pub(super) hi_uj: u64,
    /// What the counter may be off at either end of the call.
    pub(super) edge_uj: u64,
    pub(super) shortest: u64,
    pub(super) gap_ns: u64,
    /// Active time, and active time times calls at work.
    pub(super) active_ns: u64,
    pub(super) crowd: u64,
    pub(super) host_shared: bool,
}

/// The parts of a figure that are summed up.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_field_names,
    reason = "as the figure's fields, with their unit"
)]
pub(super) struct Sums {
    pub(super) dyn_uj: Option<u64>,
    pub(super) zombie_uj: Option<u64>,
    pub(super) idle_uj: Option<u64>,
}

/// What the figure needs of a source.
pub(super) struct Origin<'a> {
    pub(super) id: &'a Arc<str>,
    pub(super) tier: Tier,
    pub(super) spread: Spread,
}

impl InFlight {
    pub(super) fn new(program: Option<usize>, at: u64) -> Self {
        let mut call = Self {
            program,
            begun: at,
            segments: SmallVec::new(),
            done: None,
            ended: None,
            charges: SmallVec::new(),
            flags: Flags::default(),
            first_record: None,
        };
        call.start(Kind::Active, at);
        call
    }

    pub(super) fn hold(&mut self, at: u64) {
        self.turn(Kind::Active, Kind::Held, at);
    }

    pub(super) fn release(&mut self, at: u64) {
        self.turn(Kind::Held, Kind::Active, at);
    }

    /// The upstream has nothing more to do for it.
    pub(super) fn done(&mut self, at: u64) {
        if self.ended.is_none() && self.done.is_none() {
            // A call that began and ended at once still was there.
            let at = at.max(self.begun + 1);
            self.stop(at);
            self.done = Some(at);
        }
    }

    /// After a cut the call stays as a ghost, where its program can be watched and its work was
    /// not done.
    pub(super) fn end(&mut self, at: u64, finish: &Finish, labels: CallLabels) {
        let outcome = finish.outcome;
        let whole = finish.whole;
        let told = finish.told.then(|| Box::new(finish.clone()));
        let end = |at| End {
            at,
            outcome,
            labels,
            told,
        };
        if let Some(done) = self.done {
            self.ended = Some(end(done));
            return;
        }
        let at = at.max(self.begun + 1);
        self.stop(at);
        let cut = !whole
            && matches!(
                outcome,
                Outcome::ClientAbort | Outcome::Timeout | Outcome::InjectedFault
            );
        if cut && self.program.is_some() {
            self.start(Kind::Ghost, at);
        }
        self.ended = Some(end(at));
    }

    /// Whether it has ended, and nobody is told of it alone.
    pub(super) fn is_only_summed_up(&self) -> bool {
        self.ended.as_ref().is_some_and(|it| it.told.is_none())
    }

    /// Since when it is a ghost.
    pub(super) fn ghost_since(&self) -> Option<u64> {
        self.segments
            .last()
            .filter(|last| last.kind == Kind::Ghost && last.stretch.to == u64::MAX)
            .map(|last| last.stretch.from)
    }

    pub(super) fn end_ghost(&mut self, at: u64) {
        if self.ghost_since().is_some() {
            self.stop(at);
        }
    }

    pub(super) fn presence(&self, window: Stretch) -> Presence {
        let mut presence = Presence::default();
        for segment in &self.segments {
            let time = segment.stretch.overlap(window);
            match segment.kind {
                Kind::Active => presence.active += time,
                Kind::Ghost => presence.ghost += time,
                Kind::Held => presence.held += time,
            }
        }
        presence
    }

    /// When nothing more can be charged to it; `None` while it goes on.
    pub(super) fn over(&self) -> Option<u64> {
        let ended = self.ended.as_ref()?.at;
        let last = self.segments.last().map_or(ended, |it| it.stretch.to);
        (last != u64::MAX).then(|| last.max(ended))
    }

    /// Forgets what lies before all windows to come.
    pub(super) fn forget(&mut self, before: u64) {
        if self.segments.len() > 4 {
            self.segments.retain(|it| it.stretch.to > before);
        }
    }

    pub(super) fn charge(&mut self, source: usize) -> &mut Charge {
        let known = self.charges.iter().position(|it| it.source == source);
        let index = known.unwrap_or_else(|| {
            self.charges.push(Charge::new(source));
            self.charges.len() - 1
        });
        &mut self.charges[index]
    }

    fn start(&mut self, kind: Kind, from: u64) {
        let stretch = Stretch { from, to: u64::MAX };
        self.segments.push(Segment { kind, stretch });
    }

    /// From one kind to another; nothing where it is not the first.
    fn turn(&mut self, from: Kind, to: Kind, at: u64) {
        let lasts = |it: &Segment| it.kind == from && it.stretch.to == u64::MAX;
        if self.segments.last().is_some_and(lasts) {
            self.stop(at);
            self.start(to, at);
        }
    }

    /// Ends the segment that lasts.
    fn stop(&mut self, at: u64) {
        if let Some(last) = self.segments.last_mut()
            && last.stretch.to == u64::MAX
        {
            last.stretch.to = at.max(last.stretch.from);
        }
    }

    /// The sums of the figure. `idle`: whether calls are told a share of it.
    pub(super) fn sums(&self, idle: bool) -> Sums {
        let (mut dynamic, mut zombie, mut share) = (0, 0, 0);
        for it in &self.charges {
            share += it.idle_uj;
            if it.windows > 0 {
                dynamic += it.dyn_uj;
                zombie += it.zombie_uj;
            }
        }
        let resolved = |uj: u64| (uj > 0).then_some(uj);
        Sums {
            dyn_uj: resolved(dynamic),
            zombie_uj: resolved(zombie),
            idle_uj: resolved(share).filter(|_| idle),
        }
    }

    /// The figure, once the call is over; `None` too where nobody is told of it. `idle`: whether
    /// calls are told a share of it.
    pub(super) fn figure<'a>(
        &self,
        call: u64,
        idle: bool,
        origin: impl Fn(usize) -> Origin<'a>,
    ) -> Option<CallEnergy> {
        let ended = self.ended.as_ref()?;
        let finish = ended.told.as_ref()?;
        let counted: SmallVec<[&Charge; 4]> =
            self.charges.iter().filter(|it| it.windows > 0).collect();
        let details = || counted.iter().filter_map(|it| it.detail.as_deref());
        let sums = self.sums(idle);
        let bound = |part: &dyn Fn(&Charge) -> u64| {
            (!counted.is_empty()).then(|| counted.iter().map(|it| part(it)).sum::<u64>())
        };
        let active: u128 = details().map(|it| u128::from(it.active_ns)).sum();
        let crowd: u128 = details().map(|it| u128::from(it.crowd)).sum();
        let gaps = self.charges.iter().filter_map(|it| it.detail.as_deref());
        let gap_ns = gaps.map(|it| it.gap_ns).max().unwrap_or(0);
        let shortest = details().map(|it| it.shortest).min();
        let mut flags = self.flags;
        let set = [
            (Flag::Gap, gap_ns > 0),
            (Flag::HostShared, details().any(|it| it.host_shared)),
            (
                Flag::SubWindow,
                shortest.is_some_and(|it| ended.at - self.begun < it),
            ),
            (Flag::Zombie, sums.zombie_uj.is_some()),
        ];
        for (flag, on) in set {
            if on {
                flags.add(flag);
            }
        }
        Some(CallEnergy {
            call,
            dyn_uj: sums.dyn_uj,
            zombie_uj: sums.zombie_uj,
            idle_uj: sums.idle_uj,
            lo_uj: bound(&|it| it.lo(origin(it.source).spread)),
            hi_uj: bound(&|it| it.hi(origin(it.source).spread)),
            tier: counted.iter().map(|it| origin(it.source).tier).max(),
            rule: RULE,
            windows: counted.iter().map(|it| it.windows).sum(),
            gap_ms: gap_ns.div_ceil(1_000_000),
            meters: counted
                .iter()
                .map(|it| Arc::clone(origin(it.source).id))
                .collect(),
            concurrency: ratio(crowd, active),
            flags,
            finish: Finish::clone(finish),
        })
    }
}

impl Charge {
    fn new(source: usize) -> Self {
        Self {
            source,
            dyn_uj: 0,
            zombie_uj: 0,
            idle_uj: 0,
            early_uj: 0,
            windows: 0,
            detail: None,
        }
    }

    pub(super) fn detail(&mut self) -> &mut Detail {
        self.detail.get_or_insert_default()
    }

    fn lo(&self, spread: Spread) -> u64 {
        let Some(detail) = self.detail.as_deref().filter(|it| !it.host_shared) else {
            return 0;
        };
        let low = u128::from(detail.lo_uj) * u128::from(spread.low) / 1000;
        let low = u64::try_from(low).unwrap_or(u64::MAX);
        low.saturating_sub(2 * detail.edge_uj).min(self.dyn_uj)
    }

    fn hi(&self, spread: Spread) -> u64 {
        let Some(detail) = &self.detail else {
            return self.dyn_uj;
        };
        let high = u128::from(detail.hi_uj) * u128::from(spread.high) / 1000;
        let high = u64::try_from(high).unwrap_or(u64::MAX);
        high.saturating_add(2 * detail.edge_uj).max(self.dyn_uj)
    }
}

impl Default for Detail {
    fn default() -> Self {
        Self {
            lo_uj: 0,
            hi_uj: 0,
            edge_uj: 0,
            shortest: u64::MAX,
            gap_ns: 0,
            active_ns: 0,
            crowd: 0,
            host_shared: false,
        }
    }
}

/// A quotient in millionths: no figure needs more.
fn ratio(over: u128, under: u128) -> Option<f64> {
    let millionths = (over * 1_000_000).checked_div(under)?;
    Some(f64::from(u32::try_from(millionths).unwrap_or(u32::MAX)) / 1e6)
}
