//! Sends a request upstream and waits for the head of its answer.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::time::Instant;

use crate::call::Side;
use crate::effect::{Effect, NotApplicable};
use crate::http1::{
    BodyScanner, Framing, HeadError, Request, RequestEdit, Response, Upgrade, parse_response,
    rebuild_request, strip_in_place,
};
use crate::io::{Buffer, Stream};
use crate::proxy::call::InFlight;
use crate::proxy::execution::acts_on_body;
use crate::proxy::http::exchange::Asked;
use crate::proxy::http::respond::respond;
use crate::proxy::http::upload::{Upload, upload};
use crate::proxy::http::{Next, to_client};
use crate::proxy::rescue::Failure;
use crate::proxy::stages::{BodyFacts, Stages};
use crate::proxy::watch::unless_gone;
use crate::upstream::Connection;

/// The head of the answer, with the bytes that came behind it.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) head: Response,
    /// The head and what followed it.
    pub(super) buffer: Buffer,
}

/// A request head on its way.
enum Outgoing {
    /// It stands in the buffer, less its hop-by-hop lines: so many bytes.
    InPlace(usize),
    /// Written anew; the old one takes so many bytes of the buffer.
    Rebuilt(Vec<u8>, usize),
}

impl Outgoing {
    fn prepare(call: &InFlight<'_>, buffer: &mut Buffer, head: &Request, continued: bool) -> Self {
        if !head.rebuild && !continued && head.minor == 1 {
            let stripped = strip_in_place(&mut buffer[..head.len], &head.fields);
            buffer.consume(stripped);
            return Self::InPlace(head.len - stripped);
        }
        let spec = &call.generation.snapshot.upstreams[call.target.upstream];
        let host = spec
            .endpoints
            .first()
            .map(crate::upstream::Endpoint::authority)
            .unwrap_or_default();
        let edit = RequestEdit {
            framing: head.framing,
            default_host: &host,
            keep_expect: !continued,
            edits: &[],
        };
        let mut rebuilt = Vec::with_capacity(head.len + 64);
        rebuild_request(buffer, head, edit, &mut rebuilt);
        Self::Rebuilt(rebuilt, head.len)
    }

    /// Bytes of the buffer that the head takes.
    fn in_buffer(&self) -> usize {
        match self {
            Self::InPlace(len) | Self::Rebuilt(_, len) => *len,
        }
    }

    /// Writes the head and so many body bytes that stand behind it.
    async fn send(&self, stream: &Stream, buffer: &[u8], body: usize) -> io::Result<()> {
        match self {
            Self::InPlace(len) => stream.write_all(&buffer[..len + body]).await,
            Self::Rebuilt(bytes, len) => stream.write_both(bytes, &buffer[*len..len + body]).await,
        }
    }
}

