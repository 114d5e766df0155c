//! A JSON reader (RFC 8259) that takes bytes as they come, keeps no document and does not recurse.
//! It tells a [`Sink`] where values begin and end; strings come in pieces.

/// Deeper documents are refused, as `serde_json` refuses them.
const MAX_DEPTH: usize = 128;

/// Who listens to a reader. Offsets count from the start of the present push.
pub(super) trait Sink {
    /// A value begins with the byte at `at`.
    fn value_start(&mut self, at: usize, is_string: bool);
    /// A value ended before the byte at `at`.
    fn value_end(&mut self, at: usize);
    fn array_start(&mut self);
    fn object_start(&mut self);
    /// The container that was entered last ended. Comes before its `value_end`.
    fn container_end(&mut self);
    /// An element of the present array follows.
    fn element(&mut self);
    fn key_start(&mut self);
    fn key_end(&mut self);
    /// A piece of the present key or string.
    fn piece(&mut self, piece: Piece<'_>);
    /// Whether reading can stop.
    fn is_done(&self) -> bool;
}

/// A piece of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Bytes that stand for themselves.
    Plain(&'a [u8]),
    /// What a short escape stands for.
    Short(u8),
    /// A UTF-16 code unit, `\u0041`.
    Unit(u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Container {
    Array,
    Object,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// After `[`.
    ElementOrEnd,
    /// After `{`.
    KeyOrEnd,
    /// After a comma in an object.
    Key,
    Colon,
    Value,
    AfterValue,
    /// In a string or a key.
    Text(Escape),
    /// In `true`, `false` or `null`: what is still to come.
    Literal(&'static [u8]),
    Number(Number),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    None,
    /// After a backslash.
    Open,
    /// After `\u`: hex digits read, and their value.
    Hex(u8, u16),
}

/// The part of a number that was read last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Minus,
    /// A leading zero: no digit may follow.
    Zero,
    Integer,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

impl Number {
    /// The state after one more byte; `None` where that byte is no part of the number.
    const fn step(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Minus, b'0') => Self::Zero,
            (Self::Minus, b'1'..=b'9') | (Self::Integer, b'0'..=b'9') => Self::Integer,
            (Self::Zero | Self::Integer, b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Integer | Self::Fraction, b'e' | b'E') => Self::Exponent,
            (Self::Exponent, b'+' | b'-') => Self::ExponentSign,
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => {
                Self::ExponentDigits
            }
            _ => return None,
        })
    }

    /// Whether a number may end here.
    const fn may_end(self) -> bool {
        matches!(
            self,
            Self::Zero | Self::Integer | Self::Fraction | Self::ExponentDigits
        )
    }
}

/// This is no JSON document, or one nested too deeply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The reader.
#[derive(Debug)]
pub(super) struct Scanner {
    at: At,
    stack: Vec<Container>,
    in_key: bool,
    /// The document's value has ended.
    ended: bool,
}

impl Scanner {
    pub(super) const fn new() -> Self {
        Self {
            at: At::Value,
            stack: Vec::new(),
            in_key: false,
            ended: false,
        }
    }

    /// Whether the document's value has ended.
    pub(super) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Reads on until the bytes or the document end, or the sink is done.
    pub(super) fn push<S: Sink>(&mut self, bytes: &[u8], sink: &mut S) -> Result<(), Malformed> {
        let mut index = 0;
        while index < bytes.len() && !self.ended && !sink.is_done() {
            index = match self.at {
                At::Text(Escape::None) => self.text(bytes, index, sink)?,
                At::Text(escape) => self.escape(escape, bytes, index, sink)?,
                At::Number(number) => self.number(number, bytes, index, sink)?,
                At::Literal(rest) => self.literal(rest, bytes, index, sink)?,
                _ if matches!(bytes[index], b' ' | b'\t' | b'\n' | b'\r') => index + 1,
                _ => self.structure(bytes[index], index, sink)?,
            };
        }
        Ok(())
    }

    /// No more bytes come: ends a number that is the whole document.
    pub(super) fn finish<S: Sink>(&mut self, sink: &mut S) {
        if let At::Number(number) = self.at
            && self.stack.is_empty()
            && number.may_end()
        {
            self.value_ended(0, sink);
        }
    }

    /// A byte that is neither in a scalar nor white space.
    fn structure<S: Sink>(
        &mut self,
        byte: u8,
        index: usize,
        sink: &mut S,
    ) -> Result<usize, Malformed> {
        match (self.at, byte) {
            (At::ElementOrEnd, b']') | (At::KeyOrEnd, b'}') => self.leave(index, sink),
            (At::ElementOrEnd, _) => {
                sink.element();
                return self.value(byte, index, sink);
            }
            (At::KeyOrEnd | At::Key, b'"') => {
                self.in_key = true;
                self.at = At::Text(Escape::None);
                sink.key_start();
            }
            (At::Colon, b':') => self.at = At::Value,
            (At::Value, _) => return self.value(byte, index, sink),
            (At::AfterValue, _) => match (self.stack.last(), byte) {
                (Some(Container::Array), b',') => {
                    sink.element();
                    self.at = At::Value;
                }
                (Some(Container::Object), b',') => self.at = At::Key,
                (Some(Container::Array), b']') | (Some(Container::Object), b'}') => {
                    self.leave(index, sink);
                }
                _ => return Err(Malformed),
            },
            _ => return Err(Malformed),
        }
        Ok(index + 1)
    }

