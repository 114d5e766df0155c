//! One direction of a connection: fast and inside the kernel while no toxic is on it, through its
//! chain while one is. The change from one to the other loses nothing and keeps the order.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::time::Instant;

use crate::io::{BufferPool, Stream};
use crate::proxy::relay::{Way, WayError};
use crate::proxy::timer::{Timer, Waited};
use crate::proxy::toxic::chain::{Chain, Chunk, Drawn};
use crate::proxy::toxic::stage::Came;
use crate::toxic::{Direction, Placed, ProxyState, Traffic};

/// What is read at once, and so delayed or limited at once. Toxiproxy's, to the byte.
const CHUNK_BYTES: usize = 32 * 1024;

type Wait = Pin<Box<dyn Future<Output = Waited>>>;

/// One direction.
pub(super) struct Link<'l> {
    from: &'l Stream,
    to: &'l Stream,
    pool: &'l BufferPool,
    timer: &'l Timer,
    proxy: &'l ProxyState,
    /// Where no toxic is; what it holds when one comes goes first.
    way: Way<'l>,
    chain: Chain,
    /// Nothing more is read.
    source_over: bool,
    /// All is written that ever will be.
    pub(super) done: bool,
    wait: Option<(Instant, Wait)>,
    /// Bytes that came and went through the chain.
    came: u64,
    went: u64,
    told: (u64, u64),
    direction: Direction,
    /// What a peer did that is no orderly end.
    pub(super) read_failed: Option<io::Error>,
    pub(super) write_failed: Option<io::Error>,
}

/// What both links of a connection share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shared<'l> {
    pub(super) pool: &'l BufferPool,
    pub(super) timer: &'l Timer,
    pub(super) proxy: &'l ProxyState,
}

impl<'l> Link<'l> {
    pub(super) fn new(from: &'l Stream, to: &'l Stream, shared: Shared<'l>, drawn: Drawn) -> Self {
        let direction = drawn.direction;
        Self {
            from,
            to,
            pool: shared.pool,
            timer: shared.timer,
            proxy: shared.proxy,
            way: Way::new(from, to, shared.pool, shared.pool.take()),
            chain: Chain::new(drawn),
            source_over: false,
            done: false,
            wait: None,
            came: 0,
            went: 0,
            told: (0, 0),
            direction,
            read_failed: None,
            write_failed: None,
        }
    }

    pub(super) fn refresh(&mut self, wanted: &[Arc<Placed>], came: Came) {
        self.chain.refresh(wanted, came, Instant::now());
    }

    /// Bytes read and written so far.
    pub(super) fn passed(&self) -> (u64, u64) {
        let through = self.way.passed + self.way.held() as u64;
        (through + self.came, self.way.passed + self.went)
    }

    pub(super) fn chain(&mut self) -> &mut Chain {
        &mut self.chain
    }

    /// The socket that it reads from is closed: what was read still passes.
    pub(super) fn end_source(&mut self) {
        if !self.source_over {
            self.source_over = true;
            self.chain.end();
        }
    }

    /// Passes what can be passed now; `done` says whether that was all.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) {
        if !self.done {
            if self.chain.is_bare() && !self.source_over {
                self.wait = None;
                self.poll_bare(context);
            } else {
                self.poll_chain(context);
            }
        }
        self.tell_traffic();
    }

    fn poll_bare(&mut self, context: &mut Context<'_>) {
        match self.way.poll(context) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.done = true,
            Poll::Ready(Err(WayError { reading, error })) => {
                if reading {
                    self.read_failed = Some(error);
                } else {
                    self.write_failed = Some(error);
                }
                self.done = true;
            }
        }
    }

    fn poll_chain(&mut self, context: &mut Context<'_>) {
        loop {
            let write_blocked = self.write(context);
            if self.done {
                return;
            }
            let read_blocked = self.read(context);
            let wake = self.chain.advance(Instant::now());
            if write_blocked && self.chain.is_cut_off() {
                // Who takes nothing does not keep a connection open that is to be closed.
                self.done = true;
                return;
            }
            let writes = !write_blocked && (!self.chain.out().is_empty() || self.chain.is_over());
            let reads = !read_blocked && self.wants_more();
            if !writes && !reads && !self.is_time(wake, context) {
                return;
            }
        }
    }

    /// Writes what has left the chain; whether the receiver takes no more now.
    fn write(&mut self, context: &mut Context<'_>) -> bool {
        match self.way.poll_drain(context) {
            Poll::Pending => return true,
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(failed)) => return self.write_failed(failed.error),
        }
        while let Some(chunk) = self.chain.out().front_mut() {
            match self.to.poll_write(context, &chunk.bytes) {
                Poll::Pending => return true,
                Poll::Ready(Ok(0)) => return self.write_failed(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    chunk.bytes.advance(count);
                    self.went += count as u64;
                    if chunk.bytes.is_empty() {
                        self.chain.out().pop();
                    }
                }
                Poll::Ready(Err(error)) => return self.write_failed(error),
            }
        }
        self.done = self.chain.is_over();
        false
    }

    fn write_failed(&mut self, error: io::Error) -> bool {
        self.write_failed = Some(error);
        self.done = true;
        true
    }

    fn wants_more(&self) -> bool {
        !self.source_over && self.chain.has_room()
    }

    /// Reads one piece where there is room for it; whether nothing has come.
    fn read(&mut self, context: &mut Context<'_>) -> bool {
        if !self.wants_more() {
            return false;
        }
        let mut buffer = self.pool.take();
        match self.from.poll_read_some(context, &mut buffer, CHUNK_BYTES) {
            Poll::Pending => return true,
            Poll::Ready(Ok(0)) => self.end_source(),
            Poll::Ready(Ok(count)) => {
                self.came += count as u64;
                self.chain.push(Chunk {
                    bytes: Bytes::copy_from_slice(&buffer),
                    at: Instant::now(),
                });
            }
            Poll::Ready(Err(error)) => {
                self.read_failed = Some(error);
                self.end_source();
            }
        }
        false
    }

    /// Whether the time has come at which the chain is to be looked at.
    fn is_time(&mut self, wake: Option<Instant>, context: &mut Context<'_>) -> bool {
        let Some(at) = wake else {
            self.wait = None;
            return false;
        };
        let known = self.wait.take().filter(|(known, _)| *known == at);
        let (_, wait) = self.wait.insert(known.unwrap_or_else(|| {
            let wait: Wait = Box::pin(self.timer.wait_until(Some(at), None));
            (at, wait)
        }));
        let is_time = wait.as_mut().poll(context).is_ready();
        if is_time {
            self.wait = None;
        }
        is_time
    }

    fn tell_traffic(&mut self) {
        let now = self.passed();
        if now != self.told {
            let Traffic { received, sent } = self.proxy.traffic(self.direction);
            received.fetch_add(now.0 - self.told.0, Ordering::Relaxed);
            sent.fetch_add(now.1 - self.told.1, Ordering::Relaxed);
            self.told = now;
        }
    }
}

impl fmt::Debug for Link<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("chain", &self.chain)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}
