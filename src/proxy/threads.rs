//! The workers' threads: start, serve, drain.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, watch};
use tokio::task::spawn_local;
use tokio::time::Instant;

use crate::energy::ledger::ActivitySender;
use crate::error::ignore;
use crate::io::{Socket, Stream};
use crate::live::Live;
use crate::proxy::bind::{Bound, BoundSocket};
use crate::proxy::call::Session;
use crate::proxy::timer::{Clock, Timer};
use crate::proxy::worker::{ListenerShared, Worker, WorkerParts};
use crate::proxy::{http, tcp};
use crate::record::{RecordSender, WorkerCounters};
use crate::snapshot::ProtocolSpec;

/// How often idle connections of both sides are looked at.
const SWEEP: Duration = Duration::from_millis(500);
/// How long accepting pauses when the process has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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
enum Order {
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
        let listeners: Arc<[ListenerShared]> =
            bound.iter().map(|_| ListenerShared::default()).collect();
        let mut threads = Vec::new();
        for (index, ends) in parts.workers.into_iter().enumerate() {
            let (ready, started) = std::sync::mpsc::channel();
            let start = Start {
                ready,
                index,
                ends,
                live: parts.live.clone(),
                clock: parts.clock,
                listeners: listeners.clone(),
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
    listeners: Arc<[ListenerShared]>,
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
            listeners: start.listeners,
        }));
        spawn_local(timer.run());
        let bell = worker.live.doorbell();
        spawn_local(answer_doorbell(worker.clone(), bell));
        spawn_local(sweep(worker.clone()));
        let accepting: Vec<_> = start
            .sockets
            .into_iter()
            .map(|(listener, socket)| {
                Ok(spawn_local(accept(
                    worker.clone(),
                    listener,
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
        }
    }
}

enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Acceptor {
    fn new(socket: BoundSocket) -> io::Result<Self> {
        Ok(match socket {
            BoundSocket::Tcp(listener) => Self::Tcp(TcpListener::from_std(listener)?),
            BoundSocket::Unix(listener) => Self::Unix(UnixListener::from_std(listener)?),
        })
    }

    async fn accept(&self) -> io::Result<(Socket, Option<std::net::SocketAddr>)> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                (Socket::Tcp(stream), Some(peer))
            }
            Self::Unix(listener) => (Socket::Unix(listener.accept().await?.0), None),
        })
    }

    /// Takes what waits in the queue. The system is asked: the runtime tells only of connections
    /// that it has heard of, and closing the socket would reset the others.
    fn empty(self, mut open: impl FnMut(Socket, Option<std::net::SocketAddr>)) {
        let take = || -> io::Result<std::convert::Infallible> {
            match self {
                Self::Tcp(listener) => {
                    let listener = listener.into_std()?;
                    loop {
                        let (stream, peer) = listener.accept()?;
                        stream.set_nonblocking(true)?;
                        open(Socket::Tcp(TcpStream::from_std(stream)?), Some(peer));
                    }
                }
                Self::Unix(listener) => {
                    let listener = listener.into_std()?;
                    loop {
                        let (stream, _) = listener.accept()?;
                        stream.set_nonblocking(true)?;
                        open(Socket::Unix(UnixStream::from_std(stream)?), None);
                    }
                }
            }
        };
        let Err(error) = take();
        if error.kind() != io::ErrorKind::WouldBlock {
            tracing::warn!(%error, "a connection that waited was not served");
        }
    }
}

/// Accepts until the drain, and then what waits in the queue still.
async fn accept(
    worker: Rc<Worker>,
    listener: usize,
    acceptor: Acceptor,
    mut orders: watch::Receiver<Order>,
) {
    loop {
        let draining = worker.draining.get();
        let accepted = tokio::select! {
            biased;
            accepted = acceptor.accept() => accepted,
            () = std::future::ready(()), if draining => break,
            _ = orders.changed(), if !draining => {
                worker.draining.set(true);
                continue;
            }
        };
        match accepted {
            Ok((socket, peer)) => open(&worker, listener, socket, peer),
            // The client has left the queue by itself.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                // No descriptors, most likely: trying at once again would only spin.
                tracing::warn!(%error, "accepting pauses");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    acceptor.empty(|socket, peer| open(&worker, listener, socket, peer));
}

fn open(worker: &Rc<Worker>, listener: usize, socket: Socket, peer: Option<std::net::SocketAddr>) {
    let guard = ConnectionGuard::new(worker.clone(), listener);
    let generation = worker.generation();
    let limit = generation.snapshot.limits.connections_per_listener;
    if worker.listeners[listener]
        .connections
        .load(Ordering::Relaxed)
        > limit
    {
        tracing::debug!(listener, limit, "connection refused: too many");
        return;
    }
    let protocol = generation.snapshot.listeners[listener].protocol;
    let session = Session {
        worker: worker.clone(),
        listener,
        peer,
        client: Stream::new(socket),
    };
    spawn_local(async move {
        let _guard = guard;
        match protocol {
            ProtocolSpec::Http(..) => http::serve(session).await,
            // Boxed: the task of an idle HTTP connection is as large as its largest branch.
            ProtocolSpec::Tcp => Box::pin(tcp::serve(session)).await,
        }
    });
}

/// Counts a connection for as long as its task lives, however that ends.
struct ConnectionGuard {
    worker: Rc<Worker>,
    listener: usize,
}

impl ConnectionGuard {
    fn new(worker: Rc<Worker>, listener: usize) -> Self {
        worker.listeners[listener]
            .connections
            .fetch_add(1, Ordering::Relaxed);
        worker
            .generation()
            .counters(listener, 0)
            .connection_opened();
        worker.tasks.set(worker.tasks.get() + 1);
        Self { worker, listener }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.worker.listeners[self.listener]
            .connections
            .fetch_sub(1, Ordering::Relaxed);
        self.worker
            .generation()
            .counters(self.listener, 0)
            .connection_closed();
        self.worker.task_ended();
    }
}
