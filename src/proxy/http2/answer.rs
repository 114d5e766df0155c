//! An answer of HTTP/1.1, as the driver writes it, on a stream of HTTP/2.

use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, header};

use crate::http1::{BodyScanner, Part, Response, Upgrade, parse_response};
use crate::proxy::http2::Shared;
use crate::proxy::http2::guard::pay;
use crate::proxy::http2::stream::reset;

/// The driver has checked each head against the limits that hold; this one is beyond them.
const HEAD_CAP: usize = 16 << 20;
const MOST_TRAILERS: usize = 64;

/// Where an answer stands.
#[derive(Debug)]
enum State {
    /// Its head is to come, or the rest of it.
    Head(Vec<u8>),
    Body(BodyScanner),
    /// `END_STREAM` or `RST_STREAM` was sent.
    Ended,
}

/// The answering side of a stream.
pub(super) struct Answering {
    respond: SendResponse<Bytes>,
    sender: Option<SendStream<Bytes>>,
    state: State,
    to_head: bool,
    /// Trailer lines that have come.
    trailers: Vec<u8>,
    /// The last byte of an announced length is not the end: [`Self::end`] is.
    pub(super) held: bool,
    /// What an abort tells the client.
    pub(super) code: Reason,
    shared: Rc<Shared>,
}

/// What one write brings.
#[derive(Default)]
struct Taken {
    /// A head that is not sent yet: whether a body follows is known behind it.
    head: Option<http::Response<()>>,
    payload: Vec<u8>,
    wire: usize,
}

impl Answering {
    pub(super) fn new(respond: SendResponse<Bytes>, to_head: bool, shared: Rc<Shared>) -> Self {
        Self {
            respond,
            sender: None,
            state: State::Head(Vec::new()),
            to_head,
            trailers: Vec::new(),
            held: false,
            code: Reason::INTERNAL_ERROR,
            shared,
        }
    }

    /// Ready when the client, or the connection's end, has ended the stream.
    pub(super) fn poll_reset(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let polled = match &mut self.sender {
            Some(sender) => sender.poll_reset(context),
            None => self.respond.poll_reset(context),
        };
        polled.map(drop)
    }

    /// Takes what there is room for. All of it is looked at before a frame goes out, so that the
    /// last one says that it is the last.
    pub(super) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut taken = Taken::default();
        let mut behind: usize = slices.iter().map(|slice| slice.len()).sum();
        for slice in slices {
            behind -= slice.len();
            let mut bytes = &slice[..];
            while !bytes.is_empty() {
                let count = match &self.state {
                    State::Head(_) => self.take_head(bytes, &mut taken)?,
                    State::Body(_) => self.take_body(context, bytes, behind, &mut taken)?,
                    State::Ended => return Poll::Ready(Err(malformed("bytes behind an answer"))),
                };
                if count == 0 {
                    return self.deliver(taken);
                }
                taken.wire += count;
                bytes = &bytes[count..];
            }
        }
        self.deliver(taken)
    }

    /// Takes a head, or the part of it that has come. Interim ones go out at once.
    fn take_head(&mut self, bytes: &[u8], taken: &mut Taken) -> io::Result<usize> {
        let State::Head(partial) = &mut self.state else {
            return Ok(0);
        };
        // The driver writes heads whole: this is for whoever does not.
        let before = partial.len();
        if before > 0 {
            partial.extend_from_slice(bytes);
        }
        let whole = if before > 0 { &partial[..] } else { bytes };
        let parsed = parse_response(whole, HEAD_CAP, self.to_head, Upgrade::No);
        let Some(head) = parsed.map_err(malformed)? else {
            if before == 0 {
                partial.extend_from_slice(bytes);
            }
            return Ok(bytes.len());
        };
        let count = head.len - before;
        let response = response_of(&head, &whole[..head.len])?;
        pay(&self.shared.credit);
        if head.is_interim() {
            partial.clear();
            self.respond.send_informational(response).map_err(failed)?;
        } else {
            taken.head = Some(response);
            self.state = State::Body(BodyScanner::new(head.framing));
        }
        Ok(count)
    }

    /// Takes as much of the body as the client's window has room for. `behind`: more bytes follow.
    fn take_body(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
        behind: usize,
        taken: &mut Taken,
    ) -> io::Result<usize> {
        let mut room = 0;
        if let Some(sender) = &mut self.sender {
            sender.reserve_capacity(taken.payload.len() + bytes.len() + behind);
            room = sender.capacity().saturating_sub(taken.payload.len());
        }
        let State::Body(scanner) = &mut self.state else {
            return Ok(0);
        };
        let (trailers, payload) = (&mut self.trailers, &mut taken.payload);
        let scanned = scanner
            .scan_parts(bytes, room, |part| match part {
                Part::Payload(bytes) => payload.extend_from_slice(bytes),
                Part::Trailers(bytes) => trailers.extend_from_slice(bytes),
            })
            .map_err(malformed)?;
        if scanned.wire > 0 || scanned.done {
            return Ok(scanned.wire);
        }
        if let Some(head) = taken.head.take() {
            // There is a body: with its head out there is a window to ask for.
            self.send_head(head, false)?;
            return self.take_body(context, bytes, behind, taken);
        }
        let Some(sender) = &mut self.sender else {
            return Ok(0);
        };
        if !taken.payload.is_empty() || taken.wire > 0 {
            return Ok(0);
        }
        match sender.poll_capacity(context) {
            Poll::Pending => Ok(0),
            Poll::Ready(Some(Ok(_))) => self.take_body(context, bytes, behind, taken),
            Poll::Ready(Some(Err(error))) => Err(failed(error)),
            Poll::Ready(None) => Err(reset()),
        }
    }

    /// Sends what was taken.
    fn deliver(&mut self, taken: Taken) -> Poll<io::Result<usize>> {
        let done = !self.held && matches!(&self.state, State::Body(scanner) if scanner.is_done());
        let last = done && self.trailers.is_empty();
        let bodiless = last && taken.payload.is_empty();
        if let Some(head) = taken.head {
            self.send_head(head, bodiless)?;
            if bodiless {
                self.state = State::Ended;
                return Poll::Ready(Ok(taken.wire));
            }
        }
        if let Some(sender) = &mut self.sender
            && (bodiless || !taken.payload.is_empty())
        {
            pay(&self.shared.credit);
            let sent = sender.send_data(Bytes::from(taken.payload), last);
            sent.map_err(failed)?;
        }
        if done {
            self.state = State::Ended;
            self.send_trailers()?;
        }
        if taken.wire == 0 {
            return Poll::Pending;
        }
        Poll::Ready(Ok(taken.wire))
    }

    fn send_head(&mut self, head: http::Response<()>, last: bool) -> io::Result<()> {
        let sender = self.respond.send_response(head, last).map_err(failed)?;
        self.sender = Some(sender);
        Ok(())
    }

    fn send_trailers(&mut self) -> io::Result<()> {
        let lines = std::mem::take(&mut self.trailers);
        let Some(sender) = self.sender.as_mut().filter(|_| !lines.is_empty()) else {
            return Ok(());
        };
        let trailers = trailers_of(lines)?;
        sender.send_trailers(trailers).map_err(failed)
    }

    /// Ends an answer whose end was held, with these trailer lines.
    pub(super) fn end(&mut self, trailers: Vec<u8>) -> io::Result<()> {
        if !self.held || !matches!(&self.state, State::Body(scanner) if scanner.is_done()) {
            return Ok(());
        }
        self.state = State::Ended;
        let trailers = trailers_of(trailers)?;
        let Some(sender) = &mut self.sender else {
            return Ok(());
        };
        pay(&self.shared.credit);
        if trailers.is_empty() {
            sender.send_data(Bytes::new(), true).map_err(failed)
        } else {
            sender.send_trailers(trailers).map_err(failed)
        }
    }

    /// The driver is done with the connection: an answer that ends with it is whole.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if !matches!(self.state, State::Body(BodyScanner::UntilClose)) {
            return Ok(());
        }
        self.state = State::Ended;
        match &mut self.sender {
            Some(sender) => sender.send_data(Bytes::new(), true).map_err(failed),
            None => Ok(()),
        }
    }

    pub(super) fn abort(&mut self) {
        if !matches!(self.state, State::Ended) {
            self.state = State::Ended;
            self.respond.send_reset(self.code);
        }
    }
}

