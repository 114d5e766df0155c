//! Moves one body through its stages: reads ahead for true arrival times, writes each piece when
//! its time has come.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::effect::Answer;
use crate::http1::{BodyScanner, ChunkedError, Part, Trailers, chunk_header};
use crate::io::{Buffer, Stream};
use crate::proxy::activity::Activity;
use crate::proxy::execution::Execution;
use crate::proxy::patience;
use crate::proxy::stages::{Segment, Stages};
use crate::proxy::watch::Watch;

/// How far a body is read ahead of what was written.
pub(in crate::proxy) const READ_AHEAD: usize = 64 * 1024;

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
    /// A rule cut it, and the message says that there is more.
    CutShort,
    /// A rule wrote an error event; whether the message stayed well-formed.
    Error {
        well_formed: bool,
    },
    /// RST, by a rule.
    Reset,
    /// With [`io::ErrorKind::TimedOut`] where it took nothing for too long.
    SinkGone(io::Error),
    /// The source closed before the body's end.
    SourceEnded,
    SourceFailed(io::Error),
    /// Nothing came for too long.
    SourceStuck,
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
    pub(in crate::proxy) watch: Option<Watch<'s>>,
    /// The protocol's error event for an answer in the middle of a stream.
    pub(in crate::proxy) error_event: &'s dyn Fn(&Answer) -> Option<Vec<u8>>,
    /// The body is a request's: while it waits here, the upstream waits too.
    pub(in crate::proxy) feeds_upstream: bool,
    /// The length that the sink was told: never more is written, and less is no whole body.
    pub(in crate::proxy) promised: Option<u64>,
    /// Payload bytes written.
    pub(in crate::proxy) written: u64,
    /// Where they are counted as they go, for who may be dropped before the end.
    pub(in crate::proxy) count: Option<&'s Cell<u64>>,
    /// How long the source may be silent, and the sink take nothing. Waits of rules do not count.
    pub(in crate::proxy) idle: Option<Duration>,
    pub(in crate::proxy) patience: Option<Duration>,
    pub(in crate::proxy) trailers: Trailers,
    /// Trailers may come behind a body of announced length, and have a place at the sink.
    pub(in crate::proxy) trailing: bool,
    ended: bool,
    /// How the source failed. What had come before still goes out.
    failed: Option<BodyEnd>,
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
        Self {
            source,
            sink,
            outlet,
            stages,
            execution,
            activity,
            watch: None,
            error_event,
            feeds_upstream: false,
            promised: None,
            written: 0,
            count: None,
            idle: None,
            patience: None,
            trailers: Trailers::default(),
            trailing: false,
            ended: false,
            failed: None,
        }
    }

    /// Moves the body to its end.
    pub(in crate::proxy) async fn run(&mut self) -> BodyEnd {
        match self.drive().await {
            Ok(()) if self.promised.is_some_and(|all| self.written < all) => BodyEnd::CutShort,
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
        if let Some(end) = self.failed.take() {
            return Err(end);
        }
        for point in self.stages.points_at_end() {
            self.act(point).await?;
        }
        if self.trailing {
            self.read_trailers().await?;
        }
        self.trailers.whole();
        let whole = self.promised.is_none_or(|all| self.written >= all);
        match self.outlet {
            Outlet::Chunked => {
                let mut end = b"0\r\n".to_vec();
                self.trailers.end(&mut end);
                self.write(&end).await
            }
            Outlet::Raw if self.trailing && whole => {
                let end = self.sink.end(self.trailers.allowed());
                end.map_err(BodyEnd::SinkGone)
            }
            Outlet::Raw => Ok(()),
        }
    }

    async fn read_trailers(&mut self) -> Result<(), BodyEnd> {
        let source = self.source.stream;
        let wait = poll_fn(|context| source.poll_trailers(context));
        let wait = patience::within(self.idle, wait);
        match self.while_reading(wait, false).await?.flatten() {
            Some(Ok(lines)) => {
                self.trailers.take(&lines);
                Ok(())
            }
            Some(Err(error)) => Err(BodyEnd::SourceFailed(error)),
            None => Err(BodyEnd::SourceStuck),
        }
    }

    /// Scans what has been read and queues its payload.
    fn ingest(&mut self) -> Result<(), BodyEnd> {
        if self.ended {
            return Ok(());
        }
        let (stages, execution, now) = (&mut *self.stages, self.execution, Instant::now());
        let trailers = &mut self.trailers;
        let part = |part: Part<'_>| match part {
            Part::Payload(payload) => stages.push(payload, now, execution),
            Part::Trailers(bytes) => trailers.take(bytes),
        };
        let scanner = &mut *self.source.scanner;
        let scanned = match scanner.scan_parts(self.source.buffer, usize::MAX, part) {
            Ok(scanned) => scanned,
            Err(error) => {
                self.source_failed(BodyEnd::SourceMalformed(error));
                return Ok(());
            }
        };
        self.source.buffer.consume(scanned.wire);
        if self.stages.broken {
            return Err(BodyEnd::Reset);
        }
        if scanned.done {
            self.end_of_source(now);
        }
        Ok(())
    }

    fn end_of_source(&mut self, now: Instant) {
        self.ended = true;
        self.stages.finish(now, self.execution);
        // Nothing more is asked of the upstream, however long the rest waits here.
        if !self.feeds_upstream {
            self.activity.inspect(|activity| activity.done());
        }
    }

    /// Whether what the upstream has ready is left unread: then it is not charged.
    fn unread(&self, held: bool) {
        match self.activity {
            Some(activity) if !self.feeds_upstream && held => activity.hold(),
            Some(activity) if !self.feeds_upstream => activity.release(),
            _ => {}
        }
    }

    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BodyEnd>> {
        match self.source.stream.poll_read(context, self.source.buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(0)) if self.source.scanner.ends_at_close() => {
                self.end_of_source(Instant::now());
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(0)) => {
                self.source_failed(BodyEnd::SourceEnded);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(_)) => Poll::Ready(self.ingest()),
            Poll::Ready(Err(error)) => {
                self.source_failed(BodyEnd::SourceFailed(error));
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Reads until nothing more has come, or enough is queued: from then on the upstream is held.
    /// Ready after the first bytes with `once`, and where the body fails.
    fn read_ahead(&mut self, context: &mut Context<'_>, once: bool) -> Poll<Result<(), BodyEnd>> {
        while !self.ended {
            if self.stages.queued >= READ_AHEAD {
                self.unread(true);
                break;
            }
            self.unread(false);
            match self.poll_fill(context) {
                Poll::Ready(Ok(())) if once => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => {}
                ended => return ended,
            }
        }
        Poll::Pending
    }

    /// The source is of no more use; what it sent before goes out first.
    fn source_failed(&mut self, end: BodyEnd) {
        self.failed = Some(end);
        self.end_of_source(Instant::now());
    }

    async fn fill(&mut self) -> Result<(), BodyEnd> {
        let limit = self.idle;
        let stuck = async move {
            match limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        if self.while_reading(stuck, true).await?.is_some() {
            self.source_failed(BodyEnd::SourceStuck);
        }
        Ok(())
    }

    /// Awaits something while the source is read ahead and the sink is watched. With `once`, the
    /// first bytes that come end it too.
    pub(super) async fn while_reading<F: Future>(
        &mut self,
        wait: F,
        once: bool,
    ) -> Result<Option<F::Output>, BodyEnd> {
        let mut wait = pin!(wait);
        poll_fn(|context| {
            if let Poll::Ready(output) = wait.as_mut().poll(context) {
                return Poll::Ready(Ok(Some(output)));
            }
            match self.read_ahead(context, once) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(None)),
                Poll::Ready(Err(end)) => return Poll::Ready(Err(end)),
                Poll::Pending => {}
            }
            match self.watch.as_mut().map(|watch| watch.poll(context)) {
                Some(Poll::Ready(())) => Poll::Ready(Err(BodyEnd::SinkGone(
                    io::ErrorKind::ConnectionAborted.into(),
                ))),
                _ => Poll::Pending,
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

    /// The protocol's own error event, as its servers write it into a stream that fails.
    pub(super) async fn error(&mut self, answer: &Answer) -> Result<BodyEnd, BodyEnd> {
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

    pub(super) async fn end_mark(&mut self) -> Result<(), BodyEnd> {
        if self.outlet == Outlet::Chunked {
            self.write(b"0\r\n\r\n").await?;
        }
        Ok(())
    }

    async fn write_payload(&mut self, payload: &[u8]) -> Result<(), BodyEnd> {
        let left = self.promised.map_or(u64::MAX, |all| all - self.written);
        let payload = &payload[..usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(payload.len())];
        if payload.is_empty() {
            return Ok(());
        }
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
        if let Some(count) = self.count {
            count.set(self.written);
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), BodyEnd> {
        let sink = self.sink;
        let write = patience::write(sink, bytes, &[], self.patience);
        match self.while_writing(write).await? {
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
            match self.read_ahead(context, false) {
                Poll::Ready(Err(end)) => return Poll::Ready(Err(end)),
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
            Poll::Pending
        })
        .await
    }
}
