//! Reading a part of a document with serde, all of its problems at once.
//!
//! Serde stops at the first error. So the part is read again without what the error points at,
//! until it passes or nothing more can be taken out: two unknown keys, a wrong unit and a bad
//! probability in one table are four problems, each at its own place.

use std::ops::Range;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

use super::hint::{humanise, is_empty_kind, known_fields, missing_field, unknown_name};
use super::repair::{Pruned, Repair};
use super::{Place, Problems, Source};
use crate::error::nearest;

/// A part of a document: a value under its key.
#[derive(Clone, Debug)]
pub(super) struct Node<'i> {
    pub(super) source: &'i Arc<Source>,
    /// Of the key, or of the element in its list.
    pub(super) key: Range<usize>,
    pub(super) value: Spanned<DeValue<'i>>,
}

/// A part that was read. What was taken out of it is remembered, so that nothing is said of its
/// absence.
#[derive(Debug)]
pub(super) struct Located<'i, T> {
    pub(super) value: T,
    pub(super) node: Node<'i>,
    pruned: Vec<Pruned>,
}

fn deserialize<T: DeserializeOwned>(value: &Spanned<DeValue<'_>>) -> Result<T, toml::de::Error> {
    T::deserialize(ValueDeserializer::from(value.clone()))
}

impl<'i> Node<'i> {
    /// Reads the node as a `T`. Where something had to be taken out, the rest is still read, for
    /// the checks that come after; `None` where nothing is left, or something is missing.
    pub(super) fn read<T: DeserializeOwned>(
        self,
        problems: &mut Problems,
    ) -> Option<Located<'i, T>> {
        // A right part is cloned once; only a wrong one is kept for another attempt.
        let mut error = match deserialize(&self.value) {
            Ok(value) => return Some(self.located(value, Vec::new())),
            Err(error) => error,
        };
        let mut repair = Repair::new(self.value.clone());
        while !problems.is_full() {
            let span = error.span().unwrap_or_else(|| self.value.span());
            let repaired = if Repair::is_of_stand_in(&span) {
                repair.next_stand_in()
            } else {
                self.tell(&mut repair, error.message(), &span, problems)
            };
            if !repaired {
                return None;
            }
            let mut attempt = deserialize(&repair.tree);
            if attempt.is_ok() && repair.is_hollow() {
                if !repair.prune_hollow() {
                    return None;
                }
                attempt = deserialize(&repair.tree);
            }
            error = match attempt {
                Ok(value) => return Some(self.located(value, repair.pruned)),
                Err(error) => error,
            };
        }
        None
    }

    fn located<T>(self, value: T, pruned: Vec<Pruned>) -> Located<'i, T> {
        Located {
            value,
            node: self,
            pruned,
        }
    }

    /// Tells of an error and of its like, and repairs what it points at. False where nothing is
    /// left to read.
    fn tell(
        &self,
        repair: &mut Repair<'i>,
        message: &str,
        span: &Range<usize>,
        problems: &mut Problems,
    ) -> bool {
        if !self.is_consequence(message, span, &repair.pruned, problems) {
            let hint = humanise(message);
            problems.error(self.source, span.clone(), hint.message, hint.help);
        }
        if let Some(field) = missing_field(message) {
            return repair.stand_in(field, span);
        }
        let known = known_fields(message);
        let Some(beside) = repair.prune(span, known.as_deref()) else {
            return false;
        };
        for it in beside {
            if problems.is_full() {
                break;
            }
            let hint = unknown_name("key", &it.key, known.as_deref().unwrap_or_default());
            problems.error(self.source, it.key_span, hint.message, hint.help);
        }
        true
    }

    /// Whether an error only says again what was said: that something is missing which was taken
    /// out before, or that a text does not fit whose variable is not set.
    fn is_consequence(
        &self,
        message: &str,
        span: &Range<usize>,
        pruned: &[Pruned],
        problems: &Problems,
    ) -> bool {
        let mut here = pruned.iter().filter(|it| it.container == *span);
        if let Some(field) = missing_field(message) {
            here.any(|it| it.key == field || nearest(&it.key, &[field]).is_some())
        } else if is_empty_kind(message) {
            here.next().is_some()
        } else {
            problems.has_at(self.source, span)
        }
    }

    /// The span at a dotted path inside the node, `faults[0].delay.at`; of the deepest part of
    /// the path that is there.
    pub(super) fn span_at(&self, path: &str) -> Range<usize> {
        let mut span = self.span();
        let mut value = self.value.get_ref();
        let mut rest = path;
        while let Some((next, after)) = step(value, rest) {
            span = next.span();
            value = next.get_ref();
            rest = after;
        }
        span
    }

    /// The node itself: its header or its key.
    fn span(&self) -> Range<usize> {
        if self.value.get_ref().is_table() {
            self.value.span()
        } else {
            self.key.clone()
        }
    }

    /// Whether something is written at a dotted path inside the node.
    pub(super) fn has(&self, path: &str) -> bool {
        let mut value = self.value.get_ref();
        let mut rest = path;
        while !rest.is_empty() {
            let Some((next, after)) = step(value, rest) else {
                return false;
            };
            value = next.get_ref();
            rest = after;
        }
        true
    }

    pub(super) fn place(&self, path: &str) -> Place {
        Place {
            source: Arc::clone(self.source),
            span: self.span_at(path),
        }
    }
}

