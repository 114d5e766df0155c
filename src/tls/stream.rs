//! A connection after its handshake.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::{HandshakeKind, ProtocolVersion};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream as Inner;

use crate::io::{Socket, Transport};
use crate::tls::ALPN_HTTP_2;

/// A carried stream. What is written to it may stay inside until it is flushed.
#[derive(Debug)]
pub struct TlsStream {
    inner: Inner<Socket>,
    /// Many clients close without saying so (`close_notify`). Nothing of theirs is taken for whole
    /// because of an end, so that it may pass as one; of an upstream it would hide that an answer
    /// was cut (RFC 8446 §6.1).
    takes_bare_end: bool,
    /// The peer sends nothing more, and nothing of it is left to read.
    ended: bool,
    /// How reading failed behind bytes that were given out first.
    failed: Option<io::Error>,
}

impl TlsStream {
    pub(super) fn of_client(inner: tokio_rustls::server::TlsStream<Socket>) -> Self {
        Self::new(inner.into(), true)
    }

    pub(super) fn of_upstream(inner: tokio_rustls::client::TlsStream<Socket>) -> Self {
        Self::new(inner.into(), false)
    }

    fn new(inner: Inner<Socket>, takes_bare_end: bool) -> Self {
        Self {
            inner,
            takes_bare_end,
            ended: false,
            failed: None,
        }
    }

    /// Whether both sides have chosen HTTP/2.
    pub fn is_http2(&self) -> bool {
        self.inner.get_ref().1.alpn_protocol() == Some(ALPN_HTTP_2)
    }

    /// The host that the client named.
    pub fn server_name(&self) -> Option<&str> {
        match &self.inner {
            Inner::Server(stream) => stream.get_ref().1.server_name(),
            Inner::Client(_) => None,
        }
    }

    /// Whether the peers knew each other from an earlier connection.
    pub fn is_resumed(&self) -> bool {
        self.inner.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    pub fn version(&self) -> Option<ProtocolVersion> {
        self.inner.get_ref().1.protocol_version()
    }

    /// Bytes of the peer; none at its end.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let Self {
            inner,
            takes_bare_end,
            ended,
            failed,
        } = self;
        if let Some(error) = failed.take() {
            *ended = true;
            return Poll::Ready(Err(error));
        }
        match Pin::new(inner).poll_fill_buf(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(bytes)) => {
                *ended |= bytes.is_empty();
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => {
                *ended = true;
                if *takes_bare_end && error.kind() == io::ErrorKind::UnexpectedEof {
                    return Poll::Ready(Ok(&[]));
                }
                Poll::Ready(Err(error))
            }
        }
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = room.filled().len();
        while room.remaining() > 0 {
            let had = room.filled().len() > before;
            let count = match self.poll_fill(context) {
                Poll::Ready(Ok([])) => break,
                Poll::Ready(Ok(bytes)) => {
                    let count = bytes.len().min(room.remaining());
                    room.put_slice(&bytes[..count]);
                    count
                }
                Poll::Ready(Err(error)) if had => {
                    self.failed = Some(error);
                    self.ended = false;
                    break;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if had => break,
                Poll::Pending => return Poll::Pending,
            };
            Pin::new(&mut self.inner).consume(count);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    /// Says that nothing more comes (`close_notify`), then sends FIN; the peer may go on sending.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

impl Transport for TlsStream {
    /// By what a read would give: a session ticket is no byte of the peer's.
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.failed.is_some() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_fill(context))?;
        Poll::Ready(Ok(()))
    }

    fn is_read_closed(&mut self) -> bool {
        self.ended || self.failed.is_some()
    }

    fn reset_on_close(&mut self) {
        self.inner.get_mut().0.reset_on_close();
    }
}
