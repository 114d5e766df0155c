//! Bytes both ways between two sockets that nothing acts on: TCP, and what an upgrade leaves of
//! HTTP. A direction holds a buffer only while it has bytes that the other side does not take yet.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::ignore;
use crate::io::{Buffer, BufferPool, Pipe, Stream, is_refused};
use crate::proxy::activity::Activity;
use crate::proxy::timer::Timer;

/// A connection that is no exchange of messages we know is at work from a request's bytes until so
/// long after the last byte of an answer: an idle one is no work.
const AFTERGLOW: Duration = Duration::from_millis(50);
/// So many reads in a row that filled their buffer make a stream bulk: it passes inside the kernel
/// from there on, which for small pieces costs more than copying them.
const BULK_READS: u8 = 4;
/// Less than this at once is no bulk any more.
const BULK_BYTES: usize = 16 * 1024;

/// Bytes that were read before the relay began.
#[derive(Debug)]
pub(super) struct Early {
    /// From the left peer, for the right one.
    pub(super) left: Buffer,
    pub(super) right: Buffer,
}

/// What passed, and what ended it if it was no orderly end.
#[derive(Debug)]
pub(super) struct Relayed {
    pub(super) to_right: u64,
    pub(super) to_left: u64,
    pub(super) left_failed: Option<io::Error>,
    pub(super) right_failed: Option<io::Error>,
}

/// Bytes that have passed so far: to the right, to the left.
type Flow = Cell<(u64, u64)>;

/// Relays, and tells the ledger when the connection is at work. Where nothing is metered, that is
/// one branch.
pub(super) async fn relay_metered(
    left: &Stream,
    right: &Stream,
    pool: &BufferPool,
    early: Early,
    activity: &Activity,
    timer: &Timer,
) -> Relayed {
    let flow = Flow::default();
    let passing = relay(left, right, pool, early, &flow);
    metered(passing, || flow.get(), activity, timer).await
}

/// Runs something that passes bytes (`flow`: to the upstream, from it) and charges the upstream
/// from a request's bytes until [`AFTERGLOW`] after the last byte of an answer to them.
pub(super) async fn metered<F: Future>(
    passing: F,
    flow: impl Fn() -> (u64, u64),
    activity: &Activity,
    timer: &Timer,
) -> F::Output {
    if !activity.is_metered() {
        return passing.await;
    }
    let mut passing = pin!(passing);
    let (mut seen, mut quiet) = (flow(), None);
    poll_fn(|context| {
        let done = passing.as_mut().poll(context);
        let now = flow();
        if now.0 != seen.0 {
            // Asked: it works, however long the answer takes.
            activity.release();
            quiet = None;
        }
        if now.1 != seen.1 {
            let sleep = timer.wait_until(Some(Instant::now() + AFTERGLOW), None);
            quiet = Some(Box::pin(sleep));
        }
        seen = now;
        if let Some(sleep) = &mut quiet
            && sleep.as_mut().poll(context).is_ready()
        {
            activity.hold();
            quiet = None;
        }
        done
    })
    .await
}

/// Passes bytes until both directions have ended. The end of one is passed on as it is (FIN), and
/// the other goes on: a half-closed connection stays one. A failure ends both.
async fn relay(
    left: &Stream,
    right: &Stream,
    pool: &BufferPool,
    early: Early,
    flow: &Flow,
) -> Relayed {
    let mut forth = Way::new(left, right, pool, early.left);
    let mut back = Way::new(right, left, pool, early.right);
    let failed = poll_fn(|context| {
        let (forth_end, back_end) = (forth.poll(context), back.poll(context));
        flow.set((forth.passed, back.passed));
        match (forth_end, back_end) {
            (Poll::Ready(Err(error)), _) => Poll::Ready(Some((true, error))),
            (_, Poll::Ready(Err(error))) => Poll::Ready(Some((false, error))),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(None),
            _ => Poll::Pending,
        }
    })
    .await;
    let mut relayed = Relayed {
        to_right: forth.passed,
        to_left: back.passed,
        left_failed: None,
        right_failed: None,
    };
    if let Some((on_forth, WayError { reading, error })) = failed {
        // Reading from the left, or writing to it, is the left peer's failure.
        if on_forth == reading {
            relayed.left_failed = Some(error);
        } else {
            relayed.right_failed = Some(error);
        }
    }
    relayed
}

/// Which end of a way failed.
#[derive(Debug)]
pub(super) struct WayError {
    pub(super) reading: bool,
    pub(super) error: io::Error,
}

impl WayError {
    fn reading(error: io::Error) -> Self {
        let reading = true;
        Self { reading, error }
    }

    fn writing(error: io::Error) -> Self {
        let reading = false;
        Self { reading, error }
    }
}

