//! Request and response heads: parsed once, checked for everything that could make two readers of
//! the same bytes disagree, and described by offsets into the buffer that holds them.

use std::mem::MaybeUninit;
use std::ops::Range;

use smallvec::SmallVec;

use crate::call::Field;
use crate::http1::framing::{Framing, FramingError, LengthList, request_framing, response_framing};

/// Fields that fit without an allocation.
const INLINE_FIELDS: usize = 24;
/// The most header fields that are parsed at all; the configured limit lies below.
const MAX_FIELDS: usize = 256;

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
    #[error("transfer coding other than chunked is not implemented")]
    UnknownCoding,
    #[error("HTTP version is not 1.0 or 1.1 (HTTP/2 without TLS is not spoken on this listener)")]
    Version,
}

impl HeadError {
    /// The status that a client is answered with (RFC 9110 §15, RFC 6585 §5).
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
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

/// One header line by its place in the buffer.
#[derive(Clone, Copy, Debug)]
pub struct FieldAt {
    name: u32,
    value: u32,
    value_len: u32,
    name_len: u16,
    /// Concerns this connection only and is not forwarded.
    pub hop: bool,
    /// Content-Length, Transfer-Encoding or Host: written anew when a head is rebuilt.
    pub framing: bool,
}

impl FieldAt {
    pub fn name(self, head: &[u8]) -> &[u8] {
        &head[self.name as usize..self.name as usize + usize::from(self.name_len)]
    }

    pub fn value(self, head: &[u8]) -> &[u8] {
        &head[self.value as usize..(self.value + self.value_len) as usize]
    }

    pub(super) fn start(self) -> usize {
        self.name as usize
    }
}

pub(super) type Fields = SmallVec<[FieldAt; INLINE_FIELDS]>;

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
        self.fields.iter().map(|field| field_of(*field, head))
    }
}

/// A field as selectors and protocols read it.
pub(super) fn field_of(field: FieldAt, head: &[u8]) -> Field<'_> {
    Field {
        name: text(field.name(head)),
        value: field.value(head),
    }
}

