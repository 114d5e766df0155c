//! Kept connections of one worker to one upstream.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use crate::io::{Socket, Stream};
use crate::upstream::connect::Connected;
use crate::upstream::http2::Shared;
use crate::upstream::{ConnectError, Endpoint, HttpVersion, Resolver, UpstreamSpec, connect};

/// Idle connections, last in first out, so that the surplus ages and is closed; and those of
/// HTTP/2, whose streams serve calls side by side.
#[derive(Debug)]
pub struct Pool {
    pub spec: UpstreamSpec,
    idle: RefCell<Vec<Idle>>,
    next_endpoint: Cell<usize>,
    resolver: Resolver,
    http2: Http2,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

/// The HTTP/2 connections of a pool.
#[derive(Debug)]
struct Http2 {
    connections: RefCell<Vec<Rc<Shared>>>,
    /// One dial at a time, and those who wait for it share what it brings.
    dialling: tokio::sync::Mutex<()>,
    /// Dials that have ended, and how the last of them failed.
    dials: Cell<u64>,
    failed: RefCell<Option<ConnectError>>,
    /// What the upstream was seen to speak, where it chooses.
    chosen: Cell<bool>,
}

/// A connection to an upstream, in use by one call.
#[derive(Debug)]
pub struct Connection {
    pub stream: Stream,
    born: Instant,
    home: Home,
    /// How long it may be idle, where the upstream said so.
    keep_for: Cell<Duration>,
    /// It has carried an earlier call: a failure before the first byte of an answer may only mean
    /// that the upstream closed it meanwhile.
    pub reused: bool,
    /// It is a stream of HTTP/2, for one call: the upstream can refuse it without having done
    /// anything ([`is_unprocessed`](crate::upstream::is_unprocessed)), and send trailers behind a
    /// body of announced length.
    pub http2: bool,
    /// Its last answer had a large body that nobody here read: the next one's head is read with
    /// little behind it, so that the body can stay in the kernel.
    pub bulk: Cell<bool>,
}

/// Where a connection leads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Home {
    /// Index of the endpoint.
    endpoint: usize,
    /// What its name stood for.
    address: Option<SocketAddr>,
}

impl Connection {
    /// The upstream closes it when it was idle for so many seconds: we do a second before, since
    /// what is sent while it closes is lost.
    pub fn kept_for(&self, seconds: u32) {
        let limit = Duration::from_secs(u64::from(seconds.saturating_sub(1)));
        self.keep_for.set(limit);
    }
}

impl Pool {
    pub fn new(spec: UpstreamSpec) -> Self {
        let http2 = Http2 {
            connections: RefCell::default(),
            dialling: tokio::sync::Mutex::new(()),
            dials: Cell::new(0),
            failed: RefCell::new(None),
            chosen: Cell::new(spec.http != HttpVersion::One),
        };
        Self {
            spec,
            idle: RefCell::default(),
            next_endpoint: Cell::new(0),
            resolver: Resolver::default(),
            http2,
        }
    }

    /// A kept connection that is still open as far as is known without a system call.
    pub fn take(&self, now: Instant) -> Option<Connection> {
        self.resolver.touch();
        let mut idle = self.idle.borrow_mut();
        while let Some(Idle {
            mut connection,
            since,
        }) = idle.pop()
        {
            if self.is_fresh(&connection, since, now) && connection.stream.is_quiet() {
                connection.reused = true;
                return Some(connection);
            }
        }
        if self.spec.http == HttpVersion::One {
            return None;
        }
        self.http2
            .stream(|shared| self.is_young(shared.born, now), true)
    }

