//! What `top` shows, from samples of a sidecar's counters: rates and quantiles over the last
//! seconds, totals since its start.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::scrape::{self, ByListener, Histogram};
use crate::admin::client::told::{Condition, Energy, Rule, Rules, Status};
use crate::admin::client::{Client, ClientError};
use crate::error::Origin;

/// Rates and quantiles are of so long.
pub(super) const WINDOW: Duration = Duration::from_secs(10);
/// Lines go back so far.
pub(super) const PAST: Duration = Duration::from_secs(120);

/// A sidecar at one moment.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    at: Instant,
    status: Status,
    rules: Vec<Rule>,
    durations: ByListener,
    first_tokens: ByListener,
}

impl Sample {
    pub(super) async fn take(client: &Client) -> Result<Self, ClientError> {
        let status = client.get("/status").await?;
        let Rules { rules } = client.get("/rules").await?;
        let text = client.text("/metrics").await?;
        Ok(Self::of(Instant::now(), status, rules, &text))
    }

    fn of(at: Instant, status: Status, rules: Vec<Rule>, metrics: &str) -> Self {
        let names = [
            "hormesis_call_duration_seconds",
            "hormesis_time_to_first_token_seconds",
        ];
        let [durations, first_tokens] = scrape::histograms(metrics, names);
        Self {
            at,
            status,
            rules,
            durations,
            first_tokens,
        }
    }

    /// Calls so far that count.
    fn calls(&self, counts: impl Fn(&str, &str, &str) -> bool) -> u64 {
        let calls = self.status.calls.iter();
        let calls = calls.filter(|it| counts(&it.listener, &it.outcome, &it.origin));
        calls.map(|it| it.count).sum()
    }

    fn hits(&self, rule: &str) -> u64 {
        let own = self.rules.iter().find(|it| it.name == rule);
        own.map_or(0, |it| it.figures.hit)
    }
}

/// The samples of the last time, oldest first.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<Sample>);

impl History {
    pub(super) fn push(&mut self, sample: Sample) {
        // A sidecar that started anew counts from 0 again.
        let before = self.0.back().map(|it| it.status.uptime_s);
        if before.is_some_and(|before| sample.status.uptime_s < before) {
            self.0.clear();
        }
        let oldest = sample.at.checked_sub(PAST + WINDOW);
        self.0.push_back(sample);
        while self.0.front().is_some_and(|it| Some(it.at) < oldest) {
            self.0.pop_front();
        }
    }

    /// The sample that stands a window before this one, or the oldest there is.
    fn before(&self, index: usize) -> &Sample {
        let now = self.0[index].at;
        let within =
            |it: &&Sample| now.duration_since(it.at) <= WINDOW + Duration::from_millis(500);
        self.0.iter().find(within).unwrap_or(&self.0[index])
    }

    /// What is to be shown now; `None` before the first sample.
    pub(super) fn view(&self) -> Option<View> {
        let last = self.0.len().checked_sub(1)?;
        Some(View::of(self.before(last), &self.0[last], self.lines()))
    }

    /// Calls a second and the slowest times, by their age in seconds.
    fn lines(&self) -> Vec<Point> {
        let Some(newest) = self.0.back() else {
            return Vec::new();
        };
        let pairs = self.0.iter().zip(self.0.iter().skip(1));
        let point = |(before, now): (&Sample, &Sample)| {
            let span = Span { before, now };
            Point {
                age_s: newest.at.duration_since(now.at).as_secs_f64(),
                calls_per_s: span.rate(|it| it.calls(|_, _, _| true)),
                p99_s: span.times(None, |it| &it.durations).quantile(0.99),
            }
        };
        pairs.map(point).collect()
    }
}

/// From one sample to a later one.
#[derive(Clone, Copy)]
struct Span<'a> {
    before: &'a Sample,
    now: &'a Sample,
}