/// One direction.
#[derive(Debug)]
pub(super) struct Way<'w> {
    from: &'w Stream,
    to: &'w Stream,
    pool: &'w BufferPool,
    buffer: Option<Buffer>,
    /// Reads in a row that filled the buffer.
    full_reads: u8,
    /// For bulk.
    pipe: Option<Pipe>,
    /// The last of the bulk has come.
    slows: bool,
    state: State,
    /// Bytes written.
    pub(super) passed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Flowing,
    /// The source has ended; FIN is still to be sent.
    Ending,
    Ended,
}

impl<'w> Way<'w> {
    pub(super) fn new(
        from: &'w Stream,
        to: &'w Stream,
        pool: &'w BufferPool,
        early: Buffer,
    ) -> Self {
        let buffer = (!early.is_empty()).then_some(early);
        Self {
            from,
            to,
            pool,
            buffer,
            full_reads: 0,
            pipe: None,
            slows: false,
            state: State::Flowing,
            passed: 0,
        }
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), WayError>> {
        loop {
            match self.state {
                State::Ended => return Poll::Ready(Ok(())),
                State::Ending => {
                    // A peer that is gone already has no use for a FIN.
                    ignore(ready!(self.to.poll_shutdown(context)));
                    self.state = State::Ended;
                }
                State::Flowing if self.pipe.is_some() => ready!(self.poll_bulk(context))?,
                State::Flowing => ready!(self.poll_flow(context))?,
            }
        }
    }

    /// Writes what is held.
    fn poll_held(&mut self, context: &mut Context<'_>) -> Poll<Result<(), WayError>> {
        if let Some(buffer) = &mut self.buffer {
            while !buffer.is_empty() {
                let written = ready!(self.to.poll_write(context, buffer));
                let count = written.map_err(WayError::writing)?;
                if count == 0 {
                    let error = io::ErrorKind::WriteZero.into();
                    return Poll::Ready(Err(WayError::writing(error)));
                }
                buffer.consume(count);
                self.passed += count as u64;
            }
            // Before the next wait: what a carrying stream took and kept would wait with us.
            let flushed = ready!(self.to.poll_flush(context));
            flushed.map_err(|error| WayError {
                reading: false,
                error,
            })?;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what it holds, in its pipe too, and reads nothing: somebody else goes on behind it.
    pub(super) fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<Result<(), WayError>> {
        ready!(self.poll_held(context))?;
        self.buffer = None;
        self.full_reads = 0;
        while let Some(pipe) = &mut self.pipe {
            if pipe.is_empty() {
                (self.slows, self.pipe) = (false, None);
            } else {
                let written = ready!(self.to.poll_splice_out(context, pipe));
                self.passed += written.map_err(WayError::writing)? as u64;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Bytes that were read and are not written.
    pub(super) fn held(&self) -> usize {
        let buffered = self.buffer.as_ref().map_or(0, |it| it.len());
        buffered + self.pipe.as_ref().map_or(0, Pipe::held)
    }

    /// Writes what is held, then reads more; holds nothing while there is nothing.
    fn poll_flow(&mut self, context: &mut Context<'_>) -> Poll<Result<(), WayError>> {
        ready!(self.poll_held(context))?;
        let buffer = self.buffer.get_or_insert_with(|| self.pool.take());
        match self.from.poll_read(context, buffer) {
            Poll::Pending => {
                self.buffer = None;
                Poll::Pending
            }
            Poll::Ready(Ok(0)) => {
                self.buffer = None;
                self.state = State::Ending;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(_)) => {
                let full = buffer.is_full();
                self.full_reads = if full { self.full_reads + 1 } else { 0 };
                if self.full_reads == BULK_READS {
                    self.full_reads = 0;
                    if self.from.is_plain() && self.to.is_plain() {
                        // Once the buffer is written.
                        self.pipe = self.pool.pipes.take();
                    }
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(WayError::reading(error))),
        }
    }

    /// The same through a pipe; ends when the stream is no bulk any more.
    fn poll_bulk(&mut self, context: &mut Context<'_>) -> Poll<Result<(), WayError>> {
        ready!(self.poll_held(context))?;
        self.buffer = None;
        while let Some(pipe) = &mut self.pipe {
            while !pipe.is_empty() {
                let written = ready!(self.to.poll_splice_out(context, pipe));
                self.passed += written.map_err(WayError::writing)? as u64;
            }
            if self.slows {
                (self.slows, self.pipe) = (false, None);
                break;
            }
            let come = ready!(self.from.poll_splice_in(context, pipe, u64::MAX));
            match come {
                Ok(0) => {
                    self.pipe = None;
                    self.state = State::Ending;
                }
                Ok(count) => self.slows = count < BULK_BYTES,
                Err(error) if is_refused(&error) => self.pipe = None,
                Err(error) => return Poll::Ready(Err(WayError::reading(error))),
            }
        }
        Poll::Ready(Ok(()))
    }
}
