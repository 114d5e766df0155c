//! How upstreams are reached: connectors and each worker's pool of kept connections.

mod connect;
mod pool;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::tls::ClientTls;

pub use connect::{ConnectError, Connected, connect};
pub use pool::{Connection, Pool};

/// A named target as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSpec {
    pub name: Arc<str>,
    pub endpoints: Vec<Endpoint>,
    /// Absent where it is spoken to in plain text.
    pub tls: Option<ClientTls>,
    pub connect_timeout: Duration,
    /// How long a pooled connection may be idle.
    pub idle_timeout: Duration,
    pub max_age: Duration,
}

/// One address of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// The name is resolved off the workers.
    Tcp {
        host: String,
        port: u16,
    },
    Unix(PathBuf),
}

impl Endpoint {
    /// What a request without a Host is sent with.
    pub fn authority(&self) -> String {
        match self {
            // An IPv6 literal stands in brackets (RFC 3986 §3.2.2).
            Self::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port } => format!("{host}:{port}"),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }
}
