//! The driver of byte streams: a call is a connection, and its only units are bytes.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use tokio::time::Instant;

use crate::call::{Outcome, Phase, Side};
use crate::effect::{Effect, Fate, Planned};
use crate::error::{Origin, ignore};
use crate::http1::{BodyScanner, Framing};
use crate::io::{Buffer, Stream};
use crate::proxy::call::{InFlight, Session, Told};
use crate::proxy::execution::Execution;
use crate::proxy::linger::linger;
use crate::proxy::relay::{Early, metered, relay_metered};
use crate::proxy::rescue::Failure;
use crate::proxy::stages::{BodyEnd, BodyFacts, Outlet, Pump, Source, Stages};
use crate::proxy::watch::unless_gone;
use crate::proxy::worker::bare_call;

/// Serves one connection to its end. `early` was read of it already.
pub(super) async fn serve(session: Session, early: Option<Buffer>) {
    let mut call = InFlight::begin(&session);
    let sni = session.sni.as_deref();
    call.target = call.generation.route_bytes(call.listener, sni);
    call.count();
    ask_rules(&mut call);
    call.trace();
    if call.is_sampled() || call.has_span() || call.decided.is_some() {
        call.told = Some(Told::default());
    }
    let orderly = match run(&mut call, early).await {
        Ok(ending) => ending == Ending::Closed,
        Err(failure) => {
            tracing::debug!(call = call.id, reason = %failure, "connection failed");
            call.fail(&failure);
            let reset = failure.is_reset();
            if reset {
                // One side's reset is the other's too; an orderly end would say FIN first.
                session.client.reset_on_close();
            }
            !reset
        }
    };
    drop(call);
    if orderly {
        // Closing with unread bytes would reset what should be seen as an end.
        linger(&session).await;
    }
}

/// How a connection ends that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// With FIN, by a rule.
    Closed,
    /// Both sides are done, or are to see a reset.
    Over,
}

fn ask_rules(call: &mut InFlight<'_>) {
    let generation = call.generation.clone();
    let Some(rules) = generation.snapshot.rules.listener(call.listener) else {
        return;
    };
    if rules.is_empty() {
        return;
    }
    let name = call.listener_name();
    let mut bare = bare_call(&name, "tcp", call.session.peer, call.description.clone());
    bare.sni = call.session.sni.as_deref();
    let candidates = rules.candidates(&bare);
    let selected = rules.select(&candidates, &bare);
    call.decide(&selected, &bare);
}

async fn run(call: &mut InFlight<'_>, early: Option<Buffer>) -> Result<Ending, Failure> {
    let session = call.session;
    for phase in [
        Phase::Accept,
        Phase::RequestHead,
        Phase::Connect,
        Phase::BeforeUpstream,
    ] {
        let Some(execution) = call.execution() else {
            break;
        };
        let entered = unless_gone(&session.client, execution.enter(phase, false)).await?;
        if let Some((step, planned)) = entered {
            return Ok(end_by_rule(call, step, &planned));
        }
    }
    let start = Instant::now();
    let pool = Rc::clone(&call.generation.pools[call.target.upstream]);
    let upstream = unless_gone(&session.client, pool.connect_bytes()).await??;
    call.sent(start.elapsed());
    // Until a request comes it does nothing.
    call.activity.hold();
    let early = early.unwrap_or_else(|| session.worker.buffers.take());
    let execution = call
        .decided
        .as_ref()
        .map(|decided| Rc::clone(&decided.execution));
    if let Some(execution) = &execution {
        execution.without_heads();
    }
    if let Some(execution) = execution
        && (execution.touches_body(Side::Request) || execution.touches_body(Side::Response))
    {
        return staged(call, &upstream, early, &execution).await;
    }
    plain(call, &upstream, early).await;
    Ok(Ending::Over)
}

fn end_by_rule(call: &mut InFlight<'_>, step: usize, planned: &Planned) -> Ending {
    if let Some(execution) = call.execution() {
        execution.settle(step, Fate::Applied);
        execution.supersede_rest();
    }
    call.conclude(Outcome::InjectedFault, Origin::Injected);
    if matches!(
        planned.effect,
        Effect::Reset { .. } | Effect::FailConnect { .. }
    ) {
        call.session.client.reset_on_close();
        return Ending::Over;
    }
    Ending::Closed
}

