//! Waiting for something while the client is watched: what nobody waits for any longer is given up.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;

use crate::io::Stream;
use crate::proxy::rescue::Failure;

/// Awaits something for as long as the client is there.
pub(super) async fn unless_gone<F: Future>(client: &Stream, wait: F) -> Result<F::Output, Failure> {
    let mut wait = pin!(wait);
    poll_fn(|context| {
        if let Poll::Ready(output) = wait.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        match client.poll_peer_closed(context) {
            Poll::Ready(()) => Poll::Ready(Err(Failure::ClientGone(
                io::ErrorKind::ConnectionAborted.into(),
            ))),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
