//! The chunked transfer coding (RFC 9112 §7.1): a scanner that validates every byte and says which
//! of them are payload, so that the same bytes can be passed on as they came.

use crate::error::ignore;
use crate::http1::framing::{Part, Scanned};

/// The longest chunk-size line with its extensions, and the most bytes of trailers.
const LINE_CAP: usize = 4096;
/// So many fill 64 bits. Zeros in front count: another reader may keep them, or give up on them.
const MOST_DIGITS: usize = 16;
const TRAILER_CAP: usize = 16 * 1024;

/// Why bytes are no chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkedError {
    #[error("chunk extension too long")]
    ExtensionTooLong,
    #[error("malformed chunk extension")]
    Extension,
    #[error("chunk size is no hexadecimal number")]
    Size,
    #[error("chunk does not end where its size says")]
    End,
    #[error("malformed trailer")]
    Trailer,
    #[error("trailers larger than the limit")]
    TrailerTooLarge,
}

/// Where in the coding the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    SizeStart,
    Size,
    /// Blanks behind the size, which some senders pad it with (RFC 9112 §7.1.1, "bad whitespace").
    Blank,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the start of a trailer line, or of the empty line that ends the body.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
}

/// A chunked body, followed byte by byte where it is framing and by leaps where it is payload.
#[derive(Debug, Default)]
pub struct ChunkedScanner {
    state: State,
    /// Size being read, then payload bytes left of the chunk.
    size: u64,
    /// Bytes of the current line, or of all trailers.
    line: usize,
}