    /// A new connection; every endpoint is tried once, in turn. Where the upstream speaks HTTP/2,
    /// it is a stream of a connection that was dialled after the call of this, by whom ever.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        if !self.http2.chosen.get() {
            return self.dial().await;
        }
        let asked = Instant::now();
        let dials = self.http2.dials.get();
        let turn = self.http2.dialling.lock().await;
        if !self.http2.chosen.get() {
            // Found out meanwhile: there is nothing to share.
            drop(turn);
            return self.dial().await;
        }
        if self.http2.dials.get() > dials {
            let others = self.http2.stream(|shared| shared.born >= asked, false);
            if let Some(connection) = others {
                return Ok(connection);
            }
            if let Some(error) = &*self.http2.failed.borrow() {
                return Err(error.repeat());
            }
        }
        let dialled = self.dial().await;
        self.http2.dials.set(self.http2.dials.get() + 1);
        let failed = dialled.as_ref().err().map(ConnectError::repeat);
        self.http2.failed.replace(failed);
        dialled
    }

    /// A connection for bytes that are no HTTP.
    pub async fn connect_bytes(&self) -> Result<Stream, ConnectError> {
        Ok(self.dial_bytes().await?.0.stream)
    }

    async fn dial(&self) -> Result<Connection, ConnectError> {
        let (connected, home) = self.dial_bytes().await?;
        let Connected {
            stream,
            endpoint,
            http2,
            secure,
            ..
        } = connected;
        let speaks_http2 = match self.spec.http {
            HttpVersion::One => false,
            HttpVersion::Two => true,
            HttpVersion::Negotiated => http2,
        };
        if !speaks_http2 {
            self.http2.chosen.set(false);
            return Ok(Connection {
                stream,
                born: Instant::now(),
                home,
                keep_for: Cell::new(Duration::MAX),
                reused: false,
                http2: false,
                bulk: Cell::new(false),
            });
        }
        self.http2.chosen.set(true);
        let within = self.spec.connect_timeout;
        let shared = match tokio::time::timeout(within, Shared::open(stream, secure, home)).await {
            Ok(Ok(shared)) => shared,
            Ok(Err(source)) => return Err(ConnectError::NoHttp2 { endpoint, source }),
            Err(_) => return Err(ConnectError::Timeout { endpoint, within }),
        };
        let connection = carry(&shared, false);
        self.http2.connections.borrow_mut().push(shared);
        Ok(connection)
    }

    async fn dial_bytes(&self) -> Result<(Connected, Home), ConnectError> {
        self.resolver.touch();
        let count = self.spec.endpoints.len();
        let first = self.next_endpoint.get();
        self.next_endpoint.set(first.wrapping_add(1));
        let mut last = None;
        for offset in 0..count {
            let index = first.wrapping_add(offset) % count;
            let endpoint = &self.spec.endpoints[index];
            match connect(&self.spec, endpoint, &self.resolver).await {
                Ok(connected) => {
                    let home = Home {
                        endpoint: index,
                        address: connected.address,
                    };
                    return Ok((connected, home));
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| ConnectError::Failed {
            endpoint: self.spec.name.to_string(),
            source: std::io::ErrorKind::AddrNotAvailable.into(),
        }))
    }

    /// Keeps a connection whose last answer ended where it said. A stream of HTTP/2 is for one
    /// call; its connection is kept anyway.
    pub fn give_back(&self, connection: Connection, now: Instant) {
        if !connection.http2 && self.is_young(connection.born, now) {
            self.idle.borrow_mut().push(Idle {
                connection,
                since: now,
            });
        }
    }

    /// Looks names up again that are due.
    pub fn refresh(&self, now: Instant) -> Option<impl Future<Output = ()> + use<>> {
        self.resolver.refresh(now)
    }

    /// Closes what is too old, leads where its name no longer does, or was closed by the upstream.
    /// What streams of calls use still ends with the last of them.
    pub fn sweep(&self, now: Instant) {
        self.idle.borrow_mut().retain(|idle| {
            self.is_fresh(&idle.connection, idle.since, now)
                && self.is_home(idle.connection.home)
                && idle.connection.stream.is_quiet()
        });
        self.http2.connections.borrow_mut().retain(|shared| {
            let idle = shared.idle_since(now);
            let fresh = idle.is_none_or(|since| now - since < self.spec.idle_timeout);
            fresh
                && self.is_young(shared.born, now)
                && self.is_home(shared.home)
                && shared.is_open()
        });
    }

    /// Closes all.
    pub fn clear(&self) {
        self.idle.borrow_mut().clear();
        self.http2.connections.borrow_mut().clear();
    }

    fn is_fresh(&self, connection: &Connection, since: Instant, now: Instant) -> bool {
        let limit = self.spec.idle_timeout.min(connection.keep_for.get());
        now.duration_since(since) < limit && self.is_young(connection.born, now)
    }

    fn is_home(&self, home: Home) -> bool {
        match (&self.spec.endpoints[home.endpoint], home.address) {
            (Endpoint::Tcp { host, port }, Some(address)) => {
                self.resolver.leads_to(host, *port, address)
            }
            _ => true,
        }
    }

    fn is_young(&self, born: Instant, now: Instant) -> bool {
        now.duration_since(born) < self.spec.max_age
    }
}

impl Http2 {
    /// A stream on the first connection that has room: the later ones are left to be idle.
    fn stream(&self, suits: impl Fn(&Shared) -> bool, reused: bool) -> Option<Connection> {
        let connections = self.connections.borrow();
        let shared = connections
            .iter()
            .find(|shared| suits(shared) && shared.has_room())?;
        Some(carry(shared, reused))
    }
}

fn carry(shared: &Rc<Shared>, reused: bool) -> Connection {
    Connection {
        stream: Stream::new(Socket::Over(Box::new(shared.carry()))),
        born: shared.born,
        home: shared.home,
        keep_for: Cell::new(Duration::MAX),
        reused,
        http2: true,
        bulk: Cell::new(false),
    }
}
