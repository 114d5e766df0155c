//! A part of a document on its way through serde: what an error points at is taken out, what it
//! misses is stood in for, so that the next attempt meets the next mistake.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

/// A part of a document that is read again and again.
#[derive(Debug)]
pub(super) struct Repair<'i> {
    pub(super) tree: Spanned<DeValue<'i>>,
    pub(super) pruned: Vec<Pruned>,
    stand_in: Option<StandIn>,
    /// Tables in which something stands in for a value: good for finding mistakes only.
    hollow: Vec<Range<usize>>,
}

/// What was taken out.
#[derive(Clone, Debug)]
pub(super) struct Pruned {
    pub(super) key: String,
    pub(super) key_span: Range<usize>,
    pub(super) span: Range<usize>,
    /// The table or list it stood in.
    pub(super) container: Range<usize>,
}

/// A value in place of a missing one.
#[derive(Debug)]
struct StandIn {
    key: String,
    container: Range<usize>,
    /// How many forms were tried.
    tried: usize,
}

/// Where stand-ins stand: nowhere in a text.
const NOWHERE: Range<usize> = usize::MAX - 1..usize::MAX;

impl<'i> Repair<'i> {
    pub(super) fn new(tree: Spanned<DeValue<'i>>) -> Self {
        Self {
            tree,
            pruned: Vec::new(),
            stand_in: None,
            hollow: Vec::new(),
        }
    }

    /// Whether an error is about a stand-in and not about the text.
    pub(super) fn is_of_stand_in(span: &Range<usize>) -> bool {
        *span == NOWHERE
    }

    /// Takes out what `span` points at, and with it the other keys of the same table that are not
    /// among the `known` ones. Returns what was taken out beside; `None` where nothing was.
    pub(super) fn prune(
        &mut self,
        span: &Range<usize>,
        known: Option<&[&str]>,
    ) -> Option<Vec<Pruned>> {
        let mut found = Vec::new();
        if !prune(&mut self.tree, span, known, &mut found) {
            return None;
        }
        self.pruned.extend(found.iter().cloned());
        found.remove(0);
        Some(found)
    }

    /// Stands in for a key that the table at `span` misses. False where there is no such table.
    pub(super) fn stand_in(&mut self, key: &str, span: &Range<usize>) -> bool {
        self.stand_in = Some(StandIn {
            key: key.to_owned(),
            container: span.clone(),
            tried: 0,
        });
        self.hollow.push(span.clone());
        self.next_stand_in()
    }

    /// Whether something stands in for a value.
    pub(super) fn is_hollow(&self) -> bool {
        !self.hollow.is_empty()
    }

    /// Takes out the tables in which something stands in for a value. False where one of them is
    /// the whole part.
    pub(super) fn prune_hollow(&mut self) -> bool {
        let hollow = std::mem::take(&mut self.hollow);
        // One inside another goes with it.
        let gone =
            |pruned: &[Pruned], span: &Range<usize>| pruned.iter().any(|it| it.span == *span);
        hollow
            .iter()
            .all(|span| gone(&self.pruned, span) || self.prune(span, None).is_some())
    }

    /// Tries another form of value; where none fits, the table goes. False where nothing is left.
    pub(super) fn next_stand_in(&mut self) -> bool {
        let Some(mut stand_in) = self.stand_in.take() else {
            return false;
        };
        let value = match stand_in.tried {
            // Also a time, a size and a share.
            0 => DeValue::String("0".into()),
            1 => DeValue::Array(DeArray::new()),
            2 => DeValue::Integer(DeInteger::default()),
            _ => return self.prune_hollow(),
        };
        stand_in.tried += 1;
        let Some(table) = table_at(&mut self.tree, &stand_in.container, &stand_in.key) else {
            return false;
        };
        let key = Spanned::new(NOWHERE, stand_in.key.clone().into());
        table.insert(key, Spanned::new(NOWHERE, value));
        self.stand_in = Some(stand_in);
        true
    }
}

