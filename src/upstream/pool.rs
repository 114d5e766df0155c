//! Kept connections of one worker to one upstream.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::time::Instant;

use crate::io::{Socket, Stream};
use crate::upstream::connect::Connected;
use crate::upstream::http2::Shared;
use crate::upstream::{ConnectError, HttpVersion, UpstreamSpec, connect};

/// Idle connections, last in first out, so that the surplus ages and is closed; and those of
/// HTTP/2, whose streams serve calls side by side.
#[derive(Debug)]
pub struct Pool {
    pub spec: UpstreamSpec,
    idle: RefCell<Vec<Idle>>,
    next_endpoint: Cell<usize>,
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
    /// It has carried an earlier call: a failure before the first byte of an answer may only mean
    /// that the upstream closed it meanwhile.
    pub reused: bool,
    /// It is a stream of HTTP/2, for one call: the upstream can refuse it without having done
    /// anything ([`is_unprocessed`](crate::upstream::is_unprocessed)).
    pub refusable: bool,
    /// Its last answer had a large body that nobody here read: the next one's head is read with
    /// little behind it, so that the body can stay in the kernel.
    pub bulk: Cell<bool>,
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
            http2,
        }
    }

    /// A kept connection that is still open as far as is known without a system call.
    pub fn take(&self, now: Instant) -> Option<Connection> {
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
        Ok(self.dial_bytes().await?.stream)
    }

    async fn dial(&self) -> Result<Connection, ConnectError> {
        let Connected {
            stream,
            endpoint,
            http2,
            secure,
        } = self.dial_bytes().await?;
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
                reused: false,
                refusable: false,
                bulk: Cell::new(false),
            });
        }
        self.http2.chosen.set(true);
        let within = self.spec.connect_timeout;
        let shared = match tokio::time::timeout(within, Shared::open(stream, secure)).await {
            Ok(Ok(shared)) => shared,
            Ok(Err(source)) => return Err(ConnectError::NoHttp2 { endpoint, source }),
            Err(_) => return Err(ConnectError::Timeout { endpoint, within }),
        };
        let connection = carry(&shared, false);
        self.http2.connections.borrow_mut().push(shared);
        Ok(connection)
    }

    async fn dial_bytes(&self) -> Result<Connected, ConnectError> {
        let count = self.spec.endpoints.len();
        let first = self.next_endpoint.get();
        self.next_endpoint.set(first.wrapping_add(1));
        let mut last = None;
        for offset in 0..count {
            let endpoint = &self.spec.endpoints[first.wrapping_add(offset) % count];
            match connect(endpoint, self.spec.connect_timeout).await {
                Ok(connected) => return Ok(connected),
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
        if !connection.refusable && self.is_young(connection.born, now) {
            self.idle.borrow_mut().push(Idle {
                connection,
                since: now,
            });
        }
    }

    /// Closes what is too old, or was closed by the upstream. What streams of calls use still ends
    /// with the last of them.
    pub fn sweep(&self, now: Instant) {
        self.idle.borrow_mut().retain(|idle| {
            self.is_fresh(&idle.connection, idle.since, now) && idle.connection.stream.is_quiet()
        });
        self.http2.connections.borrow_mut().retain(|shared| {
            let idle = shared.idle_since(now);
            let fresh = idle.is_none_or(|since| now - since < self.spec.idle_timeout);
            fresh && self.is_young(shared.born, now) && shared.is_open()
        });
    }

    /// Closes all.
    pub fn clear(&self) {
        self.idle.borrow_mut().clear();
        self.http2.connections.borrow_mut().clear();
    }

    fn is_fresh(&self, connection: &Connection, since: Instant, now: Instant) -> bool {
        now.duration_since(since) < self.spec.idle_timeout && self.is_young(connection.born, now)
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
        reused,
        refusable: true,
        bulk: Cell::new(false),
    }
}
