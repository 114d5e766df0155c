//! Values of a tape as the fields of Go's structs: keys match whatever their case, unknown ones
//! are ignored, null changes nothing, and the first value of a wrong type is told in Go's words.

use super::tape::{Kind, Value};

/// Reads fields, and keeps the first mistake: the rest is read all the same, as Go does.
#[derive(Debug, Default)]
pub(in crate::toxiproxy) struct Decoder {
    mistake: Option<String>,
}

/// Where a value is to go.
#[derive(Clone, Copy, Debug)]
pub(in crate::toxiproxy) enum Place<'p> {
    /// Of no struct's field.
    Value,
    /// The name of the struct's type, empty where it has none, and the path of the field.
    Field { of: &'p str, path: &'p str },
}

impl Decoder {
    /// # Errors
    /// The first value that did not fit.
    pub(in crate::toxiproxy) fn finish(self) -> Result<(), String> {
        self.mistake.map_or(Ok(()), Err)
    }

    /// The members of an object, keys in plain text. None where it is null or no object.
    pub(in crate::toxiproxy) fn object<'t>(
        &mut self,
        value: Value<'t>,
        place: Place<'_>,
        type_name: &str,
    ) -> Vec<(String, Value<'t>)> {
        match value.kind() {
            Kind::Object => {
                let members = value.members();
                members.map(|(key, it)| (unquote(key.raw()), it)).collect()
            }
            Kind::Null => Vec::new(),
            _ => {
                self.mismatch(value, place, type_name);
                Vec::new()
            }
        }
    }

    pub(in crate::toxiproxy) fn array<'t>(
        &mut self,
        value: Value<'t>,
        place: Place<'_>,
        type_name: &str,
    ) -> Vec<Value<'t>> {
        match value.kind() {
            Kind::Array => value.elements().collect(),
            Kind::Null => Vec::new(),
            _ => {
                self.mismatch(value, place, type_name);
                Vec::new()
            }
        }
    }

    pub(in crate::toxiproxy) fn string(
        &mut self,
        into: &mut String,
        value: Value<'_>,
        place: Place<'_>,
    ) {
        match value.kind() {
            Kind::String => *into = unquote(value.raw()),
            Kind::Null => {}
            _ => self.mismatch(value, place, "string"),
        }
    }

    pub(in crate::toxiproxy) fn bool(
        &mut self,
        into: &mut bool,
        value: Value<'_>,
        place: Place<'_>,
    ) {
        match value.kind() {
            Kind::Bool(it) => *into = it,
            Kind::Null => {}
            _ => self.mismatch(value, place, "bool"),
        }
    }

    pub(in crate::toxiproxy) fn integer(
        &mut self,
        into: &mut i64,
        value: Value<'_>,
        place: Place<'_>,
        type_name: &str,
    ) {
        match (value.kind(), number::<i64>(value)) {
            (Kind::Null, _) => {}
            (Kind::Number, Some(it)) => *into = it,
            (Kind::Number, None) => self.unfit(value, place, type_name),
            _ => self.mismatch(value, place, type_name),
        }
    }

    pub(in crate::toxiproxy) fn float(
        &mut self,
        into: &mut f32,
        value: Value<'_>,
        place: Place<'_>,
    ) {
        match (value.kind(), number::<f32>(value)) {
            (Kind::Null, _) => {}
            (Kind::Number, Some(it)) if it.is_finite() => *into = it,
            (Kind::Number, _) => self.unfit(value, place, "float32"),
            _ => self.mismatch(value, place, "float32"),
        }
    }

    /// A number that its field cannot hold is told as it was written.
    fn unfit(&mut self, value: Value<'_>, place: Place<'_>, type_name: &str) {
        let text = String::from_utf8_lossy(value.raw());
        self.tell(&format!("number {text}"), place, type_name);
    }

    pub(in crate::toxiproxy) fn mismatch(
        &mut self,
        value: Value<'_>,
        place: Place<'_>,
        type_name: &str,
    ) {
        let what = match value.kind() {
            Kind::Array => "array",
            Kind::Bool(_) => "bool",
            Kind::Null => "null",
            Kind::Number => "number",
            Kind::Object => "object",
            Kind::String => "string",
        };
        self.tell(what, place, type_name);
    }

    fn tell(&mut self, what: &str, place: Place<'_>, type_name: &str) {
        let target = match place {
            Place::Value => "value".to_owned(),
            Place::Field { of, path } => format!("struct field {of}.{path}"),
        };
        self.mistake.get_or_insert_with(|| {
            format!("json: cannot unmarshal {what} into Go {target} of type {type_name}")
        });
    }
}

