//! Writing to a peer that may take nothing: how long that is borne.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;

use crate::call::Field;
use crate::http1::Framing;
use crate::io::Stream;

/// The time that a peer has taken nothing. There is a timer only while it does not.
#[derive(Debug)]
pub(super) struct Patience {
    /// `None`: for ever, as for a stream that may be paused on purpose.
    limit: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self { limit, timer: None }
    }

    /// It has taken something.
    pub(super) fn renew(&mut self) {
        self.timer = None;
    }

    /// To be asked where a write is pending. Ready with [`io::ErrorKind::TimedOut`] when it has been
    /// so for the whole time.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let Some(limit) = self.limit else {
            return Poll::Pending;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        timer
            .as_mut()
            .poll(context)
            .map(|()| io::ErrorKind::TimedOut.into())
    }
}

/// Writes a head and the body bytes behind it, in one system call where the socket takes them.
/// Fails with [`io::ErrorKind::TimedOut`] where the peer takes nothing for so long.
pub(super) async fn write(
    stream: &Stream,
    mut head: &[u8],
    mut body: &[u8],
    limit: Option<Duration>,
) -> io::Result<()> {
    let mut patience = Patience::new(limit);
    poll_fn(|context| {
        while !(head.is_empty() && body.is_empty()) {
            match stream.poll_write_both(context, head, body) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    patience.renew();
                    let of_head = count.min(head.len());
                    (head, body) = (&head[of_head..], &body[count - of_head..]);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return patience.poll(context).map(Err),
            }
        }
        match stream.poll_flush(context) {
            Poll::Pending => patience.poll(context).map(Err),
            flushed @ Poll::Ready(_) => flushed,
        }
    })
    .await
}

/// Awaits something of a peer for so long at most.
pub(super) async fn within<F: Future>(limit: Option<Duration>, wait: F) -> Option<F::Output> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, wait).await.ok(),
        None => Some(wait.await),
    }
}

/// How long a body's peer may be idle: for ever where it streams, since a model may think, and its
/// client read, for as long as they like. Only a body without an announced length can be a stream.
pub(super) fn of_body<'b>(
    framing: Framing,
    mut fields: impl Iterator<Item = Field<'b>>,
    limit: Duration,
) -> Option<Duration> {
    let streams = matches!(framing, Framing::Chunked | Framing::UntilClose)
        && fields.any(|it| it.name.eq_ignore_ascii_case("content-type") && is_stream(it.value));
    (!streams).then_some(limit)
}

fn is_stream(content_type: &[u8]) -> bool {
    const STREAMS: [&[u8]; 3] = [
        b"text/event-stream",
        b"application/grpc",
        // As Ollama streams.
        b"application/x-ndjson",
    ];
    STREAMS.iter().any(|kind| {
        let start = content_type.get(..kind.len());
        start.is_some_and(|it| it.eq_ignore_ascii_case(kind))
    })
}
