//! JSON pointers (RFC 6901), split once into segments that keys and indices are compared with.

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// Any key or index; only in measures.
    Any,
    /// A key, and the index that the same text names in an array.
    Named { key: String, index: Option<u64> },
}

impl Segment {
    fn named(text: &str) -> Self {
        // Array indices have no leading zeros and no sign (RFC 6901 §4).
        let is_index = text == "0"
            || (text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0'));
        Self::Named {
            key: text.to_owned(),
            index: is_index.then(|| text.parse().ok()).flatten(),
        }
    }

    pub(super) fn matches_key(&self, name: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Named { key, .. } => key.as_bytes() == name,
        }
    }

    pub(super) fn matches_index(&self, at: u64) -> bool {
        match self {
            Self::Any => true,
            Self::Named { index, .. } => *index == Some(at),
        }
    }

    /// The longest key that could match.
    pub(super) fn longest_key(&self) -> usize {
        match self {
            Self::Any => 0,
            Self::Named { key, .. } => key.len(),
        }
    }
}

/// Whether this text is a JSON pointer.
pub fn is_pointer(text: &str) -> bool {
    segments(text).is_some()
}

/// The segments of a pointer; `None` where the text is none.
pub(super) fn segments(pointer: &str) -> Option<Vec<Segment>> {
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    pointer
        .strip_prefix('/')?
        .split('/')
        .map(|token| unescape(token).map(|text| Segment::named(&text)))
        .collect()
}

/// The segments of a measure's path, in which `*` stands for any key or index.
pub(super) fn pattern(path: &str) -> Option<Vec<Segment>> {
    let mut segments = segments(path)?;
    for segment in &mut segments {
        if matches!(segment, Segment::Named { key, .. } if key == "*") {
            *segment = Segment::Any;
        }
    }
    Some(segments)
}

/// `~1` is a slash, `~0` a tilde, and nothing else may follow a tilde.
fn unescape(token: &str) -> Option<String> {
    let mut text = String::with_capacity(token.len());
    let mut chars = token.chars();
    while let Some(char) = chars.next() {
        text.push(match char {
            '~' => match chars.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            other => other,
        });
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_told_from_other_text() {
        for good in ["", "/", "/a", "/a/0/~0~1", "//", "/ä"] {
            assert!(is_pointer(good), "{good:?}");
        }
        for bad in ["a", "a/b", "/~", "/~2", "/a~", "#/a", "chars:/a"] {
            assert!(!is_pointer(bad), "{bad:?}");
        }
    }

    #[test]
    fn only_plain_decimals_are_indices() {
        for (text, index) in [
            ("0", Some(0)),
            ("10", Some(10)),
            ("01", None),
            ("-", None),
            ("+1", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            let Segment::Named { index: found, .. } = Segment::named(text) else {
                unreachable!("named gives names");
            };
            assert_eq!(found, index, "{text:?}");
        }
    }
}