impl Span<'_> {
    fn seconds(&self) -> f64 {
        self.now.at.duration_since(self.before.at).as_secs_f64()
    }

    /// How many more there are.
    fn more(&self, count: impl Fn(&Sample) -> u64) -> u64 {
        count(self.now).saturating_sub(count(self.before))
    }

    fn rate(&self, count: impl Fn(&Sample) -> u64) -> f64 {
        let seconds = self.seconds();
        if seconds > 0.0 {
            float(self.more(count)) / seconds
        } else {
            0.0
        }
    }

    /// The times of a listener, or of all.
    fn times(&self, listener: Option<&str>, of: impl Fn(&Sample) -> &ByListener) -> Histogram {
        let wanted = of(self.now)
            .iter()
            .filter(|(name, _)| listener.is_none_or(|it| it == *name));
        wanted.fold(Histogram::default(), |sum, (name, histogram)| {
            sum.plus(&histogram.since(of(self.before).get(name)))
        })
    }
}

fn float(count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let float = count as f64;
    float
}

/// What is shown.
#[derive(Clone, Debug, Serialize)]
pub(super) struct View {
    pub(super) version: String,
    /// `ready`, `starting` or `draining`.
    pub(super) state: &'static str,
    pub(super) uptime_s: f64,
    pub(super) generation: u64,
    pub(super) seed: u64,
    /// In words, where a halt holds.
    pub(super) halted: Option<String>,
    /// What rates and quantiles are of.
    pub(super) window_s: f64,
    pub(super) listeners: Vec<ListenerView>,
    pub(super) errors: Vec<ErrorView>,
    pub(super) rules: Vec<RuleView>,
    /// What halts everything, with its value now.
    pub(super) conditions: Vec<Condition>,
    /// `PROXY/TOXIC` of the Toxiproxy API.
    pub(super) toxics: Vec<String>,
    pub(super) energy: Option<EnergyView>,
    #[serde(skip)]
    pub(super) lines: Vec<Point>,
}

/// One moment of the lines.
#[expect(clippy::struct_field_names, reason = "the ends of the names are units")]
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) age_s: f64,
    pub(super) calls_per_s: f64,
    pub(super) p99_s: Option<f64>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct ListenerView {
    pub(super) name: String,
    pub(super) calls_per_s: f64,
    pub(super) active: u64,
    pub(super) p50_s: Option<f64>,
    pub(super) p90_s: Option<f64>,
    pub(super) p99_s: Option<f64>,
    pub(super) first_token_p50_s: Option<f64>,
    /// Of its calls, those that failed for real, and those that a rule made fail.
    pub(super) error_share: Option<f64>,
    pub(super) injected_share: Option<f64>,
}

