//! What goes on beside the wait for an answer: the rest of the request is sent, and then the client
//! is watched.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use crate::io::Stream;
use crate::proxy::rescue::Failure;
use crate::proxy::watch::{Watch, gone};

/// The request's rest on its way, and the client.
pub(super) struct Beside<'b> {
    /// `None` once it has ended.
    upload: Option<Pin<&'b mut dyn Future<Output = Result<(), Failure>>>>,
    /// The final answer's head has come.
    answered: bool,
    /// The rest of the request was given up.
    unsent: bool,
    watch: Watch<'b>,
}

impl<'b> Beside<'b> {
    /// The request was sent whole.
    pub(super) fn sent(client: &'b Stream) -> Self {
        Self {
            upload: None,
            answered: false,
            unsent: false,
            watch: Watch::new(client),
        }
    }

    pub(super) fn sending(
        client: &'b Stream,
        upload: Pin<&'b mut dyn Future<Output = Result<(), Failure>>>,
    ) -> Self {
        Self {
            upload: Some(upload),
            answered: false,
            unsent: false,
            watch: Watch::new(client),
        }
    }

    /// Whether all of the request was sent.
    pub(super) fn is_sent(&self) -> bool {
        self.upload.is_none() && !self.unsent
    }

    /// The final answer has begun. It may flow for as long as it likes, beside a request whose rest
    /// the client does not send or the upstream does not read.
    pub(super) fn answered(&mut self) {
        self.answered = true;
    }

    /// Ready where the call cannot go on.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Failure> {
        if let Some(upload) = &mut self.upload {
            match upload.as_mut().poll(context) {
                // It watches the client itself.
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(Failure::ClientSlow | Failure::UpstreamBlocked))
                    if self.answered =>
                {
                    (self.upload, self.unsent) = (None, true);
                }
                Poll::Ready(Err(failure)) => return Poll::Ready(failure),
                Poll::Ready(Ok(())) => self.upload = None,
            }
        }
        self.watch.poll(context).map(|()| gone())
    }

    /// Polls one thing of the upstream until it is ready.
    pub(super) async fn until<T>(
        &mut self,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Result<T, Failure> {
        poll_fn(|context| match poll(context) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => self.poll(context).map(Err),
        })
        .await
    }

    /// Awaits something that ends by itself when the client has left, such as a write to it.
    pub(super) async fn with<F: Future>(&mut self, future: F) -> Result<F::Output, Failure> {
        if self.upload.is_none() {
            return Ok(future.await);
        }
        let mut future = pin!(future);
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending if self.upload.is_none() => Poll::Pending,
            Poll::Pending => self.poll(context).map(Err),
        })
        .await
    }
}
