//! How upstreams are reached: connectors and each worker's pool of kept connections.

mod connect;
mod http2;
mod off_limits;
mod pool;
mod resolve;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::tls::ClientTls;

pub use connect::{ConnectError, Connected, connect};
pub use http2::{h2_reason, is_unprocessed, unsayable};
pub use off_limits::OffLimits;
pub use pool::{Connection, Pool};
pub use resolve::Resolver;

/// A named target as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSpec {
    pub name: Arc<str>,
    pub endpoints: Vec<Endpoint>,
    /// Absent where it is spoken to in plain text.
    pub tls: Option<ClientTls>,
    /// What it speaks, where it is asked for HTTP.
    pub http: HttpVersion,
    pub connect_timeout: Duration,
    /// How long a pooled connection may be idle.
    pub idle_timeout: Duration,
    pub max_age: Duration,
    /// What its endpoints lead to all the same is not dialled.
    pub off_limits: OffLimits,
}

/// The HTTP that an upstream speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.1: a connection carries one call at a time.
    #[default]
    One,
    /// HTTP/2 from the first byte on, by prior knowledge (RFC 9113 §3.3).
    Two,
    /// What TLS negotiates (ALPN).
    Negotiated,
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
