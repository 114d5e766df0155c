//! A connection that ends where its peer takes nothing of what it is sent: whoever asks and does not
//! read would hold a place for as long as it likes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long what is to be sent may wait without a byte of it being taken.
pub(super) const STUCK_TIME: Duration = Duration::from_secs(10);

/// A stream whose writes fail where the peer takes nothing for so long.
#[derive(Debug)]
pub(super) struct Progress<S> {
    stream: S,
    /// Set while a write waits; boxed once, not once a write.
    stuck: Pin<Box<Sleep>>,
    waits: bool,
}

impl<S: Unpin> Progress<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            stuck: Box::pin(sleep_until(Instant::now())),
            waits: false,
        }
    }

    /// What a write came to, or that it has waited too long.
    fn told<T>(
        &mut self,
        context: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.waits = false;
            return result;
        }
        if !self.waits {
            self.waits = true;
            self.stuck.as_mut().reset(Instant::now() + STUCK_TIME);
        }
        ready!(self.stuck.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the peer takes nothing of its answer",
        )))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Progress<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Progress<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.told(context, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(context, bytes);
        this.told(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_flush(context);
        this.told(context, result)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_shutdown(context);
        this.told(context, result)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::{sleep, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up_and_one_that_takes_some_is_not() {
        let (server, mut client) = duplex(16);
        let mut server = Progress::new(server);
        let begun = Instant::now();
        let bytes = [0; 64];
        let sent = async { server.write_all(&bytes).await.map(|()| begun.elapsed()) };
        // A little now and then is enough.
        let read = async {
            let mut part = [0; 16];
            for _ in 0..4 {
                sleep(STUCK_TIME * 9 / 10).await;
                client.read_exact(&mut part).await.unwrap();
            }
        };
        let (sent, ()) = tokio::join!(sent, read);
        assert!(sent.unwrap() > 2 * STUCK_TIME);

        server.write_all(&bytes[..16]).await.unwrap();
        let begun = Instant::now();
        let error = server.write_all(&bytes).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed(), STUCK_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_to_send_is_no_reason() {
        let (server, mut client) = duplex(16);
        let mut server = Progress::new(server);
        let mut byte = [0];
        let read = timeout(Duration::from_secs(3600), server.read(&mut byte));
        assert!(read.await.is_err());
        server.write_all(b"x").await.unwrap();
        assert_eq!(client.read(&mut byte).await.unwrap(), 1);
    }
}
