//! JSON pointers (RFC 6901): their tokens, found once, that keys and indices are compared with.

use smallvec::SmallVec;

/// The tokens of a pointer, left where they stand: a look for a few allocates nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path<'p> {
    /// Without the slash that it begins with.
    text: &'p str,
    /// Where each token ends.
    ends: SmallVec<[usize; 2]>,
    /// Whether `*` stands for any key or index.
    is_pattern: bool,
    /// Whether a token has an escape.
    has_escapes: bool,
}

/// One token of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment<'p> {
    token: &'p str,
    has_escapes: bool,
    is_any: bool,
}

impl<'p> Path<'p> {
    /// The path of a pointer; `None` where the text is none.
    pub(super) fn pointer(text: &'p str) -> Option<Self> {
        Self::read(text, false)
    }

    /// The path of a measure, in which `*` stands for any key or index.
    pub(super) fn pattern(text: &'p str) -> Option<Self> {
        Self::read(text, true)
    }

    fn read(text: &'p str, is_pattern: bool) -> Option<Self> {
        let mut ends = SmallVec::new();
        let Some(text) = text.strip_prefix('/') else {
            return text.is_empty().then_some(Self {
                text,
                ends,
                is_pattern,
                has_escapes: false,
            });
        };
        // Most have one token and no escape, which a pass without a branch tells.
        let count = |wanted| {
            text.bytes()
                .fold(0, |sum, it| sum + usize::from(it == wanted))
        };
        let has_escapes = count(b'~') > 0;
        if count(b'/') > 0 {
            let slashes = text.bytes().enumerate().filter(|(_, it)| *it == b'/');
            ends.extend(slashes.map(|(at, _)| at));
        }
        ends.push(text.len());
        let path = Self {
            text,
            ends,
            is_pattern,
            has_escapes,
        };
        let is_valid = |segment: Segment<'_>| segment.chars().all(|it| it.is_some());
        (!has_escapes || path.segments().all(is_valid)).then_some(path)
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn segment(&self, index: usize) -> Option<Segment<'p>> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |last| self.ends[last] + 1);
        let token = self.text.get(start..end)?;
        Some(Segment {
            token,
            has_escapes: self.has_escapes,
            is_any: self.is_pattern && token == "*",
        })
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = Segment<'p>> {
        (0..self.len()).filter_map(|index| self.segment(index))
    }

    /// No segment matches a longer key.
    pub(super) fn longest_key(&self) -> usize {
        self.text.len()
    }
}

impl<'p> Segment<'p> {
    pub(super) fn is_any(self) -> bool {
        self.is_any
    }

    pub(super) fn matches_key(self, name: &[u8]) -> bool {
        if self.is_any {
            return true;
        }
        if !self.has_escapes {
            return self.token.as_bytes() == name;
        }
        let mut buffer = [0; 4];
        let mut rest = name;
        let matches = self.chars().all(|char| {
            let char = char.map(|it| it.encode_utf8(&mut buffer).as_bytes());
            let after = char.and_then(|it| rest.strip_prefix(it));
            rest = after.unwrap_or_default();
            after.is_some()
        });
        matches && rest.is_empty()
    }

    pub(super) fn matches_index(self, at: u64) -> bool {
        self.is_any || self.index() == Some(at)
    }

    /// Array indices have no leading zeros and no sign (RFC 6901 §4).
    fn index(self) -> Option<u64> {
        let is_index = self.token == "0"
            || (self.token.bytes().all(|byte| byte.is_ascii_digit())
                && !self.token.starts_with('0'));
        is_index.then(|| self.token.parse().ok()).flatten()
    }

    /// What the token stands for. `~1` is a slash, `~0` a tilde, and nothing else may follow a
    /// tilde: `None` is what does.
    fn chars(self) -> impl Iterator<Item = Option<char>> + use<'p> {
        let mut chars = self.token.chars();
        std::iter::from_fn(move || {
            Some(match chars.next()? {
                '~' => match chars.next() {
                    Some('0') => Some('~'),
                    Some('1') => Some('/'),
                    _ => None,
                },
                other => Some(other),
            })
        })
    }
}

/// Whether this text is a JSON pointer.
pub fn is_pointer(text: &str) -> bool {
    Path::pointer(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_told_from_other_text() {
        for good in ["", "/", "/a", "/a/0/~0~1", "//", "/ä", "/*"] {
            assert!(is_pointer(good), "{good:?}");
        }
        for bad in ["a", "a/b", "/~", "/~2", "/a~", "#/a", "chars:/a", "/a~/0"] {
            assert!(!is_pointer(bad), "{bad:?}");
        }
    }

    #[test]
    fn tokens_are_compared_as_what_they_stand_for() {
        let path = Path::pointer("/a~1b/~0~0/ä//c").unwrap();
        let names = ["a/b", "~~", "ä", "", "c"];
        assert_eq!(path.len(), names.len());
        for (segment, name) in path.segments().zip(names) {
            for other in names {
                let same = segment.matches_key(other.as_bytes());
                assert_eq!(same, other == name, "{segment:?} {other:?}");
            }
            assert!(!segment.matches_key(format!("{name}x").as_bytes()));
        }
        assert_eq!(Path::pointer("").unwrap().len(), 0);
        assert!(path.segment(5).is_none());
        assert!(path.longest_key() >= 3);
    }

    #[test]
    fn a_star_stands_for_any_only_in_patterns() {
        for (path, is_any) in [
            (Path::pattern("/a/*"), true),
            (Path::pointer("/a/*"), false),
        ] {
            let last = path.unwrap().segment(1).unwrap();
            assert_eq!(last.matches_key(b"b"), is_any);
            assert_eq!(last.matches_index(7), is_any);
            assert!(last.matches_key(b"*"));
        }
    }

    #[test]
    fn only_plain_decimals_are_indices() {
        for (text, index) in [
            ("/0", Some(0)),
            ("/10", Some(10)),
            ("/01", None),
            ("/-", None),
            ("/+1", None),
            ("/", None),
            ("/99999999999999999999", None),
        ] {
            let path = Path::pointer(text).unwrap();
            assert_eq!(path.segment(0).unwrap().index(), index, "{text:?}");
        }
    }
}
