//! Histograms of times: one thread observes, others read without a lock. Those of energy are
//! filled by the sampler alone.
//!
//! Each bucket that is shown to others is told apart in sixteen parts here, so that a quantile is
//! known to a few percent, also where it falls into a wide bucket.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Parts of a bucket, all of one width.
const PARTS: usize = 16;

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

    /// How many cells a histogram of these bounds has.
    const fn cells(&self) -> usize {
        (self.0.len() + 1) * PARTS
    }

    /// The cell of a value. What lies beyond all bounds has one cell.
    fn place(&self, micros: u64) -> usize {
        let bucket = self.0.partition_point(|&bound| bound < micros);
        let Some(&high) = self.0.get(bucket) else {
            return bucket * PARTS;
        };
        let low = self.low(bucket);
        // A bound is inclusive: the part of a value is that of all values above the next lower one.
        let above = micros.saturating_sub(low).saturating_sub(1);
        let part = above * PARTS as u64 / (high - low);
        bucket * PARTS + usize::try_from(part).unwrap_or(0)
    }

    fn low(&self, bucket: usize) -> u64 {
        bucket
            .checked_sub(1)
            .and_then(|it| self.0.get(it))
            .copied()
            .unwrap_or(0)
    }

    /// Between which values in seconds a cell lies; nothing is known of how far the last one reaches.
    #[expect(clippy::cast_precision_loss, reason = "bounds are small")]
    fn range(&self, cell: usize) -> (f64, f64) {
        let (bucket, part) = (cell / PARTS, cell % PARTS);
        let low = self.low(bucket) as f64;
        let high = self.0.get(bucket).map_or(low, |&it| it as f64);
        let width = (high - low) / PARTS as f64;
        let start = low + width * part as f64;
        (start / 1e6, (start + width) / 1e6)
    }
}

/// The parts of one bucket, in a cache line pair of their own: two workers never write to one.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Row([AtomicU64; PARTS]);

/// The cells of one histogram.
#[derive(Debug)]
pub(crate) struct HistogramCells {
    bounds: &'static Bounds,
    rows: Box<[Row]>,
    nanos: AtomicU64,
}

impl HistogramCells {
    pub(crate) fn new(bounds: &'static Bounds) -> Self {
        Self {
            bounds,
            rows: (0..=bounds.0.len()).map(|_| Row::default()).collect(),
            nanos: AtomicU64::new(0),
        }
    }

    /// One thread alone calls this.
    pub(crate) fn observe(&self, time: Duration) {
        let (cell, nanos) = self.cell(time);
        if let Some(cell) = cell {
            add(cell, 1);
        }
        add(&self.nanos, nanos);
    }

    /// The same from several threads.
    pub(crate) fn observe_shared(&self, time: Duration) {
        let (cell, nanos) = self.cell(time);
        if let Some(cell) = cell {
            cell.fetch_add(1, Ordering::Relaxed);
        }
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    fn cell(&self, time: Duration) -> (Option<&AtomicU64>, u64) {
        // A bound is inclusive: a time just above it, by less than a microsecond, is above it.
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let place = self.bounds.place(nanos.div_ceil(1000));
        let row = self.rows.get(place / PARTS);
        (row.and_then(|row| row.0.get(place % PARTS)), nanos)
    }

    /// Adds what was observed so far to `into`, which has the same bounds.
    pub(crate) fn fold(&self, into: &mut Histogram) {
        let cells = self.rows.iter().flat_map(|row| &row.0);
        for (sum, cell) in into.cells.iter_mut().zip(cells) {
            *sum += cell.load(Ordering::Relaxed);
        }
        into.nanos += u128::from(self.nanos.load(Ordering::Relaxed));
    }

    /// What was observed so far.
    pub(crate) fn read(&self) -> Histogram {
        let mut histogram = Histogram::new(self.bounds);
        self.fold(&mut histogram);
        histogram
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
    /// Not cumulative: the parts of each bucket, one bucket after the other.
    cells: Vec<u64>,
    nanos: u128,
}

/// What came to a histogram between two reads: the cells that grew, by their place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Growth {
    cells: Vec<(u16, u32)>,
    nanos: u128,
}

impl Histogram {
    pub fn new(bounds: &'static Bounds) -> Self {
        Self {
            bounds,
            cells: vec![0; bounds.cells()],
            nanos: 0,
        }
    }

    /// Adds one value, in millionths of what is shown.
    pub fn observe_millionths(&mut self, value: u64) {
        let place = self.bounds.place(value);
        if let Some(cell) = self.cells.get_mut(place) {
            *cell += 1;
        }
        self.nanos += u128::from(value) * 1000;
    }

    /// Upper bound in seconds and count of each bucket; the last bound is infinite.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = self.bounds.seconds().chain([f64::INFINITY]);
        bounds.zip(self.cells.chunks(PARTS).map(|parts| parts.iter().sum()))
    }

    pub fn count(&self) -> u64 {
        self.cells.iter().sum()
    }

    /// The sum of all times in seconds.
    pub fn sum(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a sum is shown, not counted on")]
        let nanos = self.nanos as f64;
        nanos / 1e9
    }

    /// The mean in seconds; `None` of nothing.
    pub fn mean(&self) -> Option<f64> {
        let count = self.count();
        #[expect(clippy::cast_precision_loss, reason = "a count of calls")]
        let count_f = count as f64;
        (count > 0).then(|| self.sum() / count_f)
    }

