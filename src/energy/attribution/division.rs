//! Dividing one window: idle first, then between programs by CPU time, then over each program's
//! calls by the time that they were at work upstream.

use super::book::{Book, Part};
use super::call::Presence;
use super::calls::Place;
use super::ranges::{Ghost, Record, Touch};
use super::{Attribution, GHOST_NS, concerns};
use crate::energy::figure::Flag;
use crate::energy::idle::energy;
use crate::energy::reading::{Reach, TICK_NS};
use crate::energy::settings::IdlePolicy;
use crate::energy::split::{apportion, apportion_into};
use crate::energy::window::{Shares, Stretch};

/// Memory that each window uses again.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    present: Vec<Present>,
    chosen: Vec<usize>,
    weights: Vec<u64>,
    parts: Vec<u64>,
    remainders: Vec<(u64, usize)>,
}

/// A call, or folded work, in a window.
#[derive(Clone, Copy, Debug)]
struct Present {
    /// `None`: folded work.
    call: Option<Place>,
    program: Option<usize>,
    time: Presence,
}

/// The dynamic part of a window.
#[derive(Clone, Copy, Debug)]
struct Dynamic {
    source: usize,
    stretch: Stretch,
    uj: u64,
    /// By how much `uj` may be too high or too low, as idle power is not known exactly.
    over_uj: u64,
    under_uj: u64,
    /// What a window may be off for steps and lateness of counters.
    edge_uj: u64,
    idle_known: bool,
}

/// What falls to one program's calls.
#[derive(Clone, Copy, Debug)]
struct Pot {
    uj: u64,
    /// Whether it is the work of that program alone.
    known: bool,
    /// CPU time of the program in the window.
    cpu_ns: Option<u64>,
}

/// Who shares a pot, and the most that may be any one's.
#[derive(Clone, Copy, Debug)]
struct Crowd {
    alone: bool,
    /// Active time of all.
    active: u64,
    most: u64,
}

impl Attribution {
    pub(super) fn divide(&mut self, source: usize, stretch: Stretch, uj: u64, shares: &Shares) {
        let mut scratch = std::mem::take(&mut self.scratch);
        self.look(source, stretch, &mut scratch);
        let book = &mut self.books[source];
        book.window(stretch, uj);
        let reach = book.reach;
        let (idle_uj, dynamic) = dynamic(book, source, stretch, uj, shares, &scratch);
        book.put(Part::Idle, idle_uj);
        if self.idle.policy == IdlePolicy::ProRata {
            self.divide_idle(source, idle_uj, &mut scratch);
        }
        match reach {
            Reach::Machine => self.divide_machine(dynamic, shares, &mut scratch),
            Reach::Own => self.books[source].put(Part::Own, dynamic.uj),
            Reach::Program(program) => {
                let cpu_ns = shares.programs.get(program).copied().flatten();
                let pot = Pot {
                    uj: dynamic.uj,
                    known: true,
                    cpu_ns,
                };
                self.divide_program(dynamic, program, pot, &mut scratch);
            }
        }
        self.scratch = scratch;
    }

    /// Finds what was in flight.
    fn look(&self, source: usize, stretch: Stretch, scratch: &mut Scratch) {
        let reach = self.books[source].reach;
        let policy = self.idle.policy;
        scratch.present.clear();
        for (place, it) in self.calls.iter() {
            let time = it.presence(stretch);
            if time.any() && concerns(reach, it.program, policy) {
                scratch.present.push(Present {
                    call: Some(place),
                    program: it.program,
                    time,
                });
            }
        }
        for it in &self.folded {
            let program = self.programs.get(it.upstream).copied().flatten();
            let part = u128::from(it.active_ns) * u128::from(it.stretch.overlap(stretch))
                / u128::from(it.stretch.length().max(1));
            let active = u64::try_from(part).unwrap_or(u64::MAX);
            if active > 0 && concerns(reach, program, policy) {
                scratch.present.push(Present {
                    call: None,
                    program,
                    time: Presence {
                        active,
                        ..Presence::default()
                    },
                });
            }
        }
    }

