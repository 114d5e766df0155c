//! What a resolved configuration compiles to. The data plane reads it without a lock; a reload
//! swaps it whole. [`Settings`] is what is read once, at start.

mod admin;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

pub use self::admin::{
    AdminAccess, AdminBind, AdminSettings, ClientName, Exposed, Scope, Scopes, Token,
};
use crate::call::Field;
pub use crate::energy::EnergySettings;
use crate::measure::{Counting, Expression};
use crate::protocol::{Dialect, EndField};
pub use crate::record::{DecisionLevel, LogSettings, TraceSettings};
use crate::rule::{PathGlob, RuleSet};
use crate::tls::ServerTls;
use crate::toxic::ProxyRun;
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
    /// Files beside the configuration's own that it was made of: certificates and keys. Who
    /// reloads watches them too.
    pub watched: Vec<PathBuf>,
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
    /// Ends the clients' TLS.
    pub tls: Option<ServerTls>,
    /// Connections begin with the client's address.
    pub proxy_protocol: bool,
    pub hide_origin: bool,
    pub heads: HeadPolicy,
    /// What is observed of calls that no rule touches.
    pub observe: Observe,
    /// What the workers count together; a reload hands it on to the listener of the same name.
    pub state: Arc<ListenerState>,
    /// It is a proxy of the Toxiproxy API: toxics act on its connections, and no rule does.
    pub toxics: Option<ProxyRun>,
}

/// What metrics call every proxy of the Toxiproxy API, and each of its toxics.
pub const TOXIPROXY: &str = "toxiproxy";

/// What a listener does with the heads of its calls, beyond what HTTP wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadPolicy {
    /// The strict profile.
    pub strict: bool,
    pub via: bool,
    pub x_forwarded: bool,
}

/// What all workers count together of one listener, over all generations that have it.
#[derive(Debug, Default)]
pub struct ListenerState {
    calls: AtomicU64,
    pub connections: AtomicUsize,
    retired: AtomicBool,
}

impl ListenerState {
    /// The number of the next call: taken when its head is parsed, the same whatever worker.
    pub fn next_call(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether a reload has removed the listener: its connections end when they are idle. One of
    /// the same name that comes later is another.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }
}

impl Snapshot {
    /// Takes over what lives longer than one generation: the state of each listener, by name, and
    /// the sessions that its clients may resume.
    pub fn adopt(&mut self, previous: &Self) {
        for listener in &mut self.listeners {
            let same = |it: &&ListenerSpec| it.name == listener.name;
            if let Some(known) = previous.listeners.iter().find(same) {
                listener.state = Arc::clone(&known.state);
                if let (Some(tls), Some(known)) = (&mut listener.tls, &known.tls) {
                    tls.keep_sessions(known);
                }
            }
        }
    }

    /// The place of a listener, by the state that all its generations share.
    pub fn place_of(&self, state: &Arc<ListenerState>) -> Option<usize> {
        let mut listeners = self.listeners.iter();
        listeners.position(|it| Arc::ptr_eq(&it.state, state))
    }
}

impl ListenerSpec {
    /// The label of its metrics. All proxies of the Toxiproxy API share one: whoever makes proxies
    /// makes up their names, without end.
    pub fn counted_as(&self) -> Arc<str> {
        match &self.toxics {
            Some(_) => TOXIPROXY.into(),
            None => Arc::clone(&self.name),
        }
    }

    /// Whether anything stands between an accepted connection and its first request.
    pub fn has_front(&self) -> bool {
        self.tls.is_some() || self.proxy_protocol || self.reads_hello()
    }

    /// Whether the clients' TLS passes through, and only the host that it names is read.
    pub fn reads_hello(&self) -> bool {
        self.tls.is_none() && self.routes.iter().any(|it| it.sni.is_some())
    }

