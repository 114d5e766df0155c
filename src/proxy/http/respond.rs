//! Passes an answer on to the client: as it is where nothing acts on it, through stages where a
//! rule does.

use std::io;
use std::task::Poll;
use std::time::Duration;

use smallvec::SmallVec;

use crate::call::{Phase, Side};
use crate::effect::{Effect, NotApplicable};
use crate::http1::{BodyScanner, Framing, Persistence, Response};
use crate::io::Buffer;
use crate::protocol::{Framer, ResponseHead, is_encoded};
use crate::proxy::call::InFlight;
use crate::proxy::execution::acts_on_body;
use crate::proxy::http::beside::Beside;
use crate::proxy::http::body::{First, Passed, pass, staged};
use crate::proxy::http::exchange::{Asked, end_by_rule, enter};
use crate::proxy::http::forward::Answered;
use crate::proxy::http::read_ahead::reading_ahead;
use crate::proxy::http::shape::{HeadBytes, Shape, prepare_head, room_for_trailers, shape};
use crate::proxy::http::switch::switch;
use crate::proxy::http::{Next, to_client};
use crate::proxy::patience::{self, Patience};
use crate::proxy::rescue::Failure;
use crate::proxy::stages::{BodyFacts, Stages};
use crate::proxy::tap::Tap;
use crate::snapshot::ProtocolSpec;
use crate::upstream::Connection;

/// Passes an answer on. Returns what becomes of the client's connection, and whether the
/// upstream's can be used again. `downstream` holds what the client sent behind its request.
pub(super) async fn respond(
    call: &mut InFlight<'_>,
    answered: Answered,
    connection: &Connection,
    asked: Asked,
    beside: &mut Beside<'_>,
    downstream: Option<&mut Buffer>,
) -> Result<(Next, bool), Failure> {
    let Answered { head, mut buffer } = answered;
    if head.status == 101 {
        let next = Box::pin(switch(call, *head, buffer, connection, downstream)).await?;
        return Ok((next, false));
    }
    if call.decided.is_some() {
        let before = before_head(call, &head, &mut buffer, connection, asked, beside);
        if let Some(next) = Box::pin(before).await? {
            return Ok(next);
        }
    }
    let mut framer = framer(call, &head, &buffer);
    let stages = response_stages(call, &head, &buffer, &mut framer);
    let patience = patience_of(call, &head, &buffer);
    let room = room_for_trailers(call, &head, &buffer, asked, connection);
    let shape = shape(&head, asked, stages.as_ref(), patience, room);
    // For an HTTP/1.0 client, which knows no chunks, or for trailers, which need them.
    let stages = stages.or_else(|| shape.framing.map(|_| Stages::plain()));
    begin_end(call, &head, &buffer, &shape);
    let keep = asked.keep && !shape.until_close && !call.session.is_ending() && beside.is_sent();
    let mut scanner = BodyScanner::new(head.framing);
    let head_bytes = prepare_head(
        call,
        &head,
        &mut buffer,
        shape.framing,
        persistence(keep, asked.minor),
        connection.http2,
    );
    let result = if let Some(stages) = stages {
        call.status = Some(head.status);
        to_client(write_head(call, &head_bytes, &mut buffer, patience)).await?;
        let staged = staged(
            call,
            connection,
            buffer,
            &mut scanner,
            stages,
            shape,
            beside,
        );
        Box::pin(staged).await?
    } else {
        let first = First {
            status: head.status,
            head: head_bytes,
            tap: framer.map(Tap::new),
            patience,
            trailing: shape.trailing,
        };
        pass(call, connection, buffer, &mut scanner, first, beside).await?
    };
    let clean = matches!(result, Passed::Whole { leftover: false });
    if clean {
        call.activity.over();
    }
    head.keep_for.inspect(|it| connection.kept_for(*it));
    let reusable = clean && head.keep_alive && beside.is_sent();
    Ok((after(result, keep), reusable))
}

/// What is known of the answer's end before its body: a head may say it, and a body of announced
/// length not be all.
fn begin_end(call: &mut InFlight<'_>, head: &Response, buffer: &[u8], shape: &Shape) {
    call.ends_with_connection = shape.until_close;
    if shape.trailing {
        call.session.client.hold_end(true);
    }
    if let Some(field) = call.target.protocol.ending() {
        let mut fields = head.fields(buffer);
        let found = fields.find(|it| it.name.eq_ignore_ascii_case(field.name));
        call.tell_end(found.map(|it| it.value));
    }
}

/// What becomes of the client's connection.
fn after(passed: Passed, keep: bool) -> Next {
    match passed {
        Passed::Whole { .. } if keep => Next::Keep,
        Passed::Whole { .. } | Passed::Closed => Next::Close,
        Passed::Reset => Next::Reset,
    }
}

/// How long the client may take nothing of the answer.
fn patience_of(call: &InFlight<'_>, head: &Response, buffer: &[u8]) -> Option<Duration> {
    let limit = call.generation.snapshot.limits.body_idle;
    patience::of_body(head.framing, head.fields(buffer), limit)
}

fn persistence(keep: bool, minor: u8) -> Persistence {
    match (keep, minor) {
        (false, _) => Persistence::Close,
        (true, 0) => Persistence::KeepAlive,
        (true, _) => Persistence::Implied,
    }
}

