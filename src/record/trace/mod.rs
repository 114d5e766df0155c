//! Traces: a call as a span, handed to a collector over OTLP, and the trace's context passed on to
//! the upstream (W3C Trace Context), so that what hormesis did stands between the client's spans and
//! the server's.

mod context;
mod exemplar;
#[cfg(feature = "otlp")]
mod export;
#[cfg(feature = "otlp")]
mod span;
mod tracer;
#[cfg(not(feature = "otlp"))]
mod without;

use http::{HeaderMap, Uri};

use crate::record::DecisionLevel;

pub use context::{Parent, TRACEPARENT, TraceContext};
pub use exemplar::{Exemplar, Exemplars};
pub(crate) use exemplar::{Kept, with_exemplars};
#[cfg(feature = "otlp")]
pub use export::Exporter;
#[cfg(feature = "otlp")]
pub(crate) use export::SpanSender;
pub use tracer::Tracer;
#[cfg(not(feature = "otlp"))]
pub use without::Exporter;
#[cfg(not(feature = "otlp"))]
pub(crate) use without::SpanSender;

/// Where spans go, and of which calls.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSettings {
    /// Where the collector takes spans as OTLP over HTTP: `…/v1/traces`.
    pub endpoint: Uri,
    /// Which calls begin a trace of their own; those of a trace that their caller samples have a
    /// span in any case.
    pub calls: DecisionLevel,
    /// `service.name` of the spans.
    pub service: String,
    /// Sent with each export: what the collector wants to know its senders by.
    pub headers: HeaderMap,
}

/// What became of spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpanFigures {
    /// Taken by the collector.
    pub exported: u64,
    /// Lost: the collector did not take them, or came too late.
    pub dropped: u64,
}
