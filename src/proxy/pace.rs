//! When a worker's timer fires, where many waits end.

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

/// Each firing costs a wake-up and a system call, and the calls that it sends on wake the upstream
/// and then their clients: more than all else that a wait costs. So where a worker ends more than
/// 2,000 waits a second they end on ticks, as they always do with `HAProxy` and Envoy: what falls
/// due close together ends together, is answered together and comes back together. A wait that is
/// one of few ends exactly.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Ticks are counted from here.
    start: Instant,
    fired: Instant,
    /// Waits that ended lately, in [`PARTS`].
    ended: u64,
}

impl Pace {
    /// The longest that a firing is put off.
    pub(super) const LATEST: Duration = TICK;

    pub(super) fn new(now: Instant) -> Self {
        Self {
            start: now,
            fired: now,
            ended: 0,
        }
    }

    /// After a firing that ended so many waits.
    pub(super) fn fired(self, now: Instant, ended: u32) -> Self {
        let past = now.saturating_duration_since(self.fired);
        let left = MEMORY.saturating_sub(past);
        let faded = u128::from(self.ended) * left.as_micros() / MEMORY.as_micros();
        // It is no larger than before.
        let faded = u64::try_from(faded).unwrap_or(self.ended);
        Self {
            start: self.start,
            fired: now,
            ended: faded.saturating_add(u64::from(ended) * PARTS),
        }
    }

    /// When the timer fires for a wait that falls due at `due`: never before.
    pub(super) fn next(self, due: Instant) -> Instant {
        if self.ended < MANY * PARTS {
            return due;
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

    /// How late waits end that fall due so far apart: the first hundred milliseconds are not
    /// looked at.
    fn lateness(gap: Duration) -> Vec<Duration> {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let mut late = Vec::new();
        let mut due = start + gap;
        while due < start + Duration::from_millis(300) {
            let fires = pace.next(due);
            let mut ended = 0;
            while due <= fires {
                if due > start + Duration::from_millis(100) {
                    late.push(fires - due);
                }
                due += gap;
                ended += 1;
            }
            pace = pace.fired(fires, ended);
        }
        late
    }

    #[test]
    fn few_waits_end_exactly() {
        for gap in [700, 1_000, 10_000].map(Duration::from_micros) {
            let late = lateness(gap);
            assert!(late.iter().all(Duration::is_zero), "{gap:?}: {late:?}");
        }
    }

    #[test]
    fn many_waits_end_together_and_none_later_than_a_tick() {
        for gap in [5, 100, 300].map(Duration::from_micros) {
            let late = lateness(gap);
            let latest = *late.iter().max().unwrap();
            assert!(latest <= Pace::LATEST, "{gap:?}: {latest:?}");
            let firings = late.iter().filter(|it| **it < gap).count();
            // 200 ms of ticks.
            assert!((120..=140).contains(&firings), "{gap:?}: {firings}");
        }
    }

    #[test]
    fn a_crowd_is_forgotten() {
        let now = Instant::now();
        let crowd = Pace::new(now).fired(now, 1_000_000);
        let later = now + Duration::from_micros(10);
        assert_eq!(crowd.next(later), now + TICK);
        // One that falls due on a tick ends with the next.
        assert_eq!(crowd.next(now), now + TICK);
        let alone = crowd.fired(now + MEMORY, 1);
        let due = now + MEMORY + Duration::from_micros(1);
        assert_eq!(alone.next(due), due);
        // Nothing overflows.
        let most = (0..100).fold(crowd, |pace, _| pace.fired(now, u32::MAX));
        assert_eq!(most.next(later), now + TICK);
    }
}