/// Forwards a call and passes its answer on.
pub(super) async fn forward(
    call: &mut InFlight<'_>,
    buffer: &mut Buffer,
    head: Request,
    asked: Asked,
    continued: bool,
) -> Result<Next, Failure> {
    let idempotent = head.is_idempotent(buffer);
    let outgoing = Outgoing::prepare(call, buffer, &head, continued);
    let head_len = outgoing.in_buffer();
    let mut stages = request_stages(call, head.framing);
    let mut scanner = BodyScanner::new(head.framing);
    let with_head = match stages {
        None => body_at_hand(&mut scanner, &buffer[head_len..])?,
        Some(_) => 0,
    };
    call.request_bytes = with_head as u64;
    // All of it is at hand: it can be sent a second time.
    let whole = stages.is_none() && scanner.is_done();
    let mut up = Upload {
        scanner: &mut scanner,
        stages: stages.as_mut(),
    };
    let mut fresh = false;
    loop {
        let connection = take_connection(call, fresh).await?;
        call.activity
            .begin(u16::try_from(call.target.upstream).unwrap_or(u16::MAX));
        call.upstream_sent = Some(Instant::now());
        // Only a kept connection fails for a reason that a new one may not share.
        let may_retry = connection.reused && whole && idempotent;
        let sent = outgoing.send(&connection.stream, buffer, with_head).await;
        let held = whole.then_some(head_len + with_head);
        let result = match sent {
            Err(error) if !may_have_answered(&error) => Err(Failure::UpstreamReset(error)),
            _ => {
                if held.is_none() {
                    buffer.consume(head_len + with_head);
                }
                let upgrade = head.upgrade;
                converse(call, buffer, &mut up, &connection, asked, upgrade, held).await
            }
        };
        match result {
            Ok((next, reusable)) => {
                if reusable {
                    call.generation.pools[call.target.upstream]
                        .give_back(connection, Instant::now());
                }
                return Ok(next);
            }
            Err(Failure::UpstreamClosed | Failure::UpstreamReset(_))
                if may_retry && call.response_head.is_none() =>
            {
                fresh = true;
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// How many bytes of the body have come with the head: they go upstream together.
fn body_at_hand(scanner: &mut BodyScanner, bytes: &[u8]) -> Result<usize, Failure> {
    let scanned = scanner.scan(bytes, |_| {}).map_err(Failure::ClientBody)?;
    Ok(scanned.wire)
}

/// The upstream closed while it was sent to: it may have answered before (413, say).
fn may_have_answered(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

fn request_stages(call: &InFlight<'_>, framing: Framing) -> Option<Stages> {
    let execution = call.execution()?;
    if !execution.touches_body(Side::Request) {
        return None;
    }
    let length = match framing {
        Framing::Length(length) => Some(length),
        Framing::None => Some(0),
        Framing::Chunked | Framing::UntilClose => None,
    };
    if length == Some(0) {
        let on_request = |effect: &Effect| effect.side() == Side::Request && acts_on_body(effect);
        execution.not_applicable(on_request, NotApplicable::NoBody);
        return None;
    }
    let facts = BodyFacts {
        length,
        ..BodyFacts::default()
    };
    Stages::build(execution, Side::Request, facts, None)
}

async fn take_connection(call: &InFlight<'_>, fresh: bool) -> Result<Connection, Failure> {
    let pool = &call.generation.pools[call.target.upstream];
    if !fresh && let Some(kept) = pool.take(call.started) {
        return Ok(kept);
    }
    Ok(unless_gone(&call.session.client, pool.connect()).await??)
}

/// The request's rest on its way upstream, beside the answer.
pub(super) enum Sending<'f> {
    Active(Pin<&'f mut dyn Future<Output = Result<(), Failure>>>),
    Done,
}

impl Sending<'_> {
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// Moves it on. An upstream that takes no more is no failure by itself: its answer tells.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Result<(), Failure> {
        let Self::Active(future) = self else {
            return Ok(());
        };
        match future.as_mut().poll(context) {
            Poll::Pending => Ok(()),
            Poll::Ready(result) => {
                *self = Self::Done;
                result
            }
        }
    }
}

/// Sends what is left of the request and passes the answer on, at once. `held`: the whole request
/// lies in the buffer, so many bytes, and is given up when the answer begins. Returns whether the
/// upstream connection can be used again.
async fn converse(
    call: &mut InFlight<'_>,
    buffer: &mut Buffer,
    up: &mut Upload<'_>,
    connection: &Connection,
    asked: Asked,
    upgrade: Upgrade,
    held: Option<usize>,
) -> Result<(Next, bool), Failure> {
    if let Some(len) = held {
        let answered = await_head(call, connection, &mut Sending::Done, asked, upgrade).await?;
        buffer.consume(len);
        return respond(
            call,
            answered,
            connection,
            asked,
            &mut Sending::Done,
            Some(buffer),
        )
        .await;
    }
    let sent = Cell::new(0);
    let execution = call
        .decided
        .as_ref()
        .map(|decided| decided.execution.clone());
    let client = &call.session.client;
    let result = {
        let uploading = pin!(upload(
            client,
            buffer,
            up,
            &connection.stream,
            execution.as_deref(),
            &sent
        ));
        let mut sending = Sending::Active(uploading);
        match await_head(call, connection, &mut sending, asked, upgrade).await {
            Ok(answered) => respond(call, answered, connection, asked, &mut sending, None).await,
            Err(failure) => Err(failure),
        }
    };
    call.request_bytes += sent.get();
    result
}

/// Waits for the head of the final answer; interim ones are passed on as they come.
async fn await_head(
    call: &mut InFlight<'_>,
    connection: &Connection,
    sending: &mut Sending<'_>,
    asked: Asked,
    upgrade: Upgrade,
) -> Result<Answered, Failure> {
    let limit = call.generation.snapshot.limits.header_bytes;
    let client = &call.session.client;
    let stream = &connection.stream;
    // A buffer is taken only when there is something to read: an answer may take minutes.
    poll_fn(|context| {
        poll_beside(context, client, sending, |context| {
            stream.poll_readable(context)
        })
    })
    .await?
    .map_err(Failure::UpstreamReset)?;
    let mut buffer = call.session.worker.buffers.take();
    loop {
        let parsed = if buffer.is_empty() {
            None
        } else {
            parse_response(&buffer, limit, asked.to_head, upgrade).map_err(Failure::UpstreamHead)?
        };
        match parsed {
            Some(head) if head.is_interim() => {
                pass_interim(call, &mut buffer, &head, asked).await?;
            }
            Some(head) => {
                call.response_head = Some(Instant::now());
                return Ok(Answered { head, buffer });
            }
            None => {
                let read = poll_fn(|context| {
                    poll_beside(context, client, sending, |context| {
                        stream.poll_read(context, &mut buffer)
                    })
                })
                .await?;
                match read {
                    Ok(0) if buffer.is_empty() => return Err(Failure::UpstreamClosed),
                    Ok(0) => return Err(Failure::UpstreamHead(HeadError::Malformed("cut off"))),
                    Ok(_) => {}
                    Err(error) => return Err(Failure::UpstreamReset(error)),
                }
            }
        }
    }
}

/// Polls one thing of the upstream while the request goes on and the client is watched.
pub(super) fn poll_beside<T>(
    context: &mut Context<'_>,
    client: &Stream,
    sending: &mut Sending<'_>,
    upstream: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Poll<Result<T, Failure>> {
    if let Poll::Ready(output) = upstream(context) {
        return Poll::Ready(Ok(output));
    }
    if let Err(failure) = sending.poll(context) {
        return Poll::Ready(Err(failure));
    }
    if sending.is_done() {
        ready!(client.poll_peer_closed(context));
        return Poll::Ready(Err(Failure::ClientGone(
            io::ErrorKind::ConnectionAborted.into(),
        )));
    }
    Poll::Pending
}

/// 1xx: passed on to clients that know of it (RFC 9110 §15.2).
async fn pass_interim(
    call: &InFlight<'_>,
    buffer: &mut Buffer,
    head: &Response,
    asked: Asked,
) -> Result<(), Failure> {
    let stripped = strip_in_place(&mut buffer[..head.len], &head.fields);
    if asked.minor == 1 {
        to_client(call.session.client.write_all(&buffer[stripped..head.len])).await?;
    }
    buffer.consume(head.len);
    Ok(())
}
