//! One HTTP/2 stream, carried for one call as if it were an HTTP/1.1 connection.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use h2::Reason;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Shared;
use super::request::Outgoing;
use super::response::Incoming;
use crate::io::Transport;

/// A stream that is opened when a request head is written to it. Dropped before both its sides are
/// done, it is cancelled.
#[derive(Debug)]
pub(in crate::upstream) struct Carried {
    shared: Rc<Shared>,
    outgoing: Outgoing,
    incoming: Incoming,
}

impl Carried {
    pub(super) fn new(shared: &Rc<Shared>) -> Self {
        shared.active.set(shared.active.get() + 1);
        Self {
            shared: Rc::clone(shared),
            outgoing: Outgoing::default(),
            incoming: Incoming::default(),
        }
    }
}

impl AsyncRead for Carried {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.get_mut().incoming.poll_read(context, room)
    }
}

impl AsyncWrite for Carried {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Outgoing::Head(_) = this.outgoing {
            let written = this.outgoing.head(bytes, &this.shared)?;
            if let Some(answer) = written.answer {
                this.incoming = answer;
            }
            return Poll::Ready(Ok(written.count));
        }
        this.outgoing.poll_body(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection's own task sends what was taken.
        Poll::Ready(Ok(()))
    }

    /// There is no end but the request's own: one that breaks off is cancelled.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().outgoing.cancel_unfinished();
        Poll::Ready(Ok(()))
    }
}

impl Transport for Carried {
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.incoming.poll_readable(context)
    }

    fn is_read_closed(&mut self) -> bool {
        self.incoming.is_over()
    }

    fn reset_on_close(&mut self) {
        self.outgoing.reset(Reason::CANCEL);
    }

    fn poll_trailers(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        self.incoming.poll_trailers(context)
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.shared.active.set(self.shared.active.get() - 1);
        // Whose answer has ended wants nothing more of the request either; the other way round the
        // answer is not wanted.
        if !(self.outgoing.is_over() && self.incoming.is_over()) {
            self.outgoing.reset(Reason::CANCEL);
        }
    }
}
