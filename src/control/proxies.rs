//! Starting, stopping and changing the proxies of the Toxiproxy API, to its letter: a change is a
//! stop and a start, and what cannot start again stays stopped.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use crate::control::additions::AddedListener;
use crate::control::toxics::toxics;
use crate::control::{Handle, ProxyConfig, ProxyError, ProxyView, lock};
use crate::snapshot::{Bind, HeadPolicy, ListenerSpec, ListenerState, Observe, ProtocolSpec};
use crate::toxic::ProxyState;
use crate::upstream::{Endpoint, HttpVersion, OffLimits, UpstreamSpec};

/// How long a stop waits for the workers to have closed socket and connections. They do so by
/// themselves: this only lets who stopped it see it.
const CLOSING: Duration = Duration::from_millis(250);
/// As for the upstreams of a configuration that says nothing.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// All proxies of the API.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    /// Held while one is started, stopped or changed: one at a time.
    changing: Mutex<()>,
    /// Held for moments.
    table: Mutex<BTreeMap<String, Proxy>>,
}

#[derive(Clone, Debug)]
pub(super) struct Proxy {
    pub(super) listen: String,
    pub(super) upstream: String,
    pub(super) state: Arc<ProxyState>,
    /// While it is enabled: of its listener.
    running: Option<Arc<ListenerState>>,
}

impl Proxies {
    pub(super) fn table(&self) -> MutexGuard<'_, BTreeMap<String, Proxy>> {
        lock(&self.table)
    }

    fn find(&self, name: &str) -> Result<Proxy, ProxyError> {
        let table = self.table();
        table.get(name).cloned().ok_or(ProxyError::NotFound)
    }

    fn put(&self, name: &str, proxy: Proxy) {
        self.table().insert(name.to_owned(), proxy);
    }
}

impl Proxy {
    fn view(&self, name: &str) -> ProxyView {
        ProxyView {
            name: name.to_owned(),
            listen: self.listen.clone(),
            upstream: self.upstream.clone(),
            enabled: self.running.is_some(),
            toxics: toxics(&self.state),
        }
    }
}

impl Handle {
    /// Where the sidecar itself takes orders: no proxy leads there. The first call holds, and is
    /// made before there is a proxy.
    pub fn set_off_limits(&self, addresses: OffLimits) {
        if self.0.off_limits.set(addresses).is_err() {
            tracing::warn!("what proxies must not lead to was already set");
        }
    }

    fn off_limits(&self) -> OffLimits {
        self.0.off_limits.get().cloned().unwrap_or_default()
    }

    /// Whether an upstream is the sidecar itself, as far as its text tells: where a name leads is
    /// seen when it is dialled.
    pub fn leads_to_itself(&self, upstream: &str) -> bool {
        let limits = self.off_limits();
        parts(upstream).is_some_and(|(host, port)| limits.covers_host(host, port))
    }

    /// All proxies of the API, by name.
    pub fn proxies(&self) -> Vec<ProxyView> {
        let table = self.0.proxies.table();
        table.iter().map(|(name, it)| it.view(name)).collect()
    }

    pub fn proxy(&self, name: &str) -> Option<ProxyView> {
        self.0.proxies.table().get(name).map(|it| it.view(name))
    }

    /// Makes a proxy, and starts it where it is to be enabled. One that cannot start is not kept.
    /// Waits for a name to be resolved: not to be called on a worker or an async runtime.
    ///
    /// # Errors
    /// Where there is one of that name, or it cannot listen.
    pub fn create_proxy(&self, config: ProxyConfig) -> Result<ProxyView, ProxyError> {
        let _changing = lock(&self.0.proxies.changing);
        let ProxyConfig {
            name,
            listen,
            upstream,
            enabled,
        } = config;
        if self.0.proxies.table().contains_key(&name) {
            return Err(ProxyError::Exists);
        }
        let mut proxy = Proxy {
            listen,
            upstream,
            state: Arc::new(ProxyState::new(&name)),
            running: None,
        };
        if enabled {
            self.start(&name, &mut proxy)?;
        }
        let view = proxy.view(&name);
        self.0.proxies.put(&name, proxy);
        Ok(view)
    }

