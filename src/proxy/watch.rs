//! Waiting for something while the client is watched: what nobody waits for any longer is given up.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;

use crate::io::Stream;
use crate::proxy::rescue::Failure;

/// How often a client is looked at whose unread bytes hide its end.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Watches for a client that leaves. Costs no system call and no timer, but where the client has
/// sent bytes ahead that are not read yet: the kernel tells nothing behind those, so they are
/// looked past every now and then.
#[derive(Debug)]
pub(super) struct Watch<'w> {
    client: &'w Stream,
    again: Option<Pin<Box<Sleep>>>,
}

impl<'w> Watch<'w> {
    pub(super) fn new(client: &'w Stream) -> Self {
        Self {
            client,
            again: None,
        }
    }

    /// Ready when the client has closed its sending side, which no client does that waits for an
    /// answer (nginx and hyper take it so too).
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.client.poll_peer_closed(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(())) => return Poll::Ready(()),
                Poll::Ready(None) => {}
            }
            let again = self
                .again
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(LOOK_AGAIN)));
            if again.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.again = None;
        }
    }
}

/// The failure that a client's leaving is told as.
pub(super) fn gone() -> Failure {
    Failure::ClientGone(io::ErrorKind::ConnectionAborted.into())
}

/// Awaits something for as long as the client is there.
pub(super) async fn unless_gone<F: Future>(client: &Stream, wait: F) -> Result<F::Output, Failure> {
    let (mut wait, mut watch) = (pin!(wait), Watch::new(client));
    poll_fn(|context| {
        if let Poll::Ready(output) = wait.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        watch.poll(context).map(|()| Err(gone()))
    })
    .await
}
