//! What load to make.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What to send, how often and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadOptions {
    pub seed: u64,
    pub arrivals: Arrivals,
    pub flows: Vec<Flow>,
    pub duration_ms: u64,
    /// Parts of the time that are also summed up apart. A call belongs to the one it arrived in.
    pub phases: Vec<PhaseSpec>,
    /// Calls under way at once; arrivals beyond wait, and their wait counts as latency.
    pub in_flight: usize,
    /// A call is given up after this time since its intended arrival.
    pub timeout_ms: u64,
}

/// How calls of a flow follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Evenly spaced.
    Fixed,
    /// Exponential gaps: many independent clients.
    #[default]
    Poisson,
}

/// One kind of call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    pub name: String,
    pub address: SocketAddr,
    /// The path that is posted to.
    pub path: String,
    /// JSON bodies, used in turn.
    pub bodies: Vec<String>,
    pub per_second: f64,
    /// The answer is a stream of server-sent events that must end in `[DONE]`.
    pub stream: bool,
}

/// A named part of the load's time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseSpec {
    pub name: String,
    pub start_ms: u64,
    pub end_ms: u64,
}

/// Why no load can be made of some options.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    #[error("flow {0:?} has no body to send")]
    NoBody(String),
    #[error("there is no flow to send")]
    NoFlow,
    #[error("flow {0:?} has a rate that is not above 0 and at most 10,000 a second")]
    Rate(String),
    #[error("in_flight must be at least 1")]
    InFlight,
}

impl LoadOptions {
    pub fn check(&self) -> Result<(), OptionsError> {
        if self.flows.is_empty() {
            return Err(OptionsError::NoFlow);
        }
        if self.in_flight == 0 {
            return Err(OptionsError::InFlight);
        }
        for flow in &self.flows {
            if flow.bodies.is_empty() {
                return Err(OptionsError::NoBody(flow.name.clone()));
            }
            if !(flow.per_second > 0.0 && flow.per_second <= 10_000.0) {
                return Err(OptionsError::Rate(flow.name.clone()));
            }
        }
        Ok(())
    }

    pub(super) fn duration(&self) -> Duration {
        Duration::from_millis(self.duration_ms)
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}
