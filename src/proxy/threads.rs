//! The workers' threads: start, serve, drain.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinHandle as JoinTask, spawn_local};
use tokio::time::Instant;

use crate::energy::ledger::ActivitySender;
use crate::error::ignore;
use crate::live::Live;
use crate::proxy::accept::{accept, take_over};
use crate::proxy::bind::Bound;
use crate::proxy::hub::{Hub, Order};
use crate::proxy::listening::Listening;
use crate::proxy::timer::{Clock, Timer};
use crate::proxy::trim::Trim;
use crate::proxy::worker::{Worker, WorkerParts};
use crate::record::{RecordSender, WorkerCounters};

/// How often idle connections of both sides are looked at.
const SWEEP: Duration = Duration::from_millis(500);

/// The ends of the rings that one worker feeds.
#[derive(Debug)]
pub struct WorkerEnds {
    pub counters: WorkerCounters,
    pub records: RecordSender,
    /// Absent where nothing is metered.
    pub activity: Option<ActivitySender>,
}

/// What a proxy is made of.
#[derive(Debug)]
pub struct Parts {
    pub live: Arc<Live>,
    /// One for each worker.
    pub workers: Vec<WorkerEnds>,
    pub clock: Clock,
}

/// The running data plane.
#[derive(Debug)]
pub struct Proxy {
    threads: Vec<JoinHandle<io::Result<bool>>>,
    hub: Arc<Hub>,
    listening: Listening,
    /// Of the last question to the workers.
    question: AtomicU64,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// The grace period ended before all calls had.
    CutShort,
    Whole,
}

impl Proxy {
    /// Starts the workers on listeners that are bound already.
    pub fn start(bound: Vec<Bound>, parts: Parts) -> io::Result<Self> {
        let (hub, orders) = Hub::new(parts.workers.len());
        let mut threads = Vec::new();
        for (index, (ends, orders)) in parts.workers.into_iter().zip(orders).enumerate() {
            let (ready, started) = std::sync::mpsc::channel();
            let start = Start {
                ready,
                index,
                ends,
                live: parts.live.clone(),
                clock: parts.clock,
                hub: Arc::clone(&hub),
                orders,
            };
            let thread = std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || run_worker(start))?;
            if started.recv().is_err() {
                // It ended before it served: its error is why nothing starts.
                return Err(match thread.join() {
                    Ok(Err(error)) => error,
                    _ => io::Error::other("a worker could not start"),
                });
            }
            threads.push(thread);
        }
        let listening = Listening::new(Arc::clone(&hub));
        listening.start(bound, &parts.live.current())?;
        Ok(Self {
            threads,
            hub,
            listening,
            question: AtomicU64::new(0),
        })
    }

    /// The sockets that are served, for whoever changes them.
    pub fn listening(&self) -> &Listening {
        &self.listening
    }

    /// Whether every worker has answered since this was last asked; asks again. At first they have.
    pub fn answers(&self) -> bool {
        let question = self.question.load(Ordering::Relaxed);
        let answered = self.hub.answered(question);
        if answered {
            self.question.store(question + 1, Ordering::Relaxed);
            for worker in 0..self.hub.len() {
                // One that has ended does not answer.
                drop(self.hub.send(worker, Order::Answer(question + 1)));
            }
        }
        answered
    }

    /// Stops accepting when the queues are empty, lets calls finish for at most `grace`, and ends
    /// the workers.
    pub fn drain(self, grace: Duration) -> Drained {
        let by = Instant::now() + grace;
        self.listening.drain();
        for worker in 0..self.hub.len() {
            // One that has ended has nothing to finish.
            drop(self.hub.send(worker, Order::Drain { by }));
        }
        let mut drained = Drained::Whole;
        for thread in self.threads {
            match thread.join() {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => drained = Drained::CutShort,
                Ok(Err(error)) => tracing::error!(%error, "a worker had failed"),
                Err(_) => tracing::error!("a worker had panicked"),
            }
        }
        drained
    }
}

/// What moves to a worker's thread.
struct Start {
    /// Told once the worker serves.
    ready: std::sync::mpsc::Sender<()>,
    index: usize,
    ends: WorkerEnds,
    live: Arc<Live>,
    clock: Clock,
    hub: Arc<Hub>,
    orders: UnboundedReceiver<Order>,
}

/// Serves until told to drain; whether all calls could finish.
fn run_worker(start: Start) -> io::Result<bool> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    runtime.block_on(async move {
        let timer = Timer::new(start.clock)?;
        let worker = Rc::new(Worker::new(WorkerParts {
            index: start.index,
            live: start.live,
            hub: start.hub,
            timer: timer.clone(),
            counters: start.ends.counters,
            records: start.ends.records,
            activity: start
                .ends
                .activity
                .map(|sender| Rc::new(RefCell::new(sender))),
        }));
        spawn_local(timer.run());
        let bell = worker.live.doorbell();
        spawn_local(answer_doorbell(worker.clone(), bell));
        spawn_local(sweep(worker.clone()));
        // Who started us may have given up meanwhile; then the drain follows.
        ignore(start.ready.send(()));
        let mut orders = start.orders;
        let by = serve(&worker, &mut orders).await;
        let finished = tokio::time::timeout_at(by, finish(&worker, &mut orders)).await;
        Ok(finished.is_ok())
    })
}

/// Does as it is told until the drain begins; gives its end. The queues are empty then.
async fn serve(worker: &Rc<Worker>, orders: &mut UnboundedReceiver<Order>) -> Instant {
    let mut accepting: Vec<JoinTask<()>> = Vec::new();
    let by = loop {
        match orders.recv().await {
            Some(Order::Accept(endpoint, socket)) => {
                accepting.retain(|it| !it.is_finished());
                accepting.push(spawn_local(accept(worker.clone(), endpoint, socket)));
            }
            Some(Order::Serve(accepted)) => take_over(worker, accepted),
            Some(Order::Answer(question)) => worker.hub.answer(worker.index, question),
            Some(Order::Drain { by }) => break by,
            None => break Instant::now(),
        }
    };
    worker.draining.set(true);
    worker.timer.hurry();
    worker.changed.notify_waiters();
    for task in accepting {
        ignore(task.await);
    }
    by
}

/// Waits until no connection is served, those included that others hand over still.
async fn finish(worker: &Rc<Worker>, orders: &mut UnboundedReceiver<Order>) {
    worker.parked.close();
    loop {
        let order = tokio::select! {
            order = orders.recv() => order,
            () = worker.all_done() => {
                // From now on the others keep what they take; what was sent before still comes.
                orders.close();
                orders.recv().await
            }
        };
        match order {
            Some(Order::Serve(accepted)) => take_over(worker, accepted),
            Some(Order::Answer(question)) => worker.hub.answer(worker.index, question),
            // Nothing is added to what drains.
            Some(Order::Accept(..) | Order::Drain { .. }) => {}
            None => return worker.all_done().await,
        }
    }
}

async fn answer_doorbell(worker: Rc<Worker>, bell: Arc<Notify>) {
    loop {
        bell.notified().await;
        worker.revoke();
        worker.changed.notify_waiters();
    }
}

async fn sweep(worker: Rc<Worker>) {
    let mut trim = Trim::default();
    loop {
        tokio::time::sleep(SWEEP).await;
        let generation = worker.generation();
        let now = Instant::now();
        worker
            .parked
            .sweep(now, generation.snapshot.limits.keep_alive);
        worker.sweep_pools(now);
        trim.look(worker.tasks.get());
    }
}