    /// The value in seconds below which this share of all lies, as if all of a cell lay evenly in
    /// it: wrong by the width of a cell at most, a few percent of the value from 1 ms on. Beyond
    /// the last bound it is that bound. `None` of nothing.
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of calls, and places among them"
    )]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let wanted = (share.clamp(0.0, 1.0) * count as f64).max(f64::MIN_POSITIVE);
        let mut below = 0.0;
        let mut last = 0.0;
        for (place, &cell) in self.cells.iter().enumerate().filter(|(_, cell)| **cell > 0) {
            let (low, high) = self.bounds.range(place);
            let within = (wanted - below) / cell as f64;
            if within <= 1.0 {
                return Some(low + (high - low) * within);
            }
            below += cell as f64;
            last = high;
        }
        Some(last)
    }

    /// What came since `before` was read, which has the same bounds.
    pub(crate) fn growth(&self, before: Option<&Self>) -> Growth {
        let known = |place: usize| before.and_then(|it| it.cells.get(place)).copied();
        let grown = (0_u16..).zip(self.cells.iter().enumerate());
        let cells = grown.filter_map(|(short, (place, now))| {
            let more = now.saturating_sub(known(place).unwrap_or(0));
            (more > 0).then(|| (short, u32::try_from(more).unwrap_or(u32::MAX)))
        });
        Growth {
            cells: cells.collect(),
            nanos: self.nanos.saturating_sub(before.map_or(0, |it| it.nanos)),
        }
    }

    pub(crate) fn grow(&mut self, growth: &Growth) {
        for &(place, more) in &growth.cells {
            if let Some(cell) = self.cells.get_mut(usize::from(place)) {
                *cell += u64::from(more);
            }
        }
        self.nanos += growth.nanos;
    }

    /// Takes out what is in `other` too.
    pub(crate) fn less(mut self, other: &Self) -> Self {
        for (cell, less) in self.cells.iter_mut().zip(&other.cells) {
            *cell = cell.saturating_sub(*less);
        }
        self.nanos = self.nanos.saturating_sub(other.nanos);
        self
    }
}

impl Growth {
    pub(crate) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Adds what came later.
    pub(crate) fn merge(&mut self, later: &Self) {
        for &(place, more) in &later.cells {
            match self.cells.binary_search_by_key(&place, |it| it.0) {
                Ok(at) => self.cells[at].1 = self.cells[at].1.saturating_add(more),
                Err(at) => self.cells.insert(at, (place, more)),
            }
        }
        self.nanos += later.nanos;
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
    fn bounds_rise() {
        for bounds in ALL {
            assert!(bounds.0.is_sorted_by(|a, b| a < b), "{bounds:?}");
        }
    }

    #[test]
    fn nothing_has_no_quantile() {
        let histogram = Histogram::new(&Bounds::CALL);
        assert_eq!(histogram.quantile(0.5), None);
        assert_eq!(histogram.mean(), None);
    }

    #[test]
    fn beyond_the_last_bound_a_quantile_is_that_bound() {
        let mut histogram = Histogram::new(&Bounds::CALL);
        histogram.observe_millionths(999_000_000);
        assert_eq!(histogram.quantile(0.5), Some(300.0));
    }

    proptest! {
        #[test]
        fn every_time_falls_into_the_first_bucket_that_holds_it(nanos: u64) {
            for bounds in ALL {
                let cells = HistogramCells::new(bounds);
                cells.observe(Duration::from_nanos(nanos));
                let histogram = cells.read();
                let mut whole = Histogram::new(bounds);
                whole.observe_millionths(nanos.div_ceil(1000));
                prop_assert_eq!(&whole.cells, &histogram.cells);
                #[expect(clippy::cast_precision_loss, reason = "compared with a margin")]
                let seconds = nanos as f64 / 1e9;
                let expected = bounds.seconds().position(|bound| seconds <= bound).unwrap_or(bounds.0.len());
                prop_assert_eq!(histogram.count(), 1);
                prop_assert_eq!(histogram.buckets().nth(expected).unwrap().1, 1);
                prop_assert!((histogram.sum() - seconds).abs() <= seconds * 1e-12);
            }
        }

        #[test]
        fn a_quantile_is_wrong_by_a_cell_at_most(
            mut times in prop::collection::vec(1_000_u64..300_000_000, 1..200),
            share in 0.01_f64..1.0,
        ) {
            let mut histogram = Histogram::new(&Bounds::CALL);
            for time in &times {
                histogram.observe_millionths(*time);
            }
            times.sort_unstable();
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a short list")]
            let rank = (share * times.len() as f64).ceil() as usize;
            let place = Bounds::CALL.place(times[rank.clamp(1, times.len()) - 1]);
            let (low, high) = Bounds::CALL.range(place);
            let quantile = histogram.quantile(share).unwrap();
            prop_assert!(low - 1e-9 <= quantile && quantile <= high + 1e-9, "{} {} {}", low, quantile, high);
        }

        #[test]
        fn what_grew_in_pieces_is_the_whole(
            first in prop::collection::vec(0_u64..400_000_000, 0..50),
            second in prop::collection::vec(0_u64..400_000_000, 0..50),
            third in prop::collection::vec(0_u64..400_000_000, 0..50),
        ) {
            let mut now = Histogram::new(&Bounds::CALL);
            let mut before: Option<Histogram> = None;
            let mut merged = Growth::default();
            for times in [&first, &second, &third] {
                for time in times {
                    now.observe_millionths(*time);
                }
                merged.merge(&now.growth(before.as_ref()));
                before = Some(now.clone());
            }
            let mut again = Histogram::new(&Bounds::CALL);
            again.grow(&merged);
            prop_assert_eq!(&again, &now);
            prop_assert_eq!(now.clone().less(&again).count(), 0);
        }
    }
}