    /// Changes a proxy; `None` leaves it as it is. Another address or upstream is a stop and a
    /// start, which its connections do not outlive; its toxics stay. The same of its addresses by
    /// another name is none.
    ///
    /// # Errors
    /// Where there is none of that name, or an address cannot be resolved: then nothing has changed.
    /// Where it cannot start: then it is stopped.
    pub fn update_proxy(
        &self,
        name: &str,
        listen: Option<&str>,
        upstream: Option<&str>,
        enabled: Option<bool>,
    ) -> Result<ProxyView, ProxyError> {
        let _changing = lock(&self.0.proxies.changing);
        let mut proxy = self.0.proxies.find(name)?;
        let enabled = enabled.unwrap_or(proxy.running.is_some());
        let moves = match listen {
            Some(listen) => resolve(listen)?.text != proxy.listen,
            None => false,
        };
        if moves || upstream.is_some_and(|it| it != proxy.upstream) {
            self.stop(name, &mut proxy);
            if let Some(listen) = listen.filter(|_| moves) {
                listen.clone_into(&mut proxy.listen);
            }
            if let Some(upstream) = upstream {
                upstream.clone_into(&mut proxy.upstream);
            }
        }
        let changed = match (enabled, proxy.running.is_some()) {
            (true, false) => self.start(name, &mut proxy),
            (false, true) => {
                self.stop(name, &mut proxy);
                Ok(())
            }
            _ => Ok(()),
        };
        let view = proxy.view(name);
        self.0.proxies.put(name, proxy);
        changed.map(|()| view)
    }

    /// Stops a proxy and forgets it, with its toxics.
    ///
    /// # Errors
    /// Where there is none of that name.
    pub fn delete_proxy(&self, name: &str) -> Result<(), ProxyError> {
        let _changing = lock(&self.0.proxies.changing);
        let mut proxy = self.0.proxies.find(name)?;
        self.stop(name, &mut proxy);
        self.0.proxies.table().remove(name);
        Ok(())
    }

    /// Starts every proxy that is stopped and removes all toxics.
    ///
    /// # Errors
    /// Where one cannot start: those before it, by name, are as they should be, and those after it
    /// as they were.
    pub fn reset_proxies(&self) -> Result<(), ProxyError> {
        let _changing = lock(&self.0.proxies.changing);
        let names: Vec<String> = self.0.proxies.table().keys().cloned().collect();
        for name in names {
            let mut proxy = self.0.proxies.find(&name)?;
            if proxy.running.is_none() {
                self.start(&name, &mut proxy)?;
                self.0.proxies.put(&name, proxy.clone());
            }
            {
                let _table = self.0.proxies.table();
                proxy.state.clear();
            }
            self.0.live.ring();
        }
        Ok(())
    }

    fn start(&self, name: &str, proxy: &mut Proxy) -> Result<(), ProxyError> {
        let wanted = resolve(&proxy.listen)?;
        let (listener, running) = match self.listen(name, proxy, wanted.address) {
            // No IPv6 here: all addresses are those of IPv4.
            Err(ProxyError::Bind { source, .. }) if wanted.any && is_no_family(&source) => {
                let port = wanted.address.port();
                self.listen(name, proxy, (Ipv4Addr::UNSPECIFIED, port).into())?
            }
            listening => listening?,
        };
        let address = self.state().bound.get(&listener).cloned();
        proxy.listen = address.unwrap_or(wanted.text);
        proxy.running = Some(running);
        tracing::info!(proxy = name, listen = %proxy.listen, upstream = %proxy.upstream, "proxy started");
        Ok(())
    }

    /// Its listener becomes part of the generations; gives that listener's name and state.
    fn listen(
        &self,
        name: &str,
        proxy: &Proxy,
        address: SocketAddr,
    ) -> Result<(String, Arc<ListenerState>), ProxyError> {
        let listener = listener_name(name);
        let running = Arc::default();
        let added = AddedListener {
            listener: ListenerSpec {
                name: listener.as_str().into(),
                bind: Bind::Tcp(address),
                place: "the Toxiproxy API".to_owned(),
                protocol: ProtocolSpec::Tcp,
                upstream: 0,
                routes: Vec::new(),
                tls: None,
                proxy_protocol: false,
                hide_origin: false,
                heads: HeadPolicy::default(),
                observe: Observe::default(),
                state: Arc::clone(&running),
                toxics: Some(proxy.state.run()),
            },
            upstream: upstream(&proxy.upstream, self.off_limits()),
        };
        self.amend(|additions, _| {
            additions.listeners.push(Arc::new(added));
            Ok::<_, ProxyError>(())
        })?;
        Ok((listener, running))
    }

