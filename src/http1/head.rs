//! Request and response heads: parsed once, checked for everything that could make two readers of
//! the same bytes disagree, and described by offsets into the buffer that holds them.

use std::mem::MaybeUninit;
use std::ops::Range;

use crate::call::Field;
use crate::http1::fields::{FieldAt, FieldScan, Fields, offset, read, text};
use crate::http1::framing::{Framing, FramingError, request_framing, response_framing};

/// The most header fields that are parsed at all; the configured limit is not above it.
pub const MAX_FIELDS: usize = 256;

/// Why a head is refused. The text is fit for a log line and an error body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    #[error("malformed head: {0}")]
    Malformed(&'static str),
    #[error("CONNECT is not served by a reverse proxy")]
    Connect,
    #[error("head larger than the limit")]
    TooLarge,
    #[error("more header fields than the limit")]
    TooManyFields,
    #[error("{0} cannot be said in HTTP/2, which the upstream speaks")]
    Unsayable(&'static str),
    #[error("transfer coding other than chunked is not implemented")]
    UnknownCoding,
    #[error("HTTP version is not 1.0 or 1.1 (HTTP/2 without TLS is not spoken on this listener)")]
    Version,
}

impl HeadError {
    /// The status that a client is answered with (RFC 9110 §15, RFC 6585 §5).
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::Unsayable(_) => 400,
            Self::Connect => 405,
            Self::TooLarge | Self::TooManyFields => 431,
            Self::UnknownCoding => 501,
            Self::Version => 505,
        }
    }
}

impl From<FramingError> for HeadError {
    fn from(error: FramingError) -> Self {
        match error {
            FramingError::Malformed(why) => Self::Malformed(why),
            FramingError::UnknownCoding => Self::UnknownCoding,
        }
    }
}

/// Whether a request asks to leave HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Upgrade {
    #[default]
    No,
    Asked,
}

/// A parsed and checked request head.
#[derive(Debug)]
pub struct Request {
    /// Bytes of the head, its empty line included.
    pub len: usize,
    method: Range<u32>,
    target: Range<u32>,
    pub fields: Fields,
    pub framing: Framing,
    /// The minor version: 0 or 1.
    pub minor: u8,
    /// The client keeps the connection after this exchange.
    pub keep_alive: bool,
    pub expects_continue: bool,
    pub upgrade: Upgrade,
    /// Index of the Host field.
    host: Option<u8>,
    /// The head cannot go on as it stands (absolute form, no Host, bare LF, repeated length).
    pub rebuild: bool,
}

impl Request {
    pub fn method<'b>(&self, head: &'b [u8]) -> &'b str {
        text(&head[self.method.start as usize..self.method.end as usize])
    }

    /// The request target as on the wire.
    pub fn target<'b>(&self, head: &'b [u8]) -> &'b str {
        text(&head[self.target.start as usize..self.target.end as usize])
    }

    /// Authority (of an absolute target, else of Host), path and query.
    pub fn parts<'b>(&self, head: &'b [u8]) -> (Option<&'b str>, &'b str, Option<&'b str>) {
        let target = self.target(head);
        let (authority, rest) = match absolute_form(target) {
            Some((authority, rest)) => (Some(authority), rest),
            None => (self.host_value(head), target),
        };
        match rest.split_once('?') {
            Some((path, query)) => (authority, path, Some(query)),
            None => (authority, rest, None),
        }
    }

    pub fn host_value<'b>(&self, head: &'b [u8]) -> Option<&'b str> {
        let host = self.fields.get(usize::from(self.host?))?;
        Some(text(host.value(head)))
    }

    pub fn is_head(&self, head: &[u8]) -> bool {
        self.method(head) == "HEAD"
    }

    /// What the strict profile refuses besides: what is read alike by all who follow the RFCs, and
    /// not by servers that are lenient or fold names (`_` and `-` are one in a CGI variable).
    pub fn check_strict(&self, head: &[u8]) -> Result<(), HeadError> {
        let bytes = &head[..self.len];
        if memchr::memchr_iter(b'\n', bytes).any(|at| at == 0 || bytes[at - 1] != b'\r') {
            return Err(HeadError::Malformed("line that ends with a bare LF"));
        }
        let lengths = self.fields.iter().filter(|field| {
            field.framing && field.name(head).eq_ignore_ascii_case(b"content-length")
        });
        let members = |field: &FieldAt| field.value(head).split(|byte| *byte == b',').count();
        if lengths.map(members).sum::<usize>() > 1 {
            return Err(HeadError::Malformed("repeated Content-Length"));
        }
        if self
            .fields
            .iter()
            .any(|field| field.name(head).contains(&b'_'))
        {
            return Err(HeadError::Malformed("underscore in a header name"));
        }
        Ok(())
    }

    /// Whether a second try does no harm (RFC 9110 §9.2.2).
    pub fn is_idempotent(&self, head: &[u8]) -> bool {
        matches!(
            self.method(head),
            "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE"
        )
    }
}