async fn plain(call: &mut InFlight<'_>, upstream: &Stream, early: Buffer) {
    let session = call.session;
    let pool = &session.worker.buffers;
    let early = Early {
        left: early,
        right: pool.take(),
    };
    let timer = &session.worker.timer;
    let relayed = relay_metered(
        &session.client,
        upstream,
        pool,
        early,
        &call.activity,
        timer,
    )
    .await;
    call.request_bytes += relayed.to_right;
    call.response_bytes += relayed.to_left;
    // One side's reset is the other's too.
    if let Some(error) = relayed.left_failed {
        upstream.reset_on_close();
        call.fail(&Failure::ClientGone(error));
    } else if let Some(error) = relayed.right_failed {
        session.client.reset_on_close();
        call.fail(&Failure::UpstreamReset(error));
    }
    call.conclude(Outcome::Ok, Origin::Upstream);
}

/// Both directions through their stages.
async fn staged(
    call: &mut InFlight<'_>,
    upstream: &Stream,
    early: Buffer,
    execution: &Execution,
) -> Result<Ending, Failure> {
    let session = call.session;
    let facts = BodyFacts::default();
    let mut forth =
        Stages::build(execution, Side::Request, facts, None).unwrap_or_else(Stages::plain);
    let mut back =
        Stages::build(execution, Side::Response, facts, None).unwrap_or_else(Stages::plain);
    let sent = Cell::new(0);
    let received = Cell::new(0);
    let end = {
        let client = &session.client;
        let late = session.worker.buffers.take();
        let forth = direction(client, upstream, early, &mut forth, execution, &sent);
        let back = direction(upstream, client, late, &mut back, execution, &received);
        let passing = both(forth, back);
        let flow = || (sent.get(), received.get());
        metered(passing, flow, &call.activity, &session.worker.timer).await
    };
    call.request_bytes += sent.get();
    call.response_bytes += received.get();
    if execution.altered() {
        call.conclude(Outcome::InjectedFault, Origin::Injected);
    }
    match end {
        None => {
            call.conclude(Outcome::Ok, Origin::Upstream);
            Ok(Ending::Over)
        }
        Some((side, end)) => conclude(call, upstream, execution, side, end),
    }
}

/// Awaits both directions; the first that does not end in order ends both.
async fn both(
    forth: impl Future<Output = BodyEnd>,
    back: impl Future<Output = BodyEnd>,
) -> Option<(Side, BodyEnd)> {
    let (mut forth, mut back) = (pin!(forth), pin!(back));
    let (mut forth_done, mut back_done) = (false, false);
    poll_fn(|context| {
        if !forth_done && let Poll::Ready(end) = forth.as_mut().poll(context) {
            if !matches!(end, BodyEnd::Complete) {
                return Poll::Ready(Some((Side::Request, end)));
            }
            forth_done = true;
        }
        if !back_done && let Poll::Ready(end) = back.as_mut().poll(context) {
            if !matches!(end, BodyEnd::Complete) {
                return Poll::Ready(Some((Side::Response, end)));
            }
            back_done = true;
        }
        if forth_done && back_done {
            Poll::Ready(None)
        } else {
            Poll::Pending
        }
    })
    .await
}

async fn direction(
    from: &Stream,
    to: &Stream,
    mut buffer: Buffer,
    stages: &mut Stages,
    execution: &Execution,
    passed: &Cell<u64>,
) -> BodyEnd {
    let mut scanner = BodyScanner::new(Framing::UntilClose);
    let source = Source {
        stream: from,
        buffer: &mut buffer,
        scanner: &mut scanner,
    };
    let mut pump = Pump::new(source, to, Outlet::Raw, stages, execution, None, &|_| None);
    pump.count = Some(passed);
    let end = pump.run().await;
    if matches!(end, BodyEnd::Complete) {
        // The other direction goes on: half-closed stays half-closed.
        ignore(to.shutdown().await);
    }
    end
}

fn conclude(
    call: &mut InFlight<'_>,
    upstream: &Stream,
    execution: &Execution,
    side: Side,
    end: BodyEnd,
) -> Result<Ending, Failure> {
    let client = &call.session.client;
    let mut ending = Ending::Closed;
    let failure = match (end, side) {
        (BodyEnd::Reset, _) => {
            client.reset_on_close();
            upstream.reset_on_close();
            ending = Ending::Over;
            None
        }
        (BodyEnd::SinkGone(error), Side::Request)
        | (BodyEnd::SourceFailed(error), Side::Response) => Some(Failure::UpstreamReset(error)),
        (BodyEnd::SinkGone(error), Side::Response)
        | (BodyEnd::SourceFailed(error), Side::Request) => {
            upstream.reset_on_close();
            Some(Failure::ClientGone(error))
        }
        _ => None,
    };
    if let Some(failure) = failure {
        return Err(failure);
    }
    execution.supersede_rest();
    call.conclude(Outcome::InjectedFault, Origin::Injected);
    Ok(ending)
}
