//! HTTP/2 towards upstreams (RFC 9113): connections whose streams the HTTP/1.1 driver uses as if
//! each were a connection of its own. A call writes its request as HTTP/1.1 text and reads the
//! answer so; `request` and `response` turn text into frames and back.

mod failure;
mod request;
mod response;
mod stream;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use tokio::task::spawn_local;
use tokio::time::Instant;

pub use failure::{h2_reason, is_unprocessed, unsayable};
pub(super) use stream::Carried;

use crate::io::Stream;
use crate::upstream::pool::Home;

/// What an upstream may send of one answer before the client has taken it.
const STREAM_WINDOW: u32 = 256 << 10;
/// All streams of a connection together: so many slow clients that none keeps the others waiting.
const CONNECTION_WINDOW: u32 = 32 << 20;
/// What is taken of one request before the upstream's window opens.
const SEND_BUFFER: usize = 256 << 10;
/// A larger head is no answer; the driver's own limit lies below.
const HEADER_LIST: u32 = 256 << 10;
/// Stands for "the upstream's settings have not come".
const UNKNOWN: usize = usize::MAX - 1;

/// One HTTP/2 connection of a worker. It lives until the pool and the last stream let it go.
#[derive(Debug)]
pub(super) struct Shared {
    sender: RefCell<SendRequest<Bytes>>,
    /// Streams that calls hold.
    active: Cell<usize>,
    pub(super) born: Instant,
    pub(super) home: Home,
    /// Set by the first sweep that finds it without a stream.
    idle_since: Cell<Option<Instant>>,
    /// The upstream's scheme, as requests name it.
    secure: bool,
}

impl Shared {
    /// Opens HTTP/2 on a connection, and waits for the upstream's settings: they say how many
    /// streams it takes, and that it speaks HTTP/2 at all. One that takes none is waited for until
    /// it does.
    pub(super) async fn open(stream: Stream, secure: bool, home: Home) -> io::Result<Rc<Self>> {
        let mut builder = Builder::new();
        builder
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(HEADER_LIST)
            .initial_max_send_streams(UNKNOWN)
            .enable_push(false);
        let (sender, connection) = builder.handshake(stream).await.map_err(failure::of)?;
        let mut connection = Box::pin(connection);
        poll_fn(|context| match connection.as_mut().poll(context) {
            Poll::Ready(Ok(())) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(failure::of(error))),
            Poll::Pending if matches!(sender.current_max_send_streams(), 0 | UNKNOWN) => {
                Poll::Pending
            }
            Poll::Pending => Poll::Ready(Ok(())),
        })
        .await?;
        spawn_local(drive(connection));
        Ok(Rc::new(Self {
            sender: RefCell::new(sender),
            active: Cell::new(0),
            born: Instant::now(),
            home,
            idle_since: Cell::new(None),
            secure,
        }))
    }

    /// Whether it takes streams still: neither closed nor told to go away.
    pub(super) fn is_open(&self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        // No stream of this handle waits, so that this tells of errors alone.
        let ready = self.sender.borrow_mut().poll_ready(&mut context);
        matches!(ready, Poll::Ready(Ok(())))
    }

    pub(super) fn has_room(&self) -> bool {
        self.active.get() < self.sender.borrow().current_max_send_streams() && self.is_open()
    }

    /// A stream for one call.
    pub(super) fn carry(self: &Rc<Self>) -> Carried {
        self.idle_since.set(None);
        Carried::new(self)
    }

    /// How long it has carried no stream, as far as sweeps have seen.
    pub(super) fn idle_since(&self, now: Instant) -> Option<Instant> {
        if self.active.get() > 0 {
            self.idle_since.set(None);
        } else if self.idle_since.get().is_none() {
            self.idle_since.set(Some(now));
        }
        self.idle_since.get()
    }
}

/// Reads and writes a connection's frames until it has ended.
async fn drive(connection: Pin<Box<h2::client::Connection<Stream, Bytes>>>) {
    if let Err(error) = connection.await {
        tracing::debug!(%error, "an HTTP/2 connection to an upstream ended");
    }
}
