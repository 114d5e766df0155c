//! The body of an answer: as it comes, or through the stages that act on it.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use crate::call::Outcome;
use crate::effect::Answer;
use crate::error::Origin;
use crate::http1::{BodyScanner, Framing, Trailers};
use crate::io::Buffer;
use crate::proxy::activity::Activity;
use crate::proxy::call::InFlight;
use crate::proxy::execution::Execution;
use crate::proxy::http::behind::Behind;
use crate::proxy::http::beside::Beside;
use crate::proxy::http::bulk;
use crate::proxy::http::shape::{HeadBytes, Shape};
use crate::proxy::patience::{self, Patience};
use crate::proxy::rescue::Failure;
use crate::proxy::stages::{BodyEnd, Pump, Source, Stages};
use crate::proxy::tap::Tap;
use crate::proxy::watch::Watch;
use crate::rule::Course;
use crate::snapshot::ProtocolSpec;
use crate::upstream::Connection;

/// How a body was passed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Passed {
    /// A rule ended the connection in order.
    Closed,
    Reset,
    /// To its end; `leftover`: bytes came behind it that belong to nothing.
    Whole {
        leftover: bool,
    },
}

/// A head that goes out together with what has come of its body, and who watches the body.
#[derive(Debug)]
pub(super) struct First {
    pub(super) status: u16,
    pub(super) head: HeadBytes,
    pub(super) tap: Option<Tap>,
    /// How long the client may take nothing.
    pub(super) patience: Option<Duration>,
    /// As [`Shape::trailing`].
    pub(super) trailing: bool,
}

/// Awaits a write to the client, the answer's last one or one before it.
async fn written(
    activity: &Activity,
    beside: &mut Beside<'_>,
    last: bool,
    write: impl Future<Output = io::Result<()>>,
) -> Result<(), Failure> {
    let written = if last {
        beside.with(finishing(activity, write)).await?
    } else {
        beside.with(holding(activity, write)).await?
    };
    written.map_err(Failure::of_client)
}

/// The body as it is, with the head in one write where it has come.
pub(super) async fn pass(
    call: &mut InFlight<'_>,
    connection: &Connection,
    mut buffer: Buffer,
    scanner: &mut BodyScanner,
    First {
        status,
        head,
        mut tap,
        patience,
        trailing,
    }: First,
    beside: &mut Beside<'_>,
) -> Result<Passed, Failure> {
    let client = &call.session.client;
    let unseen = tap.is_none();
    connection.bulk.set(false);
    let mut watch = |payload: &[u8]| {
        if let Some(tap) = &mut tap {
            tap.see(payload);
        }
    };
    let (in_place, mut before) = match head {
        HeadBytes::InPlace(len) => (len, Vec::new()),
        HeadBytes::Rebuilt(bytes) => (0, bytes),
    };
    let mut behind = Behind::new(call, trailing);
    let mut scanned = scanner
        .scan_through(&buffer[in_place..], &mut behind.trailers, &mut watch)
        .map_err(Failure::UpstreamBody)?;
    // From here on the answer has begun: a failure can no longer be told with a status.
    call.status = Some(status);
    let (mut ready, mut taken) = (in_place + scanned.raw, in_place + scanned.wire);
    let mut clean = true;
    loop {
        if scanned.done {
            behind.body_came(call, &connection.stream);
        }
        let write = patience::write(client, &before, &buffer[..ready], patience);
        written(&call.activity, beside, scanned.done, write).await?;
        buffer.consume(taken);
        call.response_bytes += scanned.wire as u64;
        if scanned.done {
            break;
        }
        if buffer.is_empty() {
            buffer.release();
            if unseen && bulk::is_large(scanner) {
                let bulk = bulk::answer(call, connection, scanner, beside);
                if let Some(alone) = Box::pin(bulk).await? {
                    clean = alone;
                    break;
                }
            }
            if !fill(patience, connection, &mut buffer, scanner, beside).await? {
                break;
            }
        }
        before = Vec::new();
        scanned = scanner
            .scan_through(&buffer, &mut behind.trailers, &mut watch)
            .map_err(Failure::UpstreamBody)?;
        (ready, taken) = (scanned.raw, scanned.wire);
    }
    if behind.comes() {
        Box::pin(behind.send(call, connection, patience, beside)).await?;
    } else {
        call.tell_end(behind.trailers.found());
    }
    passed(call, tap, &buffer);
    Ok(Passed::Whole {
        leftover: !clean || !buffer.is_empty(),
    })
}

/// All of it has gone out. `behind`: what has come behind it.
fn passed(call: &mut InFlight<'_>, tap: Option<Tap>, behind: &[u8]) {
    if !behind.is_empty() {
        exceeded(call);
    }
    let failed = tap.as_ref().is_some_and(Tap::saw_error);
    if let Some(tap) = tap {
        tap.tell(call);
    }
    call.answered(failed);
}

/// More came than the answer. The client has that whole and keeps its connection; the upstream, which
/// has miscounted, is told of and loses its own. What a rule made of the answer counts before.
fn exceeded(call: &mut InFlight<'_>) {
    if !call.execution().is_some_and(Execution::altered) {
        call.fail(&Failure::UpstreamExcess);
    }
}

