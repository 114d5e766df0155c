//! Passes an answer on to the client: as it is where nothing acts on it, through stages where a
//! rule does.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use smallvec::SmallVec;

use crate::call::{Outcome, Phase, Side};
use crate::effect::{Answer, Effect, NotApplicable};
use crate::error::Origin;
use crate::http1::{
    BodyScanner, Framing, HeadError, Persistence, Response, ResponseEdit, rebuild_response,
    strip_in_place,
};
use crate::io::{Buffer, Stream};
use crate::protocol::{Framer, ResponseHead};
use crate::proxy::activity::Activity;
use crate::proxy::call::InFlight;
use crate::proxy::execution::{Execution, acts_on_body};
use crate::proxy::http::exchange::{Asked, end_by_rule, enter, watches_units};
use crate::proxy::http::forward::{Answered, Sending, poll_beside};
use crate::proxy::http::{Next, to_client};
use crate::proxy::relay::{Early, relay};
use crate::proxy::rescue::Failure;
use crate::proxy::stages::{
    BodyEnd, BodyFacts, FixedCut, Outlet, Pump, READ_AHEAD, Source, Stages,
};
use crate::rule::Course;
use crate::snapshot::ProtocolSpec;
use crate::upstream::Connection;

/// How an answer will be sent.
struct Shape {
    /// The framing that the client is told, where it is not the upstream's.
    framing: Option<Framing>,
    outlet: Outlet,
    /// The connection's end is the body's.
    until_close: bool,
}

/// Passes an answer on. Returns what becomes of the client's connection, and whether the
/// upstream's can be used again. `downstream` holds what the client sent behind its request.
pub(super) async fn respond(
    call: &mut InFlight<'_>,
    answered: Answered,
    connection: &Connection,
    asked: Asked,
    sending: &mut Sending<'_>,
    downstream: Option<&mut Buffer>,
) -> Result<(Next, bool), Failure> {
    let Answered { head, mut buffer } = answered;
    if head.status == 101 {
        return Ok((
            switch(call, head, buffer, connection, downstream).await?,
            false,
        ));
    }
    if let Some(next) = before_head(call, &head, &mut buffer, connection, asked, sending).await? {
        return Ok(next);
    }
    let framer = framer(call, &head, &buffer);
    let mut stages = response_stages(call, &head, &buffer, framer);
    let shape = shape(&head, asked, stages.as_mut());
    if stages.is_none() && shape.outlet == Outlet::Raw && head.framing == Framing::Chunked {
        // For an HTTP/1.0 client, which knows no chunks.
        stages = Some(Stages::plain());
    }
    let keep = asked.keep
        && !shape.until_close
        && !call.session.worker.draining.get()
        && sending.is_done();
    let persistence = match (keep, asked.minor) {
        (false, _) => Persistence::Close,
        (true, 0) => Persistence::KeepAlive,
        (true, _) => Persistence::Implied,
    };
    call.status = Some(head.status);
    let mut scanner = BodyScanner::new(head.framing);
    let head_bytes = prepare_head(call, &head, &mut buffer, shape.framing, persistence);
    let client = &call.session.client;
    let result = if let Some(stages) = stages {
        to_client(write_head(client, &head_bytes, &mut buffer)).await?;
        staged(
            call,
            connection,
            buffer,
            &mut scanner,
            stages,
            shape.outlet,
            sending,
        )
        .await?
    } else {
        pass(call, connection, buffer, &mut scanner, &head_bytes, sending).await?
    };
    let clean = matches!(result, Passed::Whole { leftover: false });
    if clean {
        call.activity.done();
    }
    let reusable = clean && head.keep_alive && sending.is_done();
    let next = match result {
        Passed::Whole { .. } if keep => Next::Keep,
        Passed::Whole { .. } | Passed::Closed => Next::Close,
        Passed::Reset => Next::Reset,
    };
    Ok((next, reusable))
}

