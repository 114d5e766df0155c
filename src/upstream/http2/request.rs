//! From a request as HTTP/1.1 text to frames.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use h2::{Reason, SendStream};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use super::failure::not_sayable;
use super::response::Incoming;
use super::{Shared, failure};
use crate::http1::{BodyScanner, Framing, Part, Request, parse_request};

/// The driver has checked the head against its own limits, which lie below.
const HEAD_BYTES: usize = 1 << 20;
const MOST_FIELDS: usize = 256;
/// How much of a body waits for the upstream's window at once.
const PIECE: usize = 64 << 10;
const MOST_TRAILERS: usize = 64;

/// The request's side of a stream.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// What has come of a head that is not whole.
    Head(Vec<u8>),
    Body(Box<Body>),
    /// All was sent; the handle is left to cancel the answer with.
    Done(Option<SendStream<Bytes>>),
}

#[derive(Debug)]
pub(super) struct Body {
    send: SendStream<Bytes>,
    scanner: BodyScanner,
    trailers: Vec<u8>,
}

/// What a write of a head came to.
pub(super) struct Written {
    pub(super) count: usize,
    /// Where the head is whole and the stream open.
    pub(super) answer: Option<Incoming>,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self::Head(Vec::new())
    }
}

impl Outgoing {
    /// Takes bytes of a head; opens the stream when it is whole.
    pub(super) fn head(&mut self, bytes: &[u8], shared: &Shared) -> io::Result<Written> {
        let Self::Head(held) = self else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let before = held.len();
        let text = if held.is_empty() {
            bytes
        } else {
            held.extend_from_slice(bytes);
            &*held
        };
        let parsed = parse_request(text, HEAD_BYTES, MOST_FIELDS).map_err(io::Error::other)?;
        let Some(head) = parsed else {
            if held.is_empty() {
                held.extend_from_slice(bytes);
            }
            return Ok(Written {
                count: bytes.len(),
                answer: None,
            });
        };
        let request = translate(text, &head, shared.secure)?;
        let count = head.len - before;
        let scanner = BodyScanner::new(head.framing);
        let bodiless = scanner.is_done();
        let to_head = head.is_head(text);
        // A handle of its own: the waits of one stream are none of another's.
        let mut sender = shared.sender.borrow().clone();
        let (answer, send) = sender
            .send_request(request, bodiless)
            .map_err(failure::unsent)?;
        *self = if bodiless {
            Self::Done(Some(send))
        } else {
            Self::Body(Box::new(Body {
                send,
                scanner,
                trailers: Vec::new(),
            }))
        };
        Ok(Written {
            count,
            answer: Some(Incoming::awaiting(answer, to_head)),
        })
    }

    /// Takes as much of a body as the upstream's window has room for.
    pub(super) fn poll_body(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let Self::Body(body) = self else {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            };
            let room = body.send.capacity();
            let (wire, done) = body.take(bytes, room)?;
            if done {
                self.finish();
                return Poll::Ready(Ok(wire));
            }
            if wire > 0 || bytes.is_empty() {
                return Poll::Ready(Ok(wire));
            }
            body.send.reserve_capacity(bytes.len().min(PIECE));
            if body.send.capacity() > 0 {
                continue;
            }
            // The answer tells why the upstream takes no more, where it tells at all.
            if !matches!(ready!(body.send.poll_capacity(context)), Some(Ok(_))) {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
        }
    }

    fn finish(&mut self) {
        if let Self::Body(body) = std::mem::replace(self, Self::Done(None)) {
            *self = Self::Done(Some(body.send));
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Done(_))
    }

    pub(super) fn reset(&mut self, reason: Reason) {
        match self {
            Self::Head(_) | Self::Done(None) => {}
            Self::Body(body) => body.send.send_reset(reason),
            Self::Done(Some(send)) => send.send_reset(reason),
        }
    }

    /// A request that ends in the middle must not look whole.
    pub(super) fn cancel_unfinished(&mut self) {
        if !self.is_over() {
            self.reset(Reason::CANCEL);
        }
    }
}

