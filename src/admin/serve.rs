//! Serves one socket. Connections are bounded in number and time, so that slow or forgetful
//! clients neither starve others nor pile up.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::admin::keeper::Keeper;
use crate::admin::peer::{End, Peer};
use crate::admin::places::{CONNECTIONS, Share, Shares};
use crate::admin::progress::Progress;
use crate::admin::socket::{AsyncListener, Socket};
use crate::tls::{ServerTls, names};

/// Handshakes under way. Each costs a signature, and this thread has others to answer.
const HANDSHAKES: usize = 64;
const HANDSHAKE_TIME: Duration = Duration::from_secs(5);
/// How long a request's head may take, and how long a connection may be idle.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// After this a connection ends once its answer is out.
const MAX_AGE: Duration = Duration::from_secs(300);
/// How long an answer may then still take.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// The pause after an accept that failed: descriptors may be used up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves plain requests of whoever connects, until it is stopped.
pub(crate) async fn serve(socket: Socket, router: Router, stop: watch::Receiver<bool>) {
    Serving::new(router, None, stop).serve(socket).await;
}

/// What is done with each connection.
#[derive(Clone)]
pub(super) struct Serving {
    router: Router,
    /// Says whether connections are carried in TLS; of the health listener there is none.
    keeper: Option<Arc<Keeper>>,
    handshakes: Arc<Semaphore>,
    shares: Shares,
    stop: watch::Receiver<bool>,
}

impl Serving {
    pub(super) fn new(
        router: Router,
        keeper: Option<Arc<Keeper>>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            router,
            keeper,
            handshakes: Arc::new(Semaphore::new(HANDSHAKES)),
            shares: Shares::default(),
            stop,
        }
    }

    pub(super) async fn serve(mut self, socket: Socket) {
        let listener = match socket.into_async() {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, "the admin listener could not be served");
                return;
            }
        };
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        while let Some(()) = self.accept(&listener, &places, &mut connections).await {
            // Reap those that have ended.
            while connections.try_join_next().is_some() {}
        }
        drop(listener);
        // Each connection was told too, and ends within its grace.
        while connections.join_next().await.is_some() {}
    }

    /// Accepts one connection; `None` once stopped.
    async fn accept(
        &mut self,
        listener: &AsyncListener,
        places: &Arc<Semaphore>,
        connections: &mut JoinSet<()>,
    ) -> Option<()> {
        let place = tokio::select! {
            place = Arc::clone(places).acquire_owned() => place.ok()?,
            _ = self.stop.wait_for(|stop| *stop) => return None,
        };
        let served = self.clone();
        let accepted = async {
            match listener {
                AsyncListener::Tcp(it) => it.accept().await.map(|(io, address)| {
                    let end = End::Tcp(address);
                    if let Some(place) = served.place(end, place) {
                        connections.spawn(served.tcp(io, end, place));
                    }
                }),
                AsyncListener::Unix(it) => it.accept().await.map(|(io, _)| {
                    let end = owner(&io);
                    if let Some(place) = served.place(end, place) {
                        connections.spawn(async move {
                            served.http(io, Peer::new(end, Vec::new())).await;
                            drop(place);
                        });
                    }
                }),
            }
        };
        tokio::select! {
            accepted = accepted => {
                if let Err(error) = accepted {
                    tracing::warn!(%error, "the admin listener could not accept");
                    sleep(ACCEPT_PAUSE).await;
                }
                Some(())
            }
            _ = self.stop.wait_for(|stop| *stop) => None,
        }
    }

    /// A place of this peer's share; `None` where it has that already, and is closed at once.
    fn place(&self, end: End, permit: OwnedSemaphorePermit) -> Option<Place> {
        let Some(share) = self.shares.take(end) else {
            tracing::debug!(peer = %end, "too many connections to the admin API from there");
            return None;
        };
        Some(Place {
            _permit: permit,
            _share: share,
        })
    }

    async fn tcp(self, io: TcpStream, end: End, place: Place) {
        let tls = self.keeper.as_ref().and_then(|it| it.access().tls.clone());
        match tls {
            None => self.http(io, Peer::new(end, Vec::new())).await,
            Some(tls) => self.https(io, end, &tls).await,
        }
        drop(place);
    }

    async fn https(self, io: TcpStream, end: End, tls: &ServerTls) {
        // Nobody waits for a turn: who comes when so many have not finished tries again.
        let Ok(turn) = Arc::clone(&self.handshakes).try_acquire_owned() else {
            return tracing::debug!(peer = %end, "too many handshakes with the admin API at once");
        };
        let stream = match timeout(HANDSHAKE_TIME, tls.acceptor().accept(io)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                return tracing::debug!(peer = %end, %error, "no handshake with the admin API");
            }
            Err(_) => {
                return tracing::debug!(peer = %end, "a handshake with the admin API took too long");
            }
        };
        drop(turn);
        let shown = stream.get_ref().1.peer_certificates();
        let own = shown.and_then(<[_]>::first);
        let names = own.map(|it| names(it)).unwrap_or_default();
        self.http(stream, Peer::new(end, names)).await;
    }

    async fn http(mut self, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: Peer) {
        let peer = Arc::new(peer);
        let service = OfPeer {
            inner: TowerToHyperService::new(self.router),
            peer: Arc::clone(&peer),
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .serve_connection(TokioIo::new(Progress::new(io)), service);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            result = connection.as_mut() => return told(result),
            () = sleep(MAX_AGE) => {}
            _ = self.stop.wait_for(|stop| *stop) => {}
        }
        connection.as_mut().graceful_shutdown();
        if peer.follows() {
            // What it follows has no end of its own.
            tokio::select! {
                result = connection.as_mut() => return told(result),
                _ = self.stop.wait_for(|stop| *stop) => {}
            }
        }
        if let Ok(result) = timeout(GRACE, connection).await {
            told(result);
        }
    }
}

/// What a connection holds as long as it lasts.
struct Place {
    _permit: OwnedSemaphorePermit,
    _share: Share,
}

/// Who is at the other end of a unix socket, as the kernel knows them.
fn owner(io: &UnixStream) -> End {
    match io.peer_cred() {
        Ok(it) => End::Unix {
            uid: it.uid(),
            pid: it.pid(),
        },
        Err(_) => End::Unix {
            uid: u32::MAX,
            pid: None,
        },
    }
}

/// Tells each request who sent it.
struct OfPeer {
    inner: TowerToHyperService<Router>,
    peer: Arc<Peer>,
}

impl Service<Request<Incoming>> for OfPeer {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(Arc::clone(&self.peer));
        self.inner.call(request)
    }
}

fn told(result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "a connection broke off");
    }
}
