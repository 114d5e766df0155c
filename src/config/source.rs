//! One configuration text and places in it.

use std::ops::Range;

/// A configuration file as read, or the text that command line flags stand for.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// As the user named it.
    pub name: String,
    pub text: String,
}

impl Source {
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }

    /// Line and column of a byte, both from 1; the column counts characters.
    pub fn position(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..byte).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }

    /// `FILE:LINE` of a span's start.
    pub(super) fn place(&self, span: &Range<usize>) -> String {
        format!("{}:{}", self.name, self.position(span.start).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let source = Source::new("f", "a = 1\nß = \"é\" x\n");
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(source.text.find('x').unwrap()), (2, 9));
        assert_eq!(source.position(source.text.len()), (3, 1));
        assert_eq!(source.position(9_999), (3, 1));
    }
}
