//! Finds what may match without asking each: every entry is filed under its rarest condition that
//! can be looked up, patterns in one regex set a value; the others are always candidates.
//!
//! What is found is a superset: the caller asks the conditions of each candidate.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use regex::bytes::RegexSet;
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::call::Call;
use crate::rule::matcher::Matcher;
use crate::rule::select::{Attribute, Term, host_name, parameters};

pub(super) type Ids = SmallVec<[u32; 8]>;

/// So many distinct names of headers are compared one by one.
const FEW_NAMES: usize = 4;

/// Entries by what they ask for.
#[derive(Debug, Default)]
pub(super) struct Index {
    always: Vec<u32>,
    method: Values,
    path: Values,
    host: Values,
    operation: Values,
    model: Values,
    version: Values,
    /// By name in lower case.
    headers: Map<String, Values>,
    query: Map<Vec<u8>, Values>,
    /// By JSON pointer.
    body: Map<String, Values>,
}

/// By short texts of the configuration: nobody who only looks up can make them collide.
type Map<K, V> = HashMap<K, V, BuildHasherDefault<Quick>>;

/// A hash of what is written to it as one text each, which for short ones takes a tenth of what the
/// standard library's takes.
#[derive(Debug, Default)]
struct Quick(u64);

impl Hasher for Quick {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    // What separates texts within a key: a key here is one text.
    fn write_u8(&mut self, _: u8) {}

    fn write_usize(&mut self, _: usize) {}
}

/// Entries by the value that one attribute must have.
#[derive(Debug, Default)]
struct Values {
    exact: Map<Vec<u8>, Vec<u32>>,
    patterns: BTreeMap<String, Vec<u32>>,
    /// Made of `patterns`, in their order; the entries of each.
    set: Option<(RegexSet, Vec<Vec<u32>>)>,
    /// All entries, for when the value is not told.
    all: Vec<u32>,
}