/// The phases between the answer's arrival and its head's departure.
async fn before_head(
    call: &mut InFlight<'_>,
    head: &Response,
    buffer: &mut Buffer,
    connection: &Connection,
    asked: Asked,
    beside: &mut Beside<'_>,
) -> Result<Option<(Next, bool)>, Failure> {
    let Some(execution) = call.execution() else {
        return Ok(None);
    };
    if execution.ends_at(Phase::AfterUpstream) {
        let clean = discard(call, head, buffer, connection, beside).await?;
        // Its work is done: what waits now waits here.
        call.activity.done();
        if let Some((step, planned)) = enter(call, Phase::AfterUpstream, None, true).await? {
            let keep = Asked {
                keep: asked.keep && beside.is_sent(),
                ..asked
            };
            let next = end_by_rule(call, step, &planned, keep, None).await?;
            return Ok(Some((next, clean && head.keep_alive)));
        }
        // Revoked before it was committed to cannot be: the answer is gone, so the call ends.
        return Ok(Some((Next::Reset, false)));
    }
    for phase in [Phase::AfterUpstream, Phase::ResponseHead] {
        let execution = call.execution();
        if !execution.is_some_and(|it| it.has(|effect| effect.phase() == phase)) {
            continue;
        }
        if !call.activity.is_open() {
            buffer.shrink();
        }
        let wait = enter(call, phase, None, false);
        let upstream = &connection.stream;
        let ended = reading_ahead(&call.activity, head, buffer, upstream, wait).await??;
        if let Some((step, planned)) = ended {
            let closing = Asked {
                keep: false,
                ..asked
            };
            return Ok(Some((
                end_by_rule(call, step, &planned, closing, None).await?,
                false,
            )));
        }
    }
    Ok(None)
}

/// Reads an answer to its end and drops it as it comes. Whether the connection is clean after it. The
/// upstream may be as silent as where its answer is passed on.
async fn discard(
    call: &InFlight<'_>,
    head: &Response,
    buffer: &mut Buffer,
    connection: &Connection,
    beside: &mut Beside<'_>,
) -> Result<bool, Failure> {
    let limit = patience_of(call, head, buffer);
    let mut held = call.session.worker.buffers.take();
    std::mem::swap(buffer, &mut held);
    held.consume(head.len);
    let mut scanner = BodyScanner::new(head.framing);
    while !scanner.is_done() {
        let scanned = scanner.scan(&held, |_| {}).map_err(Failure::UpstreamBody)?;
        held.consume(scanned.wire);
        if scanned.done {
            break;
        }
        let stream = &connection.stream;
        let mut patience = Patience::new(limit);
        let read = beside.until(|context| match stream.poll_read(context, &mut held) {
            Poll::Pending => patience.poll(context).map(|_| Err(Failure::UpstreamStuck)),
            read @ Poll::Ready(_) => read.map(Ok),
        });
        match read.await?? {
            Ok(0) if scanner.ends_at_close() => return Ok(false),
            Ok(0) => return Err(Failure::UpstreamShort),
            Ok(_) => {}
            Err(error) => return Err(Failure::UpstreamReset(error)),
        }
    }
    Ok(held.is_empty())
}

/// A framer, where a rule or an observer needs the answer's units.
fn framer(call: &InFlight<'_>, head: &Response, buffer: &[u8]) -> Option<Box<dyn Framer>> {
    let ProtocolSpec::Http(_, dialect) = call.target.protocol else {
        return None;
    };
    let observe = call.generation.snapshot.listeners[call.listener].observe;
    let wanted = observe.tokens
        || observe.unit_times
        || call
            .execution()
            .is_some_and(|it| it.has(Effect::needs_units));
    if !wanted {
        return None;
    }
    let fields: SmallVec<[_; 24]> = head.fields(buffer).collect();
    dialect.framer(
        &call.description,
        &ResponseHead {
            status: head.status,
            fields: &fields,
        },
    )
}

fn response_stages(
    call: &InFlight<'_>,
    head: &Response,
    buffer: &[u8],
    framer: &mut Option<Box<dyn Framer>>,
) -> Option<Stages> {
    let bodiless = matches!(head.framing, Framing::None | Framing::Length(0));
    let execution = call
        .execution()
        .filter(|it| it.touches_body(Side::Response))?;
    let on_response = |effect: &Effect| effect.side() == Side::Response && acts_on_body(effect);
    if bodiless {
        execution.not_applicable(on_response, NotApplicable::NoBody);
        return None;
    }
    let length = match head.framing {
        Framing::Length(length) => Some(length),
        _ => None,
    };
    let fields: SmallVec<[_; 24]> = head.fields(buffer).collect();
    let facts = BodyFacts {
        length,
        can_fix_length: true,
        encoded: is_encoded(&fields),
    };
    Stages::build(execution, Side::Response, facts, framer.take())
}

/// Writes the head alone; the body follows through stages.
async fn write_head(
    call: &InFlight<'_>,
    head: &HeadBytes,
    buffer: &mut Buffer,
    limit: Option<Duration>,
) -> io::Result<()> {
    let client = &call.session.client;
    match head {
        HeadBytes::Rebuilt(bytes) => patience::write(client, bytes, &[], limit).await,
        HeadBytes::InPlace(len) => {
            patience::write(client, &buffer[..*len], &[], limit).await?;
            buffer.consume(*len);
            Ok(())
        }
    }
}