/// A parsed and checked response head.
#[derive(Debug)]
pub struct Response {
    pub len: usize,
    pub status: u16,
    pub fields: Fields,
    pub framing: Framing,
    pub minor: u8,
    /// The upstream keeps the connection after this exchange.
    pub keep_alive: bool,
    /// For so many seconds, where it says so.
    pub keep_for: Option<u32>,
    pub rebuild: bool,
    status_at: u32,
}

impl Response {
    /// 1xx other than 101: another head follows.
    pub const fn is_interim(&self) -> bool {
        self.status >= 100 && self.status < 200 && self.status != 101
    }

    /// Where the three digits of the status stand.
    pub fn status_at(&self) -> usize {
        self.status_at as usize
    }

    /// The reason phrase and everything else of the first line after the status.
    pub fn fields<'b>(&self, head: &'b [u8]) -> impl Iterator<Item = Field<'b>> {
        read(&self.fields, head, self.len)
    }
}

impl Request {
    pub fn fields<'b>(&self, head: &'b [u8]) -> impl Iterator<Item = Field<'b>> {
        read(&self.fields, head, self.len)
    }
}

/// Empty lines that a client sent before its request line (RFC 9112 §2.2 says to skip them).
pub fn leading_blank_lines(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match &bytes[at..] {
            [b'\r', b'\n', ..] => at += 2,
            [b'\n', ..] => at += 1,
            _ => return at,
        }
    }
}

/// Parses a request head at the start of `bytes`; `None` while it is incomplete.
pub fn parse_request(
    bytes: &[u8],
    max_bytes: usize,
    max_fields: usize,
) -> Result<Option<Request>, HeadError> {
    let mut storage = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    let len = match parsed.parse_with_uninit_headers(bytes, &mut storage) {
        Ok(httparse::Status::Complete(len)) if len <= max_bytes => len,
        Ok(httparse::Status::Partial) if bytes.len() < max_bytes => return Ok(None),
        Ok(_) => return Err(HeadError::TooLarge),
        Err(error) => return Err(refusal(error)),
    };
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Ok(None);
    };
    if parsed.headers.len() > max_fields {
        return Err(HeadError::TooManyFields);
    }
    let mut scan = FieldScan::new(bytes, len);
    for header in parsed.headers.iter() {
        scan.take(header)?;
    }
    check_method_and_target(method, target)?;
    let absolute = absolute_form(target).is_some();
    scan.check_host(minor, target)?;
    let upgrade = scan.upgrade(minor);
    let anew = scan.strip_named(upgrade);
    let framing = request_framing(minor, &scan.coding, &scan.lengths)?;
    Ok(Some(Request {
        len,
        method: range_of(bytes, method.as_bytes()),
        target: range_of(bytes, target.as_bytes()),
        framing,
        minor,
        keep_alive: scan.keeps(minor),
        expects_continue: scan.expects_continue && minor == 1,
        upgrade,
        rebuild: absolute || scan.host.is_none() || scan.lengths.repeated() || scan.bare_lf || anew,
        host: scan.host,
        fields: scan.fields,
    }))
}

