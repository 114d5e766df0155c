//! Every metric, once: the exposition, `docs/metrics.md` and the dashboard are all made from this
//! table. One file a subject; a metric is one entry of it.

mod alerts;
mod calls;
mod dashboard;
mod energy;
#[cfg(test)]
mod promql;
mod rules;
mod sidecar;

use std::fmt;
use std::sync::LazyLock;

use crate::record::exposition::{Samples, Scrape};
use crate::record::totals::SlotTotals;

pub use alerts::{ALERTS, Alert, alert_rules};
pub use dashboard::dashboard;

/// One metric: what it is called, what it counts and where its samples come from.
#[derive(Debug)]
pub struct Metric {
    /// In full, as shown, with unit and `_total`.
    pub name: &'static str,
    pub kind: MetricKind,
    pub unit: Unit,
    pub labels: &'static [&'static str],
    pub help: &'static str,
    /// How the dashboard shows it; absent where another metric's panel tells it too.
    pub panel: Option<Panel>,
    pub(crate) samples: fn(&Scrape, &mut Samples<'_>) -> fmt::Result,
}

/// One picture of the dashboard.
#[derive(Debug)]
pub struct Panel {
    pub title: &'static str,
    /// What the numbers are, as Grafana names it: `s`, `reqps`, `watt`, `Bps`, …
    pub unit: &'static str,
    /// What is drawn, in `PromQL`, and the name of each line, from its labels.
    pub lines: &'static [(&'static str, &'static str)],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

impl MetricKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// What a metric's numbers are numbers of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Bytes,
    Joules,
    Number,
    Seconds,
}

impl Unit {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Joules => "joules",
            Self::Number => "",
            Self::Seconds => "seconds",
        }
    }
}

impl Metric {
    /// Whether it is one of rules, faults or what stops them: `[health]` does not tell of it. Energy,
    /// which is by rule too, is told there without its rules.
    pub fn tells_of_faults(&self) -> bool {
        let families = ["faults_", "halted", "rule_", "stop_condition_"];
        let name = self.name.strip_prefix("hormesis_").unwrap_or(self.name);
        families.iter().any(|it| name.starts_with(it))
    }
}

/// A subject: the metrics of one file, and the row of the dashboard that shows them.
#[derive(Debug)]
pub struct Subject {
    pub title: &'static str,
    pub metrics: &'static [Metric],
}

/// All metrics by subject, in the order of the dashboard.
pub static SUBJECTS: &[Subject] = &[
    Subject {
        title: "Calls",
        metrics: calls::METRICS,
    },
    Subject {
        title: "Rules and faults",
        metrics: rules::METRICS,
    },
    Subject {
        title: "Energy",
        metrics: energy::METRICS,
    },
    Subject {
        title: "The sidecar",
        metrics: sidecar::METRICS,
    },
];

/// All metrics, by name.
pub static METRICS: LazyLock<Vec<&'static Metric>> = LazyLock::new(|| {
    let mut metrics: Vec<_> = SUBJECTS.iter().flat_map(|it| it.metrics).collect();
    metrics.sort_by_key(|metric| metric.name);
    metrics
});

const CALL_LABELS: &[&str] = &["listener", "protocol"];

fn slot_labels(slot: &SlotTotals) -> [(&'static str, &str); 2] {
    [("listener", &slot.listener), ("protocol", slot.protocol)]
}

fn per_slot<'s>(
    scrape: &Scrape,
    samples: &mut Samples<'s>,
    value: impl Fn(&SlotTotals) -> u64,
    write: impl Fn(&mut Samples<'s>, &[(&str, &str)], u64) -> fmt::Result,
) -> fmt::Result {
    for slot in &scrape.totals.slots {
        write(samples, &slot_labels(slot), value(slot))?;
    }
    Ok(())
}
