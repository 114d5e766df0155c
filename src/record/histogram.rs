//! Histograms of times: one thread observes, others read without a lock. Those of energy are
//! filled by the sampler alone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The most bounds that a histogram has.
const BUCKETS: usize = 16;

/// Upper bounds in microseconds, or in microjoules; beyond the last lies one more bucket.
#[derive(Debug, PartialEq, Eq)]
pub struct Bounds(&'static [u64]);

impl Bounds {
    /// Whole calls: 1 ms to 5 min.
    pub const CALL: Self = Self(&[
        1_000,
        2_500,
        5_000,
        10_000,
        25_000,
        50_000,
        100_000,
        250_000,
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        60_000_000,
        300_000_000,
    ]);
    /// What hormesis adds by itself: 10 µs to 100 ms.
    pub const OVERHEAD: Self = Self(&[
        10, 25, 50, 100, 150, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000,
    ]);
    /// Between tokens: 1 ms to 10 s.
    pub const TOKEN_GAP: Self = Self(&[
        1_000, 2_500, 5_000, 10_000, 15_000, 25_000, 50_000, 75_000, 100_000, 150_000, 250_000,
        500_000, 1_000_000, 2_500_000, 10_000_000,
    ]);

    /// Energy of calls: 1 mJ to 10 kJ.
    pub const ENERGY: Self = Self(&[
        1_000,
        3_000,
        10_000,
        30_000,
        100_000,
        300_000,
        1_000_000,
        3_000_000,
        10_000_000,
        30_000_000,
        100_000_000,
        300_000_000,
        1_000_000_000,
        3_000_000_000,
        10_000_000_000,
    ]);

    /// In seconds (joules), as they are shown.
    pub fn seconds(&self) -> impl Iterator<Item = f64> {
        #[expect(clippy::cast_precision_loss, reason = "bounds are small")]
        self.0.iter().map(|&micros| micros as f64 / 1e6)
    }

    fn place(&self, micros: u64) -> usize {
        self.0.partition_point(|&bound| bound < micros)
    }
}

/// The cells of one histogram. One thread writes.
#[derive(Debug)]
pub(crate) struct HistogramCells {
    bounds: &'static Bounds,
    buckets: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
}

impl HistogramCells {
    pub(crate) fn new(bounds: &'static Bounds) -> Self {
        Self {
            bounds,
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            nanos: AtomicU64::new(0),
        }
    }

    pub(crate) fn observe(&self, time: Duration) {
        // A bound is inclusive: a time just above it, by less than a microsecond, is above it.
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let place = self.bounds.place(nanos.div_ceil(1000));
        if let Some(bucket) = self.buckets.get(place) {
            add(bucket, 1);
        }
        add(&self.nanos, nanos);
    }

    /// Adds what was observed so far to `into`, which has the same bounds.
    pub(crate) fn fold(&self, into: &mut Histogram) {
        for (sum, cell) in into.buckets.iter_mut().zip(&self.buckets) {
            *sum += cell.load(Ordering::Relaxed);
        }
        into.nanos += u128::from(self.nanos.load(Ordering::Relaxed));
    }
}

/// Adds to a cell that this thread alone writes: no locked instruction.
pub(crate) fn add(cell: &AtomicU64, count: u64) {
    cell.store(
        cell.load(Ordering::Relaxed).wrapping_add(count),
        Ordering::Relaxed,
    );
}

/// A histogram as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    bounds: &'static Bounds,
    /// Not cumulative; one more than there are bounds.
    buckets: Vec<u64>,
    nanos: u128,
}

impl Histogram {
    pub fn new(bounds: &'static Bounds) -> Self {
        Self {
            bounds,
            buckets: vec![0; bounds.0.len() + 1],
            nanos: 0,
        }
    }

    /// Adds one value, in millionths of what is shown.
    pub fn observe_millionths(&mut self, value: u64) {
        let place = self.bounds.place(value);
        if let Some(bucket) = self.buckets.get_mut(place) {
            *bucket += 1;
        }
        self.nanos += u128::from(value) * 1000;
    }

    /// Upper bound in seconds and count of each bucket; the last bound is infinite.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = self.bounds.seconds().chain([f64::INFINITY]);
        bounds.zip(self.buckets.iter().copied())
    }

    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The sum of all times in seconds.
    pub fn sum(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a sum is shown, not counted on")]
        let nanos = self.nanos as f64;
        nanos / 1e9
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [&Bounds; 4] = [
        &Bounds::CALL,
        &Bounds::ENERGY,
        &Bounds::OVERHEAD,
        &Bounds::TOKEN_GAP,
    ];

    #[test]
    fn bounds_rise_and_fit_the_cells() {
        for bounds in ALL {
            assert!(bounds.0.is_sorted_by(|a, b| a < b), "{bounds:?}");
            assert!(bounds.0.len() < BUCKETS, "{bounds:?}");
        }
    }

    proptest! {
        #[test]
        fn every_time_falls_into_the_first_bucket_that_holds_it(nanos: u64) {
            for bounds in ALL {
                let cells = HistogramCells::new(bounds);
                cells.observe(Duration::from_nanos(nanos));
                let mut histogram = Histogram::new(bounds);
                cells.fold(&mut histogram);
                let mut whole = Histogram::new(bounds);
                whole.observe_millionths(nanos.div_ceil(1000));
                prop_assert_eq!(&whole.buckets, &histogram.buckets);
                #[expect(clippy::cast_precision_loss, reason = "compared with a margin")]
                let seconds = nanos as f64 / 1e9;
                let expected = bounds.seconds().position(|bound| seconds <= bound).unwrap_or(bounds.0.len());
                prop_assert_eq!(histogram.count(), 1);
                prop_assert_eq!(histogram.buckets[expected], 1);
                prop_assert!((histogram.sum() - seconds).abs() <= seconds * 1e-12);
            }
        }
    }
}
