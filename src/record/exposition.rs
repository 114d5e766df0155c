//! The counters as text that Prometheus reads, in both of its forms.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, MetricEncoder, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::histogram::Histogram;
use crate::record::metrics::{METRICS, MetricKind};
use crate::record::trace::with_exemplars;
use crate::record::{EnergyTotals, Exemplars, SpanFigures, Totals};
use crate::rule::RuleCell;

/// All figures of one moment.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    pub version: &'static str,
    pub totals: Totals,
    pub rules: Vec<RuleFigures>,
    pub conditions: Vec<ConditionFigures>,
    pub halted: bool,
    /// The number of the configuration in force.
    pub generation: u64,
    pub reloads_ok: u64,
    pub reloads_failed: u64,
    pub audit_written: u64,
    pub audit_unwritten: u64,
    pub decisions_written: u64,
    pub decisions_dropped: u64,
    /// Absent where no traces are wanted.
    pub spans: Option<SpanFigures>,
    /// Traces that stand for buckets of durations.
    pub exemplars: Exemplars,
    /// Absent where no energy engine runs.
    pub energy: Option<EnergyTotals>,
    /// It tells nothing of rules and faults: what they ended, the sidecar itself did.
    pub(crate) without_faults: bool,
}

impl Scrape {
    /// The same for those who are to hear nothing of faults. Sums stay: a call that ended by a fault
    /// is one that the sidecar itself rejected.
    fn without_faults(mut self) -> Self {
        self.without_faults = true;
        self.exemplars.clear();
        for slot in &mut self.totals.slots {
            slot.all.calls.reject_injected();
        }
        if let Some(energy) = &mut self.energy {
            energy.hide_faults();
        }
        self
    }
}

/// The counters of one rule, as read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct RuleFigures {
    pub name: Arc<str>,
    pub armed: bool,
    pub selected: u64,
    pub hit: u64,
    pub denied: DeniedFigures,
    pub applied: u64,
    pub superseded: u64,
    pub not_applicable: u64,
    pub revoked: u64,
    pub active: u64,
}

/// A condition that halts everything when it is true, as it is now.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ConditionFigures {
    pub expr: Arc<str>,
    /// Of the value: `share` (0 to 1), `seconds` or `per_second`.
    pub unit: &'static str,
    /// `null` where too little was seen to tell.
    pub value: Option<f64>,
    /// So many calls were looked at (tokens, for what lies between them).
    pub of: u64,
    /// Whether it is true; `null` where that cannot be told.
    pub breached: Option<bool>,
}

/// Calls that a rule selected and left alone, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeniedFigures {
    pub dry_run: u64,
    pub halt: u64,
    pub limit: u64,
    /// A fault panicked when it was asked; its rule is disarmed.
    pub panic: u64,
    pub schedule: u64,
    /// The caller asked for a fault without the secret.
    pub secret: u64,
    pub unreadable: u64,
}

impl RuleFigures {
    pub fn read(cell: &RuleCell) -> Self {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &cell.counters;
        Self {
            name: Arc::clone(&cell.name),
            armed: cell.is_armed(),
            selected: read(&counters.selected),
            hit: read(&counters.hit),
            denied: DeniedFigures {
                dry_run: read(&counters.denied_dry_run),
                halt: read(&counters.denied_halt),
                limit: read(&counters.denied_limit),
                panic: read(&counters.denied_panic),
                schedule: read(&counters.denied_schedule),
                secret: read(&counters.denied_secret),
                unreadable: read(&counters.denied_unreadable),
            },
            applied: read(&counters.applied),
            superseded: read(&counters.superseded),
            not_applicable: read(&counters.not_applicable),
            revoked: read(&counters.revoked),
            active: read(&counters.active),
        }
    }
}

impl DeniedFigures {
    pub(crate) fn by_reason(self) -> [(&'static str, u64); 7] {
        [
            ("dry_run", self.dry_run),
            ("halt", self.halt),
            ("limit", self.limit),
            ("panic", self.panic),
            ("schedule", self.schedule),
            ("secret", self.secret),
            ("unreadable", self.unreadable),
        ]
    }
}

/// A form of the text exposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFormat {
    /// `OpenMetrics` 1.0.
    OpenMetrics,
    /// The Prometheus text format 0.0.4.
    Prometheus,
}