/// One step along a path: what stands there, and the rest of the path. A key may hold dots itself,
/// so the longest that fits is taken.
fn step<'v, 'i, 'p>(
    value: &'v DeValue<'i>,
    path: &'p str,
) -> Option<(&'v Spanned<DeValue<'i>>, &'p str)> {
    let path = path.strip_prefix('.').unwrap_or(path);
    match value {
        DeValue::Array(items) => {
            let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
            Some((items.get(index.parse::<usize>().ok()?)?, rest))
        }
        DeValue::Table(table) => table
            .iter()
            .filter_map(|(key, value)| {
                let rest = path.strip_prefix(key.get_ref().as_ref())?;
                let ends = rest.is_empty() || rest.starts_with(['.', '[']);
                ends.then_some((value, rest))
            })
            .min_by_key(|(_, rest)| rest.len()),
        _ => None,
    }
}

/// Where a part of a text stands, in whichever quotes; `None` where the text stands otherwise there
/// than it was read.
fn within(
    source: &str,
    span: &Range<usize>,
    text: &str,
    part: &Range<usize>,
) -> Option<Range<usize>> {
    let quoted = source.get(span.clone())?;
    let quotes = [r#"""""#, "'''", "\"", "'"].into_iter();
    let quote = quotes
        .filter(|it| quoted.starts_with(it))
        .map(str::len)
        .next()?;
    let inner = quoted.get(quote..quoted.len().checked_sub(quote)?)?;
    let start = span.start + quote;
    (inner == text).then(|| start + part.start..start + part.end)
}

impl<T> Located<'_, T> {
    /// Adds a problem with what stands at `path`, unless that was found wrong already.
    pub(super) fn error(
        &self,
        problems: &mut Problems,
        path: &str,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        let span = self.node.span_at(path);
        if !self.is_pruned(&span) && !problems.has_at(self.node.source, &span) {
            problems.error(self.node.source, span, message, help);
        }
    }

    /// Adds a problem with a part of the text at `path`: bytes of the text as it was read, which is
    /// where they stand in the file unless something in it is escaped.
    pub(super) fn error_within(
        &self,
        problems: &mut Problems,
        path: &str,
        text: &str,
        part: &Range<usize>,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        let span = self.node.span_at(path);
        if !self.is_pruned(&span) {
            let span = within(&self.node.source.text, &span, text, part).unwrap_or(span);
            problems.error(self.node.source, span, message, help);
        }
    }

    /// Whether reading took something out at or directly inside this span.
    fn is_pruned(&self, span: &Range<usize>) -> bool {
        let root = self.node.span();
        self.pruned
            .iter()
            .any(|it| it.span == *span || (it.container == *span && *span != root))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use toml::de::DeTable;

    use super::*;
    use crate::units::{Probability, Span};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[expect(dead_code, reason = "its absence is what is tested")]
        name: String,
        #[serde(default)]
        chance: Option<Probability>,
        #[serde(default)]
        faults: Vec<Kind>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    enum Kind {
        Abort {},
        #[expect(dead_code, reason = "only its errors count")]
        Delay {
            fixed: Span,
        },
    }

    fn read<T: DeserializeOwned>(text: &str) -> (Option<T>, Vec<String>) {
        let source = Arc::new(Source::new("t", text));
        let root = DeTable::parse(&source.text).unwrap();
        let node = Node {
            source: &source,
            key: 0..0,
            value: Spanned::new(root.span(), DeValue::Table(root.into_inner())),
        };
        let mut problems = Problems::default();
        let value = node.read::<T>(&mut problems).map(|it| it.value);
        problems.sort(&[]);
        let said = problems
            .iter()
            .map(|it| {
                let (line, column) = it.place.as_ref().unwrap().position();
                format!("{line}:{column} {}", it.message)
            })
            .collect();
        (value, said)
    }

    #[test]
    fn every_mistake_of_a_table_is_told_at_its_place() {
        let (value, said) = read::<Sample>(
            "name = \"x\"\nchanse = 1\nchance = \"150%\"\nfaults = [\n  { delay = { fixed = 250 } },\n  { dealy = {} },\n  { abort = { x = 1, y = 2 } },\n]\n",
        );
        assert_eq!(
            said,
            [
                "2:1 unknown key `chanse`",
                "3:10 \"150%\" is no probability",
                "5:23 250 has no unit",
                "6:5 unknown name `dealy`",
                "7:15 unknown key `x`",
                "7:22 unknown key `y`",
            ]
        );
        let value = value.unwrap();
        assert_eq!(value.chance, None);
        assert!(matches!(value.faults[..], [Kind::Abort {}]), "{value:?}");
    }

    #[test]
    fn a_missing_field_is_told_once_and_not_for_a_mistyped_key() {
        assert_eq!(read::<Sample>("chance = 1").1, ["1:1 `name` is missing"]);
        assert_eq!(read::<Sample>("nam = \"x\"").1, ["1:1 unknown key `nam`"]);
        assert_eq!(
            read::<Sample>("other = 1").1,
            ["1:1 unknown key `other`", "1:1 `name` is missing"]
        );
        assert_eq!(
            read::<Sample>("name = 1").1,
            ["1:8 integer `1` does not fit here"]
        );
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "their absence is what is tested")]
    struct Several {
        number: u8,
        list: Vec<String>,
        text: String,
    }

    #[test]
    fn all_that_a_table_misses_is_told() {
        assert_eq!(
            read::<Several>("[a]").1,
            [
                "1:1 `number` is missing",
                "1:1 `list` is missing",
                "1:1 `text` is missing"
            ]
        );
        assert_eq!(
            read::<Several>("number = 1").1,
            ["1:1 `list` is missing", "1:1 `text` is missing"]
        );
    }

    #[test]
    fn two_kinds_in_one_table_are_refused_in_plain_words() {
        let (_, said) =
            read::<Sample>("name = \"x\"\nfaults = [{ abort = {}, delay = { fixed = \"1s\" } }]");
        assert_eq!(
            said,
            ["2:11 this table names several kinds; each needs its own"]
        );
    }

    #[test]
    fn a_path_is_found_as_deep_as_it_goes() {
        let text = "a = { b = [1, { c = 2 }], \"b.d\" = 3 }";
        let source = Arc::new(Source::new("t", text));
        let root = DeTable::parse(&source.text).unwrap();
        let node = Node {
            source: &source,
            key: 0..0,
            value: Spanned::new(root.span(), DeValue::Table(root.into_inner())),
        };
        let at = |path| &source.text[node.span_at(path)];
        assert_eq!(at("a.b[0]"), "1");
        assert_eq!(at("a.b[1].c"), "2");
        assert_eq!(at("a.b[7].c"), "[1, { c = 2 }]");
        assert_eq!(at("a.b.d"), "3");
        assert_eq!(at("a.bb"), "{ b = [1, { c = 2 }], \"b.d\" = 3 }");
    }
}
