//! The driver of byte streams: a call is a connection, and its only units are bytes.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use crate::call::{Outcome, Phase, Side};
use crate::effect::{Effect, Fate, Planned};
use crate::error::{Origin, ignore};
use crate::http1::{BodyScanner, Framing};
use crate::io::Stream;
use crate::proxy::activity::Activity;
use crate::proxy::call::{InFlight, Session, Told};
use crate::proxy::execution::Execution;
use crate::proxy::relay::{Early, Pulse, relay};
use crate::proxy::rescue::Failure;
use crate::proxy::stages::{BodyEnd, BodyFacts, Outlet, Pump, Source, Stages};
use crate::proxy::watch::unless_gone;
use crate::proxy::worker::bare_call;

/// A connection is at work from a request's bytes until so long after the last byte of an answer
/// (energy.md §3): an idle one is no work.
const AFTERGLOW: Duration = Duration::from_millis(50);

/// Serves one connection to its end.
pub(super) async fn serve(session: Session) {
    let mut call = InFlight::begin(&session);
    call.count();
    ask_rules(&mut call);
    if call.is_sampled() || call.decided.is_some() {
        call.told = Some(Told::default());
    }
    if let Err(failure) = run(&mut call).await {
        tracing::debug!(call = call.id, reason = %failure, "connection failed");
        call.fail(&failure);
    }
    call.finish();
}

fn ask_rules(call: &mut InFlight<'_>) {
    let generation = call.generation.clone();
    let Some(rules) = generation.snapshot.rules.listener(call.session.listener) else {
        return;
    };
    if rules.is_empty() {
        return;
    }
    let name = call.listener_name();
    let bare = bare_call(&name, "tcp", call.session.peer, call.description.clone());
    let candidates = rules.candidates(&bare);
    let selected = rules.select(&candidates, &bare);
    call.decide(&selected, |_, ask| ask(&bare));
}

async fn run(call: &mut InFlight<'_>) -> Result<(), Failure> {
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
        let entered = unless_gone(&session.client, execution.enter(phase)).await?;
        if let Some((step, planned)) = entered {
            end_by_rule(call, step, &planned);
            return Ok(());
        }
    }
    let pool = &call.generation.pools[call.target.upstream];
    let upstream = unless_gone(&session.client, pool.connect()).await??.stream;
    call.activity
        .begin(u16::try_from(call.target.upstream).unwrap_or(u16::MAX));
    call.activity.hold();
    call.upstream_sent = Some(Instant::now());
    let execution = call
        .decided
        .as_ref()
        .map(|decided| Rc::clone(&decided.execution));
    if let Some(execution) = execution
        && (execution.touches_body(Side::Request) || execution.touches_body(Side::Response))
    {
        return staged(call, &upstream, &execution).await;
    }
    plain(call, &upstream).await;
    Ok(())
}

fn end_by_rule(call: &mut InFlight<'_>, step: usize, planned: &Planned) {
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
    }
}

async fn plain(call: &mut InFlight<'_>, upstream: &Stream) {
    let session = call.session;
    let pool = &session.worker.buffers;
    let early = Early {
        left: pool.take(),
        right: pool.take(),
    };
    let pulse = Pulse::default();
    let relayed = if call.activity.is_metered() {
        let passing = relay(&session.client, upstream, pool, early, Some(&pulse));
        with_afterglow(&call.activity, &pulse, &session.worker.timer, passing).await
    } else {
        relay(&session.client, upstream, pool, early, None).await
    };
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

/// Runs a relay while the ledger is told when the connection is at work.
async fn with_afterglow<F: Future>(
    activity: &Activity,
    pulse: &Pulse,
    timer: &crate::proxy::timer::Timer,
    passing: F,
) -> F::Output {
    let mut passing = pin!(passing);
    loop {
        let mut tick = pin!(timer.sleep(AFTERGLOW));
        let ended = poll_fn(|context| {
            let done = passing.as_mut().poll(context);
            if pulse.asked.replace(false) {
                activity.release();
            }
            match done {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending => tick.as_mut().poll(context).map(|()| None),
            }
        })
        .await;
        if let Some(output) = ended {
            return output;
        }
        if pulse
            .last
            .get()
            .is_none_or(|last| last.elapsed() >= AFTERGLOW)
        {
            activity.hold();
        }
    }
}

/// Both directions through their stages.
async fn staged(
    call: &mut InFlight<'_>,
    upstream: &Stream,
    execution: &Execution,
) -> Result<(), Failure> {
    let session = call.session;
    let facts = BodyFacts::default();
    let mut forth =
        Stages::build(execution, Side::Request, facts, None).unwrap_or_else(Stages::plain);
    let mut back =
        Stages::build(execution, Side::Response, facts, None).unwrap_or_else(Stages::plain);
    let sent = Cell::new(0);
    let received = Cell::new(0);
    let end = {
        let forth = direction(
            &session.client,
            upstream,
            &mut forth,
            execution,
            &sent,
            session,
        );
        let back = direction(
            upstream,
            &session.client,
            &mut back,
            execution,
            &received,
            session,
        );
        both(forth, back).await
    };
    call.request_bytes += sent.get();
    call.response_bytes += received.get();
    if execution.altered() {
        call.conclude(Outcome::InjectedFault, Origin::Injected);
    }
    match end {
        None => call.conclude(Outcome::Ok, Origin::Upstream),
        Some((side, end)) => return conclude(call, upstream, execution, side, end),
    }
    Ok(())
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
    stages: &mut Stages,
    execution: &Execution,
    passed: &Cell<u64>,
    session: &Session,
) -> BodyEnd {
    let mut buffer = session.worker.buffers.take();
    let mut scanner = BodyScanner::new(Framing::UntilClose);
    let source = Source {
        stream: from,
        buffer: &mut buffer,
        scanner: &mut scanner,
    };
    let mut pump = Pump::new(source, to, Outlet::Raw, stages, execution, None, &|_| None);
    let end = pump.run().await;
    passed.set(pump.written);
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
) -> Result<(), Failure> {
    let client = &call.session.client;
    let failure = match (end, side) {
        (BodyEnd::Reset, _) => {
            client.reset_on_close();
            upstream.reset_on_close();
            None
        }
        (BodyEnd::SinkGone(error), Side::Request)
        | (BodyEnd::SourceFailed(error), Side::Response) => {
            client.reset_on_close();
            Some(Failure::UpstreamReset(error))
        }
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
    Ok(())
}
