//! Server-sent events as the HTML standard defines `text/event-stream`: lines end with LF, CR or
//! CRLF, a blank line ends an event, a byte order mark may lead.
//! Source: <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>.
//!
//! A unit is a block of lines up to and with its blank line; a blank line alone (some servers send
//! one as a sign of life) is a unit too. Where a blank line is a lone CR after a line that did not
//! end with a lone CR, its end is known one byte too late: that event and the next are one unit.
//! No server known to us mixes line ends so; the events themselves are still told apart.

use super::UnitKind;
use super::frame::{Boundary, Classify};
use crate::view::Usage;

const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// Where the reader stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// So many bytes into a byte order mark, at the start of the stream.
    Mark(usize),
    /// At the start of a line, after LF or CRLF.
    #[default]
    LineStart,
    InLine,
    /// After a CR that ended a line: an LF that follows belongs to it.
    AfterCr,
    /// After a CR that ended a blank line. Lines before it ended with LF, so an LF is due here and
    /// still belongs to the unit.
    BlankCr,
}

/// Finds the blank lines.
#[derive(Debug)]
pub(super) struct SseBoundary {
    at: At,
}

impl SseBoundary {
    pub(super) const fn new() -> Self {
        Self { at: At::Mark(0) }
    }

    /// The state after one byte, and whether a unit ends with it.
    const fn step(at: At, byte: u8) -> (At, bool) {
        match (at, byte) {
            (At::Mark(n), _) if byte == BYTE_ORDER_MARK[n] => {
                let next = if n + 1 == BYTE_ORDER_MARK.len() {
                    At::LineStart
                } else {
                    At::Mark(n + 1)
                };
                (next, false)
            }
            (At::Mark(0), _) => Self::step(At::LineStart, byte),
            (At::Mark(_), _) => Self::step(At::InLine, byte),
            (At::LineStart | At::BlankCr, b'\n') => (At::LineStart, true),
            (At::LineStart, b'\r') => (At::BlankCr, false),
            (At::InLine | At::AfterCr, b'\n') => (At::LineStart, false),
            (At::InLine, b'\r') => (At::AfterCr, false),
            // A second CR in a row: this stream ends its lines so, no LF is to be waited for.
            (At::AfterCr | At::BlankCr, b'\r') => (At::AfterCr, true),
            (At::LineStart | At::InLine | At::AfterCr | At::BlankCr, _) => (At::InLine, false),
        }
    }
}

impl Boundary for SseBoundary {
    fn next_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut index = 0;
        while index < bytes.len() {
            if self.at == At::InLine {
                index += memchr::memchr2(b'\n', b'\r', &bytes[index..])?;
            }
            let (next, ends) = Self::step(self.at, bytes[index]);
            self.at = next;
            index += 1;
            if ends {
                return Some(index);
            }
        }
        None
    }
}

/// One event: what a client would be handed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Event<'a> {
    pub(super) name: &'a [u8],
    /// The lines of data, joined by LF.
    pub(super) data: &'a [u8],
}

/// Calls `each` with every event of a unit that has data: none for comments and blank lines. An
/// event that its stream left without a blank line counts, as lenient clients take it.
pub(super) fn for_each_event(unit: &[u8], joined: &mut Vec<u8>, mut each: impl FnMut(Event<'_>)) {
    let mut name: &[u8] = &[];
    let mut first: Option<&[u8]> = None;
    // More than one line of data: they stand in `joined`.
    let mut several = false;
    let mut rest = unit;
    loop {
        let (line, after) = split_line(rest);
        if line.is_empty() {
            if let Some(only) = first {
                let data = if several { joined.as_slice() } else { only };
                each(Event { name, data });
            }
            (name, first, several) = (&[], None, false);
        }
        match field(line) {
            (b"data", value) => {
                if let Some(only) = first {
                    if !several {
                        joined.clear();
                        joined.extend_from_slice(only);
                        several = true;
                    }
                    joined.push(b'\n');
                    joined.extend_from_slice(value);
                } else {
                    first = Some(value);
                }
            }
            (b"event", value) => name = value,
            _ => {}
        }
        // After the last line comes one empty line more, which hands out what has no blank line.
        if line.is_empty() && after.is_empty() {
            return;
        }
        rest = after;
    }
}

/// The first line without its end, and what follows it.
fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let Some(at) = memchr::memchr2(b'\n', b'\r', bytes) else {
        return (bytes, &[]);
    };
    let end = if bytes[at..].starts_with(b"\r\n") {
        at + 2
    } else {
        at + 1
    };
    (&bytes[..at], &bytes[end..])
}

/// A line as field and value; the field of a comment is empty.
fn field(line: &[u8]) -> (&[u8], &[u8]) {
    let Some(at) = memchr::memchr(b':', line) else {
        return (line, &[]);
    };
    let value = &line[at + 1..];
    (&line[..at], value.strip_prefix(b" ").unwrap_or(value))
}

/// What a protocol makes of an event.
pub(super) trait EventKind: std::fmt::Debug + Send {
    fn kind(&mut self, event: Event<'_>) -> UnitKind;

    fn usage(&self) -> Option<Usage> {
        None
    }

    fn saw_error(&self) -> bool {
        false
    }

    fn saw_end(&self) -> Option<bool> {
        None
    }
}

/// Classifies units by their events: one event with content makes a token of the unit.
#[derive(Debug)]
pub(super) struct Events<E> {
    kinds: E,
    joined: Vec<u8>,
    /// The next unit is the first, which may have a byte order mark.
    first: bool,
}

impl<E> Events<E> {
    pub(super) const fn new(kinds: E) -> Self {
        Self {
            kinds,
            joined: Vec::new(),
            first: true,
        }
    }
}

impl<E: EventKind> Classify for Events<E> {
    fn classify(&mut self, unit: &[u8]) -> UnitKind {
        let unit = if std::mem::take(&mut self.first) {
            without_mark(unit)
        } else {
            unit
        };
        let mut kind = UnitKind::Control;
        let kinds = &mut self.kinds;
        for_each_event(unit, &mut self.joined, |event| {
            if kinds.kind(event) == UnitKind::Token {
                kind = UnitKind::Token;
            }
        });
        kind
    }

    fn usage(&self) -> Option<Usage> {
        self.kinds.usage()
    }

    fn saw_error(&self) -> bool {
        self.kinds.saw_error()
    }

    fn saw_end(&self) -> Option<bool> {
        self.kinds.saw_end()
    }
}

/// A unit without the byte order mark that may lead a stream.
pub(super) fn without_mark(unit: &[u8]) -> &[u8] {
    unit.strip_prefix(&BYTE_ORDER_MARK).unwrap_or(unit)
}

/// Text as an event: each line becomes a line of data.
pub(super) fn event_of(name: Option<&str>, data: &str) -> Vec<u8> {
    let mut event = String::with_capacity(data.len() + 16);
    if let Some(name) = name {
        event.push_str("event: ");
        event.push_str(name);
        event.push('\n');
    }
    let mut rest = data.as_bytes();
    loop {
        let (line, after) = split_line(rest);
        event.push_str("data: ");
        event.push_str(&String::from_utf8_lossy(line));
        event.push('\n');
        if after.is_empty() {
            break;
        }
        rest = after;
    }
    event.push('\n');
    event.into_bytes()
}

#[cfg(test)]
#[path = "sse_tests.rs"]
mod tests;
