//! The first JSON value of a body, as Go's `json.Decoder` reads it: what comes after is not looked
//! at, and a mistake is told in Go's words, since clients show and test them.
//!
//! The value becomes a flat list of nodes. Nothing recurses, so no depth of nesting can use up a
//! stack.

use std::fmt::Write;
use std::ops::Range;

/// Go gives up at this depth.
const DEEPEST: usize = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::toxiproxy) enum Kind {
    Array,
    Bool(bool),
    Null,
    Number,
    Object,
    String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    kind: Kind,
    /// Where its text stands.
    span: Range<usize>,
    /// The node after this one and all that it holds.
    next: usize,
}

/// A value and all that it holds, in the order of the text. Keys of objects are nodes too.
#[derive(Debug)]
pub(in crate::toxiproxy) struct Tape<'b> {
    bytes: &'b [u8],
    nodes: Vec<Node>,
}

/// A value on a tape.
#[derive(Clone, Copy, Debug)]
pub(in crate::toxiproxy) struct Value<'t> {
    tape: &'t Tape<'t>,
    index: usize,
}

impl<'b> Tape<'b> {
    /// Reads the first value.
    ///
    /// # Errors
    /// What Go's decoder would say.
    pub(in crate::toxiproxy) fn read(bytes: &'b [u8]) -> Result<Self, String> {
        let mut reader = Reader {
            bytes,
            at: 0,
            nodes: Vec::new(),
            open: Vec::new(),
        };
        reader.run()?;
        Ok(Self {
            bytes,
            nodes: reader.nodes,
        })
    }

    pub(in crate::toxiproxy) fn root(&self) -> Value<'_> {
        Value {
            tape: self,
            index: 0,
        }
    }
}

impl<'t> Value<'t> {
    pub(in crate::toxiproxy) fn kind(self) -> Kind {
        self.node().kind
    }

    fn node(self) -> &'t Node {
        &self.tape.nodes[self.index]
    }

    /// As it is written; of a string, what stands between the quotes.
    pub(in crate::toxiproxy) fn raw(self) -> &'t [u8] {
        &self.tape.bytes[self.node().span.clone()]
    }

    /// What an array holds.
    pub(in crate::toxiproxy) fn elements(self) -> impl Iterator<Item = Self> {
        let mut index = self.index + 1;
        std::iter::from_fn(move || {
            let it = (index < self.node().next).then_some(Self { index, ..self })?;
            index = it.node().next;
            Some(it)
        })
    }

    /// What an object holds: keys and values, doubled keys too.
    pub(in crate::toxiproxy) fn members(self) -> impl Iterator<Item = (Self, Self)> {
        let mut nodes = self.elements();
        std::iter::from_fn(move || Some((nodes.next()?, nodes.next()?)))
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    nodes: Vec<Node>,
    /// Indices of the arrays and objects that are not closed yet.
    open: Vec<usize>,
}

