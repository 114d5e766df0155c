//! Kept connections of one worker to one upstream.

use std::cell::{Cell, RefCell};

use tokio::time::Instant;

use crate::io::Stream;
use crate::upstream::{ConnectError, UpstreamSpec, connect};

/// Idle connections, last in first out, so that the surplus ages and is closed.
#[derive(Debug)]
pub struct Pool {
    pub spec: UpstreamSpec,
    idle: RefCell<Vec<Idle>>,
    next_endpoint: Cell<usize>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

/// A connection to an upstream, in use by one call.
#[derive(Debug)]
pub struct Connection {
    pub stream: Stream,
    born: Instant,
    /// It has carried an earlier call: a failure before the first byte of an answer may only mean
    /// that the upstream closed it meanwhile.
    pub reused: bool,
}

impl Pool {
    pub fn new(spec: UpstreamSpec) -> Self {
        Self {
            spec,
            idle: RefCell::default(),
            next_endpoint: Cell::new(0),
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
        None
    }

    /// A new connection; every endpoint is tried once, in turn.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        let count = self.spec.endpoints.len();
        let first = self.next_endpoint.get();
        self.next_endpoint.set(first.wrapping_add(1));
        let mut last = None;
        for offset in 0..count {
            let endpoint = &self.spec.endpoints[first.wrapping_add(offset) % count];
            match connect(&self.spec, endpoint).await {
                Ok(connected) => {
                    return Ok(Connection {
                        stream: connected.stream,
                        born: Instant::now(),
                        reused: false,
                    });
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| ConnectError::Failed {
            endpoint: self.spec.name.to_string(),
            source: std::io::ErrorKind::AddrNotAvailable.into(),
        }))
    }

    /// Keeps a connection whose last answer ended where it said.
    pub fn give_back(&self, connection: Connection, now: Instant) {
        if now.duration_since(connection.born) < self.spec.max_age {
            self.idle.borrow_mut().push(Idle {
                connection,
                since: now,
            });
        }
    }

    /// Closes what is too old, or was closed by the upstream.
    pub fn sweep(&self, now: Instant) {
        self.idle.borrow_mut().retain(|idle| {
            self.is_fresh(&idle.connection, idle.since, now) && idle.connection.stream.is_quiet()
        });
    }

    /// Closes all.
    pub fn clear(&self) {
        self.idle.borrow_mut().clear();
    }

    fn is_fresh(&self, connection: &Connection, since: Instant, now: Instant) -> bool {
        now.duration_since(since) < self.spec.idle_timeout
            && now.duration_since(connection.born) < self.spec.max_age
    }
}