    /// Where a call goes and how it is read: as the first route that matches says, else as the
    /// listener does. `host` as the client named it; `path` without its query.
    pub fn route(
        &self,
        host: Option<&str>,
        path: &str,
        fields: &[Field<'_>],
    ) -> (usize, ProtocolSpec) {
        let route = self.routes.iter().find(|it| it.matches(host, path, fields));
        match route {
            Some(route) => (route.upstream, route.protocol.unwrap_or(self.protocol)),
            None => (self.upstream, self.protocol),
        }
    }
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
    /// The field that says how a call ended, where HTTP's status does not.
    pub fn ending(self) -> Option<EndField> {
        match self {
            Self::Http(_, dialect) => dialect.ending(),
            Self::Tcp => None,
        }
    }

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
    /// The host of the TLS handshake, in lower case.
    pub sni: Option<String>,
    pub host: Option<String>,
    pub path: Option<PathGlob>,
    /// Name (lower-case) and exact value.
    pub headers: Vec<(String, String)>,
    pub upstream: usize,
    pub protocol: Option<ProtocolSpec>,
}

impl RouteSpec {
    /// Whether the host of a TLS handshake is the one that the route is for.
    pub fn takes_sni(&self, sni: Option<&str>) -> bool {
        let wanted = self.sni.as_deref();
        wanted.is_none_or(|wanted| host_matches(wanted, sni))
    }

    /// Whether all that is given matches a call without TLS.
    pub fn matches(&self, host: Option<&str>, path: &str, fields: &[Field<'_>]) -> bool {
        let has = |name: &str, value: &str| {
            fields.iter().any(|field| {
                field.name.eq_ignore_ascii_case(name) && field.value == value.as_bytes()
            })
        };
        self.sni.is_none()
            && self.host.as_deref().is_none_or(|it| host_matches(it, host))
            && self.path.as_ref().is_none_or(|it| it.is_match(path))
            && self.headers.iter().all(|(name, value)| has(name, value))
    }
}

/// Whether a client's host is the wanted one, or below `*.wanted`; without port and case.
fn host_matches(wanted: &str, host: Option<&str>) -> bool {
    let Some(host) = host else { return false };
    let name = match host.rsplit_once(':') {
        // The colons of an IPv6 address are inside its brackets.
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    };
    match wanted.strip_prefix('*') {
        Some(suffix) => {
            name.len() > suffix.len()
                && name
                    .get(name.len() - suffix.len()..)
                    .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
        }
        None => name.eq_ignore_ascii_case(wanted),
    }
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
    pub never: Vec<PathGlob>,
    pub max_delay_per_call: Duration,
    pub max_faults_per_call: usize,
    pub dry_run: bool,
    /// Each of these halts everything when it is true.
    pub stop_when: Vec<Expression>,
    /// What they, and probes, count.
    pub counting: Counting,
    /// A rule of the admin API lives no longer.
    pub max_ttl: Duration,
    /// While it exists everything is halted.
    pub halt_file: Option<PathBuf>,
}

/// Limits against slow or greedy peers.
#[derive(Clone, Debug)]
pub struct Limits {
    pub header_timeout: Duration,
    pub header_bytes: usize,
    pub header_fields: usize,
    pub body_idle: Duration,
    /// For all that stands before the first request.
    pub tls_handshake: Duration,
    pub keep_alive: Duration,
    pub connections_per_listener: usize,
    pub drain_grace: Duration,
    pub look_bytes: usize,
    pub look_time: Duration,
    pub h2_streams: u32,
    pub h2_stream_window: u32,
    pub h2_connection_window: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            header_bytes: 64 * 1024,
            header_fields: 100,
            body_idle: Duration::from_secs(60),
            tls_handshake: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            connections_per_listener: 10_000,
            drain_grace: Duration::from_secs(30),
            look_bytes: 1 << 20,
            look_time: Duration::from_secs(5),
            h2_streams: 100,
            h2_stream_window: 64 * 1024,
            h2_connection_window: 1 << 20,
        }
    }
}

/// What is read once, at start.
#[derive(Clone, Debug)]
pub struct Settings {
    pub workers: Option<usize>,
    pub state_dir: Option<PathBuf>,
    pub admin: AdminSettings,
    pub admin_place: SettingPlace,
    pub health: Option<SocketAddr>,
    pub health_place: SettingPlace,
    pub log: LogSettings,
    /// Of the log's file.
    pub log_place: SettingPlace,
    pub energy: EnergySettings,
    pub traces: Option<TraceSettings>,
    pub toxiproxy: Option<ToxiproxySettings>,
    /// Of its address.
    pub toxiproxy_place: SettingPlace,
}

/// The server of Toxiproxy's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToxiproxySettings {
    pub bind: SocketAddr,
    /// Proxies may listen beyond loopback.
    pub expose: bool,
    pub allow_upstreams: Vec<UpstreamPattern>,
    /// An array of proxies as JSON, made before the first request.
    pub populate: Option<PathBuf>,
    /// `/metrics` tells the proxies' traffic.
    pub proxy_metrics: bool,
    /// `/metrics` tells what the process uses.
    pub runtime_metrics: bool,
}