impl Reader<'_> {
    fn run(&mut self) -> Result<(), String> {
        if self.peek().is_none() {
            return Err("EOF".to_owned());
        }
        loop {
            // One value begins here. What it closes may be closed with it.
            if self.value()? {
                continue;
            }
            loop {
                let Some(&container) = self.open.last() else {
                    return Ok(());
                };
                if !self.after_value(container)? {
                    break;
                }
            }
        }
    }

    /// Reads a scalar, or what opens an array or object. `true`: it opened one that holds
    /// something.
    fn value(&mut self) -> Result<bool, String> {
        let start = self.at_next()?;
        match self.bytes[start] {
            b'{' => self.open(Kind::Object, b'}', start),
            b'[' => self.open(Kind::Array, b']', start),
            b'"' => self.string(start).map(|()| false),
            b't' => self.literal(start, "true", Kind::Bool(true)),
            b'f' => self.literal(start, "false", Kind::Bool(false)),
            b'n' => self.literal(start, "null", Kind::Null),
            b'-' | b'0'..=b'9' => self.number(start).map(|()| false),
            byte => Err(invalid(byte, "looking for beginning of value")),
        }
    }

    fn open(&mut self, kind: Kind, closing: u8, start: usize) -> Result<bool, String> {
        if self.open.len() >= DEEPEST {
            return Err(invalid(self.bytes[start], "exceeded max depth"));
        }
        let index = self.nodes.len();
        self.nodes.push(Node {
            kind,
            span: start..start,
            next: index + 1,
        });
        self.open.push(index);
        self.at = start + 1;
        let next = self.at_next()?;
        if self.bytes[next] == closing {
            self.close();
            return Ok(false);
        }
        if kind == Kind::Object {
            self.key(next)?;
        }
        Ok(true)
    }

    fn close(&mut self) {
        self.at += 1;
        if let Some(index) = self.open.pop() {
            let next = self.nodes.len();
            self.nodes[index].span.end = self.at;
            self.nodes[index].next = next;
        }
    }

    /// A comma, or the end of what holds the value: `true` where it ended.
    fn after_value(&mut self, container: usize) -> Result<bool, String> {
        let (closing, context) = match self.nodes[container].kind {
            Kind::Object => (b'}', "after object key:value pair"),
            _ => (b']', "after array element"),
        };
        let next = self.at_next()?;
        match self.bytes[next] {
            b',' => {
                self.at += 1;
                if closing == b'}' {
                    let key = self.at_next()?;
                    self.key(key)?;
                }
                Ok(false)
            }
            byte if byte == closing => {
                self.close();
                Ok(true)
            }
            byte => Err(invalid(byte, context)),
        }
    }

    fn key(&mut self, start: usize) -> Result<(), String> {
        if self.bytes[start] != b'"' {
            let context = "looking for beginning of object key string";
            return Err(invalid(self.bytes[start], context));
        }
        self.string(start)?;
        let colon = self.at_next()?;
        if self.bytes[colon] != b':' {
            return Err(invalid(self.bytes[colon], "after object key"));
        }
        self.at += 1;
        Ok(())
    }

    fn scalar(&mut self, kind: Kind, span: Range<usize>) {
        let next = self.nodes.len() + 1;
        self.nodes.push(Node { kind, span, next });
    }

    fn string(&mut self, start: usize) -> Result<(), String> {
        self.at = start + 1;
        loop {
            match self.step()? {
                b'"' => break,
                b'\\' => self.escape()?,
                byte if byte < b' ' => return Err(invalid(byte, "in string literal")),
                _ => {}
            }
        }
        self.scalar(Kind::String, start + 1..self.at - 1);
        Ok(())
    }

    fn escape(&mut self) -> Result<(), String> {
        match self.step()? {
            b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => Ok(()),
            b'u' => {
                for _ in 0..4 {
                    let byte = self.step()?;
                    if !byte.is_ascii_hexdigit() {
                        return Err(invalid(byte, r"in \u hexadecimal character escape"));
                    }
                }
                Ok(())
            }
            byte => Err(invalid(byte, "in string escape code")),
        }
    }

    fn literal(&mut self, start: usize, word: &str, kind: Kind) -> Result<bool, String> {
        self.at = start + 1;
        for expected in word.bytes().skip(1) {
            let byte = self.step()?;
            if byte != expected {
                let expected = char::from(expected);
                let context = format!("in literal {word} (expecting '{expected}')");
                return Err(invalid(byte, &context));
            }
        }
        self.scalar(kind, start..self.at);
        Ok(false)
    }

    fn number(&mut self, start: usize) -> Result<(), String> {
        self.at = start;
        if self.bytes[start] == b'-' {
            self.at += 1;
        }
        if self.digit("in numeric literal")? != b'0' {
            self.digits();
        }
        if self.here() == Some(b'.') {
            self.at += 1;
            self.digit("after decimal point in numeric literal")?;
            self.digits();
        }
        if matches!(self.here(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.here(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digit("in exponent of numeric literal")?;
            self.digits();
        }
        self.scalar(Kind::Number, start..self.at);
        Ok(())
    }

    fn digit(&mut self, context: &str) -> Result<u8, String> {
        let byte = self.step()?;
        if byte.is_ascii_digit() {
            Ok(byte)
        } else {
            Err(invalid(byte, context))
        }
    }

    fn digits(&mut self) {
        while self.here().is_some_and(|it| it.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn here(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn step(&mut self) -> Result<u8, String> {
        let byte = self.here().ok_or_else(cut)?;
        self.at += 1;
        Ok(byte)
    }

    /// Skips white space.
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.here(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.here()
    }

    /// The place of the next byte that is no white space.
    fn at_next(&mut self) -> Result<usize, String> {
        self.peek().ok_or_else(cut)?;
        Ok(self.at)
    }
}

fn cut() -> String {
    "unexpected EOF".to_owned()
}

fn invalid(byte: u8, context: &str) -> String {
    let mut text = String::from("invalid character '");
    // A string takes all that is written.
    match byte {
        b'\'' => text.push_str(r"\'"),
        b'\\' => text.push_str(r"\\"),
        0x07 => text.push_str(r"\a"),
        0x08 => text.push_str(r"\b"),
        0x0b => text.push_str(r"\v"),
        0x0c => text.push_str(r"\f"),
        b'\n' => text.push_str(r"\n"),
        b'\r' => text.push_str(r"\r"),
        b'\t' => text.push_str(r"\t"),
        0..=0x1f | 0x7f => write!(text, r"\x{byte:02x}").unwrap_or_default(),
        0x80..=0xa0 | 0xad => write!(text, r"\u{byte:04x}").unwrap_or_default(),
        _ => text.push(char::from(byte)),
    }
    text.push_str("' ");
    text.push_str(context);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(text: &[u8]) -> String {
        Tape::read(text).unwrap_err()
    }

    #[test]
    fn mistakes_are_told_as_go_tells_them() {
        for (text, said) in [
            (&b""[..], "EOF"),
            (b" \n", "EOF"),
            (b"{", "unexpected EOF"),
            (b"{\"name\": \"a", "unexpected EOF"),
            (b"{\"a\":tru", "unexpected EOF"),
            (b"-", "unexpected EOF"),
            (
                b"hello",
                "invalid character 'h' looking for beginning of value",
            ),
            (
                b"[1,]",
                "invalid character ']' looking for beginning of value",
            ),
            (
                b"{'a': 1}",
                r"invalid character '\'' looking for beginning of object key string",
            ),
            (
                b"{\"a\":1,}",
                "invalid character '}' looking for beginning of object key string",
            ),
            (b"{\"a\" 1}", "invalid character '1' after object key"),
            (
                b"{\"a\":1 \"b\"}",
                "invalid character '\"' after object key:value pair",
            ),
            (b"[1 2]", "invalid character '2' after array element"),
            (
                b"{\"a\":01}",
                "invalid character '1' after object key:value pair",
            ),
            (b"[\"a\nb\"]", r"invalid character '\n' in string literal"),
            (b"[\"\\x\"]", "invalid character 'x' in string escape code"),
            (
                b"[\"\\u12g4\"]",
                r"invalid character 'g' in \u hexadecimal character escape",
            ),
            (
                b"[nul]",
                "invalid character ']' in literal null (expecting 'l')",
            ),
            (b"[-a]", "invalid character 'a' in numeric literal"),
            (
                b"[1.]",
                "invalid character ']' after decimal point in numeric literal",
            ),
            (
                b"[1e]",
                "invalid character ']' in exponent of numeric literal",
            ),
            (
                b"\xc3\xa9",
                "invalid character '\u{c3}' looking for beginning of value",
            ),
        ] {
            assert_eq!(error(text), said, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn what_follows_the_first_value_is_not_looked_at() {
        for text in [
            &b"{\"a\":[1,{}]} garbage"[..],
            b"[]x",
            b"12 }",
            b"\"a\"\"",
            b"nullx",
            b"{}",
        ] {
            assert!(Tape::read(text).is_ok(), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn no_depth_uses_up_the_stack() {
        assert!(
            Tape::read(&b"[".repeat(DEEPEST))
                .unwrap_err()
                .contains("EOF")
        );
        let deep = error(&b"[".repeat(DEEPEST + 1));
        assert_eq!(deep, "invalid character '[' exceeded max depth");
    }

    #[test]
    fn elements_and_members_are_those_that_stand_there() {
        let tape = Tape::read(br#"[{"a":{"b":[1]},"c":2},[],3]"#).unwrap();
        let all: Vec<_> = tape.root().elements().collect();
        assert_eq!(all.len(), 3);
        let keys: Vec<_> = all[0].members().map(|(key, _)| key.raw()).collect();
        assert_eq!(keys, [b"a", b"c"]);
        assert_eq!(all[1].elements().count(), 0);
        assert_eq!(all[2].raw(), b"3");
    }

    proptest! {
        #[test]
        fn it_takes_what_serde_takes(text in r#"[\[\]{}:,"0-9eE+.a \-tfn\\u]{0,24}"#) {
            let ours = Tape::read(text.as_bytes());
            let mut stream = serde_json::Deserializer::from_str(&text)
                .into_iter::<serde::de::IgnoredAny>();
            // serde reads a number or literal that runs into other text as a mistake.
            if let Some(Ok(_)) = stream.next() {
                prop_assert!(ours.is_ok(), "{text}: {ours:?}");
            }
        }
    }
}
