//! HTTP/2 towards clients (RFC 9113): the connection. Each of its streams is seen by the driver as a
//! connection of HTTP/1.1 that carries one call, so that whatever holds there holds here.

mod answer;
mod guard;
mod request;
mod stream;
mod wire;

use std::cell::Cell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use tokio::task::spawn_local;
use tokio::time::Sleep;

use crate::error::ignore;
use crate::io::{Buffer, Socket, Stream};
use crate::proxy::call::Session;
use crate::proxy::http;
use crate::proxy::http2::guard::Flood;
use crate::proxy::http2::stream::Carried;
use crate::proxy::http2::wire::Wire;
use crate::proxy::park::Place;
use crate::proxy::worker::Worker;
use crate::snapshot::{Limits, ListenerState};

pub(in crate::proxy) use request::write_head;

/// What a client sends first on a connection of this protocol.
pub(in crate::proxy) const PREFACE_LINE: &[u8] = b"PRI * HTTP/2.0";

/// What an answer may lie here for a client that does not read: of one stream.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams that we reset are remembered, for frames of theirs that are on their way: one that is
/// forgotten too early would end the connection. Rules may reset many.
const RESET_STREAMS: usize = 1024;
/// Streams that a client's own errors made us reset, in the life of a connection (CVE-2025-8671).
const ERROR_STREAMS: usize = 256;
/// How long a connection without streams may take to end once it was told to, and a stream whose
/// answer is whole.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a connection shares with its streams and with the bytes under it.
#[derive(Debug, Default)]
struct Shared {
    /// Frames of ours that the client may answer with frames of its own.
    credit: Cell<u32>,
    flood: Cell<Option<Flood>>,
    /// The client is in the middle of a head, or has not begun.
    in_head: Cell<bool>,
}

/// Serves one connection to its end. `early`: what was read of it already.
pub(in crate::proxy) async fn serve(session: Session, early: Buffer) {
    let shared = Rc::new(Shared::default());
    let limits = session.worker.generation().snapshot.limits.clone();
    let Session {
        worker,
        listener,
        peer,
        sni,
        client,
        ..
    } = session;
    let wire = Wire::new(client, early, Rc::clone(&shared));
    let handshake = builder(&limits).handshake::<_, Bytes>(wire);
    let connection = match tokio::time::timeout(limits.header_timeout, handshake).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return tracing::debug!(?peer, %error, "no HTTP/2 after all"),
        Err(_) => return tracing::debug!(?peer, "HTTP/2 did not begin in time"),
    };
    let mut served = Served {
        connection,
        streams: Streams {
            worker: Rc::clone(&worker),
            listener: Arc::clone(&listener),
            peer,
            sni,
            shared,
            open: Rc::default(),
        },
        header_timeout: limits.header_timeout,
        ending: false,
        deadline: None,
    };
    let place = worker.parked.place(&listener);
    poll_fn(|context| served.poll(context, &place)).await;
}

fn builder(limits: &Limits) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(limits.h2_streams)
        .initial_window_size(limits.h2_stream_window)
        .initial_connection_window_size(limits.h2_connection_window)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(RESET_STREAMS)
        .max_local_error_reset_streams(Some(ERROR_STREAMS));
    builder
}

/// Why a connection has only so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Because {
    /// It was told to end, and carries nothing any more.
    Ending,
    /// Its client is in the middle of a head.
    Head,
}

/// A connection that is served.
struct Served {
    connection: Connection<Wire, Bytes>,
    streams: Streams,
    header_timeout: Duration,
    /// The client was told that no further stream is taken.
    ending: bool,
    deadline: Option<(Because, Pin<Box<Sleep>>)>,
}

impl Served {
    /// Ready when the connection has ended.
    fn poll(&mut self, context: &mut Context<'_>, place: &Place<'_>) -> Poll<()> {
        loop {
            match self.connection.poll_accept(context) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.streams.open(request, respond);
                    continue;
                }
                Poll::Ready(Some(Err(error))) => {
                    let peer = self.streams.peer;
                    tracing::debug!(?peer, %error, "HTTP/2 connection ended");
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => {}
            }
            if let Some(flood) = self.streams.shared.flood.take() {
                self.flooded(flood);
                continue;
            }
            let idle = self.streams.open.get() == 0;
            if !self.ending && place.poll_leave(context, idle) {
                self.ending = true;
                self.connection.graceful_shutdown();
                continue;
            }
            if self.poll_deadline(context, idle).is_ready() {
                return Poll::Ready(());
            }
            return Poll::Pending;
        }
    }

    fn flooded(&mut self, flood: Flood) {
        let peer = self.streams.peer;
        tracing::info!(?peer, reason = %flood, "HTTP/2 connection ended: flood");
        self.ending = true;
        self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
    }

    /// Ready where the client takes too long for what it owes.
    fn poll_deadline(&mut self, context: &mut Context<'_>, idle: bool) -> Poll<()> {
        let because = if self.ending && idle {
            Some((Because::Ending, FAREWELL))
        } else if self.streams.shared.in_head.get() {
            Some((Because::Head, self.header_timeout))
        } else {
            None
        };
        let Some((because, time)) = because else {
            self.deadline = None;
            return Poll::Pending;
        };
        let known = self.deadline.as_ref().map(|(because, _)| *because);
        if known != Some(because) {
            self.deadline = Some((because, Box::pin(tokio::time::sleep(time))));
        }
        let Some((_, sleep)) = &mut self.deadline else {
            return Poll::Pending;
        };
        sleep.as_mut().poll(context).map(|()| {
            let peer = self.streams.peer;
            tracing::debug!(?peer, ?because, "HTTP/2 connection closed: too slow");
        })
    }
}

/// What the streams of a connection have in common.
struct Streams {
    worker: Rc<Worker>,
    listener: Arc<ListenerState>,
    peer: Option<SocketAddr>,
    sni: Option<Box<str>>,
    shared: Rc<Shared>,
    /// Streams whose calls are not over.
    open: Rc<Cell<usize>>,
}

impl Streams {
    /// Serves a stream's call on a task of its own.
    fn open(&self, request: ::http::Request<RecvStream>, respond: SendResponse<Bytes>) {
        let guard = StreamGuard::new(&self.worker, &self.open);
        let (parts, body) = request.into_parts();
        let carried = Carried::new(&parts, body, respond, Rc::clone(&self.shared));
        let ended = carried.is_read();
        let session = Session {
            worker: Rc::clone(&self.worker),
            listener: Arc::clone(&self.listener),
            peer: self.peer,
            sni: self.sni.clone(),
            client: Stream::new(Socket::Over(Box::new(carried))),
            http2: true,
        };
        spawn_local(async move {
            let _guard = guard;
            http::single(&session, |buffer, limits| {
                write_head(&parts, ended, buffer, limits)
            })
            .await;
            if !ended {
                ignore(tokio::time::timeout(FAREWELL, session.client.shutdown()).await);
            }
        });
    }
}

/// Counts a stream for as long as its task lives, however that ends.
struct StreamGuard {
    worker: Rc<Worker>,
    open: Rc<Cell<usize>>,
}

impl StreamGuard {
    fn new(worker: &Rc<Worker>, open: &Rc<Cell<usize>>) -> Self {
        open.set(open.get() + 1);
        worker.tasks.set(worker.tasks.get() + 1);
        Self {
            worker: Rc::clone(worker),
            open: Rc::clone(open),
        }
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.open.set(self.open.get() - 1);
        self.worker.task_ended();
    }
}
