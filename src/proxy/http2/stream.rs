//! One stream of an HTTP/2 connection, as the driver's client: reading it gives the request's body
//! as HTTP/1.1 frames it, writing to it takes an answer of HTTP/1.1.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use h2::RecvStream;
use h2::server::SendResponse;
use http::Method;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http1::chunk_header;
use crate::io::Transport;
use crate::proxy::http2::Shared;
use crate::proxy::http2::answer::{Answering, is_forbidden_trailer};

/// Where reading stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Its length is announced: as it comes, so many bytes more.
    Raw(u64),
    Chunked,
    Done,
}

/// One stream.
pub(super) struct Carried {
    body: RecvStream,
    reading: Reading,
    /// Framing that is to be read before anything else, from `text_at` on.
    text: Vec<u8>,
    text_at: usize,
    /// Payload that was taken out of the connection and not read yet.
    data: Bytes,
    pub(super) answering: Answering,
    /// The client has reset the stream, or its connection is over.
    gone: bool,
}

impl std::fmt::Debug for Carried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Carried")
            .field("stream", &self.body.stream_id())
            .field("reading", &self.reading)
            .finish_non_exhaustive()
    }
}

impl Carried {
    pub(super) fn new(
        parts: &Parts,
        body: RecvStream,
        respond: SendResponse<Bytes>,
        shared: Rc<Shared>,
    ) -> Self {
        let reading = if body.is_end_stream() {
            Reading::Done
        } else if let Some(length) = parts.headers.get(CONTENT_LENGTH) {
            // What is no number does not come here: the library refuses it.
            let length = length.to_str().ok().and_then(|it| it.parse().ok());
            Reading::Raw(length.unwrap_or(u64::MAX))
        } else {
            Reading::Chunked
        };
        Self {
            body,
            reading,
            text: Vec::new(),
            text_at: 0,
            data: Bytes::new(),
            answering: Answering::new(respond, parts.method == Method::HEAD, shared),
            gone: false,
        }
    }

    /// Whether no body is to be read.
    pub(super) fn is_read(&self) -> bool {
        self.reading == Reading::Done
    }

    fn has_bytes(&self) -> bool {
        self.text_at < self.text.len() || !self.data.is_empty()
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !self.gone {
            self.gone = self.answering.poll_reset(context).is_ready();
        }
        if self.gone {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Gets more to read. When the request is whole, only the stream's end is waited for.
    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.has_bytes() {
            if self.reading == Reading::Done {
                return self.poll_gone(context).map(|()| Err(reset()));
            }
            match self.body.poll_data(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(data))) => self.take(data),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(self.failed(error))),
                Poll::Ready(None) if matches!(self.reading, Reading::Raw(_)) => {
                    self.reading = Reading::Done;
                }
                Poll::Ready(None) => match self.body.poll_trailers(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(trailers)) => self.end_chunks(trailers.as_ref()),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(self.failed(error))),
                },
            }
        }
        Poll::Ready(Ok(()))
    }

    fn take(&mut self, data: Bytes) {
        if self.reading == Reading::Chunked && !data.is_empty() {
            self.text.clear();
            self.text_at = 0;
            chunk_header(data.len(), &mut self.text);
        }
        self.data = data;
    }

    fn end_chunks(&mut self, trailers: Option<&http::HeaderMap>) {
        self.text.clear();
        self.text_at = 0;
        self.text.extend_from_slice(b"0\r\n");
        for (name, value) in trailers.into_iter().flatten() {
            if !is_forbidden_trailer(name) {
                for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                    self.text.extend_from_slice(part);
                }
            }
        }
        self.text.extend_from_slice(b"\r\n");
        self.reading = Reading::Done;
    }

    fn failed(&mut self, error: h2::Error) -> io::Error {
        self.gone = true;
        (self.text, self.data) = (Vec::new(), Bytes::new());
        self.text_at = 0;
        io::Error::new(io::ErrorKind::ConnectionReset, error)
    }

    /// Gives out what is at hand.
    fn give(&mut self, room: &mut ReadBuf<'_>) {
        let text = &self.text[self.text_at..];
        let count = text.len().min(room.remaining());
        room.put_slice(&text[..count]);
        self.text_at += count;
        let count = self.data.len().min(room.remaining());
        if count == 0 {
            return;
        }
        room.put_slice(&self.data[..count]);
        self.data.advance(count);
        if let Reading::Raw(left) = &mut self.reading {
            *left = left.saturating_sub(count as u64);
        }
        // The client may send as much again. A stream that is over needs no window.
        crate::error::ignore(self.body.flow_control().release_capacity(count));
        if self.data.is_empty() && self.reading == Reading::Chunked {
            self.text.clear();
            self.text.extend_from_slice(b"\r\n");
            self.text_at = 0;
        }
    }
}

/// The client ended the stream.
pub(super) fn reset() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

impl AsyncRead for Carried {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = room.filled().len();
        while room.remaining() > 0 {
            match self.poll_more(context) {
                Poll::Ready(Ok(())) => self.give(room),
                // What was read is passed on first; the failure is found again.
                _ if room.filled().len() > before => break,
                other => return other,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Carried {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.answering.poll_write(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.answering.poll_write(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The answer is whole. A request whose last byte has come waits for its end mark, which is a
    /// frame of its own with some clients: the stream would else be reset before it.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.answering.finish()?;
        while self.reading == Reading::Raw(0) && !self.gone {
            match self.body.poll_data(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(self.failed(error))),
                Poll::Ready(None) => self.reading = Reading::Done,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Transport for Carried {
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gone {
            return Poll::Ready(Ok(()));
        }
        self.poll_more(context)
    }

    fn is_read_closed(&mut self) -> bool {
        self.gone
    }

    /// A reset is told whatever waits unread before it.
    fn poll_peer_closed(&mut self, context: &mut Context<'_>) -> Poll<Option<()>> {
        self.poll_gone(context).map(Some)
    }

    fn reset_on_close(&mut self) {
        self.answering.abort();
    }

    fn set_reset_code(&mut self, code: u32) -> bool {
        self.answering.code = code.into();
        true
    }

    fn hold_end(&mut self, held: bool) {
        self.answering.held = held;
    }

    fn end(&mut self, trailers: Vec<u8>) -> io::Result<()> {
        self.answering.end(trailers)
    }
}
