//! The one timer of a worker: injected waits, exact to what the kernel gives.
//!
//! tokio's timer wheel was measured 1.2 ms late, a timerfd 0.1 to 0.3 ms at light load. Under a
//! paused tokio clock the same heap and wake order run on tokio's time ([`Clock::Tokio`]), so tests
//! need not sleep.
//!
//! A lone wait ends exactly, and of many those that fall due close together end together
//! ([`Pace`]). On a busy worker the timerfd waits for the run queue like all else, so what should
//! have ended by then is fired inline at the start of each call ([`Timer::fire_due`]).

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::{Future, poll_fn};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slab::Slab;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::effect::RuleToken;
use crate::proxy::pace::Pace;
use crate::proxy::timerfd::TimerFd;

/// What drives the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    Timerfd,
    /// tokio's clock, which tests can pause.
    Tokio,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    Elapsed,
    /// The rule it stood under was disarmed, or everything was halted.
    Revoked,
}

/// A worker's timer. Clones share it.
#[derive(Clone, Debug)]
pub struct Timer(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    heap: RefCell<BinaryHeap<Reverse<(Instant, u64, usize)>>>,
    entries: RefCell<Slab<Entry>>,
    sequence: Cell<u64>,
    /// When the clock will next call; `None`: never.
    armed: Cell<Option<Instant>>,
    pace: Cell<Pace>,
    /// Waits under rules end at once: the worker drains.
    hurried: Cell<bool>,
    fd: Option<TimerFd>,
    rearm: Notify,
}

#[derive(Debug)]
struct Entry {
    sequence: u64,
    token: Option<RuleToken>,
    done: Option<Waited>,
    waker: Waker,
}

impl Timer {
    /// A timer for the current runtime; the caller spawns [`Timer::run`] on it.
    pub fn new(clock: Clock) -> io::Result<Self> {
        let fd = match clock {
            Clock::Timerfd => Some(TimerFd::new()?),
            Clock::Tokio => None,
        };
        Ok(Self(Rc::new(Inner {
            heap: RefCell::default(),
            entries: RefCell::default(),
            sequence: Cell::new(0),
            armed: Cell::new(None),
            pace: Cell::new(Pace::new(Instant::now())),
            hurried: Cell::new(false),
            fd,
            rearm: Notify::new(),
        })))
    }

    /// Fires entries as they fall due, for as long as the worker lives.
    pub async fn run(self) {
        loop {
            if let Some(fd) = &self.0.fd {
                if fd.fired().await.is_err() {
                    return;
                }
            } else {
                let rearmed = self.0.rearm.notified();
                match self.0.armed.get() {
                    None => rearmed.await,
                    Some(at) => tokio::select! {
                        () = tokio::time::sleep_until(at) => {}
                        () = rearmed => continue,
                    },
                }
            }
            let mut now = Instant::now();
            let asked = self.0.armed.take().filter(|_| self.0.fd.is_some());
            let late = asked.map(|asked| now.saturating_duration_since(asked));
            if asked.is_some() {
                now = self.wait_out(now);
            }
            let ended = self.fire(now);
            self.0.pace.set(self.0.pace.get().fired(now, ended, late));
            if let Some(next) = self.next_living() {
                self.arm(next, now);
            }
        }
    }

