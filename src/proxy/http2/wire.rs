//! The bytes under an HTTP/2 connection: what was read before it began comes first, and what comes
//! in is watched for floods.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::io::{Buffer, Stream};
use crate::proxy::http2::Shared;
use crate::proxy::http2::guard::Guard;

#[derive(Debug)]
pub(super) struct Wire {
    client: Stream,
    early: Option<Buffer>,
    guard: Guard,
    shared: Rc<Shared>,
    flooded: bool,
}

impl Wire {
    pub(super) fn new(client: Stream, early: Buffer, shared: Rc<Shared>) -> Self {
        shared.in_head.set(true);
        Self {
            client,
            early: (!early.is_empty()).then_some(early),
            guard: Guard::new(),
            shared,
            flooded: false,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.flooded {
            // Nothing more is taken; the connection is ended by who polls it.
            return Poll::Pending;
        }
        let before = room.filled().len();
        if let Some(early) = &mut this.early {
            let count = early.len().min(room.remaining());
            room.put_slice(&early[..count]);
            early.consume(count);
            if early.is_empty() {
                this.early = None;
            }
        } else {
            ready!(Pin::new(&mut this.client).poll_read(context, room))?;
        }
        let read = &room.filled()[before..];
        if let Some(flood) = this.guard.see(read, &this.shared.credit) {
            this.flooded = true;
            this.shared.flood.set(Some(flood));
        }
        this.shared.in_head.set(this.guard.is_in_head());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.client).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.client).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.client.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.client.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.client.poll_shutdown(context)
    }
}
