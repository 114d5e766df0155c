//! Sends a request upstream and waits for the head of its answer.

use std::cell::Cell;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use crate::call::Side;
use crate::effect::{Effect, HeadEdit, NotApplicable};
use crate::http1::{
    BodyScanner, Framing, HeadError, Request, RequestEdit, Response, Trailers, Upgrade,
    parse_response, rebuild_request, strip_in_place,
};
use crate::io::{BUFFER_BYTES, Buffer, Stream};
use crate::proxy::call::InFlight;
use crate::proxy::execution::acts_on_body;
use crate::proxy::http::Next;
use crate::proxy::http::beside::Beside;
use crate::proxy::http::exchange::Asked;
use crate::proxy::http::respond::respond;
use crate::proxy::http::switch::pass_head;
use crate::proxy::http::upload::{Destination, Upload, upload};
use crate::proxy::http::{forwarded, traced};
use crate::proxy::patience;
use crate::proxy::rescue::Failure;
use crate::proxy::stages::{BodyFacts, Stages};
use crate::proxy::watch::unless_gone;
use crate::rule::{ListenerRules, asks_for_faults};
use crate::upstream::{Connection, h2_reason, is_unprocessed};

/// Interim answers to one request: more of them than this is no progress.
const MOST_INTERIM: u32 = 100;
/// What is read for the head of an answer whose body is likely to be passed on unread.
const BULK_HEAD: usize = 4096;

