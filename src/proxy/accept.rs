//! Takes connections from a listener's queue: within the listener's limit, without spinning where the
//! process has no descriptors left, and to the last that waits when it ends. Whoever wakes first
//! takes them all; each goes to the worker that has fewest.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::net::{SocketFlags, accept_with, acceptfrom_with};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::spawn_local;

use crate::io::{Socket, Stream};
use crate::proxy::bind::{BoundSocket, Family};
use crate::proxy::call::Session;
use crate::proxy::endpoint::{Accepting, Endpoint, Served};
use crate::proxy::hub::{Accepted, Order, Seat};
use crate::proxy::serve::serve;
use crate::proxy::worker::Worker;
use crate::record::SlotCounters;

/// How long accepting pauses at most when the process has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Of a queue that is filled as fast as it is emptied, no more is taken at the end.
const LAST_CONNECTIONS: usize = 8192;

/// A listener's socket that this worker's runtime watches.
enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection that no runtime watches.
#[derive(Debug)]
pub(super) struct Taken {
    socket: OwnedFd,
    family: Family,
}

impl Taken {
    fn watched(self) -> io::Result<Socket> {
        match self.family {
            Family::Tcp => TcpStream::from_std(self.socket.into()).map(Socket::Tcp),
            Family::Unix => UnixStream::from_std(self.socket.into()).map(Socket::Unix),
        }
    }
}

impl Acceptor {
    fn new(socket: BoundSocket) -> io::Result<Self> {
        Ok(match socket.family() {
            Family::Tcp => Self::Tcp(TcpListener::from_std(socket.into_fd().into())?),
            Family::Unix => Self::Unix(UnixListener::from_std(socket.into_fd().into())?),
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

    /// Takes one that waits. The system is asked: the runtime tells only of connections that it has
    /// heard of.
    fn accept_now(&self) -> io::Result<(Taken, Option<SocketAddr>)> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (socket, family, peer) = match self {
            Self::Tcp(listener) => {
                let (socket, peer) = acceptfrom_with(listener, flags)?;
                let peer = peer.and_then(|it| it.try_into().ok());
                (socket, Family::Tcp, peer)
            }
            Self::Unix(listener) => (accept_with(listener, flags)?, Family::Unix, None),
        };
        Ok((Taken { socket, family }, peer))
    }
}

/// A watched connection, to be watched by another worker.
fn release(socket: Socket) -> io::Result<Taken> {
    let (socket, family) = match socket {
        Socket::Tcp(stream) => (stream.into_std()?.into(), Family::Tcp),
        Socket::Unix(stream) => (stream.into_std()?.into(), Family::Unix),
        Socket::Over(_) => return Err(io::ErrorKind::Unsupported.into()),
    };
    Ok(Taken { socket, family })
}

/// Accepts until the listener is gone or all drains, and then what waits in the queue still.
pub(super) async fn accept(worker: Rc<Worker>, endpoint: Arc<Endpoint>, socket: BoundSocket) {
    let mut accepting = endpoint.accepting();
    let acceptor = match Acceptor::new(socket) {
        Ok(acceptor) => acceptor,
        Err(error) => {
            tracing::error!(%error, "a worker cannot watch a listener's socket");
            return;
        }
    };
    loop {
        let accepted = tokio::select! {
            biased;
            () = ended(&mut accepting) => break,
            accepted = acceptor.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => {
                resume(&endpoint);
                place(&worker, &endpoint, Connection::Here(socket), peer);
            }
            // The client has left the queue by itself.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            // No descriptors, most likely: trying at once again would only spin.
            Err(error) => pause(&worker, &endpoint, &error).await,
        }
    }
    if *accepting.borrow() == Accepting::Draining {
        worker.draining.set(true);
    }
    empty(&worker, &endpoint, &acceptor);
}

/// Ready when nothing more is to be waited for.
async fn ended(accepting: &mut watch::Receiver<Accepting>) {
    // An error says that the endpoint is gone, which ends it too.
    let stopped = accepting.wait_for(|it| *it != Accepting::Yes).await;
    drop(stopped);
}

async fn pause(worker: &Worker, endpoint: &Endpoint, error: &io::Error) {
    if !endpoint.pausing.swap(true, Ordering::Relaxed) && endpoint.pause_told.is_due() {
        tracing::warn!(listener = %name(endpoint), %error, "accepting pauses");
    }
    worker.hub.descriptor_freed(ACCEPT_PAUSE).await;
}

fn resume(endpoint: &Endpoint) {
    if endpoint.pausing.load(Ordering::Relaxed) && endpoint.pausing.swap(false, Ordering::Relaxed) {
        tracing::debug!(listener = %name(endpoint), "accepting goes on");
    }
}

/// Takes what waits in the queue: closing the socket would reset it.
fn empty(worker: &Rc<Worker>, endpoint: &Endpoint, acceptor: &Acceptor) {
    for _ in 0..LAST_CONNECTIONS {
        match acceptor.accept_now() {
            Ok((taken, peer)) => place(worker, endpoint, Connection::Taken(taken), peer),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "a connection that waited was not served");
                return;
            }
        }
    }
}

