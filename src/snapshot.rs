//! What a resolved configuration compiles to. The data plane reads it without a lock; a reload
//! swaps it whole. [`Settings`] is what is read once, at start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use globset::GlobSet;

pub use crate::energy::EnergySettings;
use crate::protocol::Dialect;
pub use crate::record::{DecisionLevel, LogSettings};
use crate::rule::RuleSet;
use crate::units::Seed;
use crate::upstream::UpstreamSpec;

/// Everything that the data plane needs of one generation of the configuration.
#[derive(Debug)]
pub struct Snapshot {
    pub generation: u64,
    pub seed: Seed,
    pub listeners: Vec<ListenerSpec>,
    pub upstreams: Vec<UpstreamSpec>,
    pub rules: Arc<RuleSet>,
    pub safety: Safety,
    pub limits: Limits,
}

/// One bound address and what to do with what comes in.
#[derive(Clone, Debug)]
pub struct ListenerSpec {
    pub name: Arc<str>,
    pub bind: Bind,
    /// `FILE:LINE` of the bind, for the message when the port is taken.
    pub place: String,
    pub protocol: ProtocolSpec,
    /// Index into [`Snapshot::upstreams`].
    pub upstream: usize,
    pub routes: Vec<RouteSpec>,
    pub hide_origin: bool,
    /// What is observed of calls that no rule touches.
    pub observe: Observe,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// How a listener reads its bytes.
#[derive(Clone, Copy, Debug)]
pub enum ProtocolSpec {
    /// HTTP/1.1, read by a dialect.
    Http(&'static str, &'static dyn Dialect),
    /// Bytes; a call is a connection.
    Tcp,
}

impl ProtocolSpec {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http(name, _) => name,
            Self::Tcp => "tcp",
        }
    }
}

/// The first route that matches chooses upstream and dialect.
#[derive(Clone, Debug)]
pub struct RouteSpec {
    pub host: Option<String>,
    pub path: Option<GlobSet>,
    /// Name (lower-case) and exact value.
    pub headers: Vec<(String, String)>,
    pub upstream: usize,
    pub protocol: Option<ProtocolSpec>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observe {
    pub model: bool,
    pub tokens: bool,
    pub unit_times: bool,
}

impl Observe {
    pub const fn any(self) -> bool {
        self.model || self.tokens || self.unit_times
    }
}

/// Limits that hold whatever rules say.
#[derive(Clone, Debug)]
pub struct Safety {
    /// Paths that no rule ever touches.
    pub never: GlobSet,
    pub max_delay_per_call: Duration,
    pub max_faults_per_call: usize,
    pub dry_run: bool,
}

/// Limits against slow or greedy peers (reliability.md, "Defaults").
#[derive(Clone, Debug)]
pub struct Limits {
    pub header_timeout: Duration,
    pub header_bytes: usize,
    pub header_fields: usize,
    pub body_idle: Duration,
    pub keep_alive: Duration,
    pub connections_per_listener: usize,
    pub drain_grace: Duration,
    pub look_bytes: usize,
    pub look_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            header_bytes: 64 * 1024,
            header_fields: 100,
            body_idle: Duration::from_secs(60),
            keep_alive: Duration::from_secs(75),
            connections_per_listener: 10_000,
            drain_grace: Duration::from_secs(30),
            look_bytes: 1 << 20,
            look_time: Duration::from_secs(5),
        }
    }
}

/// What is read once, at start.
#[derive(Clone, Debug)]
pub struct Settings {
    pub workers: Option<usize>,
    pub state_dir: Option<PathBuf>,
    pub admin: AdminBind,
    pub health: Option<SocketAddr>,
    pub log: LogSettings,
    pub energy: EnergySettings,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminBind {
    Off,
    Tcp(SocketAddr),
    Unix(PathBuf),
}