/// Calls that did not end well, by the party that made it so.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ErrorView {
    pub(super) origin: &'static str,
    pub(super) per_s: f64,
    pub(super) total: u64,
    /// How they ended, most first.
    pub(super) outcomes: Vec<(String, u64)>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct RuleView {
    pub(super) name: String,
    pub(super) on: String,
    pub(super) faults: String,
    pub(super) state: &'static str,
    pub(super) source: String,
    pub(super) expires_in_s: Option<f64>,
    pub(super) hits_per_s: f64,
    pub(super) active: u64,
    pub(super) hit: u64,
    pub(super) applied: u64,
    /// Calls that it hit and let go: a limit, a halt, its schedule.
    pub(super) denied: u64,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct EnergyView {
    pub(super) tier: Option<String>,
    /// By outcome: microjoules where they are known.
    pub(super) by_outcome: Vec<(String, Option<u64>, u64)>,
    pub(super) joules_per_success: Option<f64>,
    pub(super) watts_of_calls: Option<f64>,
}

impl View {
    fn of(before: &Sample, now: &Sample, lines: Vec<Point>) -> Self {
        let span = Span { before, now };
        let status = &now.status;
        Self {
            version: status.version.clone(),
            state: crate::cli::status::state(status),
            uptime_s: status.uptime_s,
            generation: status.generation,
            seed: status.seed,
            halted: status.halted.as_ref().map(crate::cli::status::halted),
            window_s: span.seconds(),
            listeners: status
                .listeners
                .iter()
                .map(|it| listener(span, &it.name, it.active))
                .collect(),
            errors: errors(span),
            rules: now.rules.iter().map(|it| rule(span, it)).collect(),
            conditions: status.conditions.clone(),
            toxics: status
                .toxics
                .iter()
                .map(|it| format!("{}/{}", it.proxy, it.name))
                .collect(),
            energy: status.energy.as_ref().map(|it| energy(span, it)),
            lines,
        }
    }
}

fn listener(span: Span<'_>, name: &str, active: u64) -> ListenerView {
    let times = span.times(Some(name), |it| &it.durations);
    let tokens = span.times(Some(name), |it| &it.first_tokens);
    let own = |it: &Sample| it.calls(|listener, _, _| listener == name);
    let failed = |injected: bool| {
        span.more(|it| {
            it.calls(|listener, outcome, origin| {
                listener == name && outcome != "ok" && (origin == "injected") == injected
            })
        })
    };
    let all = span.more(own);
    let share = |count: u64| (all > 0).then(|| float(count) / float(all));
    ListenerView {
        name: name.to_owned(),
        calls_per_s: span.rate(own),
        active,
        p50_s: times.quantile(0.5),
        p90_s: times.quantile(0.9),
        p99_s: times.quantile(0.99),
        first_token_p50_s: tokens.quantile(0.5),
        error_share: share(failed(false)),
        injected_share: share(failed(true)),
    }
}

fn errors(span: Span<'_>) -> Vec<ErrorView> {
    let of = |origin: Origin| {
        let failed = |own: &str, outcome: &str| outcome != "ok" && own == origin.as_str();
        let count = |it: &Sample| it.calls(|_, outcome, own| failed(own, outcome));
        let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
        for call in &span.now.status.calls {
            if failed(&call.origin, &call.outcome) {
                *outcomes.entry(&call.outcome).or_default() += call.count;
            }
        }
        let mut outcomes: Vec<_> = outcomes
            .into_iter()
            .map(|(outcome, count)| (outcome.to_owned(), count))
            .collect();
        outcomes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        ErrorView {
            origin: origin.as_str(),
            per_s: span.rate(count),
            total: count(span.now),
            outcomes,
        }
    };
    // Real ones first.
    [
        Origin::Upstream,
        Origin::Downstream,
        Origin::Proxy,
        Origin::Injected,
    ]
    .map(of)
    .into()
}

fn rule(span: Span<'_>, rule: &Rule) -> RuleView {
    let figures = &rule.figures;
    RuleView {
        name: rule.name.clone(),
        on: rule
            .listener
            .as_ref()
            .map_or_else(|| "all".to_owned(), |it| it.join(",")),
        faults: rule.faults.join(","),
        state: crate::cli::rules::state(rule),
        source: rule.source.clone(),
        expires_in_s: rule.expires_in_s,
        hits_per_s: span.rate(|it| it.hits(&rule.name)),
        active: figures.active,
        hit: figures.hit,
        applied: figures.applied,
        denied: figures.denied.values().sum(),
    }
}

fn energy(span: Span<'_>, energy: &Energy) -> EnergyView {
    let mut by_outcome: Vec<_> = energy
        .by_outcome
        .iter()
        .map(|(outcome, part)| (outcome.clone(), part.dyn_uj, part.calls))
        .collect();
    by_outcome.sort_by_key(|(_, joules, _)| std::cmp::Reverse(*joules));
    let so_far = |it: &Sample| it.status.energy.as_ref().and_then(|it| it.total.dyn_uj);
    let known = so_far(span.now).zip(so_far(span.before));
    EnergyView {
        tier: energy.tier.clone(),
        by_outcome,
        joules_per_success: energy.joules_per_success,
        watts_of_calls: known
            .filter(|_| span.seconds() > 0.0)
            .map(|(now, before)| float(now.saturating_sub(before)) / 1e6 / span.seconds()),
    }
}

#[cfg(test)]
pub(super) mod tests;