/// Reads more of a body; between two pieces of a stream a call holds no buffer. False at the end of
/// a body that ends with its connection. An upstream may be silent for as long as the client may
/// take nothing: a stream for ever.
async fn fill(
    limit: Option<Duration>,
    connection: &Connection,
    buffer: &mut Buffer,
    scanner: &BodyScanner,
    beside: &mut Beside<'_>,
) -> Result<bool, Failure> {
    let upstream = &connection.stream;
    let mut patience = Patience::new(limit);
    let ready = beside.until(|context| match upstream.poll_readable(context) {
        Poll::Pending => patience.poll(context).map(|_| Err(Failure::UpstreamStuck)),
        ready @ Poll::Ready(_) => ready.map(|it| it.map_err(Failure::UpstreamReset)),
    });
    ready.await??;
    match beside
        .until(|context| upstream.poll_read(context, buffer))
        .await?
    {
        Ok(0) if scanner.ends_at_close() => Ok(false),
        Ok(0) => Err(Failure::UpstreamShort),
        Ok(_) => Ok(true),
        Err(error) => Err(Failure::UpstreamReset(error)),
    }
}

/// The body through the stages that act on it.
pub(super) async fn staged(
    call: &mut InFlight<'_>,
    connection: &Connection,
    mut buffer: Buffer,
    scanner: &mut BodyScanner,
    mut stages: Stages,
    shape: Shape,
    beside: &mut Beside<'_>,
) -> Result<Passed, Failure> {
    let session = call.session;
    let promised = match (shape.framing, &*scanner) {
        (Some(Framing::Length(length)), _) => Some(length),
        (None, BodyScanner::Length(length)) => Some(*length),
        _ => None,
    };
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
        shape.outlet,
        &mut stages,
        &execution,
        activity,
        &error_event,
    );
    pump.watch = Some(Watch::new(&session.client));
    pump.promised = promised;
    // As where nothing acts on the body.
    (pump.idle, pump.patience) = (shape.patience, shape.patience);
    pump.trailing = shape.trailing;
    pump.trailers = Trailers::watching(protocol.ending().map(|it| it.name));
    let end = beside.with(pump.run()).await;
    call.response_bytes += pump.written;
    call.tell_end(pump.trailers.found());
    call.description = description;
    call.units = stages.units_out;
    call.tokens = stages.tokens_out;
    call.first_token = stages.first_token;
    call.output_tokens = stages.usage().and_then(|usage| usage.output_tokens);
    settle_body(call, &execution, end?, stages.saw_error(), &buffer)
}

/// What the end of a staged body means for the call. `behind`: what has come behind it.
fn settle_body(
    call: &mut InFlight<'_>,
    execution: &Execution,
    end: BodyEnd,
    saw_error: bool,
    behind: &[u8],
) -> Result<Passed, Failure> {
    let by_rule = matches!(
        end,
        BodyEnd::Closed | BodyEnd::Cut | BodyEnd::CutShort | BodyEnd::Error { .. } | BodyEnd::Reset
    );
    if by_rule {
        execution.supersede_rest();
    }
    if by_rule || execution.altered() {
        call.conclude(Outcome::InjectedFault, Origin::Injected);
    }
    match end {
        BodyEnd::Complete => {
            let leftover = !behind.is_empty();
            if leftover {
                exceeded(call);
            }
            call.answered(saw_error);
            Ok(Passed::Whole { leftover })
        }
        // The upstream goes on sending what nobody will read: its connection is closed.
        BodyEnd::Cut | BodyEnd::Error { well_formed: true } => Ok(Passed::Whole { leftover: true }),
        BodyEnd::Closed | BodyEnd::CutShort | BodyEnd::Error { well_formed: false } => {
            Ok(Passed::Closed)
        }
        BodyEnd::Reset => Ok(Passed::Reset),
        BodyEnd::SinkGone(error) => Err(Failure::of_client(error)),
        BodyEnd::SourceStuck => Err(Failure::UpstreamStuck),
        BodyEnd::SourceEnded => Err(Failure::UpstreamShort),
        BodyEnd::SourceFailed(error) => Err(Failure::UpstreamReset(error)),
        BodyEnd::SourceMalformed(error) => Err(Failure::UpstreamBody(error)),
    }
}

/// For a body that is only framed anew: a plan without effects.
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

/// Awaits the write of an answer's last bytes: however long the client takes for them, the upstream
/// is not charged. Nearly every client takes them at once, and then the call's end tells it.
async fn finishing<F: Future>(activity: &Activity, write: F) -> F::Output {
    let mut write = pin!(write);
    activity.over();
    poll_fn(|context| {
        let written = write.as_mut().poll(context);
        if written.is_pending() {
            activity.done();
        }
        written
    })
    .await
}

/// Awaits a write; while the client takes none of it, the upstream is not charged.
pub(super) async fn holding<F: Future>(activity: &Activity, write: F) -> F::Output {
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