/// A connection that was just accepted.
enum Connection {
    /// This worker's runtime watches it already.
    Here(Socket),
    Taken(Taken),
}

/// Finds the worker that is to serve a connection, where its listener has room for it.
fn place(
    worker: &Rc<Worker>,
    endpoint: &Endpoint,
    connection: Connection,
    peer: Option<SocketAddr>,
) {
    let served = endpoint.served();
    let limit = served.snapshot.limits.connections_per_listener;
    // A worker that drains keeps what it takes: the others may have ended.
    let to = if worker.hub.len() == 1 || worker.draining.get() {
        worker.index
    } else {
        worker.hub.lightest(worker.index)
    };
    let Some(seat) = Seat::take(&worker.hub, to, &served.listener, limit) else {
        return refuse(worker, endpoint, &served);
    };
    let placed = if to == worker.index {
        let socket = match connection {
            Connection::Here(socket) => Ok(socket),
            Connection::Taken(taken) => taken.watched(),
        };
        socket.map(|it| open(worker, it, peer, &served, seat))
    } else {
        let taken = match connection {
            Connection::Here(socket) => release(socket),
            Connection::Taken(taken) => Ok(taken),
        };
        taken.map(|socket| {
            let accepted = Accepted {
                socket,
                peer,
                served,
                seat,
            };
            if let Err(Order::Serve(mut accepted)) = worker.hub.send(to, Order::Serve(accepted)) {
                accepted.seat.move_to(worker.index);
                take_over(worker, accepted);
            }
        })
    };
    if let Err(error) = placed {
        tracing::warn!(%error, "a connection cannot be watched: it is closed");
    }
}

/// Serves a connection that another worker accepted.
pub(super) fn take_over(worker: &Rc<Worker>, accepted: Accepted) {
    let Accepted {
        socket,
        peer,
        served,
        seat,
    } = accepted;
    match socket.watched() {
        Ok(socket) => open(worker, socket, peer, &served, seat),
        Err(error) => tracing::warn!(%error, "a connection cannot be watched: it is closed"),
    }
}

/// The connection is closed; that many were is counted, and told every now and then.
fn refuse(worker: &Worker, endpoint: &Endpoint, served: &Served) {
    let (generation, place) = worker.place_for(served);
    generation.counters(place, 0).connection_refused();
    endpoint.refused.fetch_add(1, Ordering::Relaxed);
    if endpoint.refusal_told.is_due() {
        let refused = endpoint.refused.swap(0, Ordering::Relaxed);
        let listener = &generation.snapshot.listeners[place].name;
        let limit = generation.snapshot.limits.connections_per_listener;
        tracing::warn!(%listener, limit, refused, "connections refused: the listener has no room");
    }
}

fn name(endpoint: &Endpoint) -> Arc<str> {
    let served = endpoint.served();
    let place = served.snapshot.place_of(&served.listener);
    let listener = place.and_then(|it| served.snapshot.listeners.get(it));
    listener.map_or_else(|| "".into(), |it| Arc::clone(&it.name))
}

/// Serves a connection on a task of its own.
fn open(
    worker: &Rc<Worker>,
    socket: Socket,
    peer: Option<SocketAddr>,
    served: &Served,
    seat: Seat,
) {
    let (generation, place) = worker.place_for(served);
    let counters = generation.counters(place, 0).clone();
    drop(generation);
    let guard = ConnectionGuard::new(worker.clone(), seat, counters);
    let session = Session {
        worker: worker.clone(),
        listener: Arc::clone(&served.listener),
        peer,
        sni: None,
        client: Stream::new(socket),
        http2: false,
    };
    spawn_local(async move {
        let _guard = guard;
        serve(session).await;
    });
}

/// Counts a connection for as long as its task lives, however that ends.
struct ConnectionGuard {
    worker: Rc<Worker>,
    _seat: Seat,
    counters: SlotCounters,
}

impl ConnectionGuard {
    fn new(worker: Rc<Worker>, seat: Seat, counters: SlotCounters) -> Self {
        counters.connection_opened();
        worker.tasks.set(worker.tasks.get() + 1);
        Self {
            worker,
            _seat: seat,
            counters,
        }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.counters.connection_closed();
        self.worker.task_ended();
    }
}