impl ChunkedScanner {
    /// Takes bytes up to `most` of payload; what frames it is always taken.
    pub(super) fn scan(
        &mut self,
        bytes: &[u8],
        mut most: usize,
        mut part: impl FnMut(Part<'_>),
    ) -> Result<Scanned, ChunkedError> {
        let mut at = 0;
        while at < bytes.len() && self.state != State::Done {
            if self.state == State::Data {
                let take = usize::try_from(self.size)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len() - at)
                    .min(most);
                if take == 0 {
                    break;
                }
                part(Part::Payload(&bytes[at..at + take]));
                self.size -= take as u64;
                most -= take;
                at += take;
                if self.size == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            let next = self.framing_byte(bytes[at])?;
            if self.is_in_trailers() && next != State::EndLf && next != State::Done {
                part(Part::Trailers(&bytes[at..=at]));
            }
            self.state = next;
            at += 1;
        }
        Ok(Scanned {
            wire: at,
            done: self.state == State::Done,
        })
    }

    fn is_in_trailers(&self) -> bool {
        matches!(
            self.state,
            State::TrailerStart | State::TrailerName | State::TrailerValue | State::TrailerLf
        )
    }

    fn framing_byte(&mut self, byte: u8) -> Result<State, ChunkedError> {
        match self.state {
            State::SizeStart | State::Size => self.size_byte(byte),
            State::Blank | State::Extension => self.extension_byte(byte),
            State::SizeLf if byte == b'\n' => {
                self.line = 0;
                Ok(if self.size == 0 {
                    State::TrailerStart
                } else {
                    State::Data
                })
            }
            State::SizeLf => Err(ChunkedError::Size),
            State::DataCr if byte == b'\r' => Ok(State::DataLf),
            State::DataLf if byte == b'\n' => Ok(State::SizeStart),
            State::DataCr | State::DataLf => Err(ChunkedError::End),
            State::TrailerStart
            | State::TrailerName
            | State::TrailerValue
            | State::TrailerLf
            | State::EndLf => self.trailer_byte(byte),
            State::Data | State::Done => Ok(self.state),
        }
    }

    fn size_byte(&mut self, byte: u8) -> Result<State, ChunkedError> {
        if self.state == State::SizeStart {
            (self.size, self.line) = (0, 0);
        }
        self.line += 1;
        if let Some(digit) = char::from(byte).to_digit(16) {
            if self.line > MOST_DIGITS {
                return Err(ChunkedError::Size);
            }
            self.size = self.size << 4 | u64::from(digit);
            return Ok(State::Size);
        }
        match byte {
            b'\r' if self.state == State::Size => Ok(State::SizeLf),
            b';' if self.state == State::Size => Ok(State::Extension),
            b' ' | b'\t' if self.state == State::Size => Ok(State::Blank),
            _ => Err(ChunkedError::Size),
        }
    }

    /// Behind the size. The line goes on as it came: what another reader could take for more of the
    /// size, or for the line's end, must not stand in it.
    fn extension_byte(&mut self, byte: u8) -> Result<State, ChunkedError> {
        self.line += 1;
        match (self.state, byte) {
            _ if self.line > LINE_CAP => Err(ChunkedError::ExtensionTooLong),
            (_, b'\r') => Ok(State::SizeLf),
            (State::Blank, b' ' | b'\t') => Ok(State::Blank),
            (State::Blank, b';') => Ok(State::Extension),
            (State::Blank, _) => Err(ChunkedError::Size),
            (_, b'\t' | b' '..=b'~' | 0x80..) => Ok(State::Extension),
            _ => Err(ChunkedError::Extension),
        }
    }

    fn trailer_byte(&mut self, byte: u8) -> Result<State, ChunkedError> {
        self.line += 1;
        if self.line > TRAILER_CAP {
            return Err(ChunkedError::TrailerTooLarge);
        }
        match (self.state, byte) {
            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::TrailerStart, _) if is_token(byte) => Ok(State::TrailerName),
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::TrailerName, _) if is_token(byte) => Ok(State::TrailerName),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => Ok(State::TrailerValue),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            (State::EndLf, b'\n') => Ok(State::Done),
            _ => Err(ChunkedError::Trailer),
        }
    }
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The line that opens a chunk of `size` bytes.
pub fn chunk_header(size: usize, out: &mut Vec<u8>) {
    use std::io::Write as _;
    // Writing to a Vec cannot fail.
    ignore(write!(out, "{size:x}\r\n"));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(bytes: &[u8]) -> Result<(Vec<u8>, Scanned), ChunkedError> {
        let mut payload = Vec::new();
        let scanned = scan(&mut ChunkedScanner::default(), bytes, &mut payload)?;
        Ok((payload, scanned))
    }

    fn scan(
        scanner: &mut ChunkedScanner,
        bytes: &[u8],
        payload: &mut Vec<u8>,
    ) -> Result<Scanned, ChunkedError> {
        scanner.scan(bytes, usize::MAX, |part| {
            if let Part::Payload(part) = part {
                payload.extend_from_slice(part);
            }
        })
    }

    #[test]
    fn trailers_come_apart_and_payload_within_its_bound() {
        let body = b"4;a=b\r\nwiki\r\n0;x\r\nX-T: v\r\nY: w\r\n\r\nGET";
        let (mut scanner, mut payload, mut trailers) =
            (ChunkedScanner::default(), Vec::new(), Vec::new());
        let mut at = 0;
        loop {
            let scanned = scanner
                .scan(&body[at..], 1, |part| match part {
                    Part::Payload(bytes) => payload.push(bytes.to_vec()),
                    Part::Trailers(bytes) => trailers.extend_from_slice(bytes),
                })
                .unwrap();
            at += scanned.wire;
            if scanned.done {
                break;
            }
        }
        assert_eq!(payload, [b"w", b"i", b"k", b"i"]);
        assert_eq!(trailers, b"X-T: v\r\nY: w\r\n");
        assert_eq!(&body[at..], b"GET");
        // Without room for payload what frames it passes all the same.
        let mut scanner = ChunkedScanner::default();
        let scanned = scanner.scan(b"1\r\na\r\n", 0, |_| panic!()).unwrap();
        assert_eq!(scanned.wire, 3);
    }

    #[test]
    fn payload_extensions_and_trailers() {
        let body = b"4;a=b\r\nwiki\r\nA\r\n0123456789\r\n0\r\nX-T: v\r\n\r\nGET";
        let (payload, scanned) = decode(body).unwrap();
        assert_eq!(payload, b"wiki0123456789");
        assert_eq!(
            scanned,
            Scanned {
                wire: body.len() - 3,
                done: true
            }
        );
    }

    #[test]
    fn malformed_bodies_are_refused() {
        for bad in [
            &b"\r\n"[..],
            b"g\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"0x1\r\n",
            b" 1\r\n",
            b"1\n",
            b"1\rX",
            b"1\r\nab",
            b"1\r\na\rb",
            b"10000000000000000\r\n",
            b"00000000000000001\r\n",
            b"1 1\r\n",
            b"1\t0\r\n",
            b"1 a=b\r\n",
            b"1 \n",
            b"1 \0\r\n",
            b"1;a\nb\r\n",
            b"1;a\x0bb\r\n",
            b"1;a=\"\x1b\"\r\n",
            b"1;a\x7f\r\n",
            b"0\r\n: v\r\n\r\n",
            b"0\r\nA v\r\n\r\n",
            b"0\r\nA: v\n\r\n",
            b"0\r\n\n",
        ] {
            assert!(decode(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
        for fill in [b';', b' '] {
            let long = [b"1".as_slice(), &vec![fill; LINE_CAP]].concat();
            assert_eq!(decode(&long).unwrap_err(), ChunkedError::ExtensionTooLong);
            assert!(decode(&long[..LINE_CAP]).is_ok());
        }
    }

    #[test]
    fn what_stands_behind_a_size() {
        for line in [
            "000000000000000a",
            "A ",
            "a\t ",
            "a ;x",
            "a; x = \"y;z\"",
            "a;\u{fc}\t",
        ] {
            let body = format!("{line}\r\n0123456789\r\n0\r\n\r\n");
            let (payload, scanned) = decode(body.as_bytes()).unwrap();
            assert_eq!(payload, b"0123456789", "{line:?}");
            assert!(scanned.done);
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                chunk_header(chunk.len(), &mut wire);
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len())).collect();
            ends.extend([0, wire.len()]);
            ends.sort_unstable();
            let (mut scanner, mut payload, mut done) = (ChunkedScanner::default(), Vec::new(), false);
            for pair in ends.windows(2) {
                let scanned = scan(&mut scanner, &wire[pair[0]..pair[1]], &mut payload).unwrap();
                prop_assert_eq!(scanned.wire, pair[1] - pair[0]);
                done = scanned.done;
            }
            prop_assert!(done);
            prop_assert_eq!(payload, chunks.concat());
        }

        #[test]
        fn a_line_that_passes_has_one_reading(line in "[0-9a-fA-Fx]{1,18}[ \t0-9]{0,3}[;a=\"\r\t \x00\x0b\x7f]{0,4}") {
            let wire = format!("{line}\r\n");
            let digits = line.bytes().take_while(u8::is_ascii_hexdigit).count();
            let rest = line[digits..].trim_start_matches([' ', '\t']);
            let is_text = |byte: u8| byte == b'\t' || !byte.is_ascii_control();
            let sound = (1..=16).contains(&digits)
                && (rest.is_empty() || rest.starts_with(';'))
                && rest.bytes().all(is_text);
            prop_assert_eq!(decode(wire.as_bytes()).is_ok(), sound, "{:?}", line);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            ignore(decode(&bytes));
        }
    }
}
