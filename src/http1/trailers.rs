//! The trailers of a chunked body (RFC 9112 §7.1.2) on their way through a proxy: all pass but those
//! that a reader might take for part of the head.

use crate::http1::chunked::ChunkedError;
use crate::http1::framing::{BodyScanner, Part};

/// What a trailer must not be (RFC 9110 §6.5.1): framing, routing, modifiers of a request, access,
/// and what says how the content is to be read. The names that Go's net/http refuses.
const FORBIDDEN: &[&str] = &[
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "realm",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "www-authenticate",
];

/// Trailers of one body, held from their first byte until they are whole: at most what the scanner
/// lets through. Nothing is held of a body without any.
#[derive(Debug, Default)]
pub struct Trailers {
    held: Vec<u8>,
    /// The name of a field whose value somebody wants to know.
    wanted: Option<&'static str>,
    found: Option<Vec<u8>>,
}

impl Trailers {
    /// A body's whose trailers may have a field of this name, of which the value is kept.
    pub fn watching(name: Option<&'static str>) -> Self {
        Self {
            wanted: name,
            ..Self::default()
        }
    }

    /// Takes trailer lines as a scan tells them.
    pub fn take(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// All have come.
    pub fn whole(&mut self) {
        let Some(wanted) = self.wanted.filter(|_| !self.held.is_empty()) else {
            return;
        };
        let mut lines = self.held.split(|byte| *byte == b'\n');
        self.found = lines.find_map(|line| {
            let at = memchr::memchr(b':', line)?;
            let (name, value) = (&line[..at], &line[at + 1..]);
            name.eq_ignore_ascii_case(wanted.as_bytes())
                .then(|| value.trim_ascii().to_vec())
        });
    }

    /// The value of the field that was watched for.
    pub fn found(&self) -> Option<&[u8]> {
        self.found.as_deref()
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    fn all_allowed(&self) -> bool {
        let mut lines = self.held.split_inclusive(|byte| *byte == b'\n');
        lines.all(is_allowed)
    }

    /// The lines that may pass, as they came.
    pub fn allowed(&self) -> Vec<u8> {
        let lines = self.held.split_inclusive(|byte| *byte == b'\n');
        lines
            .filter(|line| is_allowed(line))
            .flatten()
            .copied()
            .collect()
    }

    /// The end of a chunked body behind its last chunk's line: the trailers that may pass, as they
    /// came, and the empty line.
    pub fn end(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.allowed());
        out.extend_from_slice(b"\r\n");
    }

    /// The same, by itself.
    pub fn to_end(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.held.len() + 2);
        self.end(&mut out);
        out
    }
}

fn is_allowed(line: &[u8]) -> bool {
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    let conditional = name
        .get(..3)
        .is_some_and(|it| it.eq_ignore_ascii_case(b"if-"));
    !conditional
        && !FORBIDDEN
            .iter()
            .any(|it| name.eq_ignore_ascii_case(it.as_bytes()))
}

/// What a scan of a body that is passed on found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Through {
    /// So many bytes go on as they are.
    pub raw: usize,
    /// So many belong to the body; those behind `raw` are trailers and held.
    pub wire: usize,
    /// The body ends with them. Where trailers are held, [`Trailers::end`] is still to be sent.
    pub done: bool,
}

impl BodyScanner {
    /// Scans bytes that are to be passed on as they are, up to the trailers.
    pub fn scan_through(
        &mut self,
        bytes: &[u8],
        trailers: &mut Trailers,
        mut payload: impl FnMut(&[u8]),
    ) -> Result<Through, ChunkedError> {
        let mut raw = (!trailers.is_empty()).then_some(0);
        let scanned = self.scan_parts(bytes, usize::MAX, |part| match part {
            Part::Payload(bytes) => payload(bytes),
            Part::Trailers(part) => {
                raw.get_or_insert_with(|| part.as_ptr().addr() - bytes.as_ptr().addr());
                trailers.take(part);
            }
        })?;
        if scanned.done {
            trailers.whole();
        }
        if scanned.done && raw.is_some_and(|from| from > 0) && trailers.all_allowed() {
            // All of them are at hand, as nearly always: they go on as they are too.
            trailers.held.clear();
            raw = None;
        }
        Ok(Through {
            raw: raw.unwrap_or(scanned.wire),
            wire: scanned.wire,
            done: scanned.done,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::Framing;

    /// What goes on of a body that comes in pieces.
    fn passed(body: &[u8], step: usize) -> String {
        let (mut scanner, mut trailers, mut out) = (
            BodyScanner::new(Framing::Chunked),
            Trailers::default(),
            Vec::new(),
        );
        for piece in body.chunks(step) {
            let through = scanner.scan_through(piece, &mut trailers, |_| {}).unwrap();
            assert_eq!(through.wire, piece.len());
            out.extend_from_slice(&piece[..through.raw]);
            if through.done && !trailers.is_empty() {
                trailers.end(&mut out);
            }
        }
        assert!(scanner.is_done());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn trailers_pass_and_those_that_frame_do_not() {
        let start = "3;x\r\nabc\r\n0\r\n";
        for (sent, got) in [
            ("", ""),
            (
                "Digest: x\r\ngrpc-status: 0\r\n",
                "Digest: x\r\ngrpc-status: 0\r\n",
            ),
            ("content-LENGTH: 3\r\n", ""),
            (
                "A: 1\r\nTransfer-Encoding: chunked\r\nIf-Match: x\r\nHost: h\r\nb: \r\n",
                "A: 1\r\nb: \r\n",
            ),
        ] {
            let (sent, got) = (format!("{start}{sent}\r\n"), format!("{start}{got}\r\n"));
            for step in 1..=sent.len() {
                assert_eq!(passed(sent.as_bytes(), step), got, "{sent:?} by {step}");
            }
        }
    }
}
