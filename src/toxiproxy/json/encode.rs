//! JSON as Go's `json.Marshal` writes it: no spaces, `<`, `>` and `&` escaped, whole floats
//! without a point.

use std::fmt::Write;

/// A document that grows. Objects and arrays are written by hand: there are few, and their order
/// is part of what clients see.
#[derive(Debug, Default)]
pub(in crate::toxiproxy) struct Writer(String);

impl Writer {
    pub(in crate::toxiproxy) fn into_text(self) -> String {
        self.0
    }

    /// Text that is JSON already.
    pub(in crate::toxiproxy) fn raw(&mut self, text: &str) -> &mut Self {
        self.0.push_str(text);
        self
    }

    pub(in crate::toxiproxy) fn string(&mut self, text: &str) -> &mut Self {
        self.0.push('"');
        for c in text.chars() {
            match c {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                '\u{8}' => self.0.push_str("\\b"),
                '\u{c}' => self.0.push_str("\\f"),
                '\n' => self.0.push_str("\\n"),
                '\r' => self.0.push_str("\\r"),
                '\t' => self.0.push_str("\\t"),
                '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    // A string takes all that is written.
                    write!(self.0, "\\u{:04x}", u32::from(c)).unwrap_or_default();
                }
                _ => self.0.push(c),
            }
        }
        self.0.push('"');
        self
    }

    pub(in crate::toxiproxy) fn integer(&mut self, value: i64) -> &mut Self {
        self.raw(&value.to_string())
    }

    pub(in crate::toxiproxy) fn bool(&mut self, value: bool) -> &mut Self {
        self.raw(if value { "true" } else { "false" })
    }

    /// A float of 32 bits: the shortest digits that read back as the same, with an exponent only
    /// where it is very small or very large.
    pub(in crate::toxiproxy) fn float(&mut self, value: f32) -> &mut Self {
        let size = value.abs();
        if size != 0.0 && !(1e-6..1e21).contains(&size) {
            let text = format!("{value:e}");
            let text = match text.split_once('e') {
                Some((digits, power)) if !power.starts_with('-') => format!("{digits}e+{power}"),
                _ => text,
            };
            return self.raw(&text);
        }
        self.raw(&value.to_string())
    }

    /// A list, its elements written by `each`.
    pub(in crate::toxiproxy) fn array<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.0.push('[');
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.0.push(',');
            }
            each(self, item);
        }
        self.0.push(']');
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_go_writes_them() {
        for (value, text) in [
            (1.0, "1"),
            (0.0, "0"),
            (0.5, "0.5"),
            (0.1, "0.1"),
            (7.0, "7"),
            (-0.25, "-0.25"),
            (1e-7, "1e-7"),
            (1.5e-9, "1.5e-9"),
            (1e-6, "0.000001"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (f32::MAX, "3.4028235e+38"),
        ] {
            assert_eq!(Writer::default().float(value).0, text);
        }
    }

    #[test]
    fn strings_are_escaped_as_go_escapes_them() {
        let mut writer = Writer::default();
        writer.string("a\"\\<b>&\n\t\u{1}\u{8}\u{2028}é\u{7f}");
        let expected = "\"a\\\"\\\\\\u003cb\\u003e\\u0026\\n\\t\\u0001\\b\\u2028é\u{7f}\"";
        assert_eq!(writer.into_text(), expected);
    }
}