    /// A share of the idle energy for each call, beside its own. Folded work has none to tell.
    fn divide_idle(&mut self, source: usize, idle_uj: u64, scratch: &mut Scratch) {
        let weights: Vec<u64> = scratch.present.iter().map(|it| it.time.active).collect();
        for (it, part) in scratch.present.iter().zip(apportion(idle_uj, &weights)) {
            let call = it.call.and_then(|place| self.calls.at_mut(place));
            if let Some(call) = call {
                call.charge(source).idle_uj += part;
            }
        }
    }

    fn divide_machine(&mut self, dynamic: Dynamic, shares: &Shares, scratch: &mut Scratch) {
        let at_work = scratch.present.iter().any(|it| it.time.active > 0);
        let others = match shares.others {
            // The CPU clock is too coarse for this window, or not to be read: nothing tells the
            // programs apart.
            None => None,
            Some(_) if shares.busy() == 0 && at_work => None,
            Some(others) => Some(others),
        };
        let Some(others) = others else {
            scratch.chosen.clear();
            scratch.chosen.extend(0..scratch.present.len());
            let pot = Pot {
                uj: dynamic.uj,
                known: false,
                cpu_ns: None,
            };
            self.charge(dynamic, pot, scratch);
            return;
        };
        let mut weights: Vec<u64> = shares.programs.iter().map(|it| it.unwrap_or(0)).collect();
        weights.push(shares.own);
        // Where no CPU was used, what little there is falls to others.
        weights.push(if shares.busy() == 0 { 1 } else { others });
        let mut parts = apportion(dynamic.uj, &weights);
        let rest = parts.pop().unwrap_or(0);
        let own = parts.pop().unwrap_or(0);
        self.books[dynamic.source].put(Part::Own, own);
        for (program, uj) in parts.into_iter().enumerate() {
            if let Some(cpu_ns) = shares.programs[program] {
                let pot = Pot {
                    uj,
                    known: true,
                    cpu_ns: Some(cpu_ns),
                };
                self.divide_program(dynamic, program, pot, scratch);
            }
        }
        self.divide_rest(dynamic, rest, shares, scratch);
    }

    fn divide_program(
        &mut self,
        dynamic: Dynamic,
        program: usize,
        pot: Pot,
        scratch: &mut Scratch,
    ) {
        let present = scratch.present.iter().enumerate();
        scratch.chosen.clear();
        scratch.chosen.extend(
            present
                .filter(|(_, it)| it.program == Some(program))
                .map(|(index, _)| index),
        );
        self.charge(dynamic, pot, scratch);
    }

    /// What no known program used: work of upstreams whose process is not known, or of others.
    fn divide_rest(&mut self, dynamic: Dynamic, uj: u64, shares: &Shares, scratch: &mut Scratch) {
        let known = |program: Option<usize>| {
            program.is_some_and(|it| shares.programs.get(it).copied().flatten().is_some())
        };
        if self.programs.iter().all(|program| known(*program)) {
            self.books[dynamic.source].put(Part::Others, uj);
            return;
        }
        let present = scratch.present.iter().enumerate();
        scratch.chosen.clear();
        scratch.chosen.extend(
            present
                .filter(|(_, it)| !known(it.program))
                .map(|(index, _)| index),
        );
        let pot = Pot {
            uj,
            known: false,
            cpu_ns: None,
        };
        self.charge(dynamic, pot, scratch);
    }