/// The head of the answer, with the bytes that came behind it.
#[derive(Debug)]
pub(super) struct Answered {
    /// Boxed: it would be moved from one future's state to the next, which are larger for it.
    pub(super) head: Box<Response>,
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
    fn prepare(
        call: &mut InFlight<'_>,
        buffer: &mut Buffer,
        head: &Request,
        continued: bool,
    ) -> Self {
        let mut edits = forwarded::of_request(call, head, buffer);
        traced::of_request(call, &mut edits);
        let rules = call.generation.snapshot.rules.listener(call.listener);
        if rules.is_some_and(ListenerRules::strips_asking) {
            edits.extend(without_asking(head, buffer));
        }
        if let Some(execution) = call.execution() {
            edits.extend(execution.take_head_edits(Side::Request));
        }
        if !head.rebuild && !continued && head.minor == 1 && edits.is_empty() {
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
            edits: &edits,
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

    /// The head and so many body bytes that stand behind it.
    fn copy(&self, buffer: &[u8], body: usize) -> Vec<u8> {
        match self {
            Self::InPlace(len) => buffer[..len + body].to_vec(),
            Self::Rebuilt(bytes, len) => [bytes, &buffer[*len..len + body]].concat(),
        }
    }

    /// Writes the head and so many body bytes that stand behind it.
    async fn send(
        &self,
        stream: &Stream,
        buffer: &[u8],
        body: usize,
        limit: Option<Duration>,
    ) -> io::Result<()> {
        let (head, behind) = match self {
            Self::InPlace(len) => (&buffer[..len + body], &[][..]),
            Self::Rebuilt(bytes, len) => (bytes.as_slice(), &buffer[*len..len + body]),
        };
        patience::write(stream, head, behind, limit).await
    }
}

/// Takes out what asks for faults: it is between the caller and us.
fn without_asking(head: &Request, buffer: &[u8]) -> Vec<HeadEdit> {
    let fields = head.fields(buffer).filter(|it| asks_for_faults(it.name));
    let remove = |name: &str| HeadEdit::Remove {
        name: name.to_owned(),
    };
    fields.map(|it| remove(it.name)).collect()
}

/// Forwards a call and passes its answer on.
pub(super) async fn forward(
    call: &mut InFlight<'_>,
    buffer: &mut Buffer,
    head: &Request,
    asked: Asked,
    continued: bool,
) -> Result<Next, Failure> {
    let idempotent = head.is_idempotent(buffer);
    let idle = idle_of(call, head, buffer);
    let outgoing = Outgoing::prepare(call, buffer, head, continued);
    let head_len = outgoing.in_buffer();
    let mut stages = request_stages(call, head.framing).map(Box::new);
    let mut scanner = BodyScanner::new(head.framing);
    let with_head = match stages {
        None => body_at_hand(head.framing, &mut scanner, &buffer[head_len..])?,
        Some(_) => 0,
    };
    call.request_bytes = with_head as u64;
    // All of it is at hand: it can be sent a second time.
    let whole = stages.is_none() && scanner.is_done();
    let can_repeat = whole || stages.is_none() && with_head == 0;
    let mut up = Upload {
        scanner: &mut scanner,
        stages: stages.as_deref_mut(),
        idle,
        begun: false,
    };
    let mut message = Message::new(outgoing, with_head);
    let mut fresh = false;
    loop {
        let connection = take_connection(call, fresh).await?;
        // Only a kept connection fails for a reason that a new one may not share.
        let may_retry = connection.reused && whole && idempotent;
        if connection.http2 && can_repeat {
            message.keep_apart(buffer);
        }
        let sending = message.send(&connection.stream, buffer, idle);
        let sent = unless_gone(&call.session.client, sending).await?;
        let result = match sent {
            Err(error) if !may_have_answered(&error) => Err(Failure::of_upstream(error)),
            _ => {
                if !may_retry {
                    // It will not be sent again: its buffer serves the answer.
                    message.give_up(buffer);
                }
                let held = whole.then_some(message.len);
                let upgrade = upgrade_over(&connection, head.upgrade);
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
            Err(failure) => {
                let refusable = message.apart.is_some() && !up.begun;
                let unseen = call.response_head.is_none() && !call.interim;
                if fresh || !unseen || !is_safe_again(&failure, refusable, may_retry) {
                    return Err(failure);
                }
                fresh = true;
            }
        }
    }
}

/// Whether an answer may switch protocols. HTTP/2 has no upgrade, whatever its 101 says
/// (RFC 9113 §8.6).
fn upgrade_over(connection: &Connection, asked: Upgrade) -> Upgrade {
    if connection.http2 { Upgrade::No } else { asked }
}

/// Whether a call that failed unanswered can go out again: the upstream surely did nothing with it,
/// or it was lost on a kept connection and does no harm a second time.
fn is_safe_again(failure: &Failure, refusable: bool, may_retry: bool) -> bool {
    match failure {
        Failure::UpstreamReset(error) if is_unprocessed(error) => refusable,
        // It is what the upstream says of this very call, and no sign of a stale connection.
        _ if failure.stream_code().is_some() => false,
        Failure::UpstreamClosed | Failure::UpstreamReset(_) => may_retry,
        _ => false,
    }
}

/// How long the request's body may rest on its way.
fn idle_of(call: &InFlight<'_>, head: &Request, buffer: &[u8]) -> Option<Duration> {
    let limit = call.generation.snapshot.limits.body_idle;
    patience::of_body(head.framing, head.fields(buffer), limit)
}

/// A head and the part of its body that goes with it, for as long as they may be sent again.
struct Message {
    outgoing: Outgoing,
    with_head: usize,
    /// Bytes that they take at the buffer's start.
    len: usize,
    /// What an upstream can refuse while it works, without the large buffer.
    apart: Option<Vec<u8>>,
}

impl Message {
    fn new(outgoing: Outgoing, with_head: usize) -> Self {
        Self {
            len: outgoing.in_buffer() + with_head,
            outgoing,
            with_head,
            apart: None,
        }
    }

    fn keep_apart(&mut self, buffer: &mut Buffer) {
        if self.apart.is_none() && self.len > 0 {
            self.apart = Some(self.outgoing.copy(buffer, self.with_head));
            self.give_up(buffer);
        }
    }

    /// The buffer is no longer needed for it.
    fn give_up(&mut self, buffer: &mut Buffer) {
        buffer.consume(std::mem::take(&mut self.len));
        buffer.release();
    }

    async fn send(
        &self,
        stream: &Stream,
        buffer: &[u8],
        limit: Option<Duration>,
    ) -> io::Result<()> {
        if let Some(bytes) = &self.apart {
            return patience::write(stream, bytes, &[], limit).await;
        }
        let body = self.with_head;
        self.outgoing.send(stream, buffer, body, limit).await
    }
}

/// How many bytes of the body have come with the head: they go upstream together.
fn body_at_hand(
    framing: Framing,
    scanner: &mut BodyScanner,
    bytes: &[u8],
) -> Result<usize, Failure> {
    let mut trailers = Trailers::default();
    let scanned = scanner
        .scan_through(bytes, &mut trailers, |_| {})
        .map_err(Failure::ClientBody)?;
    if scanned.raw < scanned.wire {
        // Trailers are looked at, which the upload does: it goes on from there.
        *scanner = BodyScanner::new(framing);
        let before = scanner.scan(&bytes[..scanned.raw], |_| {});
        before.map_err(Failure::ClientBody)?;
    }
    Ok(scanned.raw)
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

async fn take_connection(call: &mut InFlight<'_>, fresh: bool) -> Result<Connection, Failure> {
    let pool = Rc::clone(&call.generation.pools[call.target.upstream]);
    if !fresh && let Some(kept) = pool.take(call.started) {
        call.sent(Duration::ZERO);
        return Ok(kept);
    }
    let start = Instant::now();
    let connecting = Box::pin(pool.connect());
    let connection = unless_gone(&call.session.client, connecting).await??;
    call.sent(start.elapsed());
    Ok(connection)
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
    let client = &call.session.client;
    let Some(len) = held else {
        return Box::pin(converse_both(call, buffer, up, connection, asked, upgrade)).await;
    };
    let mut beside = Beside::sent(client);
    let answered = await_head(call, connection, &mut beside, asked, upgrade).await?;
    buffer.consume(len);
    buffer.release();
    respond(call, answered, connection, asked, &mut beside, Some(buffer)).await
}

/// The same while a part of the request is still to be sent.
async fn converse_both(
    call: &mut InFlight<'_>,
    buffer: &mut Buffer,
    up: &mut Upload<'_>,
    connection: &Connection,
    asked: Asked,
    upgrade: Upgrade,
) -> Result<(Next, bool), Failure> {
    let client = &call.session.client;
    let sent = Cell::new(0);
    let execution = call
        .decided
        .as_ref()
        .map(|decided| Rc::clone(&decided.execution));
    let activity = call.activity.share();
    let over = {
        let to = Destination {
            upstream: &connection.stream,
            activity: &activity,
            idle: up.idle,
            pipes: &call.session.worker.buffers.pipes,
            sent: &sent,
        };
        let uploading = pin!(upload(client, buffer, up, to, execution.as_deref()));
        let mut beside = Beside::sending(client, uploading);
        match await_head(call, connection, &mut beside, asked, upgrade).await {
            // The upload is over: what came behind the request's body is in its buffer.
            Ok(answered) if answered.head.status == 101 && beside.is_sent() => Err(answered),
            Ok(answered) => Ok(respond(call, answered, connection, asked, &mut beside, None).await),
            Err(failure) => Ok(Err(failure)),
        }
    };
    call.request_bytes += sent.get();
    match over {
        Ok(result) => result,
        Err(switched) => {
            let mut beside = Beside::sent(client);
            let downstream = Some(buffer);
            let switching = respond(call, switched, connection, asked, &mut beside, downstream);
            Box::pin(switching).await
        }
    }
}

/// What a read for an answer's head came to. `begun`: a byte of the answer was seen, so that its end
/// is no sign of a connection that was stale, and asking again might ask twice.
fn read_of_head(read: io::Result<usize>, begun: bool) -> Result<(), Failure> {
    const CUT_OFF: Failure = Failure::UpstreamHead(HeadError::Malformed("cut off"));
    match read {
        Ok(0) if begun => Err(CUT_OFF),
        Ok(0) => Err(Failure::UpstreamClosed),
        Ok(_) => Ok(()),
        // A code of HTTP/2 is passed on to a client that knows it.
        Err(error) if begun && (h2_reason(&error).is_none() || is_unprocessed(&error)) => {
            Err(CUT_OFF)
        }
        Err(error) => Err(Failure::UpstreamReset(error)),
    }
}

/// Waits for the head of the final answer; interim ones are passed on as they come.
async fn await_head(
    call: &mut InFlight<'_>,
    connection: &Connection,
    beside: &mut Beside<'_>,
    asked: Asked,
    upgrade: Upgrade,
) -> Result<Answered, Failure> {
    let limit = call.generation.snapshot.limits.header_bytes;
    let stream = &connection.stream;
    // A buffer is taken only when there is something to read: an answer may take minutes.
    beside
        .until(|context| stream.poll_readable(context))
        .await?
        .map_err(Failure::UpstreamReset)?;
    let mut buffer = call.session.worker.buffers.take();
    let mut interim = 0;
    let most = if connection.bulk.get() {
        BULK_HEAD
    } else {
        BUFFER_BYTES
    };
    loop {
        let parsed = if buffer.is_empty() {
            None
        } else {
            parse_response(&buffer, limit, asked.to_head, upgrade).map_err(Failure::UpstreamHead)?
        };
        match parsed {
            Some(_) if interim > MOST_INTERIM => {
                return Err(Failure::UpstreamHead(HeadError::Malformed(
                    "1xx without end",
                )));
            }
            Some(head) if head.is_interim() => {
                interim += 1;
                // Clients of HTTP/1.0 do not know of it (RFC 9110 §15.2).
                if asked.minor == 1 {
                    Box::pin(pass_head(call, &mut buffer, &head, connection.http2)).await?;
                    call.interim = true;
                } else {
                    buffer.consume(head.len);
                }
            }
            Some(head) => {
                call.response_head = Some(Instant::now());
                beside.answered();
                let head = Box::new(head);
                return Ok(Answered { head, buffer });
            }
            None => {
                if !buffer.make_room(limit) {
                    return Err(Failure::UpstreamHead(HeadError::TooLarge));
                }
                let read = beside
                    .until(|context| stream.poll_read_some(context, &mut buffer, most))
                    .await?;
                let begun = interim > 0 || !buffer.is_empty();
                read_of_head(read, begun)?;
            }
        }
    }
}