/// How a body was passed.
#[derive(Clone, Copy, Debug)]
enum Passed {
    /// A rule ended the connection in order.
    Closed,
    Reset,
    /// To its end; `leftover`: bytes came behind it that belong to nothing.
    Whole {
        leftover: bool,
    },
}

/// The phases between the answer's arrival and its head's departure.
async fn before_head(
    call: &mut InFlight<'_>,
    head: &Response,
    buffer: &mut Buffer,
    connection: &Connection,
    asked: Asked,
    sending: &mut Sending<'_>,
) -> Result<Option<(Next, bool)>, Failure> {
    let Some(execution) = call.execution() else {
        return Ok(None);
    };
    let mut reusable = false;
    if execution.has(|effect| effect.phase() == Phase::AfterUpstream) {
        if execution.has(|effect| effect.phase() == Phase::AfterUpstream && effect.is_terminal()) {
            reusable = discard(call, head, buffer, connection, sending).await? && head.keep_alive;
        }
        let wait = enter(call, Phase::AfterUpstream, None);
        let ended = reading_ahead(&call.activity, head, buffer, &connection.stream, wait).await??;
        if let Some((step, planned)) = ended {
            let keep = Asked {
                keep: asked.keep && sending.is_done(),
                ..asked
            };
            return Ok(Some((
                end_by_rule(call, step, &planned, keep, None).await?,
                reusable,
            )));
        }
    }
    let wait = enter(call, Phase::ResponseHead, None);
    let ended = reading_ahead(&call.activity, head, buffer, &connection.stream, wait).await??;
    if let Some((step, planned)) = ended {
        return Ok(Some((
            end_by_rule(
                call,
                step,
                &planned,
                Asked {
                    keep: false,
                    ..asked
                },
                None,
            )
            .await?,
            false,
        )));
    }
    Ok(None)
}

/// Waits before a head while its body is read ahead, as far as there is room: when the upstream's
/// work ends shows only in its last byte. Where nothing is metered the body stays where it is.
async fn reading_ahead<F: Future>(
    activity: &Activity,
    head: &Response,
    buffer: &mut Buffer,
    stream: &Stream,
    wait: F,
) -> Result<F::Output, Failure> {
    let mut scanner = BodyScanner::new(head.framing);
    let mut seen = head.len;
    let mut reads = activity.is_open();
    let mut wait = pin!(wait);
    let output = poll_fn(|context| {
        if let Poll::Ready(output) = wait.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        while reads {
            match scanner.scan(&buffer[seen..], |_| {}) {
                Ok(scanned) if scanned.done => {
                    activity.done();
                    reads = false;
                    break;
                }
                Ok(scanned) => seen += scanned.wire,
                // Who passes the body on will find the same, and say so.
                Err(_) => {
                    reads = false;
                    break;
                }
            }
            if !buffer.make_room(READ_AHEAD) {
                activity.hold();
                reads = false;
                break;
            }
            match stream.poll_read(context, buffer) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => {
                    if scanner.ends_at_close() {
                        activity.done();
                    }
                    reads = false;
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(Failure::UpstreamReset(error)));
                }
            }
        }
        Poll::Pending
    })
    .await?;
    activity.release();
    Ok(output)
}

/// Reads an answer to its end and drops it as it comes. Whether the connection is clean after it.
async fn discard(
    call: &InFlight<'_>,
    head: &Response,
    buffer: &mut Buffer,
    connection: &Connection,
    sending: &mut Sending<'_>,
) -> Result<bool, Failure> {
    let mut held = call.session.worker.buffers.take();
    std::mem::swap(buffer, &mut held);
    held.consume(head.len);
    let mut scanner = BodyScanner::new(head.framing);
    let client = &call.session.client;
    while !scanner.is_done() {
        let scanned = scanner.scan(&held, |_| {}).map_err(Failure::UpstreamBody)?;
        held.consume(scanned.wire);
        if scanned.done {
            break;
        }
        let stream = &connection.stream;
        let read = poll_fn(|context| {
            poll_beside(context, client, sending, |context| {
                stream.poll_read(context, &mut held)
            })
        })
        .await?;
        match read {
            Ok(0) if scanner.ends_at_close() => {
                call.activity.done();
                return Ok(false);
            }
            Ok(0) => return Err(Failure::UpstreamShort),
            Ok(_) => {}
            Err(error) => return Err(Failure::UpstreamReset(error)),
        }
    }
    call.activity.done();
    Ok(held.is_empty())
}