    /// Divides a pot over the chosen calls. Where none was active, a known program's work is that
    /// of calls whose bytes we held, or of ghosts: nothing else was open. Else nobody's.
    fn charge(&mut self, dynamic: Dynamic, pot: Pot, scratch: &mut Scratch) {
        let sum = |of: fn(Presence) -> u64| {
            let chosen = scratch.chosen.iter();
            chosen.fold(0_u64, |sum, it| {
                sum.saturating_add(of(scratch.present[*it].time))
            })
        };
        let active = sum(|it| it.active);
        let held = sum(|it| it.held);
        let weight: fn(Presence) -> u64 = match (active, held, pot.known) {
            (0, 0, true) => |it| it.ghost,
            (0, _, true) => |it| it.held,
            _ => |it| it.active,
        };
        scratch.weights.clear();
        scratch.weights.extend(
            scratch
                .chosen
                .iter()
                .map(|it| weight(scratch.present[*it].time)),
        );
        scratch.parts.resize(scratch.weights.len(), 0);
        apportion_into(
            pot.uj,
            &scratch.weights,
            &mut scratch.parts,
            &mut scratch.remainders,
        );
        let given: u64 = scratch.parts.iter().sum();
        self.books[dynamic.source].put(Part::Unattributed, pot.uj - given);
        let under = share(dynamic.under_uj, pot.uj, dynamic.uj);
        let most = pot.uj.saturating_add(under);
        for (position, index) in scratch.chosen.iter().enumerate() {
            let it = scratch.present[*index];
            let crowd = Crowd {
                alone: scratch.chosen.len() == 1,
                active,
                most,
            };
            self.charge_one(dynamic, pot, it, scratch.parts[position], crowd);
        }
        self.remember(dynamic, pot, given, scratch);
        self.judge_ghosts(dynamic.stretch, pot, scratch);
    }

    /// Keeps the pot until the classes of its calls are known.
    fn remember(&mut self, dynamic: Dynamic, pot: Pot, given: u64, scratch: &Scratch) {
        let mut others = false;
        let mut touches = Vec::with_capacity(scratch.chosen.len());
        let number = self.ranges.next_number();
        for (position, index) in scratch.chosen.iter().enumerate() {
            let it = scratch.present[*index];
            let Some(place) = it.call else {
                others = true;
                continue;
            };
            if let Some(call) = self.calls.at_mut(place) {
                call.first_record.get_or_insert(number);
            }
            let own = it.time.active > 0 || it.time.held > 0;
            let ghost = match (it.time.ghost > 0, own || scratch.parts[position] > 0) {
                (false, _) => Ghost::None,
                (true, false) => Ghost::Bystander,
                (true, true) => Ghost::Counts,
            };
            touches.push(Touch::new(place.call, own, ghost));
        }
        if touches.is_empty() {
            return;
        }
        let over = share(dynamic.over_uj, pot.uj, dynamic.uj);
        let under = share(dynamic.under_uj, pot.uj, dynamic.uj);
        let low = if pot.known && !others { given } else { 0 };
        let record = Record {
            source: dynamic.source,
            stretch: dynamic.stretch,
            low_uj: low.saturating_sub(over),
            high_uj: pot.uj.saturating_add(under),
            edge_uj: dynamic.edge_uj,
            going_on: touches.len(),
            next: 0,
            touches,
        };
        let (calls, classes) = (&mut self.calls, &self.classes);
        self.ranges.remember(record, classes, |call, source, uj| {
            if let Some(call) = calls.get_mut(call) {
                let charge = call.charge(source);
                charge.early_uj = charge.early_uj.saturating_add(uj);
            }
        });
    }

    fn charge_one(&mut self, dynamic: Dynamic, pot: Pot, it: Present, uj: u64, crowd: Crowd) {
        let call = it.call.and_then(|place| self.calls.at_mut(place));
        let Some(call) = call else {
            self.books[dynamic.source].put(Part::Folded, uj);
            return;
        };
        self.books[dynamic.source].put(Part::InFlight, uj);
        let only_ghost = it.time.active == 0 && it.time.held == 0;
        if only_ghost && uj == 0 {
            return;
        }
        if !dynamic.idle_known {
            call.flags.add(Flag::IdleUnknown);
        }
        let is_only_summed_up = call.is_only_summed_up();
        let charge = call.charge(dynamic.source);
        charge.windows += 1;
        charge.dyn_uj += uj;
        if only_ghost {
            charge.zombie_uj += uj;
        }
        if is_only_summed_up {
            return;
        }
        let length = dynamic.stretch.length();
        let detail = charge.detail();
        detail.shortest = detail.shortest.min(length);
        if crowd.alone && it.time.active > 0 {
            detail.lo_uj += uj.saturating_sub(share(dynamic.over_uj, pot.uj, dynamic.uj));
        }
        detail.hi_uj = detail.hi_uj.saturating_add(crowd.most);
        detail.edge_uj = detail.edge_uj.max(dynamic.edge_uj);
        detail.host_shared |= !pot.known;
        detail.active_ns = detail.active_ns.saturating_add(it.time.active);
        let shared = product_over(it.time.active, crowd.active, length.max(1));
        detail.crowd = detail.crowd.saturating_add(shared);
    }