/// One way to satisfy a matcher that can be looked up.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key<'a> {
    Exact(&'a str),
    Pattern(&'a str),
}

impl Index {
    /// An index of entries by their place in `entries`, each with the conditions it can be filed
    /// under.
    pub(super) fn new(entries: &[Vec<Term<'_>>]) -> Self {
        let mut frequency: HashMap<(Attribute<'_>, Key<'_>), usize> = HashMap::new();
        let keyed: Vec<Vec<_>> = entries
            .iter()
            .map(|terms| {
                terms
                    .iter()
                    .filter_map(|(attribute, matcher)| Some((*attribute, keys(matcher)?)))
                    .collect()
            })
            .collect();
        for (attribute, keys) in keyed.iter().flatten() {
            for key in keys {
                *frequency.entry((*attribute, *key)).or_default() += 1;
            }
        }
        let mut index = Self::default();
        for (id, terms) in (0..).zip(&keyed) {
            // A pattern costs a match of its own; the order of attributes settles the rest.
            let rarest = terms.iter().min_by_key(|(attribute, keys)| {
                let shared: usize = keys
                    .iter()
                    .filter_map(|key| frequency.get(&(*attribute, *key)))
                    .sum();
                let patterns = keys.iter().any(|it| matches!(it, Key::Pattern(_)));
                (shared, patterns, *attribute)
            });
            match rarest {
                Some((attribute, keys)) => index.values_mut(*attribute).file(keys, id),
                None => index.always.push(id),
            }
        }
        index.finish();
        index
    }

    /// How many entries [`Self::lookup`] finds for sure where what is not told is not known: told
    /// without gathering them.
    pub(super) fn untold(&self, call: &Call<'_>) -> usize {
        let description = &call.description;
        let told = [
            (&self.operation, description.operation.is_some()),
            (&self.model, description.model.is_some()),
            (&self.version, description.version.is_some()),
        ];
        let untold = told.iter().filter(|(_, is_told)| !is_told);
        self.always.len() + untold.map(|(values, _)| values.all.len()).sum::<usize>()
    }

    /// Entries that may match, ascending. Where an attribute is not told, its entries are among
    /// them if `untold` says so.
    pub(super) fn lookup(&self, call: &Call<'_>, untold: bool) -> Ids {
        let mut ids = Ids::from_slice(&self.always);
        let description = &call.description;
        self.method.find(Some(call.method), untold, &mut ids);
        self.path.find(Some(call.path), untold, &mut ids);
        self.operation
            .find(description.operation.as_deref(), untold, &mut ids);
        self.model
            .find(description.model.as_deref(), untold, &mut ids);
        self.version
            .find(description.version.as_deref(), untold, &mut ids);
        if !self.host.all.is_empty() {
            let host = call.host.map(host_name);
            self.host.find(host.as_deref(), untold, &mut ids);
        }
        self.find_headers(call, &mut ids);
        if !self.query.is_empty() {
            for (name, value) in parameters(call.query) {
                if let Some(values) = self.query.get(name.as_ref()) {
                    values.find_bytes(&value, &mut ids);
                }
            }
        }
        for found in call.found {
            if let (Some(values), Some(text)) = (self.body.get(found.pointer), found.value.as_str())
            {
                values.find_bytes(text.as_bytes(), &mut ids);
            }
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn find_headers(&self, call: &Call<'_>, ids: &mut Ids) {
        if self.headers.len() <= FEW_NAMES {
            // Comparing few names costs less than one copy of a name in lower case.
            #[expect(clippy::iter_over_hash_type, reason = "the ids are sorted in the end")]
            for (name, values) in &self.headers {
                for value in call.header(name) {
                    values.find_bytes(value, ids);
                }
            }
            return;
        }
        for field in call.fields {
            let name = field.name.to_ascii_lowercase();
            if let Some(values) = self.headers.get(&name) {
                values.find_bytes(field.value, ids);
            }
        }
    }

    fn values_mut(&mut self, attribute: Attribute<'_>) -> &mut Values {
        match attribute {
            Attribute::Body(pointer) => self.body.entry(pointer.to_owned()).or_default(),
            Attribute::Header(name) => self.headers.entry(name.to_ascii_lowercase()).or_default(),
            Attribute::Host => &mut self.host,
            Attribute::Method => &mut self.method,
            Attribute::Model => &mut self.model,
            Attribute::Operation => &mut self.operation,
            Attribute::Path => &mut self.path,
            Attribute::Query(name) => self.query.entry(name.as_bytes().to_vec()).or_default(),
            Attribute::Version => &mut self.version,
        }
    }

    fn finish(&mut self) {
        let single = [
            &mut self.method,
            &mut self.path,
            &mut self.host,
            &mut self.operation,
            &mut self.model,
            &mut self.version,
        ];
        let mut left_over = Vec::new();
        for values in single
            .into_iter()
            .chain(self.headers.values_mut())
            .chain(self.query.values_mut())
            .chain(self.body.values_mut())
        {
            left_over.extend(values.finish());
        }
        self.always.extend(left_over);
    }
}

impl Values {
    fn file(&mut self, keys: &[Key<'_>], id: u32) {
        self.all.push(id);
        for key in keys {
            match key {
                Key::Exact(text) => {
                    self.exact
                        .entry(text.as_bytes().to_vec())
                        .or_default()
                        .push(id);
                }
                Key::Pattern(regex) => {
                    self.patterns
                        .entry((*regex).to_owned())
                        .or_default()
                        .push(id);
                }
            }
        }
    }

    /// Builds the set of patterns; returns the entries whose patterns are too many for one, which
    /// have to be asked always.
    fn finish(&mut self) -> Vec<u32> {
        if self.patterns.is_empty() {
            return Vec::new();
        }
        let (patterns, ids): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.patterns).into_iter().unzip();
        match RegexSet::new(patterns) {
            Ok(set) => {
                self.set = Some((set, ids));
                Vec::new()
            }
            Err(_) => ids.into_iter().flatten().collect(),
        }
    }

    fn find(&self, value: Option<&str>, untold: bool, ids: &mut Ids) {
        match value {
            _ if self.all.is_empty() => {}
            Some(value) => self.find_bytes(value.as_bytes(), ids),
            None if untold => ids.extend_from_slice(&self.all),
            None => {}
        }
    }

    fn find_bytes(&self, value: &[u8], ids: &mut Ids) {
        if let Some(exact) = self.exact.get(value) {
            ids.extend_from_slice(exact);
        }
        if let Some((set, of_pattern)) = &self.set {
            for pattern in &set.matches(value) {
                if let Some(found) = of_pattern.get(pattern) {
                    ids.extend_from_slice(found);
                }
            }
        }
    }
}

/// All ways to satisfy a matcher, where each can be looked up: never for `not`, which holds of what
/// is not there, nor for numbers, which are written in many ways.
fn keys(matcher: &Matcher) -> Option<SmallVec<[Key<'_>; 1]>> {
    match matcher {
        Matcher::Text(text) => Some(SmallVec::from_buf([Key::Exact(text)])),
        Matcher::Glob(pattern) | Matcher::Regex(pattern) => {
            Some(SmallVec::from_buf([Key::Pattern(pattern.regex().as_str())]))
        }
        Matcher::Any(matchers) => {
            let mut all = SmallVec::new();
            for matcher in matchers {
                all.extend(keys(matcher)?);
            }
            Some(all)
        }
        Matcher::Bool(_) | Matcher::Not(_) | Matcher::Number(_) | Matcher::Range(_) => None,
    }
}
