//! The connections of a proxy of the Toxiproxy API. Its toxics act on them while they are open: each
//! connection hears of a change, and rebuilds its chains. Where one side ends, its peer is closed
//! whole: there are no half-closed connections here, as there are none in Toxiproxy.

mod bandwidth;
mod bell;
mod chain;
mod ends;
mod latency;
mod link;
mod slicer;
mod stage;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use tokio::time::Instant;

use crate::call::Outcome;
use crate::effect::Fate;
use crate::error::Origin;
use crate::io::Stream;
use crate::proxy::call::{InFlight, Session, Told};
use crate::proxy::relay::metered;
use crate::proxy::rescue::Failure;
use crate::proxy::toxic::bell::Bell;
use crate::proxy::toxic::chain::Drawn;
use crate::proxy::toxic::link::{Link, Shared};
use crate::proxy::toxic::stage::Came;
use crate::proxy::worker::Worker;
use crate::snapshot::TOXIPROXY;
use crate::toxic::{Direction, Placed, ProxyRun};

/// Serves one connection to its end.
pub(super) async fn serve(session: Session, run: ProxyRun) {
    let mut call = InFlight::begin(&session);
    call.count();
    // Over all runs of the proxy: that draws differ from one to the next.
    call.number = run.proxy.next_connection();
    call.started_at = Some(SystemTime::now());
    call.told = Some(Told::default());
    let pool = Rc::clone(&call.generation.pools[call.target.upstream]);
    let start = Instant::now();
    let connected = unless_over(&session.worker, &run, pool.connect_bytes()).await;
    let upstream = match connected {
        None => return call.stopped(),
        Some(Ok(upstream)) => upstream,
        Some(Err(error)) => return call.fail(&Failure::Connect(error)),
    };
    call.sent(start.elapsed());
    // Until a request comes it does nothing.
    call.activity.hold();
    let mut pair = Pair::new(&call, &run, &upstream);
    let flow = Cell::default();
    let (timer, activity) = (&session.worker.timer, call.activity.share());
    let passing = poll_fn(|context| pair.poll(context, &flow));
    let ended = metered(passing, || flow.get(), &activity, timer).await;
    let acted = std::mem::take(&mut pair.acted);
    drop(pair);
    (call.request_bytes, call.response_bytes) = flow.get();
    call.intoxicated = !acted.is_empty();
    call.toxics = acted;
    match ended {
        Ended::Stopped => call.stopped(),
        Ended::Toxic(placed) => call.harmed(&placed),
        Ended::Failed(failure) => call.fail(&failure),
        Ended::Orderly => call.conclude(Outcome::Ok, Origin::Upstream),
    }
}

/// What ended a connection.
#[derive(Debug)]
enum Ended {
    /// The first of both sides ended in order.
    Orderly,
    Failed(Failure),
    /// Its proxy was disabled, changed or deleted.
    Stopped,
    /// Its receiver did not get all, because of this one.
    Toxic(Arc<Placed>),
}

impl InFlight<'_> {
    /// Whoever stops a proxy means its clients to see that.
    fn stopped(&mut self) {
        self.intoxicated = true;
        self.reason = Some("the proxy was stopped".to_owned());
        self.conclude(Outcome::InjectedFault, Origin::Injected);
    }

    fn harmed(&mut self, placed: &Placed) {
        let kind = placed.toxic.kind.name();
        self.reason = Some(format!("the toxic {} ({kind}) cut it short", placed.rule));
        self.conclude(Outcome::InjectedFault, Origin::Injected);
    }
}

/// Both directions of one connection.
#[derive(Debug)]
struct Pair<'p> {
    worker: &'p Worker,
    run: &'p ProxyRun,
    client: &'p Stream,
    upstream: &'p Stream,
    forth: Link<'p>,
    back: Link<'p>,
    bell: Bell,
    /// Of the changes that were looked at.
    seen: u64,
    client_closed: bool,
    upstream_closed: bool,
    /// The toxics that did something.
    acted: Vec<Arc<Placed>>,
    /// How the first side that ended did.
    ended: Option<Ended>,
}