/// A framer, where a rule or an observer needs the answer's units.
fn framer(call: &InFlight<'_>, head: &Response, buffer: &[u8]) -> Option<Box<dyn Framer>> {
    let ProtocolSpec::Http(_, dialect) = call.target.protocol else {
        return None;
    };
    let observe = call.generation.snapshot.listeners[call.session.listener].observe;
    let wanted = watches_units(observe)
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
    framer: Option<Box<dyn Framer>>,
) -> Option<Stages> {
    let execution = call.execution();
    let bodiless = matches!(head.framing, Framing::None | Framing::Length(0));
    if let Some(execution) = execution.filter(|it| it.touches_body(Side::Response)) {
        let on_response = |effect: &Effect| effect.side() == Side::Response && acts_on_body(effect);
        if bodiless {
            execution.not_applicable(on_response, NotApplicable::NoBody);
            return None;
        }
        let length = match head.framing {
            Framing::Length(length) => Some(length),
            _ => None,
        };
        let encoded = head.fields(buffer).any(|field| {
            field.name.eq_ignore_ascii_case("content-encoding")
                && !field.value.eq_ignore_ascii_case(b"identity")
        });
        let facts = BodyFacts {
            length,
            can_fix_length: true,
            encoded,
        };
        return Stages::build(execution, Side::Response, facts, framer);
    }
    framer.filter(|_| !bodiless).map(Stages::observer)
}

fn shape(head: &Response, asked: Asked, stages: Option<&mut Stages>) -> Shape {
    let cut = stages.and_then(|stages| stages.fixed_cut);
    let framing = match cut {
        Some(FixedCut::Length(length)) => Framing::Length(length),
        Some(FixedCut::Unknown) => Framing::Chunked,
        None => head.framing,
    };
    // An HTTP/1.0 client knows no chunks: its body ends with the connection.
    let framing = if framing == Framing::Chunked && asked.minor == 0 {
        Framing::UntilClose
    } else {
        framing
    };
    Shape {
        framing: (framing != head.framing).then_some(framing),
        outlet: if framing == Framing::Chunked {
            Outlet::Chunked
        } else {
            Outlet::Raw
        },
        until_close: framing == Framing::UntilClose,
    }
}

/// The head as it will be sent: in place at the start of the buffer where it only loses lines.
enum HeadBytes {
    InPlace(usize),
    Rebuilt(Vec<u8>),
}

impl HeadBytes {
    /// How much of the buffer is head.
    fn in_place(&self) -> usize {
        match self {
            Self::InPlace(len) => *len,
            Self::Rebuilt(_) => 0,
        }
    }
}

fn prepare_head(
    call: &InFlight<'_>,
    head: &Response,
    buffer: &mut Buffer,
    framing: Option<Framing>,
    persistence: Persistence,
) -> HeadBytes {
    let edits: Vec<_> = call
        .execution()
        .map(Execution::take_head_edits)
        .unwrap_or_default();
    if framing.is_none() && persistence == Persistence::Implied && edits.is_empty() && !head.rebuild
    {
        // "HTTP/1.x": what follows is ours to frame, so the version is too (RFC 9110 §2.5).
        buffer[7] = b'1';
        let stripped = strip_in_place(&mut buffer[..head.len], &head.fields);
        buffer.consume(stripped);
        return HeadBytes::InPlace(head.len - stripped);
    }
    let mut rebuilt = Vec::with_capacity(head.len + 64);
    let edit = ResponseEdit {
        framing,
        persistence,
        edits: &edits,
    };
    rebuild_response(&buffer[..head.len], head, edit, &mut rebuilt);
    buffer.consume(head.len);
    HeadBytes::Rebuilt(rebuilt)
}

