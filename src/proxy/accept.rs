//! Takes connections from a listener's queue: within the listener's limit, without spinning where the
//! process has no descriptors left, and to the last that waits when it drains.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::spawn_local;

use crate::io::{Socket, Stream};
use crate::proxy::bind::BoundSocket;
use crate::proxy::call::Session;
use crate::proxy::serve::serve;
use crate::proxy::threads::Order;
use crate::proxy::worker::Worker;
use crate::record::SlotCounters;
use crate::snapshot::ListenerState;

/// How long accepting pauses when the process has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(super) enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Acceptor {
    pub(super) fn new(socket: BoundSocket) -> io::Result<Self> {
        Ok(match socket {
            BoundSocket::Tcp(listener) => Self::Tcp(TcpListener::from_std(listener)?),
            BoundSocket::Unix(listener) => Self::Unix(UnixListener::from_std(listener)?),
        })
    }

    async fn accept(&self) -> io::Result<(Socket, Option<SocketAddr>)> {
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
    fn empty(self, mut open: impl FnMut(Socket, Option<SocketAddr>)) {
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
pub(super) async fn accept(
    worker: Rc<Worker>,
    listener: Arc<ListenerState>,
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
            Ok((socket, peer)) => open(&worker, &listener, socket, peer),
            // The client has left the queue by itself.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                // No descriptors, most likely: trying at once again would only spin.
                tracing::warn!(%error, "accepting pauses");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    acceptor.empty(|socket, peer| open(&worker, &listener, socket, peer));
}

/// Serves a connection on a task of its own, where the listener has room for it.
fn open(
    worker: &Rc<Worker>,
    listener: &Arc<ListenerState>,
    socket: Socket,
    peer: Option<SocketAddr>,
) {
    let Some((generation, place)) = worker.place_of(listener) else {
        return;
    };
    let counters = generation.counters(place, 0).clone();
    let guard = ConnectionGuard::new(worker.clone(), listener.clone(), counters);
    let limit = generation.snapshot.limits.connections_per_listener;
    if listener.connections.load(Ordering::Relaxed) > limit {
        let name = &generation.snapshot.listeners[place].name;
        tracing::debug!(listener = %name, limit, "connection refused: too many");
        return;
    }
    let session = Session {
        worker: worker.clone(),
        listener: listener.clone(),
        peer,
        sni: None,
        client: Stream::new(socket),
    };
    spawn_local(async move {
        let _guard = guard;
        serve(session).await;
    });
}

/// Counts a connection for as long as its task lives, however that ends.
struct ConnectionGuard {
    worker: Rc<Worker>,
    listener: Arc<ListenerState>,
    counters: SlotCounters,
}

impl ConnectionGuard {
    fn new(worker: Rc<Worker>, listener: Arc<ListenerState>, counters: SlotCounters) -> Self {
        listener.connections.fetch_add(1, Ordering::Relaxed);
        counters.connection_opened();
        worker.tasks.set(worker.tasks.get() + 1);
        Self {
            worker,
            listener,
            counters,
        }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.listener.connections.fetch_sub(1, Ordering::Relaxed);
        self.counters.connection_closed();
        self.worker.task_ended();
    }
}
