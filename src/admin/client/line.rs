//! One HTTP/1.1 connection, and what keeps it going: hyper's connection is a future that somebody
//! must poll while its answers are waited for.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use super::connect::Carrier;

pub(super) struct Line {
    sender: SendRequest<Full<Bytes>>,
    /// Absent once it has ended.
    connection: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Line {
    pub(super) async fn open(io: Box<dyn Carrier>) -> hyper::Result<Self> {
        let (sender, connection) = http1::handshake(TokioIo::new(io)).await?;
        Ok(Self {
            sender,
            // Why it broke is told by the request that it carried.
            connection: Some(Box::pin(async { drop(connection.await) })),
        })
    }

    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> hyper::Result<Response<Incoming>> {
        let answer = self.sender.send_request(request);
        drive(&mut self.connection, answer).await
    }

    /// Waits for something that comes over this connection.
    pub(super) async fn drive<T>(&mut self, waited: impl Future<Output = T>) -> T {
        drive(&mut self.connection, waited).await
    }
}

async fn drive<T>(
    connection: &mut Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    waited: impl Future<Output = T>,
) -> T {
    let mut waited = std::pin::pin!(waited);
    if let Some(alive) = connection {
        tokio::select! {
            biased;
            done = &mut waited => return done,
            () = alive => {}
        }
        *connection = None;
    }
    // What had come before the end is still to be read.
    waited.await
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("open", &self.connection.is_some())
            .finish_non_exhaustive()
    }
}
