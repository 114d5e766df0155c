//! Limits of a rule: how many calls it may hurt at once, in all, and of those that it selects.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::draw::Draws;
use crate::model::share::Credit;
use crate::model::{Admission, Event, Model};
use crate::units::Probability;

/// How many calls a rule may hurt. Absent: as many as it hits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// At once; at most [`Limits::MAX_CONCURRENT`].
    pub concurrent: Option<NonZeroU32>,
    /// Since the rule exists; at most [`Limits::MAX_TOTAL`].
    pub total: Option<NonZeroU64>,
    /// Of the calls that the rule selects.
    pub share: Option<Probability>,
}

impl Limits {
    pub const MAX_CONCURRENT: u32 = (1 << (64 - TOTAL_BITS)) - 1;
    pub const MAX_TOTAL: u64 = TOTAL_MASK;

    pub const fn is_none(&self) -> bool {
        self.concurrent.is_none() && self.total.is_none() && self.share.is_none()
    }
}

const TOTAL_BITS: u32 = 40;
const TOTAL_MASK: u64 = (1 << TOTAL_BITS) - 1;
const ONE_ACTIVE: u64 = 1 << TOTAL_BITS;

/// Lets calls pass within [`Limits`], exactly, whatever the interleaving.
///
/// `concurrent` and `total` live in one word, so that one compare-and-swap takes both or neither:
/// with two words a call refused by the second would for a moment occupy the first, and another
/// call would be refused that had room. Share credit is taken with its lock held around that swap,
/// for the same reason.
#[derive(Debug)]
pub struct Limiter {
    concurrent: Option<u64>,
    total: Option<u64>,
    /// Calls that pass now (the upper bits) and that ever passed; a part without a limit stays 0.
    word: AtomicU64,
    credit: Option<Mutex<Credit>>,
}

impl Limiter {
    pub fn new(limits: Limits) -> Self {
        let concurrent = limits
            .concurrent
            .map(|n| n.get().min(Limits::MAX_CONCURRENT));
        Self {
            concurrent: concurrent.map(u64::from),
            total: limits.total.map(|n| n.get().min(Limits::MAX_TOTAL)),
            word: AtomicU64::new(0),
            credit: limits.share.map(|share| Mutex::new(Credit::new(share))),
        }
    }

    /// A call that hit asks to pass. One that does is ended by [`Event::End`].
    pub fn enter(&self, _at: Duration) -> Admission {
        let goes = match &self.credit {
            Some(credit) => credit
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .spend_if(|| self.take()),
            None => self.take(),
        };
        if goes {
            Admission::Go
        } else {
            Admission::Refuse
        }
    }

    /// Calls inside now; always 0 where `concurrent` is not limited.
    pub fn active(&self) -> u64 {
        self.word.load(Ordering::Acquire) >> TOTAL_BITS
    }

    fn take(&self) -> bool {
        if self.concurrent.is_none() && self.total.is_none() {
            return true;
        }
        let next = |word: u64| {
            let (active, total) = (word >> TOTAL_BITS, word & TOTAL_MASK);
            let room = self.concurrent.is_none_or(|limit| active < limit)
                && self.total.is_none_or(|limit| total < limit);
            room.then(|| {
                word + u64::from(self.total.is_some()) + self.concurrent.map_or(0, |_| ONE_ACTIVE)
            })
        };
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, next)
            .is_ok()
    }

    fn leave(&self) {
        if self.concurrent.is_some() {
            // Each call that entered leaves once, so the upper bits never go below zero.
            self.word.fetch_sub(ONE_ACTIVE, Ordering::AcqRel);
        }
    }
}

impl Model for Limiter {
    fn admit(&self, at: Duration, _draws: &mut Draws) -> Admission {
        self.enter(at)
    }