    /// Does nothing to one that is stopped.
    fn stop(&self, name: &str, proxy: &mut Proxy) {
        let Some(running) = proxy.running.take() else {
            return;
        };
        proxy.state.stop();
        let listener = listener_name(name);
        let removed = self.amend(|additions, _| {
            let listeners = &mut additions.listeners;
            listeners.retain(|it| *it.listener.name != *listener);
            Ok::<_, ProxyError>(())
        });
        if let Err(error) = removed {
            // The sockets close with the drain that is under way; the connections do now.
            tracing::debug!(proxy = name, %error, "the socket of a stopped proxy");
            self.0.live.ring();
        }
        let by = Instant::now() + CLOSING;
        let closes = |it: &crate::proxy::Listening| it.is_closing(&proxy.listen);
        let open = || {
            running.connections.load(Ordering::Relaxed) > 0
                || self.0.listening.get().is_some_and(closes)
        };
        while open() && Instant::now() < by {
            std::thread::sleep(Duration::from_millis(1));
        }
        tracing::info!(proxy = name, "proxy stopped");
    }
}

/// No listener of a configuration is called so by accident.
fn listener_name(proxy: &str) -> String {
    format!("toxiproxy:{proxy}")
}

/// Called by its address.
fn upstream(to: &str, off_limits: OffLimits) -> UpstreamSpec {
    // What is no address is told where it is dialled, a connection at a time, as in Toxiproxy.
    let (host, port) = parts(to).unwrap_or((to, 0));
    UpstreamSpec {
        name: to.into(),
        endpoints: vec![Endpoint::Tcp {
            host: host.to_owned(),
            port,
        }],
        tls: None,
        http: HttpVersion::One,
        connect_timeout: CONNECT_TIMEOUT,
        idle_timeout: CONNECT_TIMEOUT,
        max_age: CONNECT_TIMEOUT,
        off_limits,
    }
}

/// Host and port of an upstream; without a host it is this machine, as in Go.
fn parts(upstream: &str) -> Option<(&str, u16)> {
    let (host, port) = split(upstream)?;
    Some((if host.is_empty() { "localhost" } else { host }, port))
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listen {
    address: SocketAddr,
    /// As the address of a proxy that listens there is shown; where no host was named, without one.
    text: String,
    /// All addresses of the machine.
    any: bool,
}

/// Resolves a name, by the system's resolver.
fn resolve(listen: &str) -> Result<Listen, ProxyError> {
    let failed = |source| ProxyError::Resolve {
        what: listen.to_owned(),
        source,
    };
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "want host:port");
    if listen.is_empty() {
        return Ok(Listen::of((Ipv4Addr::LOCALHOST, 0).into()));
    }
    let (host, port) = split(listen).ok_or_else(wrong).map_err(failed)?;
    if host.is_empty() {
        return Ok(Listen {
            address: (Ipv6Addr::UNSPECIFIED, port).into(),
            text: format!(":{port}"),
            any: true,
        });
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(Listen::of((ip, port).into()));
    }
    let addresses = (host, port).to_socket_addrs().map_err(failed)?;
    let addresses: Vec<SocketAddr> = addresses.collect();
    let first = addresses.iter().find(|it| it.is_ipv4());
    let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let address = first.or(addresses.first()).ok_or_else(none);
    Ok(Listen::of(*address.map_err(failed)?))
}

impl Listen {
    fn of(address: SocketAddr) -> Self {
        Self {
            address,
            text: address.to_string(),
            any: false,
        }
    }
}

/// Host and port; an empty port is any.
fn split(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(host) => host.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    match port {
        "" => Some((host, 0)),
        port => Some((host, port.parse().ok()?)),
    }
}

fn is_no_family(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_resolved_as_toxiproxy_does_but_for_the_empty_one() {
        let text = |listen| resolve(listen).map(|it| (it.address.to_string(), it.text));
        let both = |address: &str| (address.to_owned(), address.to_owned());
        assert_eq!(text("").unwrap(), both("127.0.0.1:0"));
        assert_eq!(text("localhost:7").unwrap(), both("127.0.0.1:7"));
        assert_eq!(text("[::1]:7").unwrap(), both("[::1]:7"));
        assert_eq!(text(":7").unwrap(), ("[::]:7".into(), ":7".into()));
        for wrong in ["7", "::1:7", "[::1]", "a:70000", "a:b"] {
            assert!(
                matches!(text(wrong), Err(ProxyError::Resolve { .. })),
                "{wrong}"
            );
        }
    }

    #[test]
    fn an_upstream_that_is_no_address_is_kept_as_it_is() {
        let endpoint = |to| upstream(to, OffLimits::default()).endpoints.remove(0);
        let tcp = |host: &str, port| Endpoint::Tcp {
            host: host.to_owned(),
            port,
        };
        assert_eq!(endpoint("redis:6379"), tcp("redis", 6379));
        assert_eq!(endpoint("[::1]:1"), tcp("::1", 1));
        assert_eq!(endpoint(":6379"), tcp("localhost", 6379));
        assert_eq!(endpoint("nonsense"), tcp("nonsense", 0));
    }
}
