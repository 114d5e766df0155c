//! The rest of a request's body, on its way upstream while the answer may come already.

use std::cell::Cell;
use std::io::ErrorKind;
use std::time::Duration;

use crate::http1::{BodyScanner, Trailers};
use crate::io::{Buffer, PipePool, Stream};
use crate::proxy::activity::Activity;
use crate::proxy::execution::Execution;
use crate::proxy::http::bulk;
use crate::proxy::patience;
use crate::proxy::rescue::Failure;
use crate::proxy::stages::{BodyEnd, Outlet, Pump, Source, Stages};
use crate::proxy::watch::unless_gone;
use crate::upstream::unsayable;

/// What is left to send.
#[derive(Debug)]
pub(super) struct Upload<'u> {
    pub(super) scanner: &'u mut BodyScanner,
    /// Where a rule acts on the request's body.
    pub(super) stages: Option<&'u mut Stages>,
    /// A part of it was taken from the client: it cannot be sent from the start again.
    pub(super) begun: bool,
    /// As [`Destination::idle`].
    pub(super) idle: Option<Duration>,
}

/// Where it goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Destination<'d> {
    pub(super) upstream: &'d Stream,
    pub(super) activity: &'d Activity,
    /// How long the client may be silent in the middle of its body, and the upstream take nothing
    /// of it. `None`: for ever, as for a stream.
    pub(super) idle: Option<Duration>,
    /// For a body that nothing here reads.
    pub(super) pipes: &'d PipePool,
    /// Bytes sent so far; kept also where the upload is given up.
    pub(super) sent: &'d Cell<u64>,
}

/// Sends it. When the upstream takes no more, this ends without an error: what the upstream answers
/// tells more.
pub(super) async fn upload(
    client: &Stream,
    buffer: &mut Buffer,
    up: &mut Upload<'_>,
    to: Destination<'_>,
    execution: Option<&Execution>,
) -> Result<(), Failure> {
    if let (Some(stages), Some(execution)) = (up.stages.as_deref_mut(), execution) {
        let source = Source {
            stream: client,
            buffer,
            scanner: up.scanner,
        };
        return staged(source, stages, to, execution).await;
    }
    let mut trailers = Trailers::default();
    loop {
        let scanned = up
            .scanner
            .scan_through(buffer, &mut trailers, |_| {})
            .map_err(Failure::ClientBody)?;
        let mut end = Vec::new();
        if scanned.done && !trailers.is_empty() {
            trailers.end(&mut end);
        }
        if scanned.wire > 0 {
            up.begun = true;
            let write = patience::write(to.upstream, &buffer[..scanned.raw], &end, to.idle);
            match unless_gone(client, write).await? {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    return Err(Failure::UpstreamBlocked);
                }
                // Its trailers: the upstream waits for them as the client does for its answer.
                Err(error) if unsayable(&error).is_some() => {
                    return Err(Failure::of_upstream(error));
                }
                Err(_) => return std::future::pending().await,
            }
            to.sent.set(to.sent.get() + scanned.wire as u64);
            buffer.consume(scanned.wire);
        }
        if scanned.done {
            buffer.release();
            return Ok(());
        }
        buffer.release();
        if bulk::request(client, up.scanner, to).await? {
            return Ok(());
        }
        let read = patience::within(to.idle, client.read(buffer)).await;
        match read.ok_or(Failure::ClientSlow)? {
            Ok(0) => return Err(Failure::ClientShort),
            Ok(_) => {}
            Err(error) => return Err(Failure::ClientGone(error)),
        }
    }
}

async fn staged(
    source: Source<'_>,
    stages: &mut Stages,
    to: Destination<'_>,
    execution: &Execution,
) -> Result<(), Failure> {
    let chunked = matches!(source.scanner, BodyScanner::Chunked(_));
    let outlet = if chunked {
        Outlet::Chunked
    } else {
        Outlet::Raw
    };
    let activity = Some(to.activity);
    let mut pump = Pump::new(
        source,
        to.upstream,
        outlet,
        stages,
        execution,
        activity,
        &|_| None,
    );
    pump.count = Some(to.sent);
    pump.feeds_upstream = true;
    (pump.idle, pump.patience) = (to.idle, to.idle);
    let end = pump.run().await;
    // The upstream has what it gets: from here on it works.
    to.activity.release();
    match end {
        BodyEnd::Complete | BodyEnd::Cut => Ok(()),
        // The upstream sees the request break off; what it makes of that is its answer.
        BodyEnd::CutShort => {
            crate::error::ignore(to.upstream.shutdown().await);
            Ok(())
        }
        BodyEnd::Closed | BodyEnd::Error { .. } => {
            execution.supersede_rest();
            Err(Failure::Injected { reset: false })
        }
        BodyEnd::Reset => {
            execution.supersede_rest();
            to.upstream.reset_on_close();
            Err(Failure::Injected { reset: true })
        }
        BodyEnd::SinkGone(error) if error.kind() == ErrorKind::TimedOut => {
            Err(Failure::UpstreamBlocked)
        }
        BodyEnd::SinkGone(error) if unsayable(&error).is_some() => Err(Failure::of_upstream(error)),
        BodyEnd::SinkGone(_) => std::future::pending().await,
        BodyEnd::SourceStuck => Err(Failure::ClientSlow),
        BodyEnd::SourceEnded => Err(Failure::ClientShort),
        BodyEnd::SourceFailed(error) => Err(Failure::ClientGone(error)),
        BodyEnd::SourceMalformed(error) => Err(Failure::ClientBody(error)),
    }
}
