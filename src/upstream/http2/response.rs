//! From frames to an answer as HTTP/1.1 text.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderName, StatusCode, header};
use tokio::io::ReadBuf;

use super::failure;
use crate::http1::chunk_header;

/// The answer's side of a stream.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    state: State,
    /// Text that comes before `data`.
    text: Vec<u8>,
    given: usize,
    /// Payload that was not read yet; the upstream's window opens again as it is.
    data: Bytes,
    /// The chunk that `data` ends is to be closed.
    open_chunk: bool,
    to_head: bool,
    /// Lines that came behind a body of announced length, where HTTP/1.1 has no place for them.
    trailers: Vec<u8>,
}

#[derive(Debug, Default)]
enum State {
    /// No request was sent.
    #[default]
    Unopened,
    Head(ResponseFuture),
    Body(Body),
    /// Its failure was not told yet.
    Failed(io::Error),
    Over,
}

#[derive(Debug)]
struct Body {
    receive: RecvStream,
    /// Else the length is announced.
    chunked: bool,
}

impl Incoming {
    pub(super) fn awaiting(answer: ResponseFuture, to_head: bool) -> Self {
        Self {
            state: State::Head(answer),
            to_head,
            ..Self::default()
        }
    }

    /// Whether all of the answer was read.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Over) && self.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.text.is_empty() && self.data.is_empty() && !self.open_chunk
    }

    /// Ready where a read would give something.
    pub(super) fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.is_empty() {
            match self.state {
                // Both are told by a read.
                State::Over | State::Failed(_) => return Poll::Ready(Ok(())),
                _ => ready!(self.poll_frame(context)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for the end behind a body of announced length, and gives the trailers before it.
    pub(super) fn poll_trailers(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        loop {
            match std::mem::take(&mut self.state) {
                State::Over => {
                    self.state = State::Over;
                    return Poll::Ready(Ok(std::mem::take(&mut self.trailers)));
                }
                State::Failed(error) => {
                    self.state = State::Over;
                    return Poll::Ready(Err(error));
                }
                state => self.state = state,
            }
            ready!(self.poll_frame(context));
        }
    }

    /// As much as has come, in one read: a head with its body's end, where both are here.
    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = room.filled().len();
        loop {
            self.give(room);
            if room.remaining() == 0 || matches!(self.state, State::Over) {
                return Poll::Ready(Ok(()));
            }
            let any = room.filled().len() > before;
            if matches!(self.state, State::Failed(_)) {
                if any {
                    return Poll::Ready(Ok(()));
                }
                if let State::Failed(error) = std::mem::replace(&mut self.state, State::Over) {
                    return Poll::Ready(Err(error));
                }
            }
            if self.poll_frame(context).is_pending() {
                return if any {
                    Poll::Ready(Ok(()))
                } else {
                    Poll::Pending
                };
            }
        }
    }

    /// Moves what is held into the room.
    fn give(&mut self, room: &mut ReadBuf<'_>) {
        let text = &self.text[self.given..];
        let count = text.len().min(room.remaining());
        room.put_slice(&text[..count]);
        self.given += count;
        if self.given < self.text.len() {
            return;
        }
        self.text.clear();
        self.given = 0;
        let count = self.data.len().min(room.remaining());
        room.put_slice(&self.data[..count]);
        self.release(count);
        if self.data.is_empty() && std::mem::take(&mut self.open_chunk) {
            self.text.extend_from_slice(b"\r\n");
            let count = room.remaining().min(2);
            room.put_slice(&self.text[..count]);
            if count == 2 {
                self.text.clear();
            } else {
                self.given = count;
            }
        }
    }

    /// What was read no longer counts against the upstream's window.
    fn release(&mut self, count: usize) {
        // An empty one would keep the frame's memory.
        self.data = if count == self.data.len() {
            Bytes::new()
        } else {
            self.data.slice(count..)
        };
        if count > 0
            && let State::Body(body) = &mut self.state
        {
            // It fails for streams alone that are no more.
            crate::error::ignore(body.receive.flow_control().release_capacity(count));
        }
    }

    /// Takes the next frame; ready where there was one, or a failure.
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let result = match &mut self.state {
            State::Unopened => return Poll::Pending,
            State::Failed(_) | State::Over => return Poll::Ready(()),
            State::Head(_) => ready!(self.poll_head(context)),
            State::Body(_) => ready!(self.poll_body(context)),
        };
        if let Err(error) = result {
            self.state = State::Failed(failure::of(error));
        }
        Poll::Ready(())
    }

    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        let State::Head(answer) = &mut self.state else {
            return Poll::Ready(Ok(()));
        };
        if let Some(interim) = ready!(answer.poll_informational(context)) {
            let interim = interim?;
            status_line(interim.status(), &mut self.text);
            lines(interim.headers(), |_| true, &mut self.text);
            self.text.extend_from_slice(b"\r\n");
            return Poll::Ready(Ok(()));
        }
        let (head, receive) = ready!(Pin::new(answer).poll(context))?.into_parts();
        // RFC 9112 §6.3: the head says it all.
        let bodiless = self.to_head
            || head.status == StatusCode::NO_CONTENT
            || head.status == StatusCode::NOT_MODIFIED;
        let chunked = !bodiless && !head.headers.contains_key(header::CONTENT_LENGTH);
        status_line(head.status, &mut self.text);
        lines(
            &head.headers,
            |name| *name != header::TRANSFER_ENCODING,
            &mut self.text,
        );
        if chunked {
            self.text
                .extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        self.text.extend_from_slice(b"\r\n");
        self.state = State::Body(Body { receive, chunked });
        Poll::Ready(Ok(()))
    }

    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        let State::Body(body) = &mut self.state else {
            return Poll::Ready(Ok(()));
        };
        match ready!(body.receive.poll_data(context)) {
            Some(Ok(data)) => {
                if !data.is_empty() {
                    if body.chunked {
                        chunk_header(data.len(), &mut self.text);
                        self.open_chunk = true;
                    }
                    self.data = data;
                }
                return Poll::Ready(Ok(()));
            }
            // RFC 9113 §8.1: the answer is whole, and the rest of the request not wanted.
            Some(Err(error)) if error.is_remote() && error.reason() == Some(Reason::NO_ERROR) => {
                if body.chunked {
                    self.text.extend_from_slice(b"0\r\n\r\n");
                }
            }
            Some(Err(error)) => return Poll::Ready(Err(error)),
            None => {
                let trailers = ready!(body.receive.poll_trailers(context))?;
                let trailers = trailers.unwrap_or_default();
                if body.chunked {
                    self.text.extend_from_slice(b"0\r\n");
                    lines(&trailers, is_trailer, &mut self.text);
                    self.text.extend_from_slice(b"\r\n");
                } else {
                    lines(&trailers, is_trailer, &mut self.trailers);
                }
            }
        }
        self.state = State::Over;
        Poll::Ready(Ok(()))
    }
}

fn status_line(status: StatusCode, out: &mut Vec<u8>) {
    for part in [
        "HTTP/1.1 ",
        status.as_str(),
        " ",
        status.canonical_reason().unwrap_or_default(),
        "\r\n",
    ] {
        out.extend_from_slice(part.as_bytes());
    }
}

fn lines(fields: &HeaderMap, passes: impl Fn(&HeaderName) -> bool, out: &mut Vec<u8>) {
    for (name, value) in fields {
        if passes(name) {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                out.extend_from_slice(part);
            }
        }
    }
}

/// Whether a field may stand behind a body: none that frames or routes the message may
/// (RFC 9110 §6.5.1).
pub(super) fn is_trailer(name: &HeaderName) -> bool {
    ![
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::HOST,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ]
    .contains(name)
}