    fn value<S: Sink>(&mut self, byte: u8, index: usize, sink: &mut S) -> Result<usize, Malformed> {
        self.at = match byte {
            b'"' => At::Text(Escape::None),
            b'[' => At::ElementOrEnd,
            b'{' => At::KeyOrEnd,
            b't' => At::Literal(b"rue"),
            b'f' => At::Literal(b"alse"),
            b'n' => At::Literal(b"ull"),
            b'-' => At::Number(Number::Minus),
            b'0' => At::Number(Number::Zero),
            b'1'..=b'9' => At::Number(Number::Integer),
            _ => return Err(Malformed),
        };
        sink.value_start(index, byte == b'"');
        let container = match byte {
            b'[' => Container::Array,
            b'{' => Container::Object,
            _ => return Ok(index + 1),
        };
        if self.stack.len() == MAX_DEPTH {
            return Err(Malformed);
        }
        self.stack.push(container);
        match container {
            Container::Array => sink.array_start(),
            Container::Object => sink.object_start(),
        }
        Ok(index + 1)
    }

    /// The present container ends with the byte at `index`.
    fn leave<S: Sink>(&mut self, index: usize, sink: &mut S) {
        self.stack.pop();
        sink.container_end();
        self.value_ended(index + 1, sink);
    }

    fn value_ended<S: Sink>(&mut self, at: usize, sink: &mut S) {
        self.at = At::AfterValue;
        self.ended = self.stack.is_empty();
        sink.value_end(at);
    }

    /// Reads plain text up to a quote, a backslash or the end of the bytes.
    fn text<S: Sink>(
        &mut self,
        bytes: &[u8],
        index: usize,
        sink: &mut S,
    ) -> Result<usize, Malformed> {
        let rest = &bytes[index..];
        let length = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        let plain = &rest[..length];
        if plain.iter().any(|&byte| byte < 0x20) {
            return Err(Malformed);
        }
        if !plain.is_empty() {
            sink.piece(Piece::Plain(plain));
        }
        let at = index + length;
        match rest.get(length) {
            None => return Ok(at),
            Some(b'\\') => self.at = At::Text(Escape::Open),
            Some(_) if self.in_key => {
                self.in_key = false;
                self.at = At::Colon;
                sink.key_end();
            }
            Some(_) => self.value_ended(at + 1, sink),
        }
        Ok(at + 1)
    }

    fn escape<S: Sink>(
        &mut self,
        escape: Escape,
        bytes: &[u8],
        index: usize,
        sink: &mut S,
    ) -> Result<usize, Malformed> {
        let byte = bytes[index];
        self.at = At::Text(match escape {
            Escape::None | Escape::Open if byte == b'u' => Escape::Hex(0, 0),
            Escape::None | Escape::Open => {
                sink.piece(Piece::Short(short_escape(byte)?));
                Escape::None
            }
            Escape::Hex(count, value) => {
                let digit = char::from(byte).to_digit(16).ok_or(Malformed)?;
                let value = value << 4 | u16::try_from(digit).map_err(|_| Malformed)?;
                if count == 3 {
                    sink.piece(Piece::Unit(value));
                    Escape::None
                } else {
                    Escape::Hex(count + 1, value)
                }
            }
        });
        Ok(index + 1)
    }

    fn number<S: Sink>(
        &mut self,
        number: Number,
        bytes: &[u8],
        index: usize,
        sink: &mut S,
    ) -> Result<usize, Malformed> {
        if let Some(next) = number.step(bytes[index]) {
            self.at = At::Number(next);
            return Ok(index + 1);
        }
        if !number.may_end() {
            return Err(Malformed);
        }
        // The byte is not taken: it comes after the value.
        self.value_ended(index, sink);
        Ok(index)
    }

    fn literal<S: Sink>(
        &mut self,
        rest: &'static [u8],
        bytes: &[u8],
        index: usize,
        sink: &mut S,
    ) -> Result<usize, Malformed> {
        match rest {
            [expected] if *expected == bytes[index] => self.value_ended(index + 1, sink),
            [expected, rest @ ..] if *expected == bytes[index] => self.at = At::Literal(rest),
            _ => return Err(Malformed),
        }
        Ok(index + 1)
    }
}

const fn short_escape(byte: u8) -> Result<u8, Malformed> {
    Ok(match byte {
        b'"' | b'\\' | b'/' => byte,
        b'b' => 0x08,
        b'f' => 0x0C,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        _ => return Err(Malformed),
    })
}