    fn observe(&self, at: Duration, event: Event) {
        match event {
            Event::Selected => {
                if let Some(credit) = &self.credit {
                    credit
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .earn(at);
                }
            }
            Event::End => self.leave(),
            Event::Disarmed | Event::Unit | Event::Usage { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    use super::*;

    fn limits(concurrent: u32, total: u64) -> Limits {
        Limits {
            concurrent: NonZeroU32::new(concurrent),
            total: NonZeroU64::new(total),
            share: None,
        }
    }

    #[test]
    fn concurrent_refuses_the_call_too_many_and_frees_its_slot() {
        let limiter = Limiter::new(limits(2, 0));
        let at = Duration::ZERO;
        assert_eq!(limiter.enter(at), Admission::Go);
        assert_eq!(limiter.enter(at), Admission::Go);
        assert_eq!(limiter.enter(at), Admission::Refuse);
        limiter.observe(at, Event::End);
        assert_eq!(limiter.enter(at), Admission::Go);
        assert_eq!(limiter.active(), 2);
    }

    #[test]
    fn a_refusal_by_total_holds_no_slot() {
        let limiter = Limiter::new(limits(5, 1));
        let at = Duration::ZERO;
        assert_eq!(limiter.enter(at), Admission::Go);
        limiter.observe(at, Event::End);
        assert_eq!(limiter.enter(at), Admission::Refuse);
        assert_eq!(limiter.active(), 0);
    }

    #[test]
    fn a_call_refused_by_slots_keeps_the_credit() {
        let limiter = Limiter::new(Limits {
            share: Probability::new(0.5).ok(),
            ..limits(1, 0)
        });
        let at = Duration::ZERO;
        for _ in 0..2 {
            limiter.observe(at, Event::Selected);
        }
        assert_eq!(limiter.enter(at), Admission::Go);
        for _ in 0..2 {
            limiter.observe(at, Event::Selected);
        }
        assert_eq!(limiter.enter(at), Admission::Refuse);
        limiter.observe(at, Event::End);
        assert_eq!(limiter.enter(at), Admission::Go);
    }

    #[test]
    fn threads_never_exceed_concurrent_nor_total_and_leak_nothing() {
        const THREADS: usize = 8;
        const TOTAL: u64 = 20_000;
        let limiter = Limiter::new(limits(3, TOTAL));
        let (inside, most, passed) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for turn in 0..10_000 {
                        if limiter.enter(Duration::ZERO) == Admission::Go {
                            most.fetch_max(
                                inside.fetch_add(1, Ordering::SeqCst) + 1,
                                Ordering::SeqCst,
                            );
                            passed.fetch_add(1, Ordering::SeqCst);
                            if turn % 64 == 0 {
                                thread::yield_now();
                            }
                            inside.fetch_sub(1, Ordering::SeqCst);
                            limiter.observe(Duration::ZERO, Event::End);
                        }
                    }
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 3, "{most:?}");
        assert!(passed.load(Ordering::SeqCst) <= TOTAL);
        assert_eq!(limiter.active(), 0);
        // What is left of the total is exactly what has not passed.
        let mut left = 0;
        while limiter.enter(Duration::ZERO) == Admission::Go {
            limiter.observe(Duration::ZERO, Event::End);
            left += 1;
        }
        assert_eq!(passed.load(Ordering::SeqCst) + left, TOTAL);
    }

    #[test]
    fn threads_never_exceed_the_share() {
        let limiter = Limiter::new(Limits {
            share: Probability::new(0.25).ok(),
            ..Limits::default()
        });
        let (selected, passed) = (AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        // Counted before the credit is earned: at any time passed <= share of it.
                        selected.fetch_add(1, Ordering::SeqCst);
                        limiter.observe(Duration::ZERO, Event::Selected);
                        if limiter.enter(Duration::ZERO) == Admission::Go {
                            let passed = passed.fetch_add(1, Ordering::SeqCst) + 1;
                            assert!(passed * 4 <= selected.load(Ordering::SeqCst));
                        }
                    }
                });
            }
        });
        assert_eq!(passed.load(Ordering::SeqCst), 10_000);
    }
}
