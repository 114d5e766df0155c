//! Reading a part of a document with serde, all of its problems at once.
//!
//! Serde stops at the first error. So the part is read again without what the error points at,
//! until it passes or nothing more can be taken out: two unknown keys, a wrong unit and a bad
//! probability in one table are four problems, each at its own place.

use std::ops::Range;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::hint::{humanise, is_empty_kind, missing_field, nearest};
use super::{Place, Problems, Source};

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

/// What was taken out: the span of the key or value, and of the table or list it stood in.
#[derive(Debug)]
struct Pruned {
    span: Range<usize>,
    container: Range<usize>,
    key: String,
}

impl<'i> Node<'i> {
    /// Reads the node as a `T`. Where something had to be taken out, the rest is still read, for
    /// the checks that come after; `None` where nothing is left.
    pub(super) fn read<T: DeserializeOwned>(
        self,
        problems: &mut Problems,
    ) -> Option<Located<'i, T>> {
        let mut pruned: Vec<Pruned> = Vec::new();
        let mut rest: Option<Spanned<DeValue<'i>>> = None;
        loop {
            let attempt = rest.as_ref().unwrap_or(&self.value).clone();
            let error = match T::deserialize(ValueDeserializer::from(attempt)) {
                Ok(value) => {
                    return Some(Located {
                        value,
                        node: self,
                        pruned,
                    });
                }
                Err(error) => error,
            };
            let span = error.span().unwrap_or_else(|| self.value.span());
            if !self.is_consequence(error.message(), &span, &pruned, problems) {
                let hint = humanise(error.message());
                problems.error(self.source, span.clone(), hint.message, hint.help);
            }
            if problems.is_full() {
                return None;
            }
            let tree = rest.get_or_insert_with(|| self.value.clone());
            pruned.push(prune(tree, &span)?);
        }
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

    /// Whether reading took something out at or directly inside this span.
    fn is_pruned(&self, span: &Range<usize>) -> bool {
        let root = self.node.span();
        self.pruned
            .iter()
            .any(|it| it.span == *span || (it.container == *span && *span != root))
    }
}

/// Takes out the entry or element that `span` points at: the deepest one, since a table may have
/// the span of the first table inside it.
fn prune(value: &mut Spanned<DeValue<'_>>, span: &Range<usize>) -> Option<Pruned> {
    let container = value.span();
    match value.get_mut() {
        DeValue::Array(items) => prune_items(items, container, span),
        DeValue::Table(table) => prune_table(table, container, span),
        _ => None,
    }
}

fn prune_items(
    items: &mut toml::de::DeArray<'_>,
    container: Range<usize>,
    span: &Range<usize>,
) -> Option<Pruned> {
    for item in items.iter_mut() {
        if let Some(pruned) = prune(item, span) {
            return Some(pruned);
        }
    }
    let at = items.iter().position(|item| item.span() == *span)?;
    // `DeArray` has no `remove`: an emptied list is filled again with the others.
    let kept: Vec<_> = items
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != at)
        .map(|(_, item)| item.clone())
        .collect();
    *items = toml::de::DeArray::new();
    for item in kept {
        items.push(item);
    }
    Some(Pruned {
        span: span.clone(),
        container,
        key: String::new(),
    })
}

fn prune_table(
    table: &mut DeTable<'_>,
    container: Range<usize>,
    span: &Range<usize>,
) -> Option<Pruned> {
    for (_, value) in table.iter_mut() {
        if let Some(pruned) = prune(value, span) {
            return Some(pruned);
        }
    }
    let key = table
        .iter()
        .find(|(key, value)| key.span() == *span || value.span() == *span)
        .map(|(key, _)| key.clone())?;
    let (key, value) = table.remove_entry(&key)?;
    Some(Pruned {
        span: value.span(),
        container,
        key: key.into_inner().into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

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

    fn read(text: &str) -> (Option<Sample>, Vec<String>) {
        let source = Arc::new(Source::new("t", text));
        let root = DeTable::parse(&source.text).unwrap();
        let node = Node {
            source: &source,
            key: 0..0,
            value: Spanned::new(root.span(), DeValue::Table(root.into_inner())),
        };
        let mut problems = Problems::default();
        let value = node.read::<Sample>(&mut problems).map(|it| it.value);
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
        let (value, said) = read(
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
        assert_eq!(read("chance = 1").1, ["1:1 `name` is missing"]);
        assert_eq!(read("nam = \"x\"").1, ["1:1 unknown key `nam`"]);
        assert_eq!(
            read("other = 1").1,
            ["1:1 unknown key `other`", "1:1 `name` is missing"]
        );
        assert_eq!(read("name = 1").1, ["1:8 integer `1` does not fit here"]);
    }

    #[test]
    fn two_kinds_in_one_table_are_refused_in_plain_words() {
        let (_, said) = read("name = \"x\"\nfaults = [{ abort = {}, delay = { fixed = \"1s\" } }]");
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
