//! One call on a connection: decide, carry out what stands before the upstream, forward, answer.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use crate::call::{Outcome, Phase};
use crate::effect::{ConnectFailure, Effect, Fate, Planned};
use crate::error::{Origin, ignore};
use crate::http1::{BodyScanner, Framing, Request};
use crate::io::Buffer;
use crate::proxy::call::InFlight;
use crate::proxy::call::Session;
use crate::proxy::http::answer::{self, Own};
use crate::proxy::http::decide::{ask_rules, told};
use crate::proxy::http::forward::forward;
use crate::proxy::http::{Next, traced};
use crate::proxy::rescue::Failure;
use crate::proxy::watch::unless_gone;
use crate::proxy::worker::RouteFacts;
use crate::snapshot::ProtocolSpec;

/// Unread request bytes that are read past after an answer, so that the connection can stay.
const DRAIN_BYTES: u64 = 256 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// What the driver must know of a request when its head is no longer in the buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) minor: u8,
    pub(super) keep: bool,
    pub(super) to_head: bool,
}

/// Serves one call; its head stands at the start of `buffer`.
pub(super) async fn exchange(session: &Session, buffer: &mut Buffer, head: &Request) -> Next {
    let mut call = begin(session, buffer, head);
    let asked = Asked {
        minor: head.minor,
        keep: head.keep_alive,
        to_head: head.is_head(buffer),
    };
    let next = match run(&mut call, buffer, head, asked).await {
        Ok(next) => next,
        Err(failure) => Box::pin(fail(&mut call, &failure, asked)).await,
    };
    drop(call);
    next
}

/// Refuses what came in place of a request.
pub(super) async fn refuse(session: &Session, failure: &Failure) -> Next {
    let mut call = InFlight::begin(session);
    call.count();
    call.fail(failure);
    if matches!(failure, Failure::ClientTls) {
        // Somebody has set up one side and not the other.
        tracing::info!(peer = ?session.peer, reason = %failure, "request refused");
    } else {
        tracing::debug!(peer = ?session.peer, reason = %failure, "request refused");
    }
    if let Some(own) = Own::of(&call, failure) {
        // The request was not understood, so nothing behind it can be either.
        ignore(answer::write(&mut call, &own, false, 1, false).await);
    }
    drop(call);
    Next::Close
}

fn begin<'s>(session: &'s Session, buffer: &[u8], head: &Request) -> InFlight<'s> {
    let mut call = InFlight::begin(session);
    let (host, path, _) = head.parts(buffer);
    let facts = RouteFacts {
        sni: session.sni.as_deref(),
        host,
        path,
        head: buffer,
        request: head,
    };
    call.target = call.generation.route(call.listener, &facts);
    call.count();
    traced::of_caller(&mut call, head, buffer);
    if call.is_sampled() || call.has_span() {
        let (_, path, _) = head.parts(buffer);
        call.told = Some(told(head.method(buffer), path, head.fields(buffer)));
        call.started_at = Some(SystemTime::now());
    }
    call
}

async fn run(
    call: &mut InFlight<'_>,
    buffer: &mut Buffer,
    head: &Request,
    asked: Asked,
) -> Result<Next, Failure> {
    if call.generation.snapshot.listeners[call.listener]
        .heads
        .strict
    {
        head.check_strict(buffer).map_err(Failure::ClientHead)?;
    }
    let mut continued = false;
    if let ProtocolSpec::Http(_, dialect) = call.target.protocol {
        let observe = call.generation.snapshot.listeners[call.listener].observe;
        let watched = call.generation.snapshot.rules.listener(call.listener);
        if observe.model || watched.is_some_and(|rules| !rules.is_empty()) {
            continued = ask_rules(call, dialect, head, buffer, observe).await?;
        }
    }
    if call.decided.is_some() {
        for phase in [Phase::RequestHead, Phase::Connect, Phase::BeforeUpstream] {
            if let Some((step, planned)) = enter(call, phase, Some(&mut *buffer), false).await? {
                let end = end_by_rule(call, step, &planned, asked, Some((buffer, head)));
                return Box::pin(end).await;
            }
        }
    }
    // A call that waits in a rule's delay has no use yet for what forwarding needs.
    Box::pin(forward(call, buffer, head, asked, continued)).await
}

/// Carries out one phase of the plan, unless the client leaves meanwhile.
pub(super) async fn enter(
    call: &InFlight<'_>,
    phase: Phase,
    held: Option<&mut Buffer>,
    committed: bool,
) -> Result<Option<(usize, Rc<Planned>)>, Failure> {
    let Some(execution) = call.execution() else {
        return Ok(None);
    };
    if !execution.has(|effect| effect.phase() == phase) {
        return Ok(None);
    }
    if let Some(buffer) = held {
        // Thousands of calls may wait at once: each keeps what it was sent, and no more.
        buffer.shrink();
    }
    unless_gone(&call.session.client, execution.enter(phase, committed)).await
}

