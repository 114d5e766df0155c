//! Idle power of a counter: a low quantile of the windows in which nothing was in flight.

use std::collections::VecDeque;

/// Windows that are remembered: 51 s at the default interval.
const MEMORY: usize = 512;

/// The estimate. Power in µW.
#[derive(Clone, Debug, Default)]
pub struct IdlePower {
    known: Option<u64>,
    by_age: VecDeque<u64>,
    sorted: Vec<u64>,
}

/// Idle power with its uncertainty: `low ≤ value ≤ high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    pub low_uw: u64,
    pub value_uw: u64,
    pub high_uw: u64,
}

impl IdlePower {
    /// `known`: configured, or part of the meter's model; nothing is estimated then.
    pub fn new(known: Option<u64>) -> Self {
        Self {
            known,
            ..Self::default()
        }
    }

    /// A window with nothing in flight: `uj` in `ns`.
    pub fn observe(&mut self, uj: u64, ns: u64) {
        if self.known.is_some() || ns == 0 {
            return;
        }
        let power = u128::from(uj) * 1_000_000_000 / u128::from(ns);
        let power = u64::try_from(power).unwrap_or(u64::MAX);
        if self.by_age.len() == MEMORY
            && let Some(old) = self.by_age.pop_front()
            && let Ok(at) = self.sorted.binary_search(&old)
        {
            self.sorted.remove(at);
        }
        self.by_age.push_back(power);
        let at = self.sorted.partition_point(|it| *it < power);
        self.sorted.insert(at, power);
    }

    /// `None` while no window was idle.
    pub fn estimate(&self) -> Option<Estimate> {
        if let Some(known) = self.known {
            return Some(Estimate {
                low_uw: known,
                value_uw: known,
                high_uw: known,
            });
        }
        let quantile = |tenths: usize| {
            let last = self.sorted.len().checked_sub(1)?;
            self.sorted.get(last * tenths / 10).copied()
        };
        Some(Estimate {
            low_uw: quantile(0)?,
            value_uw: quantile(2)?,
            high_uw: quantile(9)?,
        })
    }
}

/// Energy of a power over a time, in µJ.
pub fn energy(uw: u64, ns: u64) -> u64 {
    let uj = u128::from(uw) * u128::from(ns) / 1_000_000_000;
    u64::try_from(uj).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_does_not_raise_the_estimate() {
        let mut idle = IdlePower::new(None);
        assert_eq!(idle.estimate(), None);
        for index in 0..100_u64 {
            let uj = if index % 4 == 0 { 9_000 } else { 1_000 + index };
            idle.observe(uj, 100_000_000);
        }
        let estimate = idle.estimate().unwrap();
        assert!(
            (10_000..10_500).contains(&estimate.value_uw),
            "{estimate:?}"
        );
        assert!(estimate.low_uw <= estimate.value_uw && estimate.value_uw <= estimate.high_uw);
    }

    #[test]
    fn old_windows_are_forgotten() {
        let mut idle = IdlePower::new(None);
        idle.observe(1, 1_000_000_000);
        for _ in 0..MEMORY {
            idle.observe(7_000_000, 1_000_000_000);
        }
        assert_eq!(idle.estimate().unwrap().low_uw, 7_000_000);
        assert_eq!(idle.sorted.len(), MEMORY);
    }

    #[test]
    fn what_is_known_is_not_estimated() {
        let mut idle = IdlePower::new(Some(5));
        idle.observe(1_000, 1);
        assert_eq!(idle.estimate().unwrap().value_uw, 5);
    }
}
