//! Streams that are carried by others: TLS, and the streams of an HTTP/2 connection, which can do
//! more than a connection of HTTP/1.1. And what carries them.

use std::fmt::Debug;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Socket, Stream, poll_once};

/// A stream that is carried by another one. What it has read of that and not given out yet is what
/// sets it apart from a socket: readiness must tell of it.
pub trait Transport: AsyncRead + AsyncWrite + Debug + Unpin {
    /// Ready where a read would give something: bytes, the end or an error.
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Whether it is known, without a system call, that the peer sends nothing more and that
    /// nothing of it is left to read.
    fn is_read_closed(&mut self) -> bool;

    /// As [`Stream::poll_peer_closed`]. What carries streams side by side knows of an end whatever
    /// waits unread before it.
    fn poll_peer_closed(&mut self, context: &mut Context<'_>) -> Poll<Option<()>> {
        match self.poll_readable(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) if !self.is_read_closed() => Poll::Ready(None),
            Poll::Ready(_) => Poll::Ready(Some(())),
        }
    }

    /// Makes the coming drop an abort that the peer can tell from an orderly end.
    fn reset_on_close(&mut self);

    /// The coming abort tells the peer this code (RFC 9113 §7). False where there are no codes.
    fn set_reset_code(&mut self, _code: u32) -> bool {
        false
    }

    /// Waits for the end behind a body of announced length, all of which was read, and gives the
    /// trailer lines that stand before it.
    fn poll_trailers(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        Poll::Ready(Ok(Vec::new()))
    }

    /// Whether a body of announced length that is written from now on does not end with its last
    /// byte but by [`end`](Self::end).
    fn hold_end(&mut self, _held: bool) {}

    /// Ends such a body with these trailer lines. Whose end was told is not ended again.
    fn end(&mut self, _trailers: Vec<u8>) -> io::Result<()> {
        Ok(())
    }
}

impl Stream {
    fn carried<R>(&self, other: R, ask: impl FnOnce(&mut dyn Transport) -> R) -> R {
        match &mut *self.socket.borrow_mut() {
            Socket::Tcp(_) | Socket::Unix(_) => other,
            Socket::Over(stream) => ask(&mut **stream),
        }
    }

    /// As [`Transport::set_reset_code`].
    pub fn set_reset_code(&self, code: u32) -> bool {
        self.carried(false, |stream| stream.set_reset_code(code))
    }

    /// As [`Transport::poll_trailers`].
    pub fn poll_trailers(&self, context: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        let none = Poll::Ready(Ok(Vec::new()));
        self.carried(none, |stream| stream.poll_trailers(context))
    }

    /// The same, where they have come already.
    pub fn trailers_at_hand(&self) -> Option<io::Result<Vec<u8>>> {
        poll_once(poll_fn(|context| self.poll_trailers(context)))
    }

    /// As [`Transport::hold_end`].
    pub fn hold_end(&self, held: bool) {
        self.carried((), |stream| stream.hold_end(held));
    }

    /// As [`Transport::end`].
    pub fn end(&self, trailers: Vec<u8>) -> io::Result<()> {
        self.carried(Ok(()), |stream| stream.end(trailers))
    }
}

impl Stream {
    fn socket(self: Pin<&mut Self>) -> &mut Socket {
        self.get_mut().socket.get_mut()
    }
}

/// For what carries streams of its own: TLS, HTTP/2.
impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.socket() {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(context, room),
            Socket::Unix(stream) => Pin::new(stream).poll_read(context, room),
            Socket::Over(stream) => Pin::new(stream).poll_read(context, room),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.socket() {
            Socket::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Socket::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            Socket::Over(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.socket() {
            Socket::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Socket::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Socket::Over(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &*self.socket.borrow() {
            Socket::Tcp(stream) => stream.is_write_vectored(),
            Socket::Unix(stream) => stream.is_write_vectored(),
            Socket::Over(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_flush(&self, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_shutdown(&self, context)
    }
}
