//! The HTTP/1.1 driver: connections, and the calls on them.

mod answer;
mod decide;
mod exchange;
mod forward;
mod respond;
mod upload;

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use crate::http1::{Request, leading_blank_lines, parse_request};
use crate::io::Buffer;
use crate::proxy::call::Session;
use crate::proxy::linger::linger;
use crate::proxy::rescue::Failure;

/// What becomes of a connection after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// FIN, when the client has had time to read what was sent.
    Close,
    /// The next request may come.
    Keep,
    /// RST.
    Reset,
}

/// Serves one connection to its end.
pub(super) async fn serve(session: Session) {
    let worker = session.worker.clone();
    let place = worker.parked.place();
    // While idle, this future is all there is of a connection; what a call needs is boxed.
    while place.wait(&session.client).await {
        match Box::pin(calls(&session)).await {
            Next::Keep => {}
            Next::Close => return Box::pin(linger(&session)).await,
            Next::Reset => return session.client.reset_on_close(),
        }
    }
}

/// Serves calls for as long as bytes are at hand.
async fn calls(session: &Session) -> Next {
    let mut buffer = session.worker.buffers.take();
    loop {
        let next = match read_head(session, &mut buffer).await {
            Ok(Arrived::Head(head)) => exchange::exchange(session, &mut buffer, head).await,
            Ok(Arrived::Nothing) => return Next::Keep,
            Ok(Arrived::End) => return Next::Close,
            Err(Failure::ClientGone(_)) => return Next::Close,
            Err(failure) => exchange::refuse(session, &failure).await,
        };
        if next != Next::Keep || buffer.is_empty() {
            return next;
        }
    }
}

/// What came where a request may begin.
#[expect(
    clippy::large_enum_variant,
    reason = "taken apart where it is returned, and never kept"
)]
enum Arrived {
    /// The client closed between calls.
    End,
    Head(Request),
    /// Not a byte, although the socket seemed readable: the connection is idle, not slow.
    Nothing,
}

/// Reads until a head is whole.
async fn read_head(session: &Session, buffer: &mut Buffer) -> Result<Arrived, Failure> {
    let generation = session.worker.generation();
    let limits = &generation.snapshot.limits;
    if let Some(head) = try_parse(buffer, limits.header_bytes, limits.header_fields)? {
        return Ok(Arrived::Head(head));
    }
    // Nearly every head comes in one piece, and pays for no timer.
    if buffer.is_empty() {
        match poll_fn(|context| match session.client.poll_read(context, buffer) {
            Poll::Pending => Poll::Ready(None),
            Poll::Ready(read) => Poll::Ready(Some(read)),
        })
        .await
        {
            Some(Ok(0)) => return Ok(Arrived::End),
            Some(Ok(_)) => {
                if let Some(head) = try_parse(buffer, limits.header_bytes, limits.header_fields)? {
                    return Ok(Arrived::Head(head));
                }
            }
            Some(Err(error)) => return Err(Failure::ClientGone(error)),
            None => return Ok(Arrived::Nothing),
        }
    }
    let rest = async {
        loop {
            let seen = buffer.len();
            match session.client.read(buffer).await {
                Ok(0) if buffer.is_empty() => return Ok(Arrived::End),
                Ok(0) => return Err(Failure::ClientShort),
                Ok(_) => {}
                Err(error) => return Err(Failure::ClientGone(error)),
            }
            // A head ends with a line: until another has ended, parsing would only cost time.
            let tail = &buffer[seen.min(buffer.len())..];
            if memchr::memchr(b'\n', tail).is_none() && buffer.len() < limits.header_bytes {
                continue;
            }
            if let Some(head) = try_parse(buffer, limits.header_bytes, limits.header_fields)? {
                return Ok(Arrived::Head(head));
            }
        }
    };
    tokio::time::timeout(limits.header_timeout, rest)
        .await
        .unwrap_or(Err(Failure::ClientSlow))
}

fn try_parse(
    buffer: &mut Buffer,
    max_bytes: usize,
    max_fields: usize,
) -> Result<Option<Request>, Failure> {
    let blank = leading_blank_lines(buffer);
    buffer.consume(blank);
    if buffer.is_empty() {
        return Ok(None);
    }
    parse_request(buffer, max_bytes, max_fields).map_err(Failure::ClientHead)
}

/// Writes to the client, or tells that it has left.
async fn to_client(result: impl Future<Output = io::Result<()>>) -> Result<(), Failure> {
    result.await.map_err(Failure::ClientGone)
}
