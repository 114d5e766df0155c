//! `[traces]`: spans of calls for an OpenTelemetry collector.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Decisions;
use crate::record::DecisionLevel;

/// Calls as spans, handed to an OpenTelemetry collector over OTLP/HTTP. The call's span becomes the
/// parent of what the upstream records: `traceparent` is rewritten, or added where a trace begins
/// here. A trace whose caller does not sample it passes unchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TracesConfig {
    /// The collector: `http://127.0.0.1:4318`; `/v1/traces` is asked where the URL has no path.
    pub endpoint: String,
    /// Which calls begin a trace where their caller has none: `fired`, `selected`, `all`, `off`, or
    /// a share like `5%`. Those of a trace that their caller samples always have a span.
    #[serde(default = "fired")]
    pub calls: Decisions,
    /// The name of the service that spans carry.
    #[serde(default = "service")]
    pub service: String,
    /// Headers of each export, such as a key: `{ x-api-key = "${KEY}" }`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

const fn fired() -> Decisions {
    Decisions(DecisionLevel::Fired)
}

fn service() -> String {
    "hormesis".to_owned()
}
