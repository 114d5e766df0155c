//! The fields of a head: one pass that finds what frames the message and what concerns this
//! connection only.

use std::cell::LazyCell;
use std::ops::Range;

use smallvec::SmallVec;

use crate::call::Field;
use crate::http1::framing::LengthList;
use crate::http1::head::{HeadError, Upgrade, absolute_form};

/// Fields that fit without an allocation.
const INLINE_FIELDS: usize = 24;

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
        &head[self.name_range()]
    }

    fn name_range(self) -> Range<usize> {
        let start = self.name as usize;
        start..start + usize::from(self.name_len)
    }

    pub fn value(self, head: &[u8]) -> &[u8] {
        &head[self.value as usize..(self.value + self.value_len) as usize]
    }

    pub(super) fn start(self) -> usize {
        self.name as usize
    }
}

pub(super) type Fields = SmallVec<[FieldAt; INLINE_FIELDS]>;

/// The fields of a head of this length as selectors and protocols read them. That the head is text
/// is checked once, not name by name.
pub(super) fn read<'b>(
    fields: &[FieldAt],
    head: &'b [u8],
    len: usize,
) -> impl Iterator<Item = Field<'b>> {
    let whole = LazyCell::new(move || {
        let head = head.get(..len)?;
        std::str::from_utf8(head).ok()
    });
    fields.iter().map(move |field| Field {
        name: match whole.and_then(|it| it.get(field.name_range())) {
            Some(name) => name,
            // A value is no text; names always are.
            None => text(field.name(head)),
        },
        value: field.value(head),
    })
}

/// The `timeout` of a Keep-Alive field, in seconds (RFC 2068 §19.7.1.1, as servers still send it).
fn keep_for(value: &[u8]) -> Option<u32> {
    let mut parameters = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let timeout = parameters.find_map(|it| {
        let (name, rest) = it.split_at_checked(8)?;
        name.eq_ignore_ascii_case(b"timeout=").then_some(rest)
    })?;
    std::str::from_utf8(timeout).ok()?.parse().ok()
}

/// One pass over the fields of a head.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one independent finding of the pass"
)]
pub(super) struct FieldScan<'b> {
    pub(super) bytes: &'b [u8],
    pub(super) fields: Fields,
    pub(super) coding: SmallVec<[&'b [u8]; 1]>,
    pub(super) lengths: LengthList,
    pub(super) connection: SmallVec<[&'b [u8]; 2]>,
    pub(super) host: Option<u8>,
    pub(super) hosts: usize,
    pub(super) close: bool,
    pub(super) keep: bool,
    /// Seconds that the peer keeps an idle connection.
    pub(super) keep_for: Option<u32>,
    pub(super) asks_upgrade: bool,
    pub(super) has_upgrade: bool,
    pub(super) asks_h2c: bool,
    pub(super) expects_continue: bool,
    pub(super) bare_lf: bool,
}

impl<'b> FieldScan<'b> {
    pub(super) fn new(bytes: &'b [u8], len: usize) -> Self {
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
            keep_for: None,
            asks_upgrade: false,
            has_upgrade: false,
            asks_h2c: false,
            expects_continue: false,
            bare_lf,
        }
    }

    pub(super) fn take(&mut self, header: &httparse::Header<'b>) -> Result<(), HeadError> {
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
                self.asks_h2c |= names_http2(value);
            }
            10 if is(name, "connection") => {
                hop = true;
                self.take_connection(value);
            }
            10 if is(name, "keep-alive") => {
                hop = true;
                self.keep_for = keep_for(value);
            }
            14 if is(name, "content-length") => {
                framing = true;
                self.lengths.take(value)?;
            }
            14 if is(name, "http2-settings") => hop = true,
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
    pub(super) fn check_host(&self, minor: u8, target: &str) -> Result<(), HeadError> {
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

    /// HTTP/2 is not among what a client may change to: what it would say behind the 101 nobody here
    /// would read, and the upstream would serve it (h2c smuggling; RFC 9113 dropped that upgrade).
    pub(super) fn upgrade(&self, minor: u8) -> Upgrade {
        if self.asks_upgrade && self.has_upgrade && minor == 1 && !self.asks_h2c {
            Upgrade::Asked
        } else {
            Upgrade::No
        }
    }

    /// Marks the fields that `Connection` names. What frames a message is never among them: a
    /// client could else take away the length that the next hop needs. True where `Connection` goes
    /// on and names more than the upgrade, which is to be said anew.
    pub(super) fn strip_named(&mut self, upgrade: Upgrade) -> bool {
        let mut anew = false;
        if upgrade == Upgrade::Asked {
            let mut connections = 0;
            for field in &mut self.fields {
                let name = field.name(self.bytes);
                if name.eq_ignore_ascii_case(b"upgrade") {
                    field.hop = false;
                } else if self.asks_upgrade && name.eq_ignore_ascii_case(b"connection") {
                    field.hop = false;
                    connections += 1;
                    anew |= connections > 1;
                    anew |= !field.value(self.bytes).eq_ignore_ascii_case(b"upgrade");
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
        anew
    }

    /// Marks what says how a body is framed, where there can be none (RFC 9112 §6.1).
    pub(super) fn strip_coding(&mut self) {
        if self.coding.is_empty() {
            return;
        }
        for field in &mut self.fields {
            let name = field.name(self.bytes);
            field.hop |= name.eq_ignore_ascii_case(b"transfer-encoding");
        }
    }

    pub(super) fn keeps(&self, minor: u8) -> bool {
        !self.close && (minor == 1 || self.keep)
    }
}

fn is(name: &str, lower: &str) -> bool {
    name.eq_ignore_ascii_case(lower)
}

/// Whether an `Upgrade` value has HTTP/2 among its protocols, under any of its names (`h2c`,
/// `h2c-14`, `HTTP/2.0`).
fn names_http2(value: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|protocol| {
        let protocol = protocol.trim_ascii();
        let is_called = |name: &[u8]| {
            let start = protocol.get(..name.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(name))
        };
        is_called(b"h2") || is_called(b"http/2")
    })
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

/// Where a slice that httparse returned lies in the buffer that it parsed.
pub(super) fn offset(bytes: &[u8], part: &[u8]) -> u32 {
    u32::try_from(part.as_ptr().addr() - bytes.as_ptr().addr()).unwrap_or(u32::MAX)
}

/// Text of bytes that httparse has checked to be tokens; anything else reads as empty.
pub(super) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