/// Carries out a terminal effect at a head's position. `unread` is the request, where its body may
/// not have been read.
pub(super) async fn end_by_rule(
    call: &mut InFlight<'_>,
    step: usize,
    planned: &Planned,
    asked: Asked,
    unread: Option<(&mut Buffer, &Request)>,
) -> Result<Next, Failure> {
    if let Some(execution) = call.execution() {
        execution.settle(step, Fate::Applied);
        execution.supersede_rest();
    }
    call.conclude(Outcome::InjectedFault, Origin::Injected);
    let own = match &planned.effect {
        Effect::Answer { answer, .. } => Own::injected(call, answer),
        Effect::FailConnect { reason } => connect_failure(call, *reason),
        Effect::Reset { .. } => return Ok(Next::Reset),
        _ => return Ok(Next::Close),
    };
    let stuck = unread
        .as_ref()
        .is_some_and(|(buffer, head)| waits_for_continue(buffer, head));
    let keep = asked.keep && !call.session.is_ending() && !stuck;
    answer::write(call, &own, keep, asked.minor, asked.to_head).await?;
    let Some((buffer, head)) = unread.filter(|_| keep) else {
        return Ok(if keep { Next::Keep } else { Next::Close });
    };
    // The body must be out of the way before the next request can be told from it.
    let clear = drain(call, buffer, head).await?;
    Ok(if clear { Next::Keep } else { Next::Close })
}

fn connect_failure(call: &InFlight<'_>, reason: ConnectFailure) -> Own {
    let (status, text) = match reason {
        ConnectFailure::Blackholed => (504, "the upstream did not accept a connection in time"),
        ConnectFailure::CertificateExpired => (502, "the upstream's certificate has expired"),
        ConnectFailure::Dns => (502, "the upstream's name could not be resolved"),
        ConnectFailure::Refused => (502, "the upstream refused the connection"),
        ConnectFailure::Tls => (502, "the TLS handshake with the upstream failed"),
    };
    Own::said(call.target.protocol, status, text, Origin::Injected)
}

/// A client that waits for a 100 has not sent its body, and will not; RFC 9110 §10.1.1 lets it send
/// it all the same, so that nothing behind this head can be trusted.
fn waits_for_continue(buffer: &[u8], head: &Request) -> bool {
    head.expects_continue && head.framing != Framing::None && buffer.len() == head.len
}

/// Reads past the body of a request that is answered without being forwarded, within bounds.
/// Whether it is out of the way.
async fn drain(call: &InFlight<'_>, buffer: &mut Buffer, head: &Request) -> Result<bool, Failure> {
    buffer.consume(head.len);
    let mut scanner = BodyScanner::new(head.framing);
    let mut left = DRAIN_BYTES;
    let read = async {
        while !scanner.is_done() {
            let scanned = scanner.scan(buffer, |_| {}).map_err(Failure::ClientBody)?;
            buffer.consume(scanned.wire);
            left = left.saturating_sub(scanned.wire as u64);
            if scanned.done {
                break;
            }
            if left == 0 {
                return Ok(false);
            }
            match call.session.client.read(buffer).await {
                Ok(0) => return Err(Failure::ClientShort),
                Ok(_) => {}
                Err(error) => return Err(Failure::ClientGone(error)),
            }
        }
        Ok(true)
    };
    tokio::time::timeout(DRAIN_TIME, read)
        .await
        .unwrap_or(Ok(false))
}

/// Tells a real failure, if the answer has not begun; the connection ends in any case.
async fn fail(call: &mut InFlight<'_>, failure: &Failure, asked: Asked) -> Next {
    call.fail(failure);
    tracing::debug!(call = call.id, reason = %failure, "call failed");
    if let Some(code) = failure.stream_code()
        && call.session.client.set_reset_code(code)
    {
        return Next::Reset;
    }
    match Own::of(call, failure) {
        // What it did not take is not kept for it.
        _ if matches!(failure, Failure::ClientStuck) => Next::Reset,
        Some(own) if call.status.is_none() => {
            let told = answer::write(call, &own, false, asked.minor, asked.to_head).await;
            if let Err(gone) = told {
                call.fail(&gone);
            }
            Next::Close
        }
        _ if matches!(failure, Failure::Injected { reset: true }) => Next::Reset,
        // An orderly end would say that the answer is whole (RFC 9112 §8).
        _ if call.ends_with_connection => Next::Reset,
        // In the middle of an answer: its announced end does not come, which the client sees, and
        // what was sent before still reaches it.
        Some(_) | None => Next::Close,
    }
}
