//! The exporter of spans beside the decision log, where `[traces]` asks for it.

use std::io;

use crate::record::{DecisionLevel, DecisionLog, Exporter, LogSettings, TraceSettings};

/// What hands spans over, and of which calls; nothing where none are wanted.
pub(super) struct Traces(Option<(Exporter, DecisionLevel)>);

impl Traces {
    pub(super) fn start(settings: Option<&TraceSettings>) -> io::Result<Self> {
        let Some(settings) = settings else {
            return Ok(Self(None));
        };
        let exporter = Exporter::start(settings.clone())?;
        tracing::info!(endpoint = %settings.endpoint, "spans go to the collector");
        Ok(Self(Some((exporter, settings.calls))))
    }

    /// The decision log, which hands on what has a span.
    pub(super) fn log(&self, settings: &LogSettings) -> io::Result<DecisionLog> {
        match &self.0 {
            Some((exporter, calls)) => DecisionLog::start_traced(settings, *calls, exporter),
            None => DecisionLog::start(settings),
        }
    }

    /// Hands over what waits. The log is closed by now: nothing comes any more.
    pub(super) fn close(self) {
        if let Some((exporter, _)) = self.0 {
            exporter.close();
        }
    }
}