impl ToxiproxySettings {
    /// Whether a proxy may have this upstream, as a request writes it.
    pub fn allows(&self, upstream: &str) -> bool {
        self.allow_upstreams.iter().any(|it| it.matches(upstream))
    }
}

/// Which upstreams a proxy of the Toxiproxy API may have, by the text of a request: a name is not
/// resolved for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamPattern {
    Any,
    Of {
        /// In lower case, without brackets; `*.example.com` stands for any name below it, absent
        /// for any host.
        host: Option<String>,
        /// Absent: any.
        port: Option<u16>,
    },
}

impl UpstreamPattern {
    fn matches(&self, upstream: &str) -> bool {
        let Self::Of { host, port } = self else {
            return true;
        };
        let Some((name, number)) = upstream.rsplit_once(':') else {
            return false;
        };
        let name = name.trim_start_matches('[').trim_end_matches(']');
        // Without a host it is this machine, as in Go.
        let name = if name.is_empty() { "localhost" } else { name };
        let name = name.to_ascii_lowercase();
        let named = match host.as_deref() {
            None => true,
            Some(host) => match host.strip_prefix('*') {
                // The dot before the name is part of the suffix.
                Some(suffix) => name.len() > suffix.len() && name.ends_with(suffix),
                None => name == host,
            },
        };
        named && port.is_none_or(|port| number.parse() == Ok(port))
    }
}

/// Where a setting comes from, for the message when it cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingPlace {
    /// `FILE:LINE`.
    Config(String),
    /// Nothing configures it.
    Default,
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for SettingPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(place) => write!(f, "configured at {place}"),
            Self::Default => f.write_str("the default: nothing configures it"),
            Self::Flag(flag) => write!(f, "given by {flag}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_allowed_by_its_text() {
        let of = |host: Option<&str>, port| UpstreamPattern::Of {
            host: host.map(str::to_owned),
            port,
        };
        assert!(UpstreamPattern::Any.matches("anything"));
        assert!(of(Some("redis"), None).matches("Redis:6379"));
        assert!(!of(Some("redis"), Some(6379)).matches("redis:6380"));
        assert!(!of(Some("redis"), None).matches("redis.evil.example:6379"));
        assert!(of(Some("*.internal"), None).matches("a.b.internal:1"));
        assert!(!of(Some("*.internal"), None).matches(".internal:1"));
        assert!(!of(Some("*.internal"), None).matches("internal:1"));
        assert!(of(Some("::1"), Some(1)).matches("[::1]:1"));
        assert!(of(None, Some(1)).matches("any:1"));
        assert!(of(Some("localhost"), None).matches(":6379"));
        assert!(!of(None, None).matches("no port"));
    }

    #[test]
    fn a_route_takes_what_matches_all_of_it() {
        let route = RouteSpec {
            sni: None,
            host: Some("*.example.com".into()),
            path: PathGlob::new("/v2/**").ok(),
            headers: vec![("x-tenant".into(), "a".into())],
            upstream: 1,
            protocol: None,
        };
        let tenant = |value| Field {
            name: "X-Tenant",
            value,
        };
        let matches = |host, path, value| route.matches(Some(host), path, &[tenant(value)]);
        assert!(matches("M.Example.com:80", "/v2/models", b"a"));
        assert!(!matches("example.com", "/v2/models", b"a"));
        assert!(!matches("m.example.com", "/v1/models", b"a"));
        assert!(!matches("m.example.com", "/v2/models", b"b"));
        assert!(!route.matches(None, "/v2/models", &[tenant(b"a")]));
        assert!(host_matches("[::1]", Some("[::1]:80")));
    }
}