impl Drop for Answering {
    /// An answer that was given up is reset: it must not look whole.
    fn drop(&mut self) {
        self.abort();
    }
}

/// A head without what belongs to a connection of HTTP/1.1 (RFC 9113 §8.2.2).
fn response_of(head: &Response, bytes: &[u8]) -> io::Result<http::Response<()>> {
    // One copy for all values.
    let bytes = Bytes::copy_from_slice(bytes);
    let own = [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    let mut fields = HeaderMap::with_capacity(head.fields.len());
    for field in &head.fields {
        if field.hop {
            continue;
        }
        let name = HeaderName::from_bytes(field.name(&bytes)).map_err(malformed)?;
        if !own.contains(&name) {
            append(&mut fields, name, &bytes, field.value(&bytes))?;
        }
    }
    let mut response = http::Response::new(());
    *response.status_mut() = StatusCode::from_u16(head.status).map_err(malformed)?;
    *response.headers_mut() = fields;
    Ok(response)
}

fn append(fields: &mut HeaderMap, name: HeaderName, all: &Bytes, value: &[u8]) -> io::Result<()> {
    let value = HeaderValue::from_maybe_shared(all.slice_ref(value)).map_err(malformed)?;
    fields.try_append(name, value).map_err(malformed)?;
    Ok(())
}

fn trailers_of(mut lines: Vec<u8>) -> io::Result<HeaderMap> {
    lines.extend_from_slice(b"\r\n");
    let lines = Bytes::from(lines);
    let mut storage = [httparse::EMPTY_HEADER; MOST_TRAILERS];
    let mut fields = HeaderMap::new();
    if let httparse::Status::Complete((_, parsed)) =
        httparse::parse_headers(&lines, &mut storage).map_err(malformed)?
    {
        for line in parsed {
            let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(malformed)?;
            if !is_forbidden_trailer(&name) {
                append(&mut fields, name, &lines, line.value)?;
            }
        }
    }
    Ok(fields)
}

/// What frames or routes a message, or belongs to a connection, has no place behind the body
/// (RFC 9110 §6.5.1).
pub(super) fn is_forbidden_trailer(name: &HeaderName) -> bool {
    const OTHERS: [&str; 2] = ["keep-alive", "proxy-connection"];
    [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::HOST,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ]
    .contains(name)
        || OTHERS.contains(&name.as_str())
}

fn malformed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn failed(error: h2::Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}
