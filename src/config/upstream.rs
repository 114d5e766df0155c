//! `[upstreams.NAME]`: the model servers and feature stores behind the sidecar.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::energy::ProcessSource;
use crate::units::Span;

/// A model server or feature store.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamConfig {
    /// `http://HOST:PORT`, `tcp://HOST:PORT`, `unix:/path/to.sock` (HTTP over it), or
    /// `redis://` and `postgres://`, which this version carries as tcp. All of one kind.
    #[schemars(length(min = 1))]
    pub endpoints: Vec<String>,
    /// How long a connection may take to be made.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: Span,
    /// How long a pooled connection may be idle. Below the server's own limit (uvicorn: 5 s), so
    /// that it is never used while the server closes it.
    #[serde(default = "idle_timeout")]
    pub idle_timeout: Span,
    /// How old a pooled connection may grow.
    #[serde(default = "max_age")]
    pub max_age: Span,
    /// Where this upstream's work shows on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy: Option<UpstreamEnergyConfig>,
}

/// Where an upstream's work shows on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamEnergyConfig {
    /// The server's process, by the port it listens on or a file with its number; its whole
    /// process tree counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessSource>,
}

fn connect_timeout() -> Span {
    Span::from_secs(5)
}

fn idle_timeout() -> Span {
    Span::from_secs(4)
}

fn max_age() -> Span {
    Span::from_secs(600)
}
