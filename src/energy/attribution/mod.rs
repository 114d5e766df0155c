//! The core: windows and activity in, figures of calls out. Pure: no clock, no file, no thread.

mod book;
mod call;
mod calls;
mod classes;
mod division;
mod ranges;

use self::book::Book;
use self::call::{InFlight, Origin};
use self::calls::Calls;
use self::classes::Classes;
use self::division::Scratch;
use self::ranges::{Ranges, Scale};
use super::figure::{CallEnergy, Flag};
use super::ledger::{Activity, Event};
use super::reading::{Reach, Source};
use super::settings::{IdlePolicy, IdleSettings, Watts};
use super::totals::Totals;
use super::window::{Step, Stretch};

/// A ghost that never falls idle is given up after this time.
const GHOST_NS: u64 = 30_000_000_000;

/// Divides windows among programs and calls, and keeps the sums.
#[derive(Debug)]
pub struct Attribution {
    /// Program by index of the upstream.
    programs: Vec<Option<usize>>,
    idle: IdleSettings,
    books: Vec<Book>,
    calls: Calls,
    folded: Vec<FoldedStretch>,
    folded_calls: u64,
    classes: Classes,
    ranges: Ranges,
    scratch: Scratch,
}

/// Work that found no place in a ring: `active_ns` summed over calls, within `stretch`.
#[derive(Clone, Copy, Debug)]
pub struct FoldedStretch {
    pub upstream: usize,
    pub stretch: Stretch,
    pub active_ns: u64,
    /// Calls that ended in it.
    pub calls: u64,
}

impl Attribution {
    /// `programs`: by index of the upstream, the index of its program, if it is known.
    pub fn new(programs: Vec<Option<usize>>, idle: IdleSettings) -> Self {
        Self {
            programs,
            idle,
            books: Vec::new(),
            calls: Calls::default(),
            folded: Vec::new(),
            folded_calls: 0,
            classes: Classes::default(),
            ranges: Ranges::default(),
            scratch: Scratch::default(),
        }
    }

    /// A source counts from `at`. One that counted before goes on in its old book.
    pub fn open(&mut self, source: &Source, at: u64) -> usize {
        if let Some(index) = self.books.iter().position(|it| **it.id() == *source.id) {
            self.books[index].reopen(at);
            return index;
        }
        let known = source.idle_uw;
        let configured = self.idle.watts.map(Watts::microwatts);
        let idle = known.or_else(|| configured.filter(|_| source.reach == Reach::Machine));
        self.books.push(Book::new(source, idle, at));
        self.books.len() - 1
    }

    /// The source counts no longer: calls do not wait for it.
    pub fn close(&mut self, source: usize) {
        self.books[source].close();
    }

    /// Takes an entry of the ledger. Entries of one call come in order; entries come before the
    /// windows that they fall into.
    pub fn apply(&mut self, activity: &Activity) {
        let &Activity {
            call,
            at,
            ref event,
        } = activity;
        match event {
            Event::Begin { upstream } => {
                let program = self.programs.get(usize::from(*upstream)).copied().flatten();
                self.calls.begin(call, program, at);
            }
            Event::Done => {
                if let Some(it) = self.calls.get_mut(call) {
                    it.done(at);
                }
            }
            Event::End(finish) => {
                let Some(it) = self.calls.get_mut(call) else {
                    return;
                };
                if it.ended.is_none() {
                    self.classes.end(finish.outcome);
                    let labels = self.classes.labels(finish);
                    it.end(at, finish, labels);
                }
            }
            Event::Hold => {
                if let Some(it) = self.calls.get_mut(call) {
                    it.hold(at);
                }
            }
            Event::Release => {
                if let Some(it) = self.calls.get_mut(call) {
                    it.release(at);
                }
            }
        }
    }

    /// Takes work that is known only by its sum.
    pub fn fold(&mut self, folded: FoldedStretch) {
        self.folded_calls += folded.calls;
        if folded.active_ns > 0 {
            self.folded.push(folded);
        }
    }