impl Request {
    pub fn fields<'b>(&self, head: &'b [u8]) -> impl Iterator<Item = Field<'b>> {
        self.fields.iter().map(|field| field_of(*field, head))
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
    scan.strip_named(upgrade);
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
        rebuild: absolute || scan.host.is_none() || scan.lengths.repeated() || scan.bare_lf,
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
    scan.strip_named(if switches {
        Upgrade::Asked
    } else {
        Upgrade::No
    });
    let framing = response_framing(status, minor, to_head, &scan.coding, &scan.lengths)?;
    Ok(Some(Response {
        len,
        status,
        framing,
        minor,
        keep_alive: scan.keeps(minor) && framing != Framing::UntilClose,
        rebuild: scan.lengths.repeated() || scan.bare_lf,
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

/// Where a slice that httparse returned lies in the buffer that it parsed.
fn offset(bytes: &[u8], part: &[u8]) -> u32 {
    u32::try_from(part.as_ptr().addr() - bytes.as_ptr().addr()).unwrap_or(u32::MAX)
}

/// Text of bytes that httparse has checked to be tokens; anything else reads as empty.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// One pass over the fields of a head.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one independent finding of the pass"
)]
struct FieldScan<'b> {
    bytes: &'b [u8],
    fields: Fields,
    coding: SmallVec<[&'b [u8]; 1]>,
    lengths: LengthList,
    connection: SmallVec<[&'b [u8]; 2]>,
    host: Option<u8>,
    hosts: usize,
    close: bool,
    keep: bool,
    asks_upgrade: bool,
    has_upgrade: bool,
    expects_continue: bool,
    bare_lf: bool,
}

impl<'b> FieldScan<'b> {
    fn new(bytes: &'b [u8], len: usize) -> Self {
        let head = &bytes[..len];
        let bare_lf = memchr::memchr_iter(b'\n', head).any(|at| at == 0 || head[at - 1] != b'\r');
        Self {
            bytes,
            fields: Fields::new(),
            coding: SmallVec::new(),
            lengths: LengthList::default(),
            connection: SmallVec::new(),
            host: None,
            hosts: 0,
            close: false,
            keep: false,
            asks_upgrade: false,
            has_upgrade: false,
            expects_continue: false,
            bare_lf,
        }
    }

    fn take(&mut self, header: &httparse::Header<'b>) -> Result<(), HeadError> {
        let (mut hop, mut framing) = (false, false);
        let (name, value) = (header.name, header.value);
        // The length tells nearly every field apart before a letter is compared.
        match name.len() {
            2 if is(name, "te") => hop = !value.eq_ignore_ascii_case(b"trailers"),
            4 if is(name, "host") => {
                framing = true;
                self.hosts += 1;
                self.host = u8::try_from(self.fields.len()).ok();
            }
            6 if is(name, "expect") => {
                self.expects_continue = value.eq_ignore_ascii_case(b"100-continue");
            }
            7 if is(name, "upgrade") => {
                hop = true;
                self.has_upgrade = true;
            }
            10 if is(name, "connection") => {
                hop = true;
                self.take_connection(value);
            }
            10 if is(name, "keep-alive") => hop = true,
            14 if is(name, "content-length") => {
                framing = true;
                self.lengths.take(value)?;
            }
            16 if is(name, "proxy-connection") => hop = true,
            17 if is(name, "transfer-encoding") => {
                framing = true;
                self.coding.push(value);
            }
            _ => {}
        }
        let value_at = if value.is_empty() {
            0
        } else {
            offset(self.bytes, value)
        };
        self.fields.push(FieldAt {
            name: offset(self.bytes, name.as_bytes()),
            name_len: u16::try_from(name.len()).map_err(|_| HeadError::TooLarge)?,
            value: value_at,
            value_len: u32::try_from(value.len()).map_err(|_| HeadError::TooLarge)?,
            hop,
            framing,
        });
        Ok(())
    }

    fn take_connection(&mut self, value: &'b [u8]) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.asks_upgrade = true;
            } else if !option.is_empty() {
                self.connection.push(option);
            }
        }
    }

    /// RFC 9112 §3.2: exactly one valid Host in HTTP/1.1, at most one in HTTP/1.0.
    fn check_host(&self, minor: u8, target: &str) -> Result<(), HeadError> {
        if self.hosts > 1 {
            return Err(HeadError::Malformed("more than one Host"));
        }
        if self.hosts == 0 && minor == 1 {
            return Err(HeadError::Malformed("no Host"));
        }
        let host = self.host.and_then(|at| self.fields.get(usize::from(at)));
        if host.is_some_and(|host| !is_authority(host.value(self.bytes))) {
            return Err(HeadError::Malformed("Host is no host"));
        }
        if absolute_form(target).is_some_and(|(authority, _)| {
            authority.is_empty() || !is_authority(authority.as_bytes())
        }) {
            return Err(HeadError::Malformed("authority of the request target"));
        }
        Ok(())
    }

    fn upgrade(&self, minor: u8) -> Upgrade {
        if self.asks_upgrade && self.has_upgrade && minor == 1 {
            Upgrade::Asked
        } else {
            Upgrade::No
        }
    }

    /// Marks the fields that `Connection` names. What frames a message is never among them: a
    /// client could else take away the length that the next hop needs.
    fn strip_named(&mut self, upgrade: Upgrade) {
        if upgrade == Upgrade::Asked {
            for field in &mut self.fields {
                let name = field.name(self.bytes);
                if name.eq_ignore_ascii_case(b"upgrade") || name.eq_ignore_ascii_case(b"connection")
                {
                    field.hop = false;
                }
            }
        }
        for option in &self.connection {
            for field in &mut self.fields {
                if !field.framing && field.name(self.bytes).eq_ignore_ascii_case(option) {
                    // gRPC's `TE: trailers` must reach the server although TE is hop-by-hop.
                    field.hop |= !option.eq_ignore_ascii_case(b"te");
                }
            }
        }
    }

    fn keeps(&self, minor: u8) -> bool {
        !self.close && (minor == 1 || self.keep)
    }
}

fn is(name: &str, lower: &str) -> bool {
    name.eq_ignore_ascii_case(lower)
}

