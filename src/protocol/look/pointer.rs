//! JSON pointers (RFC 6901), split once into segments that keys and indices are compared with.

use std::borrow::Cow;

use smallvec::SmallVec;

/// The steps of a pointer; they borrow from its text, so that a look for a few allocates nothing.
pub(super) type Path<'p> = SmallVec<[Segment<'p>; 2]>;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment<'p> {
    /// Any key or index; only in measures.
    Any,
    /// A key, and the index that the same text names in an array.
    Named {
        key: Cow<'p, str>,
        index: Option<u64>,
    },
}

impl<'p> Segment<'p> {
    fn named(text: Cow<'p, str>) -> Self {
        // Array indices have no leading zeros and no sign (RFC 6901 §4).
        let is_index = text == "0"
            || (text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0'));
        Self::Named {
            index: is_index.then(|| text.parse().ok()).flatten(),
            key: text,
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
pub(super) fn segments(pointer: &str) -> Option<Path<'_>> {
    let mut path = Path::new();
    if pointer.is_empty() {
        return Some(path);
    }
    let mut rest = pointer.strip_prefix('/')?;
    // Tokens are short: what a search of `str` sets up for long ones takes longer than the loop.
    while let Some(at) = rest.bytes().position(|byte| byte == b'/') {
        let (token, after) = rest.split_at(at);
        path.push(Segment::named(unescape(token)?));
        rest = &after[1..];
    }
    path.push(Segment::named(unescape(rest)?));
    Some(path)
}

/// The segments of a measure's path, in which `*` stands for any key or index.
pub(super) fn pattern(path: &str) -> Option<Path<'_>> {
    let mut segments = segments(path)?;
    for segment in &mut segments {
        if matches!(segment, Segment::Named { key, .. } if key == "*") {
            *segment = Segment::Any;
        }
    }
    Some(segments)
}

/// `~1` is a slash, `~0` a tilde, and nothing else may follow a tilde.
fn unescape(token: &str) -> Option<Cow<'_, str>> {
    if token.bytes().all(|byte| byte != b'~') {
        return Some(Cow::Borrowed(token));
    }
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
    Some(Cow::Owned(text))
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
            let Segment::Named { index: found, .. } = Segment::named(text.into()) else {
                unreachable!("named gives names");
            };
            assert_eq!(found, index, "{text:?}");
        }
    }
}
