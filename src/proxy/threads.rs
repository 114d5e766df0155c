//! The workers' threads: start, serve, drain.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, watch};
use tokio::task::spawn_local;
use tokio::time::Instant;

use crate::energy::ledger::ActivitySender;
use crate::error::ignore;
use crate::live::Live;
use crate::proxy::accept::{Acceptor, accept};
use crate::proxy::bind::{Bound, BoundSocket};
use crate::proxy::timer::{Clock, Timer};
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
    orders: watch::Sender<Order>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Accept until the queues are empty, finish what was begun.
    Drain {
        by: Instant,
    },
    Serve,
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
        let (orders, _) = watch::channel(Order::Serve);
        let mut threads = Vec::new();
        for (index, ends) in parts.workers.into_iter().enumerate() {
            let (ready, started) = std::sync::mpsc::channel();
            let start = Start {
                ready,
                index,
                ends,
                live: parts.live.clone(),
                clock: parts.clock,
                sockets: share_all(&bound)?,
                orders: orders.subscribe(),
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
        // The workers hold the sockets now: when they stop accepting, nobody is left in the queue.
        drop(bound);
        Ok(Self { threads, orders })
    }

    /// Stops accepting when the queues are empty, lets calls finish for at most `grace`, and ends
    /// the workers.
    pub fn drain(self, grace: Duration) -> Drained {
        self.orders.send_replace(Order::Drain {
            by: Instant::now() + grace,
        });
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

fn share_all(bound: &[Bound]) -> io::Result<Vec<(usize, BoundSocket)>> {
    bound
        .iter()
        .map(|it| Ok((it.listener, it.socket.share()?)))
        .collect()
}

/// What moves to a worker's thread.
struct Start {
    /// Told once the worker serves.
    ready: std::sync::mpsc::Sender<()>,
    index: usize,
    ends: WorkerEnds,
    live: Arc<Live>,
    clock: Clock,
    sockets: Vec<(usize, BoundSocket)>,
    orders: watch::Receiver<Order>,
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
        let accepting: Vec<_> = start
            .sockets
            .into_iter()
            .map(|(listener, socket)| {
                let state = &worker.generation().snapshot.listeners[listener].state;
                Ok(spawn_local(accept(
                    worker.clone(),
                    Arc::clone(state),
                    Acceptor::new(socket)?,
                    start.orders.clone(),
                )))
            })
            .collect::<io::Result<_>>()?;
        // Who started us may have given up meanwhile; then the drain follows.
        ignore(start.ready.send(()));
        let mut orders = start.orders;
        let by = loop {
            if let Order::Drain { by } = *orders.borrow_and_update() {
                break by;
            }
            if orders.changed().await.is_err() {
                break Instant::now();
            }
        };
        worker.draining.set(true);
        worker.timer.hurry();
        for task in accepting {
            ignore(task.await);
        }
        worker.parked.close();
        Ok(tokio::time::timeout_at(by, worker.all_done()).await.is_ok())
    })
}

async fn answer_doorbell(worker: Rc<Worker>, bell: Arc<Notify>) {
    loop {
        bell.notified().await;
        worker.revoke();
    }
}

async fn sweep(worker: Rc<Worker>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let generation = worker.generation();
        let now = Instant::now();
        worker
            .parked
            .sweep(now, generation.snapshot.limits.keep_alive);
        for pool in &generation.pools {
            pool.sweep(now);
            if let Some(looking_up) = pool.refresh(now) {
                spawn_local(looking_up);
            }
        }
    }
}
