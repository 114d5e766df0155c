//! When a worker's timer fires: early enough for a lone wait, on ticks where many end.

use std::time::Duration;

use tokio::time::Instant;

/// Where many waits end, they end on ticks so far apart.
const TICK: Duration = Duration::from_micros(1500);
/// Over how long the ended waits are counted.
const MEMORY: Duration = Duration::from_millis(8);
/// So many within [`MEMORY`] are many: 2,000 a second.
const MANY: u64 = 16;
/// Ended waits are counted in parts, so that the count can fade.
const PARTS: u64 = 16;
/// By so much the head start grows with a firing that came late, up to the most, and shrinks with
/// one that came early: half of them do.
const STEP: Duration = Duration::from_micros(1);
const MOST: Duration = Duration::from_micros(150);

/// Each firing costs a wake-up and a system call, and the calls that it sends on wake the upstream
/// and then their clients: more than all else that a wait costs. So where a worker ends more than
/// 2,000 waits a second they end on ticks, as they always do with `HAProxy` and Envoy: what falls
/// due close together ends together, is answered together and comes back together.
///
/// A wait that is one of few ends as exactly as can be. The kernel calls late, by 50 to 100 µs on an
/// idle virtual machine: what half of its calls are late by is learnt, and asked for as a head start.
/// Where it then calls too early the rest is waited out, up to [`Pace::REST`]: being called once more
/// takes more CPU time than that, and is late again. No wait ends before its time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Ticks are counted from here.
    start: Instant,
    fired: Instant,
    /// Waits that ended lately, in [`PARTS`].
    ended: u64,
    /// By how much the kernel is asked early.
    lead: Duration,
}

impl Pace {
    /// The longest that a firing is put off.
    pub(super) const LATEST: Duration = TICK;
    /// The most that is waited out.
    pub(super) const REST: Duration = Duration::from_micros(30);

    pub(super) fn new(now: Instant) -> Self {
        Self {
            start: now,
            fired: now,
            ended: 0,
            lead: Duration::ZERO,
        }
    }

    /// After a firing that ended so many waits. `late`: by how much the kernel called later than it
    /// was asked to; absent where it was not the kernel.
    pub(super) fn fired(self, now: Instant, ended: u32, late: Option<Duration>) -> Self {
        Self {
            start: self.start,
            fired: now,
            ended: (self.lately(now)).saturating_add(u64::from(ended) * PARTS),
            lead: late.map_or(self.lead, |late| {
                if late >= self.lead {
                    (self.lead + STEP).min(MOST)
                } else {
                    self.lead.saturating_sub(STEP)
                }
            }),
        }
    }

    /// By how much the kernel is asked early.
    pub(super) fn lead(self) -> Duration {
        self.lead
    }

    /// Waits that ended within [`MEMORY`] before `now`, in [`PARTS`].
    fn lately(self, now: Instant) -> u64 {
        let past = now.saturating_duration_since(self.fired);
        let left = MEMORY.saturating_sub(past);
        let faded = u128::from(self.ended) * left.as_micros() / MEMORY.as_micros();
        // It is no larger than before.
        u64::try_from(faded).unwrap_or(self.ended)
    }

    /// When to ask for a call, at `now`, for a wait that falls due at `due`.
    pub(super) fn next(self, due: Instant, now: Instant) -> Instant {
        if self.lately(now) < MANY * PARTS {
            let early = due.checked_sub(self.lead).filter(|early| *early > now);
            return early.unwrap_or(due);
        }
        let since = due.saturating_duration_since(self.start).as_nanos();
        let into = since % TICK.as_nanos();
        // Less than a tick.
        let left = u64::try_from(TICK.as_nanos() - into).unwrap_or_default();
        due + Duration::from_nanos(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Draws;

    /// How late waits end that fall due so far apart, with a kernel that is late as `kernel` says,
    /// and the calls that it took. The first 500 firings are not looked at.
    fn lateness(gap: Duration, mut kernel: impl FnMut() -> Duration) -> (Vec<Duration>, usize) {
        let start = Instant::now();
        let mut now = start;
        let mut pace = Pace::new(start);
        let (mut late, mut calls) = (Vec::new(), 0);
        let mut due = start + gap;
        for firing in 0..1500 {
            let asked = pace.next(due, now);
            now = now.max(asked + kernel());
            let called = now;
            if due.saturating_duration_since(now) <= Pace::REST {
                now = now.max(due);
            }
            let mut ended = 0;
            while due <= now {
                if firing >= 500 {
                    late.push(now - due);
                }
                due += gap;
                ended += 1;
            }
            calls += usize::from(firing >= 500);
            pace = pace.fired(now, ended, Some(called - asked));
        }
        late.sort();
        (late, calls)
    }

    #[test]
    fn few_waits_end_as_exactly_as_the_kernel_can() {
        let mut draws = Draws::from_sub_seed(5);
        for gap in [700, 1_000, 10_000].map(Duration::from_micros) {
            let (late, calls) = lateness(gap, || Duration::ZERO);
            assert!(late.iter().all(Duration::is_zero), "{gap:?}: {late:?}");
            assert_eq!(calls, late.len());
            // From 50 to 90 µs late.
            let (late, calls) =
                lateness(gap, || Duration::from_nanos(50_000 + draws.below(40_000)));
            let median = late[late.len() / 2];
            assert!(median < Duration::from_micros(3), "{gap:?}: {median:?}");
            assert!(20 * calls < 21 * late.len(), "{calls} for {}", late.len());
        }
    }

    #[test]
    fn many_waits_end_together_and_none_later_than_a_tick() {
        for gap in [5, 100, 300].map(Duration::from_micros) {
            let (late, calls) = lateness(gap, || Duration::ZERO);
            let latest = *late.iter().max().unwrap();
            assert!(latest <= Pace::LATEST, "{gap:?}: {latest:?}");
            let ticks = late.len() as u128 * gap.as_nanos() / TICK.as_nanos();
            assert!(
                u128::try_from(calls).unwrap().abs_diff(ticks) < 10,
                "{gap:?}: {calls}"
            );
        }
    }

    #[test]
    fn a_crowd_is_forgotten() {
        let now = Instant::now();
        let crowd = Pace::new(now).fired(now, 1_000_000, None);
        let later = now + Duration::from_micros(10);
        assert_eq!(crowd.next(later, now), now + TICK);
        // One that falls due on a tick ends with the next.
        assert_eq!(crowd.next(now, now), now + TICK);
        let due = now + MEMORY + Duration::from_micros(1);
        assert_eq!(crowd.next(due, now + MEMORY), due);
        assert_eq!(crowd.fired(now + MEMORY, 1, None).next(due, now), due);
        // Nothing overflows.
        let most = (0..100).fold(crowd, |pace, _| pace.fired(now, u32::MAX, None));
        assert_eq!(most.next(later, now), now + TICK);
    }

    #[test]
    fn a_head_start_is_bounded_and_never_reaches_back() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..200 {
            now += MEMORY;
            // What a busy worker is late by is no measure beyond the most.
            pace = pace.fired(now, 1, Some(MEMORY));
        }
        assert_eq!(pace.lead(), MOST);
        let due = now + Duration::from_millis(1);
        assert_eq!(pace.next(due, now), due - MOST);
        // Too near for a head start: what is left is waited for.
        assert_eq!(pace.next(now + MOST, now), now + MOST);
        assert_eq!(pace.fired(now, 1, Some(Duration::ZERO)).lead() + STEP, MOST);
        // Not the kernel: nothing is learnt.
        assert_eq!(pace.fired(now, 1, None).lead(), MOST);
    }
}
