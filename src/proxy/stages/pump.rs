//! Moves one body through its stages: reads ahead for true arrival times, writes each piece when
//! its time has come.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::effect::{Answer, Fate};
use crate::http1::{BodyScanner, ChunkedError, chunk_header};
use crate::io::{Buffer, Stream};
use crate::protocol::UnitKind;
use crate::proxy::activity::Activity;
use crate::proxy::execution::Execution;
use crate::proxy::stages::points::Act;
use crate::proxy::stages::{Segment, Stages};
use crate::proxy::timer::Waited;

/// How far a body is read ahead of what was written.
const READ_AHEAD: usize = 64 * 1024;

/// Where body bytes come from.
#[derive(Debug)]
pub(in crate::proxy) struct Source<'s> {
    pub(in crate::proxy) stream: &'s Stream,
    /// Bytes read and not scanned; what follows the body stays in it.
    pub(in crate::proxy) buffer: &'s mut Buffer,
    pub(in crate::proxy) scanner: &'s mut BodyScanner,
}

/// How the body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Outlet {
    Chunked,
    /// By length, or until the connection ends.
    Raw,
}

/// How a body ended.
#[derive(Debug)]
pub(in crate::proxy) enum BodyEnd {
    /// The client sees an orderly end before the announced one, by a rule.
    Closed,
    /// All of it was written, its end mark included.
    Complete,
    /// A rule cut it, and the message stayed well-formed.
    Cut,
    /// A rule wrote an error event; whether the message stayed well-formed.
    Error {
        well_formed: bool,
    },
    /// RST, by a rule.
    Reset,
    SinkGone(io::Error),
    /// The source closed before the body's end.
    SourceEnded,
    SourceFailed(io::Error),
    SourceMalformed(ChunkedError),
}

/// One body on its way.
pub(in crate::proxy) struct Pump<'s> {
    pub(in crate::proxy) source: Source<'s>,
    pub(in crate::proxy) sink: &'s Stream,
    pub(in crate::proxy) outlet: Outlet,
    pub(in crate::proxy) stages: &'s mut Stages,
    pub(in crate::proxy) execution: &'s Execution,
    pub(in crate::proxy) activity: Option<&'s Activity>,
    /// The body is for nobody once the sink's peer has closed: an HTTP answer, not a TCP stream,
    /// which may be half-closed.
    pub(in crate::proxy) watch_sink: bool,
    /// The protocol's error event for an answer in the middle of a stream.
    pub(in crate::proxy) error_event: &'s dyn Fn(&Answer) -> Option<Vec<u8>>,
    /// Payload bytes written.
    pub(in crate::proxy) written: u64,
    ended: bool,
}

impl std::fmt::Debug for Pump<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pump")
            .field("outlet", &self.outlet)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

impl<'s> Pump<'s> {
    pub(in crate::proxy) fn new(
        source: Source<'s>,
        sink: &'s Stream,
        outlet: Outlet,
        stages: &'s mut Stages,
        execution: &'s Execution,
        activity: Option<&'s Activity>,
        error_event: &'s dyn Fn(&Answer) -> Option<Vec<u8>>,
    ) -> Self {
        let watch_sink = false;
        Self {
            source,
            sink,
            outlet,
            stages,
            execution,
            activity,
            watch_sink,
            error_event,
            written: 0,
            ended: false,
        }
    }

    /// Moves the body to its end.
    pub(in crate::proxy) async fn run(&mut self) -> BodyEnd {
        match self.drive().await {
            Ok(()) => BodyEnd::Complete,
            Err(end) => end,
        }
    }

    async fn drive(&mut self) -> Result<(), BodyEnd> {
        self.ingest()?;
        loop {
            if let Some(segment) = self.stages.queue.pop_front() {
                self.emit(segment).await?;
            } else if self.ended {
                break;
            } else {
                self.fill().await?;
            }
        }
        for point in self.stages.points_at_end() {
            self.act(point).await?;
        }
        if self.outlet == Outlet::Chunked {
            self.write(b"0\r\n\r\n").await?;
        }
        Ok(())
    }

    /// Scans what has been read and queues its payload.
    fn ingest(&mut self) -> Result<(), BodyEnd> {
        if self.ended {
            return Ok(());
        }
        let (stages, execution, now) = (&mut *self.stages, self.execution, Instant::now());
        let scanned = self
            .source
            .scanner
            .scan(self.source.buffer, |payload| {
                stages.push(payload, now, execution);
            })
            .map_err(BodyEnd::SourceMalformed)?;
        self.source.buffer.consume(scanned.wire);
        if scanned.done {
            self.end_of_source(now);
        }
        Ok(())
    }

