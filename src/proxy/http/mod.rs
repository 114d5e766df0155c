//! The HTTP/1.1 driver: connections, and the calls on them.

mod answer;
mod beside;
mod body;
mod decide;
mod exchange;
mod forward;
mod forwarded;
mod read_ahead;
mod respond;
mod shape;
mod switch;
mod upload;

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use crate::http1::{HeadError, Request, leading_blank_lines, parse_request};
use crate::io::Buffer;
use crate::proxy::call::Session;
use crate::proxy::linger::linger;
use crate::proxy::rescue::Failure;
use crate::snapshot::Limits;

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
            Ok(Came::Head(head)) => exchange::exchange(session, &mut buffer, head).await,
            Ok(Came::Nothing) => return Next::Keep,
            Ok(Came::Closed) => return Next::Close,
            Err(Failure::ClientGone(_)) => return Next::Close,
            Err(failure) => exchange::refuse(session, &failure).await,
        };
        if next != Next::Keep || buffer.is_empty() {
            return next;
        }
    }
}

/// What came of waiting for a request.
#[expect(
    clippy::large_enum_variant,
    reason = "a head is what nearly always comes"
)]
enum Came {
    Closed,
    Head(Request),
    /// Nothing that could begin one.
    Nothing,
}

/// Reads until a head is whole. The time for it runs from its first byte.
async fn read_head(session: &Session, buffer: &mut Buffer) -> Result<Came, Failure> {
    let generation = session.worker.generation();
    let limits = &generation.snapshot.limits;
    if buffer.is_empty() {
        // Nearly every head comes in one piece, and pays for no timer.
        let read = poll_fn(|context| match session.client.poll_read(context, buffer) {
            Poll::Pending => Poll::Ready(None),
            Poll::Ready(read) => Poll::Ready(Some(read)),
        });
        match read.await {
            Some(Ok(0)) => return Ok(Came::Closed),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(Failure::ClientGone(error)),
            None => return Ok(Came::Nothing),
        }
    }
    if let Some(head) = try_parse(buffer, limits)? {
        return Ok(Came::Head(head));
    }
    if buffer.is_empty() {
        return Ok(Came::Nothing);
    }
    let rest = async {
        loop {
            let seen = buffer.len();
            // Beyond the limit the parser says what is wrong.
            if !buffer.make_room(limits.header_bytes + 1) {
                return Err(Failure::ClientHead(HeadError::TooLarge));
            }
            match session.client.read(buffer).await {
                Ok(0) => return Err(Failure::ClientShort),
                Ok(_) => {}
                Err(error) => return Err(Failure::ClientGone(error)),
            }
            // A head ends with a line: until another has ended, parsing would only cost time.
            let ended = memchr::memchr(b'\n', &buffer[seen..]).is_some();
            if !ended && buffer.len() < limits.header_bytes {
                continue;
            }
            if let Some(head) = try_parse(buffer, limits)? {
                return Ok(Came::Head(head));
            }
        }
    };
    tokio::time::timeout(limits.header_timeout, rest)
        .await
        .unwrap_or(Err(Failure::ClientSlow))
}

/// Parses what has come. Empty lines before a request are skipped (RFC 9112 §2.2).
fn try_parse(buffer: &mut Buffer, limits: &Limits) -> Result<Option<Request>, Failure> {
    let blank = leading_blank_lines(buffer);
    buffer.consume(blank);
    if buffer.is_empty() {
        return Ok(None);
    }
    parse_request(buffer, limits.header_bytes, limits.header_fields).map_err(Failure::ClientHead)
}

/// Writes to the client, or tells that it has left or takes nothing.
async fn to_client(result: impl Future<Output = io::Result<()>>) -> Result<(), Failure> {
    result.await.map_err(Failure::of_client)
}
