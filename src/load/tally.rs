//! Sums and quantiles, by second and by phase.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::options::LoadOptions;
use super::outcome::{ErrorCounts, Observation};

/// What a load prints, one line of JSON each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// What ended in the last second: live figures.
    Live(Second),
    /// All that arrived, in the second and the phase of its intended arrival.
    Final(LoadReport),
}

/// One second of load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Whole seconds since the start of the load.
    pub at: u64,
    pub slice: Slice,
    /// Empty in live figures.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_flow: BTreeMap<String, Slice>,
}

/// Everything of a load, at its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadReport {
    pub seconds: Vec<Second>,
    pub phases: Vec<PhaseFigures>,
    pub total: Slice,
    /// Reasons of failures as the client saw them, with their counts.
    pub reasons: BTreeMap<String, u64>,
}

/// A phase, in sum and by flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseFigures {
    pub name: String,
    pub all: Slice,
    pub by_flow: BTreeMap<String, Slice>,
}

/// Figures of some calls. Quantiles of latency are those of calls that succeeded: an error that
/// comes at once must not make a service look fast.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    pub calls: u64,
    pub ok: u64,
    pub errors: ErrorCounts,
    pub tokens: u64,
    pub latency: Option<Quantiles>,
    pub first_token: Option<Quantiles>,
    pub between_tokens: Option<Quantiles>,
}

/// Quantiles in microseconds, to three significant digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantiles {
    pub count: u64,
    pub p50_us: u64,
    pub p90_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
}

/// Calls being summed up.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    calls: u64,
    errors: ErrorCounts,
    tokens: u64,
    latency: Histogram<u32>,
    first_token: Histogram<u32>,
    between_tokens: Histogram<u32>,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            calls: 0,
            errors: ErrorCounts::default(),
            tokens: 0,
            latency: histogram(),
            first_token: histogram(),
            between_tokens: histogram(),
        }
    }

    pub(super) fn add(&mut self, seen: &Observation) {
        self.calls += 1;
        match &seen.result {
            Ok(()) => record(&mut self.latency, seen.latency),
            Err(failure) => self.errors.count(failure.kind),
        }
        if let Some(first) = seen.first_token {
            self.tokens += 1 + seen.gaps.len() as u64;
            record(&mut self.first_token, first);
        }
        for gap in &seen.gaps {
            record(&mut self.between_tokens, *gap);
        }
    }

    pub(super) fn slice(&self) -> Slice {
        Slice {
            calls: self.calls,
            ok: self.calls - self.errors.total(),
            errors: self.errors,
            tokens: self.tokens,
            latency: Quantiles::of(&self.latency),
            first_token: Quantiles::of(&self.first_token),
            between_tokens: Quantiles::of(&self.between_tokens),
        }
    }
}

impl Quantiles {
    /// `None` where nothing was counted: no latency is not a latency of 0.
    fn of(histogram: &Histogram<u32>) -> Option<Self> {
        (!histogram.is_empty()).then(|| Self {
            count: histogram.len(),
            p50_us: histogram.value_at_quantile(0.50),
            p90_us: histogram.value_at_quantile(0.90),
            p99_us: histogram.value_at_quantile(0.99),
            max_us: histogram.max(),
        })
    }
}

#[expect(clippy::unwrap_used, reason = "1 to 5 digits are valid, 3 is")]
fn histogram() -> Histogram<u32> {
    Histogram::new(3).unwrap()
}

fn record(histogram: &mut Histogram<u32>, time: Duration) {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    // A histogram that resizes itself takes every value.
    histogram.record(micros).ok();
}

/// Calls of one second or one phase: in all, and by flow.
struct Part {
    all: Tally,
    flows: Vec<Tally>,
}

impl Part {
    fn new(flows: usize) -> Self {
        Self {
            all: Tally::new(),
            flows: vec![Tally::new(); flows],
        }
    }

    fn add(&mut self, seen: &Observation) {
        self.all.add(seen);
        self.flows[seen.arrival.flow].add(seen);
    }

