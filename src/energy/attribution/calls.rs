//! The calls that have no figure yet: found by their id, gone through in its order.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use slab::Slab;

use super::call::InFlight;

/// So many places are kept where no call is left; more are given back.
const KEPT: usize = 4096;

/// Thousands come and go in a round: a tree would search for each, and move its neighbours.
#[derive(Debug, Default)]
pub(super) struct Calls {
    slots: Slab<InFlight>,
    at: HashMap<u64, usize, BuildHasherDefault<Spread>>,
    /// Ids and their slots.
    order: Vec<(u64, usize)>,
    /// Whether `order` is not ascending: each worker has ids of its own.
    mixed: bool,
}

/// A call, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) call: u64,
    slot: usize,
}

impl Calls {
    pub(super) fn begin(&mut self, call: u64, program: Option<usize>, at: u64) {
        let Self { slots, order, .. } = self;
        self.at.entry(call).or_insert_with(|| {
            let slot = slots.insert(InFlight::new(program, at));
            self.mixed |= order.last().is_some_and(|(last, _)| *last > call);
            order.push((call, slot));
            slot
        });
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn get_mut(&mut self, call: u64) -> Option<&mut InFlight> {
        self.slots.get_mut(*self.at.get(&call)?)
    }

    /// One that [`Self::iter`] told, as long as none was taken since.
    pub(super) fn at_mut(&mut self, place: Place) -> Option<&mut InFlight> {
        self.slots.get_mut(place.slot)
    }

    /// By id, ascending, if [`Self::sort`] was called since the last began.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Place, &InFlight)> {
        let order = self.order.iter();
        order.filter_map(|&(call, slot)| Some((Place { call, slot }, self.slots.get(slot)?)))
    }

    /// In any order.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut InFlight> {
        self.slots.iter_mut().map(|(_, it)| it)
    }

    pub(super) fn sort(&mut self) {
        if std::mem::take(&mut self.mixed) {
            // Stable, as that finds the runs that workers bring.
            self.order.sort_by_key(|(call, _)| *call);
        }
    }

    /// Forgets where those are that are over, and tells their slots for [`Self::take`].
    pub(super) fn part(&mut self, over: impl Fn(&InFlight) -> bool) -> Vec<(u64, usize)> {
        let mut parted = Vec::new();
        let Self { slots, order, .. } = self;
        order.retain(|&(call, slot)| {
            let is_over = slots.get(slot).is_some_and(&over);
            if is_over {
                self.at.remove(&call);
                parted.push((call, slot));
            }
            !is_over
        });
        parted
    }

    /// One that [`Self::part`] told, once.
    pub(super) fn take(&mut self, slot: usize) -> Option<InFlight> {
        let taken = self.slots.try_remove(slot);
        if self.slots.is_empty() && self.slots.capacity() > KEPT {
            *self = Self::default();
        }
        taken
    }
}

/// Spreads ids that count up: they are ours, so that nobody can make them collide.
#[derive(Debug, Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        // 2^64 over the golden ratio (Knuth, TAOCP 3, 6.4).
        let product = id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        // The upper bits depend on all of the id, the lower ones only on its lower ones.
        self.0 = product ^ (product >> 32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(calls: &Calls) -> Vec<u64> {
        calls.iter().map(|(place, _)| place.call).collect()
    }

    #[test]
    fn calls_are_in_order_whichever_worker_begins_them() {
        let mut calls = Calls::default();
        for call in [10, 11, 1 << 48, 12, (1 << 48) + 1, 5] {
            calls.begin(call, (call > 10).then_some(1), 0);
            // It began once.
            calls.begin(call, None, 1);
        }
        calls.sort();
        let all = [5, 10, 11, 12, 1 << 48, (1 << 48) + 1];
        assert_eq!(ids(&calls), all);
        assert_eq!(calls.len(), 6);
        calls.get_mut(11).unwrap().done(20);
        let places: Vec<_> = calls.iter().map(|(place, _)| place).collect();
        for place in places {
            let program = calls.at_mut(place).unwrap().program;
            assert_eq!(program, (place.call > 10).then_some(1));
        }
        assert!(calls.get_mut(13).is_none());
        // None has ended, so that none is over.
        assert!(calls.part(|it| it.over().is_some()).is_empty());
        let parted = calls.part(|it| it.program == Some(1));
        assert_eq!(parted.iter().map(|it| it.0).collect::<Vec<_>>(), &all[2..]);
        assert_eq!(ids(&calls), [5, 10]);
        assert!(parted.iter().all(|(_, slot)| calls.take(*slot).is_some()));
        assert!(parted.iter().all(|(_, slot)| calls.take(*slot).is_none()));
        assert_eq!(calls.len(), 2);
        calls.begin(11, None, 0);
        assert_eq!(ids(&calls), [5, 10, 11]);
    }

    #[test]
    fn memory_of_a_crowd_is_given_back() {
        let mut calls = Calls::default();
        for call in 0..100_000 {
            calls.begin(call, None, 0);
        }
        for (_, slot) in calls.part(|_| true) {
            assert!(calls.take(slot).is_some());
        }
        assert_eq!(calls.len(), 0);
        assert!(calls.slots.capacity() <= KEPT && calls.order.capacity() <= KEPT);
    }
}
