//! What is told of each call. Records are lossy behind a bounded ring, with drops counted;
//! counters and energy do not depend on them.

mod audit;
mod correlate;
mod counters;
mod energy;
mod exposition;
mod follow;
mod line;
pub mod logging;
mod metrics;
mod note;
#[cfg(test)]
pub(crate) mod reference;
mod sender;
mod settings;
mod sink;
mod totals;
mod trace;
mod writer;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::call::{Description, Outcome};
use crate::effect::{Fate, Planned};
use crate::error::Origin;
use crate::model::Admission;
use crate::rule::Verdict;
use crate::toxic::Placed;

pub use crate::histogram::{Bounds, Histogram};
pub use audit::AuditStats;
pub use counters::{CounterRegistry, SlotCounters, TouchedCounters, WorkerCounters};
pub use energy::{EnergyClass, EnergyLine, EnergyTotals, OutcomeEnergy};
pub use exposition::{ConditionFigures, DeniedFigures, RuleFigures, Scrape, TextFormat, expose};
pub use follow::{Decision, Follower, Next};
pub(crate) use line::rfc3339;
pub use metrics::{
    ALERTS, Alert, METRICS, Metric, MetricKind, Panel, SUBJECTS, Subject, Unit, alert_rules,
    dashboard,
};
pub use note::NoteLine;
pub use sender::{Facts, RecordSender};
pub use settings::{DecisionLevel, LogSettings};
pub use totals::{CallCount, Calls, FateCount, SlotTotals, Tally, Totals};
pub use trace::{
    Exemplar, Exemplars, Exporter, Parent, SpanFigures, TRACEPARENT, TraceContext, TraceSettings,
    Tracer,
};
pub use writer::{DecisionLog, LogStats};

/// One call as it went: what was decided, what was done, how it ended.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// Unique within the process; an `energy` line refers to it.
    pub id: u64,
    pub started: SystemTime,
    pub listener: Arc<str>,
    pub protocol: &'static str,
    pub upstream: Option<Arc<str>>,
    /// The call's number on its listener: with the seed it gives its draws again.
    pub number: u64,
    pub peer: Option<SocketAddr>,
    pub method: String,
    pub path: String,
    pub description: Description,
    pub verdicts: Vec<Verdict>,
    pub admissions: Vec<Admission>,
    pub effects: Vec<EffectRecord>,
    /// The toxics of the Toxiproxy API that acted, each once a direction.
    #[serde(skip)]
    pub toxics: Vec<Arc<Placed>>,
    pub origin: Origin,
    pub outcome: Outcome,
    /// The HTTP status that the client was sent, where it was sent one.
    pub status: Option<u16>,
    /// Why the call failed, in words.
    pub reason: Option<String>,
    pub timing: Timing,
    pub request_bytes: u64,
    pub response_bytes: u64,
    /// Units and units with content that were passed on.
    pub units: u64,
    pub tokens: u64,
    /// The request says of itself that it is a retry (`x-stainless-retry-count`,
    /// `x-envoy-attempt-count`): which attempt, from 1.
    pub attempt: Option<u32>,
    /// Its place in a trace, where it has a span.
    pub trace: Option<TraceContext>,
}

impl Record {
    /// Whether a fault acted on the call, or would have but for a dry run.
    fn is_fired(&self) -> bool {
        !self.effects.is_empty()
            || !self.toxics.is_empty()
            || self.verdicts.iter().any(Verdict::would_fire)
    }
}

/// What one planned effect did.
#[derive(Clone, Debug, Serialize)]
pub struct EffectRecord {
    #[serde(flatten)]
    pub planned: Planned,
    pub fate: Fate,
    /// How long it really waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waited: Option<Duration>,
}

/// Times since the head of the request was parsed.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Timing {
    /// First byte sent upstream.
    pub upstream_sent: Option<Duration>,
    /// Response head received.
    pub response_head: Option<Duration>,
    /// First unit with content passed on.
    pub first_token: Option<Duration>,
    pub total: Duration,
    /// All waits injected by rules.
    pub injected: Duration,
}