impl<'p> Pair<'p> {
    fn new(call: &InFlight<'p>, run: &'p ProxyRun, upstream: &'p Stream) -> Self {
        let session = call.session;
        let (worker, client) = (&*session.worker, &session.client);
        let shared = Shared {
            pool: &worker.buffers,
            timer: &worker.timer,
            proxy: &run.proxy,
        };
        let drawn = |direction| Drawn {
            seed: call.generation.snapshot.seed,
            listener: call.listener_name(),
            connection: call.number,
            direction,
        };
        let mut pair = Self {
            worker,
            run,
            client,
            upstream,
            forth: Link::new(client, upstream, shared, drawn(Direction::Upstream)),
            back: Link::new(upstream, client, shared, drawn(Direction::Downstream)),
            bell: Bell::new(worker),
            seen: worker.live.changes(),
            client_closed: false,
            upstream_closed: false,
            acted: Vec::new(),
            ended: None,
        };
        pair.refresh(Came::First);
        pair
    }

    fn poll(&mut self, context: &mut Context<'_>, flow: &Cell<(u64, u64)>) -> Poll<Ended> {
        // Heard first: what changes after that rings again.
        let rang = self.bell.rang(context);
        let changes = self.worker.live.changes();
        if rang || changes != self.seen {
            self.seen = changes;
            self.refresh(Came::Later);
        }
        if self.run.is_over() {
            return Poll::Ready(Ended::Stopped);
        }
        loop {
            self.forth.poll(context);
            self.back.poll(context);
            self.count_acts();
            if !self.close_ended() {
                break;
            }
        }
        flow.set((self.forth.passed().1, self.back.passed().1));
        if self.forth.done && self.back.done {
            Poll::Ready(self.ended.take().unwrap_or(Ended::Orderly))
        } else {
            Poll::Pending
        }
    }

    /// The toxics as they are now. A halt ends them as their removal would, and so does a drain.
    fn refresh(&mut self, came: Came) {
        let idle = self.worker.live.halted()
            || self.worker.timer.is_hurried()
            || self.worker.generation().snapshot.safety.dry_run;
        let toxics = self.run.proxy.toxics();
        let wanted: &[Arc<Placed>] = if idle { &[] } else { &toxics };
        self.forth.refresh(wanted, came);
        self.back.refresh(wanted, came);
    }

    /// Closes the receiver of a direction that has ended, whole: what comes from it has ended then,
    /// too. Whether there was one.
    fn close_ended(&mut self) -> bool {
        let resets = self.forth.chain().resets() || self.back.chain().resets();
        let mut closed = false;
        if self.forth.done && !self.upstream_closed {
            self.upstream_closed = true;
            close(self.upstream, resets);
            self.back.end_source();
            closed = true;
        }
        if self.back.done && !self.client_closed {
            self.client_closed = true;
            close(self.client, resets);
            self.forth.end_source();
            closed = true;
        }
        if closed {
            self.note_end();
        }
        closed
    }

    fn note_end(&mut self) {
        let harmed = |link: &mut Link<'_>| link.chain().harmed_by().cloned();
        let harmed = harmed(&mut self.forth).or_else(|| harmed(&mut self.back));
        if let Some(placed) = harmed {
            if !matches!(self.ended, Some(Ended::Toxic(_))) {
                self.ended = Some(Ended::Toxic(placed));
            }
            return;
        }
        let (forth, back) = (&mut self.forth, &mut self.back);
        let of_client = forth.read_failed.take().or(back.write_failed.take());
        let of_upstream = back.read_failed.take().or(forth.write_failed.take());
        self.ended.get_or_insert(match (of_client, of_upstream) {
            (Some(error), _) => Ended::Failed(Failure::ClientGone(error)),
            (_, Some(error)) => Ended::Failed(Failure::UpstreamReset(error)),
            (None, None) => Ended::Orderly,
        });
    }

    /// Each toxic once a connection and direction, when it first does something.
    fn count_acts(&mut self) {
        for link in [&mut self.forth, &mut self.back] {
            for placed in link.chain().take_acted() {
                let kind = placed.toxic.kind.name();
                let counters = &self.worker.counters;
                counters.fault(TOXIPROXY, kind, &Fate::Applied);
                self.acted.push(placed);
            }
        }
    }
}

fn close(stream: &Stream, resets: bool) {
    if resets {
        stream.reset_on_close();
    }
    stream.close();
}

/// Awaits something for as long as the proxy runs.
async fn unless_over<F: Future>(worker: &Worker, run: &ProxyRun, wait: F) -> Option<F::Output> {
    let (mut wait, mut bell) = (pin!(wait), Bell::new(worker));
    poll_fn(|context| {
        // Heard first: a stop after this look rings again.
        bell.rang(context);
        if run.is_over() {
            return Poll::Ready(None);
        }
        wait.as_mut().poll(context).map(Some)
    })
    .await
}