/// Host and port without user information, path or blanks.
fn is_authority(value: &[u8]) -> bool {
    value.iter().all(|byte| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'.' | b'-'
                    | b'_'
                    | b':'
                    | b'['
                    | b']'
                    | b'%'
                    | b'~'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b';'
                    | b'='
            )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Result<Option<Request>, HeadError> {
        parse_request(text.as_bytes(), 65_536, 100)
    }

    fn refused(text: &str) -> HeadError {
        request(text).expect_err(text)
    }

    #[test]
    fn a_plain_request_passes_whole() {
        let text = "GET /a?b=c HTTP/1.1\r\nHost: h:1\r\nX-A: b\r\n\r\nrest";
        let head = request(text).unwrap().unwrap();
        assert_eq!(head.len, text.len() - 4);
        assert_eq!(
            head.parts(text.as_bytes()),
            (Some("h:1"), "/a", Some("b=c"))
        );
        assert_eq!(head.framing, Framing::None);
        assert!(head.keep_alive && !head.rebuild && head.fields.iter().all(|field| !field.hop));
    }

    #[test]
    fn every_prefix_is_incomplete() {
        let text = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n";
        for end in 0..text.len() {
            assert!(request(&text[..end]).unwrap().is_none(), "{end}");
        }
    }

    #[test]
    fn smuggling_shapes_are_refused() {
        let with = |fields: &str| format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n");
        for fields in [
            "Content-Length: 3\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 3",
            "Content-Length: 3\r\nContent-Length: 4",
            "Content-Length: 3, 4",
            "Content-Length: +3",
            "Content-Length: -3",
            "Content-Length: 0x3",
            "Content-Length: 99999999999999999999999",
            "Content-Length:",
            "Content-Length: 3 4",
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: \x0bchunked",
            "Transfer-Encoding: identity",
            "Transfer-Encoding:",
            "Transfer-Encoding : chunked",
            "X: a\r\n folded",
            "X: a\0b",
            "X: a\rb",
            "Host: other",
        ] {
            let status = refused(&with(fields)).status();
            assert!(status == 400 || status == 501, "{fields}: {status}");
        }
        assert_eq!(refused("GET / HTTP/1.1\r\n\r\n").status(), 400);
        assert_eq!(refused("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n").status(), 400);
        assert_eq!(
            refused("GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n").status(),
            400
        );
        assert_eq!(
            refused("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n").status(),
            405
        );
        assert_eq!(refused("GET a HTTP/1.1\r\nHost: a\r\n\r\n").status(), 400);
        assert_eq!(refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").status(), 505);
        assert_eq!(
            refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").status(),
            400
        );
    }

    #[test]
    fn equal_lengths_collapse_and_absolute_form_wins() {
        let head =
            request("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n");
        let head = head.unwrap().unwrap();
        assert!(head.rebuild && head.framing == Framing::Length(3));
        let text = "GET http://real:8/p?q HTTP/1.1\r\nHost: other\r\n\r\n";
        let head = request(text).unwrap().unwrap();
        assert!(head.rebuild);
        assert_eq!(
            head.parts(text.as_bytes()),
            (Some("real:8"), "/p", Some("q"))
        );
        assert!(
            request("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")
                .unwrap()
                .is_some()
        );
    }

    #[test]
    fn hop_by_hop_fields_are_marked_and_framing_is_out_of_reach() {
        let text = "POST / HTTP/1.1\r\nHost: h\r\nConnection: x-a, Content-Length, te\r\nX-A: 1\r\nX-B: 2\r\n\
                    TE: trailers\r\nKeep-Alive: 5\r\nProxy-Connection: keep-alive\r\nContent-Length: 1\r\n\r\n";
        let head = request(text).unwrap().unwrap();
        let hop: Vec<&str> = head
            .fields
            .iter()
            .filter(|f| f.hop)
            .map(|f| field_of(*f, text.as_bytes()).name)
            .collect();
        assert_eq!(hop, ["Connection", "X-A", "Keep-Alive", "Proxy-Connection"]);
        assert_eq!(head.framing, Framing::Length(1));
    }

    #[test]
    fn keep_alive_follows_version_and_connection() {
        let keeps = |text: &str| request(text).unwrap().unwrap().keep_alive;
        assert!(!keeps(
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        ));
        assert!(!keeps("GET / HTTP/1.0\r\nHost: h\r\n\r\n"));
        assert!(keeps("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
    }

    #[test]
    fn limits_hold() {
        let long = format!(
            "GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n",
            "a".repeat(2000)
        );
        assert_eq!(
            parse_request(long.as_bytes(), 1000, 100).unwrap_err(),
            HeadError::TooLarge
        );
        assert_eq!(
            parse_request(&long.as_bytes()[..1500], 1000, 100).unwrap_err(),
            HeadError::TooLarge
        );
        assert_eq!(
            parse_request(long.as_bytes(), 65_536, 1).unwrap_err(),
            HeadError::TooManyFields
        );
    }

    #[test]
    fn responses_are_framed_by_what_was_asked() {
        let parse =
            |text: &str, to_head| parse_response(text.as_bytes(), 65_536, to_head, Upgrade::No);
        let framing = |text: &str, to_head| parse(text, to_head).unwrap().unwrap().framing;
        assert_eq!(
            framing("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false),
            Framing::Length(5)
        );
        assert_eq!(
            framing("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true),
            Framing::None
        );
        assert_eq!(
            framing(
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
                false
            ),
            Framing::None
        );
        assert_eq!(
            framing("HTTP/1.1 200 OK\r\n\r\n", false),
            Framing::UntilClose
        );
        assert_eq!(
            framing(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                false
            ),
            Framing::Chunked
        );
        for lie in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
            "HTTP/1.1 999 X\r\n\r\n",
            "garbage\r\n\r\n",
        ] {
            assert!(parse(lie, false).is_err(), "{lie}");
        }
    }
}