    fn by_flow(&self, options: &LoadOptions) -> BTreeMap<String, Slice> {
        let flows = options.flows.iter().zip(&self.flows);
        flows
            .map(|(flow, tally)| (flow.name.clone(), tally.slice()))
            .collect()
    }
}

/// Everything of one load.
pub(super) struct Ledger<'a> {
    options: &'a LoadOptions,
    total: Tally,
    seconds: BTreeMap<u64, Part>,
    phases: Vec<Part>,
    reasons: BTreeMap<String, u64>,
}

impl<'a> Ledger<'a> {
    pub(super) fn new(options: &'a LoadOptions) -> Self {
        let phases = options
            .phases
            .iter()
            .map(|_| Part::new(options.flows.len()))
            .collect();
        Self {
            options,
            total: Tally::new(),
            seconds: BTreeMap::new(),
            phases,
            reasons: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, seen: &Observation) {
        self.total.add(seen);
        let at = seen.arrival.at;
        self.seconds
            .entry(at.as_secs())
            .or_insert_with(|| Part::new(self.options.flows.len()))
            .add(seen);
        let millis = at.as_millis();
        for (spec, tally) in self.options.phases.iter().zip(&mut self.phases) {
            if (u128::from(spec.start_ms)..u128::from(spec.end_ms)).contains(&millis) {
                tally.add(seen);
            }
        }
        if let Err(failure) = &seen.result {
            *self.reasons.entry(failure.reason.clone()).or_default() += 1;
        }
    }

    pub(super) fn report(&self) -> LoadReport {
        let seconds = self.seconds.iter().map(|(at, part)| Second {
            at: *at,
            slice: part.all.slice(),
            by_flow: part.by_flow(self.options),
        });
        let phases = self.options.phases.iter().zip(&self.phases);
        LoadReport {
            seconds: seconds.collect(),
            phases: phases
                .map(|(spec, part)| PhaseFigures {
                    name: spec.name.clone(),
                    all: part.all.slice(),
                    by_flow: part.by_flow(self.options),
                })
                .collect(),
            total: self.total.slice(),
            reasons: self.reasons.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::outcome::{Failure, FailureKind};
    use crate::load::schedule::Arrival;

    fn seen(latency_ms: u64, result: Result<(), Failure>) -> Observation {
        Observation {
            arrival: Arrival {
                at: Duration::ZERO,
                flow: 0,
                number: 0,
            },
            latency: Duration::from_millis(latency_ms),
            first_token: Some(Duration::from_millis(latency_ms / 2)),
            gaps: vec![Duration::from_millis(3); 4],
            result,
        }
    }

    #[test]
    fn quantiles_keep_three_digits() {
        let mut tally = Tally::new();
        for latency in 1..=1000 {
            tally.add(&seen(latency, Ok(())));
        }
        let latency = tally.slice().latency.unwrap();
        assert!(latency.p50_us.abs_diff(500_000) <= 500, "{latency:?}");
        assert!(latency.p99_us.abs_diff(990_000) <= 990, "{latency:?}");
        assert_eq!(tally.slice().tokens, 5000);
    }

    #[test]
    fn a_failed_call_is_no_fast_call() {
        let mut tally = Tally::new();
        tally.add(&seen(100, Ok(())));
        tally.add(&seen(1, Err(Failure::cut("reset"))));
        let slice = tally.slice();
        assert_eq!((slice.calls, slice.ok, slice.errors.cut), (2, 1, 1));
        assert_eq!(slice.latency.unwrap().count, 1);
    }

    #[test]
    fn nothing_counted_is_null_and_not_zero() {
        assert_eq!(Tally::new().slice().latency, None);
    }

    #[test]
    fn every_failure_kind_lowers_ok() {
        let mut tally = Tally::new();
        tally.add(&seen(
            1,
            Err(Failure::new(FailureKind::TimedOut, "no answer in time")),
        ));
        assert_eq!(tally.slice().ok, 0);
    }
}