fn number<T: std::str::FromStr>(value: Value<'_>) -> Option<T> {
    std::str::from_utf8(value.raw()).ok()?.parse().ok()
}

/// Whether a key of a body is this field: Go compares them with their letters folded.
pub(in crate::toxiproxy) fn is_field(key: &str, field: &str) -> bool {
    let folded = key.chars().map(|c| match c {
        // The long s and the sign for kelvin fold to plain letters.
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        _ => c.to_ascii_lowercase(),
    });
    folded.eq(field.chars())
}

/// The text of a string between its quotes. What is no UTF-8, and half of a surrogate pair, is
/// replaced.
fn unquote(raw: &[u8]) -> String {
    if !raw.contains(&b'\\') {
        return String::from_utf8_lossy(raw).into_owned();
    }
    let text = String::from_utf8_lossy(raw);
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let (c, length) = unescape(&rest[at + 1..]);
        plain.push(c);
        rest = &rest[at + 1 + length..];
    }
    plain.push_str(rest);
    plain
}

/// What stands after a backslash: the character and how many bytes name it.
fn unescape(text: &str) -> (char, usize) {
    let plain = match text.as_bytes().first() {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unescape_unit(text),
        Some(&byte) => char::from(byte),
        None => return (char::REPLACEMENT_CHARACTER, 0),
    };
    (plain, 1)
}

fn unescape_unit(text: &str) -> (char, usize) {
    let unit = |text: &str| {
        let digits = text.strip_prefix('u')?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let Some(first) = unit(text) else {
        return (char::REPLACEMENT_CHARACTER, 1);
    };
    let second = text[5..].strip_prefix('\\').and_then(unit);
    let pair = second.and_then(|second| char::decode_utf16([first, second]).next()?.ok());
    match (char::from_u32(first.into()), pair) {
        (Some(c), _) => (c, 5),
        (None, Some(c)) => (c, 11),
        (None, None) => (char::REPLACEMENT_CHARACTER, 5),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tape::Tape;
    use super::*;

    #[test]
    fn strings_are_read_as_go_reads_them() {
        for (raw, plain) in [
            (&b"plain"[..], "plain"),
            (br#"a\"\\\/\n\t\u0041"#, "a\"\\/\n\tA"),
            (br"\ud83d\ude00!", "\u{1f600}!"),
            (br"\ud83dx", "\u{fffd}x"),
            (br"\ud83d\u0041", "\u{fffd}A"),
            (br"\ude00", "\u{fffd}"),
            (b"\xff", "\u{fffd}"),
        ] {
            assert_eq!(unquote(raw), plain);
        }
    }

    #[test]
    fn keys_match_whatever_their_case() {
        assert!(is_field("Listen", "listen"));
        assert!(is_field("LI\u{17f}TEN", "listen"));
        assert!(!is_field("listen ", "listen"));
    }

    #[test]
    fn only_the_first_mistake_is_told_and_null_is_none() {
        let tape = Tape::read(br#"[null, 1.5, "x", 9223372036854775808, 3]"#).unwrap();
        let values: Vec<_> = tape.root().elements().collect();
        let mut decoder = Decoder::default();
        let mut into = 7;
        let place = Place::Field {
            of: "LatencyToxic",
            path: "attributes.latency",
        };
        decoder.integer(&mut into, values[0], place, "int64");
        assert_eq!(into, 7);
        decoder.integer(&mut into, values[1], place, "int64");
        decoder.integer(&mut into, values[2], place, "int64");
        decoder.integer(&mut into, values[3], place, "int64");
        decoder.integer(&mut into, values[4], place, "int64");
        assert_eq!(into, 3);
        assert_eq!(
            decoder.finish().unwrap_err(),
            "json: cannot unmarshal number 1.5 into Go struct field LatencyToxic.attributes.latency of type int64"
        );
    }
}
