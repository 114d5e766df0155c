//! How long a body is (RFC 9112 §6), and how many of the bytes at hand belong to it.

use smallvec::SmallVec;

use crate::http1::chunked::{ChunkedError, ChunkedScanner};

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Chunked,
    Length(u64),
    /// No body at all.
    None,
    /// The connection's end is the body's (responses only).
    UntilClose,
}

/// Why a head's framing cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramingError {
    Malformed(&'static str),
    UnknownCoding,
}

/// All Content-Length values of a head: one number, or an error.
#[derive(Debug, Default)]
pub(super) struct LengthList {
    length: Option<u64>,
    values: usize,
}

impl LengthList {
    pub(super) fn take(&mut self, value: &[u8]) -> Result<(), FramingError> {
        for member in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            let length = parse_length(member)
                .ok_or(FramingError::Malformed("Content-Length is no whole number"))?;
            if self.length.is_some_and(|known| known != length) {
                return Err(FramingError::Malformed("Content-Length values differ"));
            }
            self.length = Some(length);
            self.values += 1;
        }
        Ok(())
    }

    /// The same value stands more than once: one is forwarded.
    pub(super) fn repeated(&self) -> bool {
        self.values > 1
    }
}

/// Digits only: no sign, no blanks, no overflow.
fn parse_length(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// RFC 9112 §6.3 for requests, without its leniency: both headers at once, or any coding but one
/// `chunked`, is refused.
pub(super) fn request_framing(
    minor: u8,
    coding: &SmallVec<[&[u8]; 1]>,
    lengths: &LengthList,
) -> Result<Framing, FramingError> {
    match (coding.is_empty(), lengths.length) {
        (true, None) => Ok(Framing::None),
        (true, Some(length)) => Ok(Framing::Length(length)),
        (false, Some(_)) => Err(FramingError::Malformed(
            "Content-Length and Transfer-Encoding",
        )),
        (false, None) if minor == 0 => {
            Err(FramingError::Malformed("Transfer-Encoding in HTTP/1.0"))
        }
        (false, None) => only_chunked(coding),
    }
}

/// RFC 9112 §6.3 for responses, as strict.
pub(super) fn response_framing(
    status: u16,
    minor: u8,
    to_head: bool,
    coding: &SmallVec<[&[u8]; 1]>,
    lengths: &LengthList,
) -> Result<Framing, FramingError> {
    let bodiless = to_head || status < 200 || status == 204 || status == 304;
    match (coding.is_empty(), lengths.length) {
        (false, Some(_)) => Err(FramingError::Malformed(
            "Content-Length and Transfer-Encoding",
        )),
        _ if bodiless => Ok(Framing::None),
        (false, None) if minor == 0 => {
            Err(FramingError::Malformed("Transfer-Encoding in HTTP/1.0"))
        }
        (false, None) => only_chunked(coding),
        (true, Some(length)) => Ok(Framing::Length(length)),
        (true, None) => Ok(Framing::UntilClose),
    }
}

fn only_chunked(coding: &SmallVec<[&[u8]; 1]>) -> Result<Framing, FramingError> {
    match coding.as_slice() {
        [one] if one.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        [_] => Err(FramingError::UnknownCoding),
        _ => Err(FramingError::Malformed("more than one Transfer-Encoding")),
    }
}

/// Follows one body through the bytes of its connection.
#[derive(Debug)]
pub enum BodyScanner {
    Chunked(ChunkedScanner),
    Done,
    Length(u64),
    UntilClose,
}

/// What a scan found: how many of the bytes belong to the body, and whether it ends with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanned {
    pub wire: usize,
    pub done: bool,
}

/// A piece of a body's bytes that is not its framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'b> {
    Payload(&'b [u8]),
    /// Of the trailer lines, without the empty one that ends them. Byte by byte: they are rare.
    Trailers(&'b [u8]),
}

impl BodyScanner {
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::Chunked => Self::Chunked(ChunkedScanner::default()),
            Framing::None | Framing::Length(0) => Self::Done,
            Framing::Length(length) => Self::Length(length),
            Framing::UntilClose => Self::UntilClose,
        }
    }

    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// Whether the connection's end now is the body's end, and no failure.
    pub fn ends_at_close(&self) -> bool {
        matches!(self, Self::Done | Self::UntilClose)
    }

    /// Takes the next bytes of the connection; the payload within them goes to `payload`, by its
    /// range in `bytes`.
    pub fn scan(
        &mut self,
        bytes: &[u8],
        mut payload: impl FnMut(&[u8]),
    ) -> Result<Scanned, ChunkedError> {
        self.scan_parts(bytes, usize::MAX, |part| {
            if let Part::Payload(bytes) = part {
                payload(bytes);
            }
        })
    }

    /// The same with the trailers told too, and with at most so many bytes of payload taken.
    pub fn scan_parts(
        &mut self,
        bytes: &[u8],
        most: usize,
        mut part: impl FnMut(Part<'_>),
    ) -> Result<Scanned, ChunkedError> {
        match self {
            Self::Done => Ok(Scanned {
                wire: 0,
                done: true,
            }),
            Self::UntilClose => {
                let wire = bytes.len().min(most);
                part(Part::Payload(&bytes[..wire]));
                Ok(Scanned { wire, done: false })
            }
            Self::Length(left) => {
                let wire = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len())
                    .min(most);
                part(Part::Payload(&bytes[..wire]));
                *left -= wire as u64;
                let done = *left == 0;
                if done {
                    *self = Self::Done;
                }
                Ok(Scanned { wire, done })
            }
            Self::Chunked(scanner) => {
                let scanned = scanner.scan(bytes, most, part)?;
                if scanned.done {
                    *self = Self::Done;
                }
                Ok(scanned)
            }
        }
    }
}