/// Parses a response head at the start of `bytes`; `None` while it is incomplete. `to_head` and
/// `to_upgrade` tell what was asked, since the answer's framing depends on it.
pub fn parse_response(
    bytes: &[u8],
    max_bytes: usize,
    to_head: bool,
    upgrade: Upgrade,
) -> Result<Option<Response>, HeadError> {
    let mut storage = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let len = match config.parse_response_with_uninit_headers(&mut parsed, bytes, &mut storage) {
        Ok(httparse::Status::Complete(len)) if len <= max_bytes => len,
        Ok(httparse::Status::Partial) if bytes.len() < max_bytes => return Ok(None),
        Ok(_) => return Err(HeadError::TooLarge),
        Err(error) => return Err(refusal(error)),
    };
    let (Some(status), Some(minor)) = (parsed.code, parsed.version) else {
        return Ok(None);
    };
    // Places in the first line are told from the buffer's start.
    if !bytes.starts_with(b"HTTP/") {
        return Err(HeadError::Malformed("empty line before the status line"));
    }
    if !(100..=599).contains(&status) {
        return Err(HeadError::Malformed("status is not between 100 and 599"));
    }
    let mut scan = FieldScan::new(bytes, len);
    for header in parsed.headers.iter() {
        scan.take(header)?;
    }
    let switches = status == 101;
    if switches && upgrade == Upgrade::No {
        return Err(HeadError::Malformed("101 without an upgrade asked"));
    }
    // An answer that requires an upgrade says to what (RFC 9110 §15.5.22).
    let anew = scan.strip_named(if switches || status == 426 {
        Upgrade::Asked
    } else {
        Upgrade::No
    });
    if status < 200 || status == 204 {
        scan.strip_coding();
    }
    let framing = response_framing(status, minor, to_head, &scan.coding, &scan.lengths)?;
    Ok(Some(Response {
        len,
        status,
        framing,
        minor,
        keep_alive: scan.keeps(minor) && framing != Framing::UntilClose,
        keep_for: scan.keep_for,
        rebuild: scan.lengths.repeated() || scan.bare_lf || anew,
        fields: scan.fields,
        // "HTTP/1.x " is nine bytes; httparse has checked them.
        status_at: 9,
    }))
}

fn refusal(error: httparse::Error) -> HeadError {
    match error {
        httparse::Error::HeaderName => HeadError::Malformed("header name"),
        httparse::Error::HeaderValue => HeadError::Malformed("header value"),
        httparse::Error::NewLine => HeadError::Malformed("line end"),
        httparse::Error::Status => HeadError::Malformed("status line"),
        httparse::Error::Token => HeadError::Malformed("request line"),
        httparse::Error::TooManyHeaders => HeadError::TooManyFields,
        httparse::Error::Version => HeadError::Version,
    }
}

fn check_method_and_target(method: &str, target: &str) -> Result<(), HeadError> {
    if method == "CONNECT" {
        return Err(HeadError::Connect);
    }
    let asterisk = target == "*" && method == "OPTIONS";
    if !asterisk && !target.starts_with('/') && absolute_form(target).is_none() {
        return Err(HeadError::Malformed("request target"));
    }
    if target.contains('#') {
        return Err(HeadError::Malformed("fragment in request target"));
    }
    Ok(())
}

/// Authority and the rest of an absolute-form target (RFC 9112 §3.2.2).
pub(super) fn absolute_form(target: &str) -> Option<(&str, &str)> {
    let rest = ["http://", "https://"].iter().find_map(|scheme| {
        let head = target.get(..scheme.len())?;
        head.eq_ignore_ascii_case(scheme)
            .then(|| &target[scheme.len()..])
    })?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    Some(rest.split_at(end))
}

fn range_of(bytes: &[u8], part: &[u8]) -> Range<u32> {
    let start = offset(bytes, part);
    start..start + u32::try_from(part.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