/// The deepest table at a span that misses the key or has a stand-in for it: a table may have the
/// span of the first table inside it.
fn table_at<'t, 'i>(
    value: &'t mut Spanned<DeValue<'i>>,
    span: &Range<usize>,
    key: &str,
) -> Option<&'t mut DeTable<'i>> {
    let here = value.span() == *span;
    match value.get_mut() {
        DeValue::Array(items) => items.iter_mut().find_map(|item| table_at(item, span, key)),
        DeValue::Table(table) => {
            let inside = table.values().any(|it| holds_table(it, span, key));
            if inside {
                return table
                    .iter_mut()
                    .find_map(|(_, value)| table_at(value, span, key));
            }
            let fits = table.get(key).is_none_or(|it| it.span() == NOWHERE);
            (here && fits).then_some(table)
        }
        _ => None,
    }
}

fn holds_table(value: &Spanned<DeValue<'_>>, span: &Range<usize>, key: &str) -> bool {
    match value.get_ref() {
        DeValue::Array(items) => items.iter().any(|it| holds_table(it, span, key)),
        DeValue::Table(table) => {
            let fits = table.get(key).is_none_or(|it| it.span() == NOWHERE);
            (value.span() == *span && fits) || table.values().any(|it| holds_table(it, span, key))
        }
        _ => false,
    }
}

/// Takes out the entry or element that `span` points at: the deepest one, as above.
fn prune(
    value: &mut Spanned<DeValue<'_>>,
    span: &Range<usize>,
    known: Option<&[&str]>,
    found: &mut Vec<Pruned>,
) -> bool {
    let container = value.span();
    match value.get_mut() {
        DeValue::Array(items) => prune_items(items, &container, span, known, found),
        DeValue::Table(table) => prune_table(table, &container, span, known, found),
        _ => false,
    }
}

fn prune_items(
    items: &mut DeArray<'_>,
    container: &Range<usize>,
    span: &Range<usize>,
    known: Option<&[&str]>,
    found: &mut Vec<Pruned>,
) -> bool {
    if items.iter_mut().any(|it| prune(it, span, known, found)) {
        return true;
    }
    let Some(at) = items.iter().position(|item| item.span() == *span) else {
        return false;
    };
    // `DeArray` has no `remove`: an emptied list is filled again with the others.
    let kept: Vec<_> = items
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != at)
        .map(|(_, item)| item.clone())
        .collect();
    *items = DeArray::new();
    for item in kept {
        items.push(item);
    }
    found.push(Pruned {
        key: String::new(),
        key_span: span.clone(),
        span: span.clone(),
        container: container.clone(),
    });
    true
}

fn prune_table(
    table: &mut DeTable<'_>,
    container: &Range<usize>,
    span: &Range<usize>,
    known: Option<&[&str]>,
    found: &mut Vec<Pruned>,
) -> bool {
    for (_, value) in table.iter_mut() {
        if prune(value, span, known, found) {
            return true;
        }
    }
    let is_it = |key: Range<usize>, value: Range<usize>| key == *span || value == *span;
    let Some(first) = table
        .iter()
        .find(|(key, value)| is_it(key.span(), value.span()))
        .map(|(key, _)| key.clone())
    else {
        return false;
    };
    let unknown = |key: &str| known.is_some_and(|it| !it.contains(&key));
    let mut keys = vec![first];
    let others = table.keys().filter(|it| unknown(it.get_ref()));
    keys.extend(
        others
            .filter(|it| it.span() != keys[0].span())
            .cloned()
            .collect::<Vec<_>>(),
    );
    for key in keys {
        if let Some((key, value)) = table.remove_entry(&key) {
            found.push(Pruned {
                key_span: key.span(),
                key: key.into_inner().into_owned(),
                span: value.span(),
                container: container.clone(),
            });
        }
    }
    true
}