/// Writes the head alone; the body follows through stages.
async fn write_head(client: &Stream, head: &HeadBytes, buffer: &mut Buffer) -> io::Result<()> {
    match head {
        HeadBytes::Rebuilt(bytes) => client.write_all(bytes).await,
        HeadBytes::InPlace(len) => {
            client.write_all(&buffer[..*len]).await?;
            buffer.consume(*len);
            Ok(())
        }
    }
}

/// The body as it is, with the head in one write where it has come.
async fn pass(
    call: &mut InFlight<'_>,
    connection: &Connection,
    mut buffer: Buffer,
    scanner: &mut BodyScanner,
    head: &HeadBytes,
    sending: &mut Sending<'_>,
) -> Result<Passed, Failure> {
    let session = call.session;
    let in_place = head.in_place();
    let mut scanned = scanner
        .scan(&buffer[in_place..], |_| {})
        .map_err(Failure::UpstreamBody)?;
    let first = in_place + scanned.wire;
    if scanned.done {
        call.activity.done();
    }
    let write = async {
        match head {
            HeadBytes::InPlace(_) => session.client.write_all(&buffer[..first]).await,
            HeadBytes::Rebuilt(bytes) => session.client.write_both(bytes, &buffer[..first]).await,
        }
    };
    beside(sending, holding(&call.activity, write))
        .await?
        .map_err(Failure::ClientGone)?;
    buffer.consume(first);
    call.response_bytes += scanned.wire as u64;
    while !scanned.done {
        if buffer.is_empty() {
            let stream = &connection.stream;
            let read = poll_fn(|context| {
                poll_beside(context, &session.client, sending, |context| {
                    stream.poll_read(context, &mut buffer)
                })
            })
            .await?;
            match read {
                Ok(0) if scanner.ends_at_close() => {
                    call.activity.done();
                    break;
                }
                Ok(0) => return Err(Failure::UpstreamShort),
                Ok(_) => {}
                Err(error) => return Err(Failure::UpstreamReset(error)),
            }
        }
        scanned = scanner
            .scan(&buffer, |_| {})
            .map_err(Failure::UpstreamBody)?;
        if scanned.done {
            call.activity.done();
        }
        let write = session.client.write_all(&buffer[..scanned.wire]);
        beside(sending, holding(&call.activity, write))
            .await?
            .map_err(Failure::ClientGone)?;
        buffer.consume(scanned.wire);
        call.response_bytes += scanned.wire as u64;
    }
    call.answered(false);
    Ok(Passed::Whole {
        leftover: !buffer.is_empty(),
    })
}

/// The body through the stages that act on it, or that watch it.
async fn staged(
    call: &mut InFlight<'_>,
    connection: &Connection,
    mut buffer: Buffer,
    scanner: &mut BodyScanner,
    mut stages: Stages,
    outlet: Outlet,
    sending: &mut Sending<'_>,
) -> Result<Passed, Failure> {
    let session = call.session;
    let execution = match &call.decided {
        Some(decided) => Rc::clone(&decided.execution),
        None => Rc::new(idle_execution(call)),
    };
    let description = std::mem::take(&mut call.description);
    let protocol = call.target.protocol;
    let error_event = |answer: &Answer| match protocol {
        ProtocolSpec::Http(_, dialect) => dialect.error_in_stream(answer, &description),
        ProtocolSpec::Tcp => None,
    };
    let source = Source {
        stream: &connection.stream,
        buffer: &mut buffer,
        scanner,
    };
    let activity = Some(&call.activity);
    let mut pump = Pump::new(
        source,
        &session.client,
        outlet,
        &mut stages,
        &execution,
        activity,
        &error_event,
    );
    pump.watch_sink = true;
    let end = beside(sending, pump.run()).await;
    call.response_bytes += pump.written;
    call.description = description;
    call.units = stages.units_out;
    call.tokens = stages.tokens_out;
    call.first_token = stages.first_token;
    call.output_tokens = stages.usage().and_then(|usage| usage.output_tokens);
    let passed = settle_body(call, &execution, end?, stages.saw_error())?;
    Ok(match passed {
        Passed::Whole { .. } => Passed::Whole {
            leftover: !buffer.is_empty(),
        },
        ended => ended,
    })
}