    /// Takes the next stretch of a source's time.
    pub fn advance(&mut self, source: usize, step: &Step) {
        self.calls.sort();
        match step {
            Step::Gap { stretch, uj } => self.gap(source, *stretch, *uj),
            Step::Window {
                stretch,
                uj,
                shares,
            } => self.divide(source, *stretch, *uj, shares),
        }
    }

    fn gap(&mut self, source: usize, stretch: Stretch, uj: u64) {
        let book = &mut self.books[source];
        book.gap(stretch, uj);
        let reach = book.reach;
        for it in self.calls.values_mut() {
            if !concerns(reach, it.program, self.idle.policy) {
                continue;
            }
            let presence = it.presence(stretch);
            let present = presence.active + presence.held;
            if present > 0 {
                it.charge(source).detail().gap_ns += present;
            }
            if it.ghost_since().is_some_and(|since| since < stretch.to) {
                it.flags.add(Flag::ZombieUnknown);
                it.end_ghost(stretch.from);
            }
        }
    }

    /// Sums up the calls that no window to come can change, and hands out the figures of those that
    /// somebody wants one by one ([`Finish::told`](super::ledger::Finish::told)).
    pub fn finished(&mut self, mut sink: impl FnMut(CallEnergy)) {
        let idle = self.idle.policy == IdlePolicy::ProRata;
        let books = &self.books;
        let policy = self.idle.policy;
        let waits = |it: &InFlight, over: u64| {
            books.iter().any(|book| {
                book.live() && book.horizon < over && concerns(book.reach, it.program, policy)
            })
        };
        self.calls.sort();
        let ready = self
            .calls
            .part(|it| it.over().is_some_and(|over| !waits(it, over)));
        for (call, slot) in ready {
            let Some(it) = self.calls.take(slot) else {
                continue;
            };
            if let Some(end) = &it.ended {
                let labels = end.labels;
                for charge in &it.charges {
                    self.books[charge.source].settle(charge.dyn_uj);
                    self.classes.add(charge, labels);
                    self.ranges.late(charge, labels, &self.classes);
                }
                self.ranges
                    .resolve(call, it.first_record, labels, &self.classes);
                self.classes.tell(end.outcome, &it.sums(idle), labels);
                let figure = it.figure(call, idle, |source| self.books[source].origin());
                figure.into_iter().for_each(&mut sink);
            }
        }
        self.forget();
    }

    /// Ghosts that nothing watches any more are over.
    fn forget(&mut self) {
        let horizon = self
            .books
            .iter()
            .filter(|book| book.live())
            .map(|book| book.horizon)
            .min();
        let Some(horizon) = horizon else {
            self.folded.clear();
            for it in self.calls.values_mut() {
                if let Some(since) = it.ghost_since() {
                    it.end_ghost(since);
                }
            }
            return;
        };
        self.folded.retain(|it| it.stretch.to > horizon);
        for it in self.calls.values_mut() {
            it.forget(horizon);
        }
    }

    pub fn totals(&self) -> Totals {
        let mut totals = Totals {
            sources: self.books.iter().map(Book::totals).collect(),
            folded_calls: self.folded_calls,
            ..Totals::default()
        };
        let scales: Vec<Scale> = self.books.iter().map(Book::scale).collect();
        let ranges = self.ranges.told(&scales, &self.classes);
        self.classes.fill(&mut totals, &ranges);
        totals
    }

    /// Calls without a figure yet.
    pub fn pending(&self) -> usize {
        self.calls.len()
    }
}

/// Whether a source's windows say anything of the calls of a program.
fn concerns(reach: Reach, program: Option<usize>, policy: IdlePolicy) -> bool {
    match reach {
        Reach::Machine => true,
        Reach::Own => policy == IdlePolicy::ProRata,
        Reach::Program(index) => program == Some(index),
    }
}

impl Book {
    fn scale(&self) -> Scale {
        Scale {
            spread: self.spread,
            meter_uj: self.meter_uj(),
        }
    }

    fn origin(&self) -> Origin<'_> {
        Origin {
            id: self.id(),
            tier: self.tier,
            spread: self.spread,
        }
    }
}