    /// A ghost is over when its program falls idle, and when another call hides it.
    fn judge_ghosts(&mut self, stretch: Stretch, pot: Pot, scratch: &Scratch) {
        let chosen = || scratch.chosen.iter().map(|it| scratch.present[*it]);
        for it in chosen().filter(|it| it.time.ghost > 0) {
            let hidden = chosen().any(|other| {
                other.call != it.call && (other.time.active > 0 || other.time.held > 0)
            });
            let call = it.call.and_then(|place| self.calls.at_mut(place));
            let Some(call) = call else { continue };
            let Some(since) = call.ghost_since() else {
                continue;
            };
            let watched = since <= stretch.from;
            let idle = pot
                .cpu_ns
                .is_some_and(|cpu| cpu.saturating_mul(20) <= stretch.length());
            if hidden || !pot.known || stretch.to.saturating_sub(since) > GHOST_NS {
                call.flags.add(Flag::ZombieUnknown);
                call.end_ghost(stretch.to);
            } else if watched && idle {
                call.end_ghost(stretch.to);
            }
        }
    }
}

/// Idle energy of the window, and what is left of it.
fn dynamic(
    book: &mut Book,
    source: usize,
    stretch: Stretch,
    uj: u64,
    shares: &Shares,
    scratch: &Scratch,
) -> (u64, Dynamic) {
    let length = stretch.length();
    if scratch.present.is_empty() && book.reach == Reach::Machine {
        book.idle_power.observe(uj, length);
    }
    let estimate = book.idle_power.estimate();
    let idle = |uw: u64| energy(uw, length).min(uj);
    let idle_uj = estimate.map_or(0, |it| idle(it.value_uw));
    let dyn_uj = uj - idle_uj;
    let late = u128::from(uj) * u128::from(book.lag_ns) / u128::from(length.max(1));
    let tick = match book.reach {
        Reach::Machine => {
            u128::from(dyn_uj) * u128::from(TICK_NS) / u128::from(shares.busy().max(TICK_NS))
        }
        Reach::Own | Reach::Program(_) => 0,
    };
    let edge = u128::from(book.quantum_uj) + late + tick;
    let dynamic = Dynamic {
        source,
        stretch,
        uj: dyn_uj,
        over_uj: estimate.map_or(dyn_uj, |it| idle(it.high_uw) - idle_uj),
        under_uj: estimate.map_or(0, |it| idle_uj - idle(it.low_uw)),
        edge_uj: u64::try_from(edge).unwrap_or(u64::MAX),
        idle_known: estimate.is_some(),
    };
    (idle_uj, dynamic)
}

fn product_over(one: u64, other: u64, under: u64) -> u64 {
    // Dividing 128 bits takes ten times as long, and is hardly ever needed.
    if let Some(product) = one.checked_mul(other) {
        return product / under;
    }
    let quotient = u128::from(one) * u128::from(other) / u128::from(under);
    u64::try_from(quotient).unwrap_or(u64::MAX)
}

/// The part of an uncertainty that falls to a pot; all of it where there was nothing to divide.
fn share(uj: u64, pot: u64, whole: u64) -> u64 {
    let part = (u128::from(uj) * u128::from(pot)).checked_div(u128::from(whole));
    part.map_or(uj, |part| u64::try_from(part).unwrap_or(u64::MAX))
}
