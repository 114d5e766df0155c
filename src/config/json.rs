//! JSON as the reader of files takes it: the same tree, each value with its place, so that what is
//! wrong with a rule of the API is told as it is of one in a file.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// Deeper than any rule.
const DEEPEST: usize = 64;

/// What keeps a text from being read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) message: String,
    pub(super) span: Range<usize>,
}

/// Reads a text that is one object. What is `null` in an object counts as left out.
pub(super) fn parse(text: &str) -> Result<Spanned<DeValue<'_>>, SyntaxError> {
    let mut reader = Reader { text, at: 0 };
    reader.space();
    if reader.peek() != Some(b'{') {
        return Err(reader.expected("an object: `{ … }`"));
    }
    let value = reader.value(DEEPEST)?;
    reader.space();
    match (reader.peek(), value) {
        (None, Some(value)) => Ok(value),
        _ => Err(reader.expected("nothing after the object")),
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Takes a byte, where it is the next one.
    fn takes(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        self.at += usize::from(next);
        next
    }

    fn expected(&self, what: &str) -> SyntaxError {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let found = rest.chars().next();
        let (message, length) = match found {
            Some(found) => (
                format!("expected {what}, found `{found}`"),
                found.len_utf8(),
            ),
            None => (format!("expected {what}, and the text ends"), 0),
        };
        SyntaxError {
            message,
            span: self.at..self.at + length,
        }
    }

    /// A value; `None` where it is `null`.
    fn value(&mut self, depth: usize) -> Result<Option<Spanned<DeValue<'t>>>, SyntaxError> {
        let start = self.at;
        let Some(depth) = depth.checked_sub(1) else {
            return Err(SyntaxError {
                message: "this is nested too deep".to_owned(),
                span: start..start + 1,
            });
        };
        let value = match self.peek() {
            Some(b'{') => DeValue::Table(self.object(depth)?),
            Some(b'[') => DeValue::Array(self.array(depth)?),
            Some(b'"') => DeValue::String(self.string()?.into()),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ if self.word("true") => DeValue::Boolean(true),
            _ if self.word("false") => DeValue::Boolean(false),
            _ if self.word("null") => return Ok(None),
            _ => return Err(self.expected("a value")),
        };
        Ok(Some(Spanned::new(start..self.at, value)))
    }

    fn word(&mut self, word: &str) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let is_it = rest.starts_with(word);
        self.at += if is_it { word.len() } else { 0 };
        is_it
    }

    fn object(&mut self, depth: usize) -> Result<DeTable<'t>, SyntaxError> {
        let mut table = DeTable::new();
        self.at += 1;
        self.space();
        if self.takes(b'}') {
            return Ok(table);
        }
        loop {
            self.space();
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.expected("a key in quotes"));
            }
            let key = self.string()?;
            let span = start..self.at;
            if table.contains_key(key.as_str()) {
                return Err(SyntaxError {
                    message: format!("the key `{key}` stands here twice"),
                    span,
                });
            }
            self.space();
            if !self.takes(b':') {
                return Err(self.expected("`:`"));
            }
            self.space();
            if let Some(value) = self.value(depth)? {
                table.insert(Spanned::new(span, key.into()), value);
            }
            self.space();
            if self.takes(b'}') {
                return Ok(table);
            }
            if !self.takes(b',') {
                return Err(self.expected("`,` or `}`"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<DeArray<'t>, SyntaxError> {
        let mut array = DeArray::new();
        self.at += 1;
        self.space();
        if self.takes(b']') {
            return Ok(array);
        }
        loop {
            self.space();
            let start = self.at;
            let Some(value) = self.value(depth)? else {
                return Err(SyntaxError {
                    message: "`null` stands for what is left out, and in a list nothing is"
                        .to_owned(),
                    span: start..self.at,
                });
            };
            array.push(value);
            self.space();
            if self.takes(b']') {
                return Ok(array);
            }
            if !self.takes(b',') {
                return Err(self.expected("`,` or `]`"));
            }
        }
    }

    fn string(&mut self) -> Result<String, SyntaxError> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                None => {
                    return Err(SyntaxError {
                        message: "this text has no end: `\"` is missing".to_owned(),
                        span: start..start + 1,
                    });
                }
                Some(b'"') => break,
                // Whatever it escapes: serde_json looks at that below.
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        self.by_serde(start)
    }

    fn number(&mut self) -> Result<DeValue<'t>, SyntaxError> {
        let start = self.at;
        while matches!(
            self.peek(),
            Some(b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')
        ) {
            self.at += 1;
        }
        self.by_serde::<serde_json::Number>(start)?;
        let text = self.text.get(start..self.at).unwrap_or_default();
        // Every number of JSON is one of TOML.
        let number = DeValue::parse(text).map_err(|error| SyntaxError {
            message: error.message().to_owned(),
            span: start..self.at,
        })?;
        Ok(number.into_inner())
    }

    /// What stands from `start` to here, as JSON's own reader takes it.
    fn by_serde<T: serde::de::DeserializeOwned>(&self, start: usize) -> Result<T, SyntaxError> {
        let text = self.text.get(start..self.at).unwrap_or_default();
        serde_json::from_str(text).map_err(|error| {
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            SyntaxError {
                message: message.to_owned(),
                span: start..self.at,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::{Value, json};
    use toml::de::ValueDeserializer;

    use super::*;

    fn read(text: &str) -> Value {
        let value = parse(text).unwrap_or_else(|error| panic!("{error:?} in {text}"));
        Value::deserialize(ValueDeserializer::from(value)).unwrap()
    }

    #[test]
    fn a_text_reads_as_what_it_says() {
        let text =
            r#" {"a": {"b": [1, -2.5e3, true, "x\u00e9\"\ud83d\ude00é"]}, "gone": null, "e": {}} "#;
        let wanted = json!({"a": {"b": [1, -2500.0, true, "xé\"😀é"]}, "e": {}});
        assert_eq!(read(text), wanted);
    }

    #[test]
    fn mistakes_are_told_where_they_stand() {
        let said = |text: &str| {
            let error = parse(text).unwrap_err();
            (error.span.start, error.message)
        };
        for (text, at, message) in [
            ("", 0, "expected an object: `{ … }`, and the text ends"),
            ("[]", 0, "expected an object: `{ … }`, found `[`"),
            ("{", 1, "expected a key in quotes, and the text ends"),
            ("{a: 1}", 1, "expected a key in quotes, found `a`"),
            ("{\"a\" 1}", 5, "expected `:`, found `1`"),
            ("{\"a\": 1, \"a\": 2}", 9, "the key `a` stands here twice"),
            ("{\"a\": 01}", 6, "invalid number"),
            ("{\"a\": 1e999}", 6, "number out of range"),
            (
                "{\"a\": [null]}",
                7,
                "`null` stands for what is left out, and in a list nothing is",
            ),
            ("{\"a\": \"b}", 6, "this text has no end: `\"` is missing"),
            ("{\"a\": \"\\x\"}", 6, "invalid escape"),
            (
                "{\"a\": 1}}",
                8,
                "expected nothing after the object, found `}`",
            ),
            ("{\"a\": é}", 6, "expected a value, found `é`"),
        ] {
            assert_eq!(said(text), (at, message.to_owned()), "{text}");
        }
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        assert_eq!(said(&deep).1, "this is nested too deep");
    }

    /// JSON that a table can hold: no `null`, no number beyond what both know.
    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e300..1e300).prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".*", inner, 0..4)
                    .prop_map(|it| Value::Object(it.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read(value in values()) {
            let whole = json!({ "value": value });
            for text in [whole.to_string(), format!("{whole:#}")] {
                prop_assert_eq!(read(&text), whole.clone());
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]{}\":,\\\\0-9eé. a-z-]{0,40}") {
            // Whatever it says, it says it of a place in the text.
            if let Err(error) = parse(&text) {
                prop_assert!(text.get(error.span.clone()).is_some(), "{:?}", error);
            }
        }
    }
}
