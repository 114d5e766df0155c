//! The HTTP/1.1 driver: connections, and the calls on them.

mod answer;
mod behind;
mod beside;
mod body;
mod bulk;
mod decide;
mod exchange;
mod forward;
mod forwarded;
mod read_ahead;
mod respond;
mod shape;
mod switch;
mod traced;
mod upload;

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use crate::error::ignore;
use crate::http1::{HeadError, Request, leading_blank_lines, parse_request};
use crate::io::Buffer;
use crate::proxy::call::Session;
use crate::proxy::http2;
use crate::proxy::linger::linger;
use crate::proxy::rescue::Failure;
use crate::snapshot::Limits;

/// How a TLS handshake begins (RFC 8446 §5.1); no request begins so.
const HANDSHAKE: [u8; 2] = [0x16, 0x03];

/// What becomes of a connection after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// FIN, when the client has had time to read what was sent.
    Close,
    /// The next request may come.
    Keep,
    /// It goes on as HTTP/2.
    Http2,
    /// RST.
    Reset,
}

/// Serves one connection to its end.
pub(super) async fn serve(session: Session) {
    let worker = session.worker.clone();
    let place = worker.parked.place(&session.listener);
    let mut opening = Opening::First;
    // While idle, this future is all there is of a connection; what a call needs is boxed.
    while place.wait(&session.client).await {
        match Box::pin(calls(&session, &mut opening)).await {
            Next::Keep => {}
            Next::Http2 => {
                drop(place);
                return Box::pin(switch_to_http2(session, opening)).await;
            }
            Next::Close => return Box::pin(linger(&session)).await,
            Next::Reset => return session.client.reset_on_close(),
        }
    }
}

/// Tells a client why it is not served, and ends its connection.
pub(super) async fn refuse(session: &Session, failure: &Failure) {
    if exchange::refuse(session, failure).await == Next::Close {
        linger(session).await;
    }
}

/// How a connection began.
enum Opening {
    /// Nothing has come yet.
    First,
    Http1,
    /// With these bytes.
    Http2(Box<Buffer>),
}

async fn switch_to_http2(session: Session, opening: Opening) {
    if let Opening::Http2(early) = opening {
        http2::serve(session, *early).await;
    }
}

/// Serves calls for as long as bytes are at hand.
async fn calls(session: &Session, opening: &mut Opening) -> Next {
    let mut buffer = session.worker.buffers.take();
    loop {
        let came = read_head(session, &mut buffer).await;
        let first = matches!(opening, Opening::First);
        let next = match came {
            Ok(Came::Head(head)) => {
                *opening = Opening::Http1;
                exchange::exchange(session, &mut buffer, &head).await
            }
            Ok(Came::Nothing) => return Next::Keep,
            Ok(Came::Closed) => return Next::Close,
            Err(Failure::ClientGone(_)) => return Next::Close,
            // The client knew, or tries, that HTTP/2 is spoken (RFC 9113 §3.3).
            Err(Failure::ClientHead(HeadError::Version))
                if first && buffer.starts_with(http2::PREFACE_LINE) =>
            {
                *opening = Opening::Http2(Box::new(buffer));
                return Next::Http2;
            }
            Err(failure) => exchange::refuse(session, &failure).await,
        };
        if next != Next::Keep || buffer.is_empty() {
            return next;
        }
    }
}

/// Serves one call on a stream that carries no other: `write_head` gives its head.
pub(super) async fn single(
    session: &Session,
    write_head: impl FnOnce(&mut Buffer, &Limits) -> Result<(), HeadError>,
) {
    let mut buffer = session.worker.buffers.take();
    let parsed = {
        let generation = session.worker.generation();
        let limits = &generation.snapshot.limits;
        write_head(&mut buffer, limits)
            .and_then(|()| parse_request(&buffer, limits.header_bytes, limits.header_fields))
            .and_then(|head| head.ok_or(HeadError::Malformed("head")))
    };
    let next = match parsed {
        Ok(head) => exchange::exchange(session, &mut buffer, &head).await,
        Err(error) => exchange::refuse(session, &Failure::ClientHead(error)).await,
    };
    if next == Next::Close {
        ignore(session.client.shutdown().await);
    }
    if next != Next::Keep {
        // What was sent goes out before a reset that would take it away.
        tokio::task::yield_now().await;
    }
    if next == Next::Reset {
        session.client.reset_on_close();
    }
}

/// What came of waiting for a request.
enum Came {
    Closed,
    /// Boxed, as an answer's.
    Head(Box<Request>),
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
fn try_parse(buffer: &mut Buffer, limits: &Limits) -> Result<Option<Box<Request>>, Failure> {
    let blank = leading_blank_lines(buffer);
    buffer.consume(blank);
    if buffer.is_empty() {
        return Ok(None);
    }
    if buffer.starts_with(&HANDSHAKE) {
        return Err(Failure::ClientTls);
    }
    let parsed = parse_request(buffer, limits.header_bytes, limits.header_fields);
    Ok(parsed.map_err(Failure::ClientHead)?.map(Box::new))
}

/// Writes to the client, or tells that it has left or takes nothing.
async fn to_client(result: impl Future<Output = io::Result<()>>) -> Result<(), Failure> {
    result.await.map_err(Failure::of_client)
}