/// What the end of a staged body means for the call.
fn settle_body(
    call: &mut InFlight<'_>,
    execution: &Execution,
    end: BodyEnd,
    saw_error: bool,
) -> Result<Passed, Failure> {
    let by_rule = matches!(
        end,
        BodyEnd::Closed | BodyEnd::Cut | BodyEnd::Error { .. } | BodyEnd::Reset
    );
    if by_rule {
        execution.supersede_rest();
    }
    if by_rule || execution.altered() {
        call.conclude(Outcome::InjectedFault, Origin::Injected);
    }
    match end {
        BodyEnd::Complete => {
            call.answered(saw_error);
            Ok(Passed::Whole { leftover: false })
        }
        // The upstream goes on sending what nobody will read: its connection is closed.
        BodyEnd::Cut | BodyEnd::Error { well_formed: true } => Ok(Passed::Whole { leftover: true }),
        BodyEnd::Closed | BodyEnd::Error { well_formed: false } => Ok(Passed::Closed),
        BodyEnd::Reset => Ok(Passed::Reset),
        BodyEnd::SinkGone(error) => Err(Failure::ClientGone(error)),
        BodyEnd::SourceEnded => Err(Failure::UpstreamShort),
        BodyEnd::SourceFailed(error) => Err(Failure::UpstreamReset(error)),
        BodyEnd::SourceMalformed(error) => Err(Failure::UpstreamBody(error)),
    }
}

/// For a body that is only watched: a plan without effects.
fn idle_execution(call: &InFlight<'_>) -> Execution {
    let snapshot = &call.generation.snapshot;
    let timer = call.session.worker.timer.clone();
    Execution::new(
        Course::default(),
        snapshot.rules.clone(),
        timer,
        snapshot.safety.max_delay_per_call,
    )
}

/// The upstream has agreed to another protocol: bytes pass both ways until both sides are done.
async fn switch(
    call: &mut InFlight<'_>,
    head: Response,
    mut buffer: Buffer,
    connection: &Connection,
    downstream: Option<&mut Buffer>,
) -> Result<Next, Failure> {
    let Some(downstream) = downstream else {
        return Err(Failure::UpstreamHead(HeadError::Malformed(
            "101 before the request was sent",
        )));
    };
    call.status = Some(101);
    let stripped = strip_in_place(&mut buffer[..head.len], &head.fields);
    let client = &call.session.client;
    to_client(client.write_all(&buffer[stripped..head.len])).await?;
    buffer.consume(head.len);
    let pool = &call.session.worker.buffers;
    let early = Early {
        left: std::mem::replace(downstream, pool.take()),
        right: buffer,
    };
    let relayed = relay(client, &connection.stream, pool, early, None).await;
    call.request_bytes += relayed.to_right;
    call.response_bytes += relayed.to_left;
    call.conclude(Outcome::Ok, Origin::Upstream);
    Ok(Next::Close)
}

/// Awaits something while the request's rest goes on.
async fn beside<F: Future>(sending: &mut Sending<'_>, future: F) -> Result<F::Output, Failure> {
    if sending.is_done() {
        return Ok(future.await);
    }
    let mut future = pin!(future);
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        sending
            .poll(context)
            .map_or_else(|failure| Poll::Ready(Err(failure)), |()| Poll::Pending)
    })
    .await
}

/// Awaits a write; while the client takes none of it, the upstream is not charged.
async fn holding<F: Future>(activity: &Activity, write: F) -> F::Output {
    let mut write = pin!(write);
    poll_fn(|context| match write.as_mut().poll(context) {
        Poll::Pending => {
            activity.hold();
            Poll::Pending
        }
        Poll::Ready(output) => {
            activity.release();
            Poll::Ready(output)
        }
    })
    .await
}
