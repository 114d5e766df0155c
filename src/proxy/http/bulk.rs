//! Large bodies of announced length, passed on inside the kernel where nothing here reads them.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use crate::http1::BodyScanner;
use crate::io::{Pipe, PipePool, Stream, is_refused};
use crate::proxy::call::InFlight;
use crate::proxy::http::beside::Beside;
use crate::proxy::http::body::holding;
use crate::proxy::http::upload::Destination;
use crate::proxy::patience::{self, Patience};
use crate::proxy::rescue::Failure;
use crate::proxy::watch::unless_gone;
use crate::upstream::Connection;

/// What must be left of a body for it to pass so: for less, copying costs no more.
const LEAST: u64 = 16 * 1024;

/// A pipe for the rest of a body, where it pays; and how much that rest is.
fn pipe_for(
    scanner: &BodyScanner,
    pipes: &PipePool,
    from: &Stream,
    to: &Stream,
) -> Option<(Pipe, u64)> {
    match scanner {
        BodyScanner::Length(left) if is_large(scanner) && from.is_plain() && to.is_plain() => {
            Some((pipes.take()?, *left))
        }
        _ => None,
    }
}

/// Whether a pipe may pay for the rest of a body.
pub(super) fn is_large(scanner: &BodyScanner) -> bool {
    matches!(scanner, BodyScanner::Length(left) if *left >= LEAST)
}

fn rest(left: u64) -> BodyScanner {
    match left {
        0 => BodyScanner::Done,
        left => BodyScanner::Length(left),
    }
}

/// The rest of an answer's body, all that was read of it being sent. `None`: what is left goes
/// through a buffer. Else whether nothing came behind the body.
pub(super) async fn answer(
    call: &mut InFlight<'_>,
    connection: &Connection,
    scanner: &mut BodyScanner,
    beside: &mut Beside<'_>,
) -> Result<Option<bool>, Failure> {
    let session = call.session;
    let (client, upstream) = (&session.client, &connection.stream);
    let pipes = &session.worker.buffers.pipes;
    let Some((mut pipe, mut left)) = pipe_for(scanner, pipes, upstream, client) else {
        return Ok(None);
    };
    connection.bulk.set(true);
    let idle = call.generation.snapshot.limits.body_idle;
    while left > 0 {
        let come = beside.until(|context| upstream.poll_splice_in(context, &mut pipe, left));
        let come = tokio::time::timeout(idle, come).await;
        match come.unwrap_or(Err(Failure::UpstreamStuck))? {
            Ok(0) => return Err(Failure::UpstreamShort),
            Ok(count) => left -= count as u64,
            Err(error) if is_refused(&error) => return Ok(None),
            Err(error) => return Err(Failure::UpstreamReset(error)),
        }
        *scanner = rest(left);
        if left == 0 {
            // However long the client takes for it.
            call.activity.done();
        }
        while !pipe.is_empty() {
            let write = splice_out(client, &mut pipe, Some(idle));
            let written = beside.with(holding(&call.activity, write)).await?;
            call.response_bytes += written.map_err(Failure::of_client)? as u64;
        }
    }
    Ok(Some(upstream.is_drained()))
}

/// The rest of a request's body, all that was read of it being sent. False where what is left goes
/// through a buffer.
pub(super) async fn request(
    client: &Stream,
    scanner: &mut BodyScanner,
    to: Destination<'_>,
) -> Result<bool, Failure> {
    let Some((mut pipe, mut left)) = pipe_for(scanner, to.pipes, client, to.upstream) else {
        return Ok(false);
    };
    while left > 0 {
        match next_of_request(client, &mut pipe, left, to.idle).await? {
            Ok(0) => return Err(Failure::ClientShort),
            Ok(count) => left -= count as u64,
            Err(error) if is_refused(&error) => return Ok(false),
            Err(error) => return Err(Failure::ClientGone(error)),
        }
        *scanner = rest(left);
        while !pipe.is_empty() {
            let write = splice_out(to.upstream, &mut pipe, to.idle);
            match unless_gone(client, write).await? {
                Ok(written) => to.sent.set(to.sent.get() + written as u64),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Err(Failure::UpstreamBlocked);
                }
                // What it answers tells more.
                Err(_) => return std::future::pending().await,
            }
        }
    }
    Ok(true)
}

async fn next_of_request(
    client: &Stream,
    pipe: &mut Pipe,
    left: u64,
    idle: Option<Duration>,
) -> Result<io::Result<usize>, Failure> {
    let come = poll_fn(|context| client.poll_splice_in(context, pipe, left));
    let come = patience::within(idle, come).await;
    come.ok_or(Failure::ClientSlow)
}

/// Writes once of what is in the pipe, to a peer that may take nothing for so long.
async fn splice_out(to: &Stream, pipe: &mut Pipe, limit: Option<Duration>) -> io::Result<usize> {
    let mut patience = Patience::new(limit);
    poll_fn(|context| match to.poll_splice_out(context, pipe) {
        Poll::Pending => patience.poll(context).map(Err),
        written @ Poll::Ready(_) => written,
    })
    .await
}
