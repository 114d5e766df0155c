//! When a rule acts, counted from its arming. A function of time, without state.

use std::num::NonZeroU128;
use std::time::Duration;

/// Windows in which a rule acts: the first begins `start` after arming and lasts `length`; a new one
/// begins `every` so often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    start: Duration,
    /// Absent: the window never ends.
    length: Option<Duration>,
    /// Nanoseconds from one window's begin to the next.
    every: Option<NonZeroU128>,
}

impl Schedule {
    /// `every` has a meaning only with a `length` shorter than it.
    pub fn new(start: Duration, length: Option<Duration>, every: Option<Duration>) -> Self {
        Self {
            start,
            length,
            every: every.and_then(|every| NonZeroU128::new(every.as_nanos())),
        }
    }

    /// Whether a window is open at this time since arming. A window's begin is in it, its end is not.
    pub fn is_open(&self, since_armed: Duration) -> bool {
        let Some(since_start) = since_armed.checked_sub(self.start) else {
            return false;
        };
        let nanos = since_start.as_nanos();
        let in_window = self.every.map_or(nanos, |every| nanos % every);
        self.length
            .is_none_or(|length| in_window < length.as_nanos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(schedule: &Schedule) -> Vec<u64> {
        (0..20)
            .filter(|&second| schedule.is_open(Duration::from_secs(second)))
            .collect()
    }

    #[test]
    fn windows_begin_end_and_come_again() {
        let s = Duration::from_secs;
        assert_eq!(open(&Schedule::default()).len(), 20);
        assert_eq!(open(&Schedule::new(s(17), None, None)), [17, 18, 19]);
        assert_eq!(open(&Schedule::new(s(3), Some(s(2)), None)), [3, 4]);
        let again = Schedule::new(s(3), Some(s(2)), Some(s(7)));
        assert_eq!(open(&again), [3, 4, 10, 11, 17, 18]);
    }

    #[test]
    fn the_longest_times_overflow_nothing() {
        let schedule = Schedule::new(Duration::ZERO, Some(Duration::MAX), Some(Duration::MAX));
        assert!(schedule.is_open(Duration::from_secs(u64::MAX)));
        assert!(!Schedule::new(Duration::MAX, None, None).is_open(Duration::ZERO));
    }
}