impl Body {
    /// Sends what of the bytes fits into the room; how many that were, and whether the body ended.
    fn take(&mut self, bytes: &[u8], room: usize) -> io::Result<(usize, bool)> {
        let mut payload = BytesMut::new();
        let trailers = &mut self.trailers;
        let scanned = self
            .scanner
            .scan_parts(bytes, room, |part| match part {
                Part::Payload(piece) => {
                    if payload.is_empty() {
                        payload.reserve(bytes.len().min(room));
                    }
                    payload.extend_from_slice(piece);
                }
                Part::Trailers(piece) => trailers.extend_from_slice(piece),
            })
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let last = scanned.done && self.trailers.is_empty();
        if last || !payload.is_empty() {
            self.send
                .send_data(payload.freeze(), last)
                .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        }
        if scanned.done && !last {
            let trailers = parse_trailers(&self.trailers)?;
            self.send
                .send_trailers(trailers)
                .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        }
        Ok((scanned.wire, scanned.done))
    }
}

/// Pseudo-header fields and the rest, less what is of the client's connection (RFC 9113 §8.2.2).
fn translate(text: &[u8], head: &Request, secure: bool) -> io::Result<http::Request<()>> {
    // One copy of the head, which the values share.
    let shared = Bytes::copy_from_slice(&text[..head.len]);
    let (host, _, _) = head.parts(text);
    let authority = Authority::try_from(host.unwrap_or_default())
        .map_err(|_| not_sayable("the request's host"))?;
    let target = shared.slice_ref(head.target(&shared).as_bytes());
    let path =
        PathAndQuery::from_maybe_shared(target).map_err(|_| not_sayable("the request's target"))?;
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(if secure { Scheme::HTTPS } else { Scheme::HTTP });
    uri.authority = Some(authority);
    uri.path_and_query = Some(path);
    let mut request = http::Request::new(());
    *request.method_mut() = Method::from_bytes(head.method(text).as_bytes())
        .map_err(|_| not_sayable("the request's method"))?;
    *request.uri_mut() = Uri::from_parts(uri).map_err(|_| not_sayable("the request's target"))?;
    *request.version_mut() = http::Version::HTTP_2;
    let fields = request.headers_mut();
    fields.reserve(head.fields.len());
    for field in &head.fields {
        let name = field.name(text);
        if field.hop || !passes(name, head.framing) {
            continue;
        }
        let name = HeaderName::from_bytes(name).map_err(|_| not_sayable("a header"))?;
        let value = match field.value(&shared) {
            [] => HeaderValue::from_static(""),
            value => HeaderValue::from_maybe_shared(shared.slice_ref(value))
                .map_err(|_| not_sayable("a header"))?,
        };
        fields
            .try_append(name, value)
            .map_err(|_| not_sayable("so many headers"))?;
    }
    Ok(request)
}

/// What the scan of the head does not mark: `Host` is a pseudo-header field, chunks are HTTP/1.1's
/// own, and there is no upgrade to another protocol.
fn passes(name: &[u8], framing: Framing) -> bool {
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    match name.len() {
        4 => !is(b"host"),
        7 => !is(b"upgrade"),
        10 => !is(b"connection"),
        14 if is(b"content-length") => matches!(framing, Framing::Length(_)),
        14 | 17 => !is(b"transfer-encoding") && !is(b"http2-settings"),
        _ => true,
    }
}

/// Trailer lines that were checked already; those that would frame the message are left out
/// (RFC 9110 §6.5.1).
fn parse_trailers(lines: &[u8]) -> io::Result<HeaderMap> {
    let text = [lines, b"\r\n"].concat();
    let mut storage = [httparse::EMPTY_HEADER; MOST_TRAILERS];
    let (_, fields) = match httparse::parse_headers(&text, &mut storage) {
        Ok(httparse::Status::Complete(parsed)) => parsed,
        Err(httparse::Error::TooManyHeaders) => {
            return Err(not_sayable("more than 64 trailers"));
        }
        Ok(httparse::Status::Partial) | Err(_) => return Err(not_sayable("a trailer")),
    };
    let mut trailers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name =
            HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| not_sayable("a trailer"))?;
        if super::response::is_trailer(&name) {
            let value = HeaderValue::from_bytes(field.value);
            trailers.append(name, value.map_err(|_| not_sayable("a trailer"))?);
        }
    }
    Ok(trailers)
}