impl TextFormat {
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Writes the figures as text. Without `faults` they tell nothing of rules and what they do: families
/// of theirs are left out, and what they ended counts as what the sidecar itself rejected.
///
/// # Errors
/// None in practice: writing to a string does not fail.
pub fn expose(scrape: Scrape, format: TextFormat, faults: bool) -> Result<String, fmt::Error> {
    let scrape = if faults {
        scrape
    } else {
        scrape.without_faults()
    };
    let exemplars = scrape.exemplars.clone();
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Figures { scrape }));
    let mut text = String::with_capacity(16 * 1024);
    text::encode(&mut text, &registry)?;
    Ok(match format {
        TextFormat::OpenMetrics if exemplars.is_empty() => text,
        TextFormat::OpenMetrics => with_exemplars(&text, &exemplars),
        TextFormat::Prometheus => as_prometheus(&text),
    })
}

/// In `OpenMetrics` a counter's name in the comments has no `_total`; in the older format it has.
fn as_prometheus(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 256);
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        let (hash, word, name, rest) = (words.next(), words.next(), words.next(), words.next());
        match (hash, word, name, rest) {
            (Some("#"), Some("EOF"), None, None) => continue,
            (Some("#"), Some(word), Some(name), Some(rest)) if is_counter(name) => {
                for part in ["# ", word, " ", name, "_total ", rest] {
                    out.push_str(part);
                }
            }
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

fn is_counter(base: &str) -> bool {
    METRICS.iter().any(|metric| {
        metric.kind == MetricKind::Counter && metric.name.strip_suffix("_total") == Some(base)
    })
}

#[derive(Debug)]
struct Figures {
    scrape: Scrape,
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in METRICS.iter() {
            if metric.tells_of_faults() && self.scrape.without_faults {
                continue;
            }
            let (name, kind) = match metric.kind {
                // The encoder adds `_total` to a counter by itself.
                MetricKind::Counter => (
                    metric.name.strip_suffix("_total").unwrap_or(metric.name),
                    MetricType::Counter,
                ),
                MetricKind::Gauge => (metric.name, MetricType::Gauge),
                MetricKind::Histogram => (metric.name, MetricType::Histogram),
            };
            let encoder = encoder.encode_descriptor(name, metric.help, None, kind)?;
            (metric.samples)(&self.scrape, &mut Samples(encoder))?;
        }
        Ok(())
    }
}

/// Writes the samples of one metric.
#[derive(Debug)]
pub(crate) struct Samples<'a>(MetricEncoder<'a>);

impl Samples<'_> {
    pub(crate) fn counter(
        &mut self,
        labels: &[(&str, &str)],
        value: &impl EncodeCounterValue,
    ) -> fmt::Result {
        // An empty family would be written as `{}`.
        if labels.is_empty() {
            return self.0.encode_counter::<NoLabelSet, _, u64>(value, None);
        }
        let mut family = self.0.encode_family(&labels)?;
        family.encode_counter::<NoLabelSet, _, u64>(value, None)
    }

    pub(crate) fn gauge(&mut self, labels: &[(&str, &str)], value: u64) -> fmt::Result {
        if labels.is_empty() {
            return self.0.encode_gauge(&value);
        }
        self.0.encode_family(&labels)?.encode_gauge(&value)
    }

    /// A gauge that may be a fraction.
    pub(crate) fn level(&mut self, labels: &[(&str, &str)], value: f64) -> fmt::Result {
        if labels.is_empty() {
            return self.0.encode_gauge(&value);
        }
        self.0.encode_family(&labels)?.encode_gauge(&value)
    }

    /// A histogram that nothing fell into is left out.
    pub(crate) fn histogram(
        &mut self,
        labels: &[(&str, &str)],
        histogram: &Histogram,
    ) -> fmt::Result {
        let count = histogram.count();
        if count == 0 {
            return Ok(());
        }
        let buckets: Vec<_> = histogram.buckets().collect();
        self.0
            .encode_family(&labels)?
            .encode_histogram::<NoLabelSet>(histogram.sum(), count, &buckets, None)
    }
}

#[cfg(test)]
#[path = "exposition_tests.rs"]
mod tests;
