//! What was counted of some calls in a window, and the differences that windows are summed of.

use crate::call::Outcome;
use crate::error::Origin;
use crate::histogram::{Growth, Histogram};
use crate::measure::Counting;
use crate::record::{Calls, SlotTotals, Tally};

/// What was counted in a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub started: u64,
    /// Calls that ended.
    pub all: Tally,
    /// Of those, calls that a fault acted on.
    pub touched: Tally,
    /// Of these, calls that failed in a way that a fault can be the cause of.
    pub broken: u64,
}

impl Seen {
    /// The calls that no fault acted on; all of them where all count.
    pub fn unharmed(&self, counting: Counting) -> Tally {
        let all = self.all.clone();
        match counting {
            Counting::All => all,
            Counting::NotInjected => Tally {
                calls: less(all.calls, &self.touched.calls),
                duration: all.duration.less(&self.touched.duration),
                first_token: all.first_token.less(&self.touched.first_token),
                token_gap: all.token_gap.less(&self.touched.token_gap),
            },
        }
    }

    pub(super) fn add(&mut self, growth: &SlotGrowth) {
        self.started += growth.started;
        self.broken += growth.broken;
        growth.all.grow(&mut self.all);
        if let Some(touched) = &growth.touched {
            touched.grow(&mut self.touched);
        }
    }
}

fn less(mut calls: Calls, other: &Calls) -> Calls {
    for (count, less) in calls.0.iter_mut().flatten().zip(other.0.iter().flatten()) {
        *count = count.saturating_sub(*less);
    }
    calls
}

/// One of two groups of calls that are held beside each other.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Population {
    pub calls: u64,
    /// Calls whose client did not get a true and whole answer.
    pub errors: u64,
    /// Of all its calls; `None` where there are none.
    pub error_rate: Option<f64>,
    pub p50: Option<f64>,
    pub p90: Option<f64>,
    pub p99: Option<f64>,
}

impl Population {
    pub(super) fn new(calls: u64, errors: u64, duration: &Histogram) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "counts of calls")]
        let rate = |errors: u64| errors as f64 / calls as f64;
        Self {
            calls,
            errors,
            error_rate: (calls > 0).then(|| rate(errors)),
            p50: duration.quantile(0.50),
            p90: duration.quantile(0.90),
            p99: duration.quantile(0.99),
        }
    }

    pub(super) fn of(tally: &Tally) -> Self {
        let calls = &tally.calls;
        let errors = [
            Outcome::Timeout,
            Outcome::UpstreamError,
            Outcome::InjectedFault,
        ];
        let errors = errors.into_iter().map(|it| calls.of_outcome(it)).sum();
        Self::new(calls.all(), errors, &tally.duration)
    }
}

/// What came to the counters of one listener and protocol between two samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SlotGrowth {
    started: u64,
    all: TallyGrowth,
    touched: Option<Box<TallyGrowth>>,
    broken: u64,
}

impl SlotGrowth {
    pub(super) fn new(now: &SlotTotals, before: Option<&SlotTotals>) -> Self {
        let touched_before = before.and_then(|it| it.touched.as_deref());
        let touched = now.touched.as_ref();
        let touched = touched.map(|it| Box::new(TallyGrowth::new(it, touched_before)));
        Self {
            started: now
                .started
                .saturating_sub(before.map_or(0, |it| it.started)),
            all: TallyGrowth::new(&now.all, before.map(|it| &it.all)),
            touched: touched.filter(|it| !it.is_empty()),
            broken: now.broken.saturating_sub(before.map_or(0, |it| it.broken)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.started == 0 && self.all.is_empty() && self.touched.is_none() && self.broken == 0
    }

    pub(super) fn merge(&mut self, later: &Self) {
        self.started += later.started;
        self.broken += later.broken;
        self.all.merge(&later.all);
        if let Some(later) = &later.touched {
            match &mut self.touched {
                Some(touched) => touched.merge(later),
                None => self.touched = Some(later.clone()),
            }
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct TallyGrowth {
    /// By place in [`Calls`], those that grew.
    calls: Vec<(u8, u32)>,
    duration: Growth,
    first_token: Growth,
    token_gap: Growth,
}

impl TallyGrowth {
    fn new(now: &Tally, before: Option<&Tally>) -> Self {
        let known = |place: usize| {
            let cells = before.and_then(|it| it.calls.0.as_flattened().get(place));
            cells.copied().unwrap_or(0)
        };
        let cells = (0_u8..).zip(now.calls.0.as_flattened().iter().enumerate());
        let calls = cells.filter_map(|(short, (place, now))| {
            let more = now.saturating_sub(known(place));
            (more > 0).then(|| (short, u32::try_from(more).unwrap_or(u32::MAX)))
        });
        Self {
            calls: calls.collect(),
            duration: now.duration.growth(before.map(|it| &it.duration)),
            first_token: now.first_token.growth(before.map(|it| &it.first_token)),
            token_gap: now.token_gap.growth(before.map(|it| &it.token_gap)),
        }
    }

    fn is_empty(&self) -> bool {
        let times = [&self.duration, &self.first_token, &self.token_gap];
        self.calls.is_empty() && times.into_iter().all(Growth::is_empty)
    }

    fn grow(&self, tally: &mut Tally) {
        for &(place, more) in &self.calls {
            let cells = tally.calls.0.as_flattened_mut();
            if let Some(cell) = cells.get_mut(usize::from(place)) {
                *cell += u64::from(more);
            }
        }
        tally.duration.grow(&self.duration);
        tally.first_token.grow(&self.first_token);
        tally.token_gap.grow(&self.token_gap);
    }

    fn merge(&mut self, later: &Self) {
        for &(place, more) in &later.calls {
            match self.calls.iter_mut().find(|it| it.0 == place) {
                Some((_, count)) => *count = count.saturating_add(more),
                None => self.calls.push((place, more)),
            }
        }
        self.duration.merge(&later.duration);
        self.first_token.merge(&later.first_token);
        self.token_gap.merge(&later.token_gap);
    }
}

const _: () = assert!(Outcome::ALL.len() * Origin::ALL.len() <= u8::MAX as usize);