    /// The kernel may have called a little early: the little that is left of a wait is spent here.
    /// Bounded by [`Pace::REST`] for each firing, of which there are 2,000 a second at most.
    fn wait_out(&self, now: Instant) -> Instant {
        let left = match self.0.heap.borrow().peek() {
            Some(Reverse((at, ..))) => at.saturating_duration_since(now),
            None => Duration::ZERO,
        };
        if left.is_zero() || left > Pace::REST {
            return now;
        }
        #[expect(
            clippy::disallowed_types,
            reason = "a paused clock stands still, and this would never end"
        )]
        let begun = std::time::Instant::now();
        while begun.elapsed() < left {
            std::hint::spin_loop();
        }
        Instant::now()
    }

    /// Wakes every wait that should have ended by now, whatever the clock may rest. It makes no
    /// system call: where a wait was due, so is the clock, which then sees to the next one.
    pub fn fire_due(&self, now: Instant) {
        let overdue = match self.0.fd {
            Some(_) => now.checked_sub(Pace::LATEST),
            None => Some(now),
        };
        if let Some(overdue) = overdue {
            self.fire(overdue);
        }
    }

    /// Wakes every wait whose time has come, in the order of their deadlines; how many.
    fn fire(&self, now: Instant) -> u32 {
        let mut count = 0;
        loop {
            let due = match self.0.heap.borrow().peek() {
                Some(Reverse((at, sequence, key))) if *at <= now => Some((*sequence, *key)),
                _ => None,
            };
            let Some((sequence, key)) = due else {
                return count;
            };
            self.0.heap.borrow_mut().pop();
            self.finish(key, sequence, Waited::Elapsed);
            count += 1;
        }
    }

    /// The earliest deadline of a wait that was not dropped.
    fn next_living(&self) -> Option<Instant> {
        let mut heap = self.0.heap.borrow_mut();
        let entries = self.0.entries.borrow();
        while let Some(Reverse((at, sequence, key))) = heap.peek() {
            if entries
                .get(*key)
                .is_some_and(|entry| entry.sequence == *sequence)
            {
                return Some(*at);
            }
            heap.pop();
        }
        None
    }

    /// Whether something may be due: one comparison on the way of every call.
    pub fn has_waits(&self) -> bool {
        !self.0.heap.borrow().is_empty()
    }

    /// Ends every wait whose token is no longer live.
    pub fn revoke(&self, live: impl Fn(&RuleToken) -> bool) {
        let mut woken = Vec::new();
        for (_, entry) in self.0.entries.borrow_mut().iter_mut() {
            if entry.done.is_none() && entry.token.as_ref().is_some_and(|token| !live(token)) {
                entry.done = Some(Waited::Revoked);
                woken.push(entry.waker.clone());
            }
        }
        // Woken outside the borrow: a waker may run anything.
        woken.into_iter().for_each(Waker::wake);
    }

    /// Ends every wait under a rule, those to come included: a drain does not wait for faults.
    pub fn hurry(&self) {
        self.0.hurried.set(true);
        self.revoke(|_| false);
    }

    /// Whether waits under rules end at once.
    pub fn is_hurried(&self) -> bool {
        self.0.hurried.get()
    }

    /// Waits until `deadline`, never less; or without a deadline, until revoked.
    pub fn wait_until(
        &self,
        deadline: Option<Instant>,
        token: Option<RuleToken>,
    ) -> impl Future<Output = Waited> + use<> {
        let mut wait = Wait {
            timer: self.clone(),
            deadline,
            token,
            key: None,
        };
        poll_fn(move |context| wait.poll(context))
    }

    /// Waits `time`; without a rule, so that nothing revokes it.
    pub async fn sleep(&self, time: Duration) {
        self.wait_until(Some(Instant::now() + time), None).await;
    }

    fn insert(
        &self,
        deadline: Option<Instant>,
        token: Option<RuleToken>,
        waker: Waker,
    ) -> (usize, u64) {
        let sequence = self.0.sequence.get();
        self.0.sequence.set(sequence + 1);
        let key = self.0.entries.borrow_mut().insert(Entry {
            sequence,
            token,
            done: None,
            waker,
        });
        if let Some(at) = deadline {
            self.forget_dropped();
            self.0.heap.borrow_mut().push(Reverse((at, sequence, key)));
            // What is armed may be a head start for a later one.
            let lead = self.0.pace.get().lead();
            if self.0.armed.get().is_none_or(|armed| at < armed + lead) {
                self.arm(at, Instant::now());
            }
        }
        (key, sequence)
    }

    /// A dropped wait leaves its heap entry behind until it is due, which may be an hour: once
    /// these outnumber the living, the heap is built anew.
    fn forget_dropped(&self) {
        let mut heap = self.0.heap.borrow_mut();
        let entries = self.0.entries.borrow();
        if heap.len() > 2 * entries.len() + 64 {
            heap.retain(|Reverse((_, sequence, key))| {
                entries
                    .get(*key)
                    .is_some_and(|entry| entry.sequence == *sequence)
            });
        }
    }

    fn arm(&self, at: Instant, now: Instant) {
        let Some(fd) = &self.0.fd else {
            self.0.armed.set(Some(at));
            return self.0.rearm.notify_one();
        };
        let at = self.0.pace.get().next(at, now);
        if self.0.armed.get().is_some_and(|armed| armed <= at) {
            return;
        }
        self.0.armed.set(Some(at));
        fd.arm(at.saturating_duration_since(now));
    }

    fn finish(&self, key: usize, sequence: u64, how: Waited) {
        let waker = {
            let mut entries = self.0.entries.borrow_mut();
            // A key is used again after its wait was dropped; the sequence tells them apart.
            match entries.get_mut(key) {
                Some(entry) if entry.sequence == sequence && entry.done.is_none() => {
                    entry.done = Some(how);
                    Some(std::mem::replace(&mut entry.waker, Waker::noop().clone()))
                }
                _ => None,
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

struct Wait {
    timer: Timer,
    deadline: Option<Instant>,
    token: Option<RuleToken>,
    key: Option<usize>,
}

impl Wait {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Waited> {
        let Some(key) = self.key else {
            if self.token.is_some() && self.timer.0.hurried.get() {
                return Poll::Ready(Waited::Revoked);
            }
            if self.deadline.is_some_and(|at| at <= Instant::now()) {
                return Poll::Ready(Waited::Elapsed);
            }
            let (key, _) =
                self.timer
                    .insert(self.deadline, self.token.take(), context.waker().clone());
            self.key = Some(key);
            return Poll::Pending;
        };
        let mut entries = self.timer.0.entries.borrow_mut();
        let Some(entry) = entries.get_mut(key) else {
            return Poll::Ready(Waited::Elapsed);
        };
        let Some(how) = entry.done else {
            entry.waker.clone_from(context.waker());
            return Poll::Pending;
        };
        entries.remove(key);
        self.key = None;
        Poll::Ready(how)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.timer.0.entries.borrow_mut().try_remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(rule: &str) -> RuleToken {
        RuleToken {
            rule: rule.into(),
            index: 0,
            epoch: 0,
        }
    }

    /// Runs a story on a paused clock.
    fn paused<F: Future>(story: impl FnOnce(Timer) -> F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build_local(tokio::runtime::LocalOptions::default())
            .unwrap();
        runtime.block_on(async {
            let timer = Timer::new(Clock::Tokio).unwrap();
            tokio::task::spawn_local(timer.clone().run());
            story(timer).await
        })
    }

    #[test]
    fn waits_end_in_the_order_of_their_deadlines_and_never_early() {
        paused(|timer| async move {
            let order = Rc::new(RefCell::new(Vec::new()));
            let mut tasks = Vec::new();
            for millis in [30, 10, 20, 10] {
                let (timer, order) = (timer.clone(), order.clone());
                tasks.push(tokio::task::spawn_local(async move {
                    let start = Instant::now();
                    timer.sleep(Duration::from_millis(millis)).await;
                    assert!(start.elapsed() >= Duration::from_millis(millis));
                    order.borrow_mut().push(millis);
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(*order.borrow(), [10, 10, 20, 30]);
        });
    }

    #[test]
    fn revocation_ends_only_the_waits_of_its_rule() {
        paused(|timer| async move {
            let hour = Some(Instant::now() + Duration::from_secs(3600));
            let wait = |deadline, rule| {
                let timer = timer.clone();
                tokio::task::spawn_local(async move {
                    timer.wait_until(deadline, Some(token(rule))).await
                })
            };
            let (gone, stall, kept) = (wait(hour, "gone"), wait(None, "gone"), wait(hour, "kept"));
            tokio::task::yield_now().await;
            let before = Instant::now();
            timer.revoke(|token| &*token.rule != "gone");
            assert_eq!(gone.await.unwrap(), Waited::Revoked);
            assert_eq!(stall.await.unwrap(), Waited::Revoked);
            assert_eq!(before.elapsed(), Duration::ZERO);
            assert_eq!(kept.await.unwrap(), Waited::Elapsed);
        });
    }

    #[test]
    fn a_dropped_wait_leaves_nothing_behind() {
        paused(|timer| async move {
            for _ in 0..100 {
                let wait = timer.sleep(Duration::from_secs(1));
                assert!(
                    tokio::time::timeout(Duration::from_millis(1), wait)
                        .await
                        .is_err()
                );
            }
            assert!(timer.0.entries.borrow().is_empty());
            assert!(timer.0.heap.borrow().len() <= 66);
            timer.sleep(Duration::from_secs(2)).await;
            assert!(!timer.has_waits());
        });
    }

    #[test]
    fn the_timerfd_fires_and_never_early() {
        let runtime = tokio::runtime::LocalRuntime::new().unwrap();
        runtime.block_on(async {
            let timer = Timer::new(Clock::Timerfd).unwrap();
            tokio::task::spawn_local(timer.clone().run());
            for millis in [1, 3, 2] {
                let start = Instant::now();
                timer.sleep(Duration::from_millis(millis)).await;
                assert!(start.elapsed() >= Duration::from_millis(millis));
            }
        });
    }

    #[test]
    fn only_the_little_that_is_left_is_waited_out() {
        let runtime = tokio::runtime::LocalRuntime::new().unwrap();
        runtime.block_on(async {
            let timer = Timer::new(Clock::Timerfd).unwrap();
            let now = Instant::now();
            assert_eq!(timer.wait_out(now), now);
            let insert = |due| timer.insert(Some(due), None, Waker::noop().clone());
            // Far longer than this test takes: it would not end.
            insert(now + Duration::from_secs(3600));
            assert_eq!(timer.wait_out(now), now);
            insert(now + Pace::REST);
            assert!(timer.wait_out(now) >= now + Pace::REST);
        });
    }
}