    fn end_of_source(&mut self, now: Instant) {
        self.ended = true;
        self.stages.finish(now, self.execution);
        // Nothing more is asked of the upstream, however long the rest waits here.
        if let Some(activity) = self.activity {
            activity.hold();
        }
    }

    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BodyEnd>> {
        match self.source.stream.poll_read(context, self.source.buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(0)) if self.source.scanner.ends_at_close() => {
                self.end_of_source(Instant::now());
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(0)) => Poll::Ready(Err(BodyEnd::SourceEnded)),
            Poll::Ready(Ok(_)) => Poll::Ready(self.ingest()),
            Poll::Ready(Err(error)) => Poll::Ready(Err(BodyEnd::SourceFailed(error))),
        }
    }

    async fn fill(&mut self) -> Result<(), BodyEnd> {
        self.while_reading(std::future::pending::<()>(), true)
            .await
            .map(drop)
    }

    /// Awaits something while the source is read ahead and the sink is watched. With `once`, the
    /// first bytes that come end it too.
    async fn while_reading<F: Future>(
        &mut self,
        wait: F,
        once: bool,
    ) -> Result<Option<F::Output>, BodyEnd> {
        let mut wait = pin!(wait);
        poll_fn(|context| {
            if let Poll::Ready(output) = wait.as_mut().poll(context) {
                return Poll::Ready(Ok(Some(output)));
            }
            while !self.ended {
                if self.stages.queued >= READ_AHEAD {
                    self.activity.inspect(|activity| activity.hold());
                    break;
                }
                self.activity.inspect(|activity| activity.release());
                match self.poll_fill(context) {
                    Poll::Ready(Ok(())) if once => return Poll::Ready(Ok(None)),
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(end)) => return Poll::Ready(Err(end)),
                    Poll::Pending => break,
                }
            }
            if !self.watch_sink {
                return Poll::Pending;
            }
            match self.sink.poll_peer_closed(context) {
                Poll::Ready(()) => Poll::Ready(Err(BodyEnd::SinkGone(
                    io::ErrorKind::ConnectionAborted.into(),
                ))),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Writes one piece when its time has come.
    async fn emit(&mut self, segment: Segment) -> Result<(), BodyEnd> {
        self.stages.queued -= segment.bytes.len();
        if let Some(kind) = segment.unit {
            self.wait_between(kind, segment.arrival).await?;
            self.wait_gaps(kind).await?;
        }
        for point in segment.before {
            self.act(point).await?;
        }
        let mut rest = segment.bytes.as_slice();
        while !rest.is_empty() {
            let count = self.bucket_allows(rest.len()).await?;
            let (now, later) = rest.split_at(count);
            self.write_payload(now).await?;
            rest = later;
        }
        if let Some(kind) = segment.unit {
            self.stages.left(kind, segment.arrival, Instant::now());
        }
        Ok(())
    }

    async fn wait_between(&mut self, kind: UnitKind, arrival: Instant) -> Result<(), BodyEnd> {
        for index in 0..self.stages.between.len() {
            let between = &mut self.stages.between[index];
            let Some(due) = between.due(kind, arrival, self.execution) else {
                continue;
            };
            let (step, token) = (between.step, between.planned.token.clone());
            if self.hold_until(step, due, token).await? == Waited::Revoked {
                self.stages.between[index].forget_shift();
            }
        }
        Ok(())
    }

    async fn wait_gaps(&mut self, kind: UnitKind) -> Result<(), BodyEnd> {
        for index in 0..self.stages.gaps.len() {
            let gap = &self.stages.gaps[index];
            if (gap.tokens_only && kind != UnitKind::Token)
                || !self.execution.is_live(&gap.planned.token)
            {
                continue;
            }
            let Some(last) = gap.last_leave else { continue };
            let (step, token, due) = (gap.step, gap.planned.token.clone(), last + gap.least);
            self.hold_until(step, due, token).await?;
        }
        Ok(())
    }

    /// Waits until a point of time under a rule. The rule counts as applied even where the time has
    /// passed already: it was in force.
    async fn hold_until(
        &mut self,
        step: usize,
        due: Instant,
        token: crate::effect::RuleToken,
    ) -> Result<Waited, BodyEnd> {
        let (execution, start) = (self.execution, Instant::now());
        if due <= start {
            execution.settle(step, Fate::Applied);
            return Ok(Waited::Elapsed);
        }
        execution.set_waiting(true);
        let wait = execution.timer().wait_until(Some(due), Some(token));
        let waited = self.while_reading(wait, false).await;
        execution.set_waiting(false);
        execution.count_wait(step, start.elapsed());
        let waited = waited.inspect_err(|_| execution.settle(step, Fate::Applied))?;
        let waited = waited.unwrap_or(Waited::Elapsed);
        execution.settle(
            step,
            if waited == Waited::Revoked {
                Fate::Revoked
            } else {
                Fate::Applied
            },
        );
        Ok(waited)
    }

    async fn bucket_allows(&mut self, wanted: usize) -> Result<usize, BodyEnd> {
        let mut allowed = wanted;
        for index in 0..self.stages.buckets.len() {
            loop {
                let bucket = &mut self.stages.buckets[index];
                if !self.execution.is_live(&bucket.planned.token) {
                    break;
                }
                self.execution.settle(bucket.step, Fate::Applied);
                match bucket.allow(allowed, Instant::now()) {
                    Ok(count) => {
                        allowed = count;
                        break;
                    }
                    Err(due) => {
                        let (step, token) = (bucket.step, bucket.planned.token.clone());
                        self.hold_until(step, due, token).await?;
                    }
                }
            }
        }
        for bucket in &mut self.stages.buckets {
            bucket.spend(allowed);
        }
        Ok(allowed)
    }

    /// Carries out a point. `Err` where it ends the body.
    async fn act(&mut self, index: usize) -> Result<(), BodyEnd> {
        let point = &self.stages.points[index];
        let (step, planned, act) = (point.step, point.planned.clone(), point.act.clone());
        let execution = self.execution;
        if !execution.is_live(&planned.token) {
            execution.settle(step, Fate::Revoked);
            return Ok(());
        }
        match act {
            Act::Wait(time) => self.hold_point(step, &planned.token, Some(time)).await?,
            Act::Blackhole(time) => self.hold_point(step, &planned.token, time).await?,
            Act::Close => {
                execution.settle(step, Fate::Applied);
                return Err(BodyEnd::Closed);
            }
            Act::Reset => {
                execution.settle(step, Fate::Applied);
                return Err(BodyEnd::Reset);
            }
            Act::Cut { fix } => {
                execution.settle(step, Fate::Applied);
                if !fix {
                    return Err(BodyEnd::Closed);
                }
                self.end_mark().await?;
                return Err(BodyEnd::Cut);
            }
            Act::Error(answer) => {
                execution.settle(step, Fate::Applied);
                return Err(self.error(&answer).await?);
            }
        }
        Ok(())
    }

    async fn hold_point(
        &mut self,
        step: usize,
        token: &crate::effect::RuleToken,
        time: Option<Duration>,
    ) -> Result<(), BodyEnd> {
        let execution = self.execution;
        self.while_reading(execution.hold(step, token, time), false)
            .await
            .map(drop)
    }

    /// The protocol's own error event, as its servers write it into a stream that fails.
    async fn error(&mut self, answer: &Answer) -> Result<BodyEnd, BodyEnd> {
        let Some(event) = (self.error_event)(answer) else {
            return Ok(BodyEnd::Closed);
        };
        // A body of known length has no place for it but in place of bytes that never come.
        self.write_payload(&event).await?;
        let well_formed = self.outlet == Outlet::Chunked;
        if well_formed {
            self.end_mark().await?;
        }
        Ok(BodyEnd::Error { well_formed })
    }

    async fn end_mark(&mut self) -> Result<(), BodyEnd> {
        if self.outlet == Outlet::Chunked {
            self.write(b"0\r\n\r\n").await?;
        }
        Ok(())
    }

    async fn write_payload(&mut self, payload: &[u8]) -> Result<(), BodyEnd> {
        match self.outlet {
            Outlet::Raw => self.write(payload).await?,
            Outlet::Chunked => {
                let mut chunk = Vec::with_capacity(payload.len() + 12);
                chunk_header(payload.len(), &mut chunk);
                chunk.extend_from_slice(payload);
                chunk.extend_from_slice(b"\r\n");
                self.write(&chunk).await?;
            }
        }
        self.written += payload.len() as u64;
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), BodyEnd> {
        let sink = self.sink;
        match self.while_writing(sink.write_all(bytes)).await? {
            Ok(()) => Ok(()),
            Err(error) => Err(BodyEnd::SinkGone(error)),
        }
    }

    /// Awaits a write while the source is read ahead: a slow client does not hide arrival times.
    async fn while_writing<F: Future>(&mut self, write: F) -> Result<F::Output, BodyEnd> {
        let mut write = pin!(write);
        poll_fn(|context| {
            if let Poll::Ready(output) = write.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            while !self.ended && self.stages.queued < READ_AHEAD {
                match self.poll_fill(context) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(end)) => return Poll::Ready(Err(end)),
                    Poll::Pending => break,
                }
            }
            if !self.ended && self.stages.queued >= READ_AHEAD {
                self.activity.inspect(|activity| activity.hold());
            }
            Poll::Pending
        })
        .await
    }
}
