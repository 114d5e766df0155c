//! `[upstreams.NAME]`: the model servers and feature stores behind the sidecar.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::energy::ProcessSource;
use crate::units::Span;

/// A model server or feature store.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamConfig {
    /// `http://HOST:PORT`, `tcp://HOST:PORT`, `unix:/path/to.sock` (HTTP over it), or
    /// `redis://` and `postgres://`, which this version carries as tcp; over TLS `https://`,
    /// `tls://` (bytes) and `rediss://`. All of one kind.
    #[schemars(length(min = 1))]
    pub endpoints: Vec<String>,
    /// How the upstream proves who it is, where the scheme says TLS; over `unix:` this alone says
    /// so. Absent: by the system's certificate authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<UpstreamTlsConfig>,
    /// The HTTP that it is spoken to in. Absent: what the scheme says; over TLS (`https://`) what
    /// both sides choose. `"1.1"` where WebSocket passes to an upstream that would choose HTTP/2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<UpstreamHttpConfig>,
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

/// The HTTP that an upstream is spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpstreamHttpConfig {
    #[serde(rename = "1.1")]
    One,
    /// From the first byte on.
    #[serde(rename = "2")]
    Two,
}

/// TLS to an upstream. All files are PEM, and are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamTlsConfig {
    /// Certificates of the authorities that are trusted, in place of the system's; also a
    /// self-signed certificate of the upstream's own, where that says CA:FALSE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// What the upstream is shown where it asks for a client certificate, with its chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// The private key of `cert`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// The name that the upstream is asked for and must prove. Absent: the endpoint's host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Whether the upstream must prove who it is. `false` takes any certificate, so that whoever
    /// sits in between can read and change everything.
    pub verify: bool,
}

impl Default for UpstreamTlsConfig {
    fn default() -> Self {
        Self {
            ca: None,
            cert: None,
            key: None,
            server_name: None,
            verify: true,
        }
    }
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
