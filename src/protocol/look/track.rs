//! Follows the path of a reader through a document and keeps the values that are wanted.

use serde_json::Value;

use smallvec::SmallVec;

use super::pointer::{self, Path, Segment};
use super::scan::{Piece, Sink};
use super::text::{CharCount, Key};
use super::{CHARS, VALUE_CAP};
use crate::call::Found;

/// One pointer or measure.
#[derive(Debug)]
struct Wanted<'p> {
    text: &'p str,
    path: Path<'p>,
    /// How many leading segments the present path matches.
    matched: usize,
    /// The end of the first value that matches this many segments settles it.
    settled_at: usize,
    settled: bool,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Chars(Option<u64>),
    Value(Capture),
}

/// The bytes of a value as they come.
#[derive(Debug, Default)]
struct Capture {
    raw: Vec<u8>,
    /// Where in the present push the part begins that is not yet in `raw`.
    from: Option<usize>,
    too_long: bool,
    value: Option<Value>,
}

impl Capture {
    fn take(&mut self, bytes: &[u8], to: usize) {
        let Some(from) = self.from.take() else {
            return;
        };
        if self.raw.len() + (to - from) > VALUE_CAP {
            self.too_long = true;
            self.raw = Vec::new();
        }
        if !self.too_long {
            self.raw.extend_from_slice(&bytes[from..to]);
        }
    }

    fn end(&mut self, bytes: &[u8], at: usize) {
        // What is no value after all (a number beyond f64, broken UTF-8) is not found.
        if let Some(from) = self.from.filter(|_| self.raw.is_empty() && !self.too_long) {
            self.from = None;
            let whole = &bytes[from..at];
            self.value = (whole.len() <= VALUE_CAP)
                .then(|| serde_json::from_slice(whole).ok())
                .flatten();
            return;
        }
        self.take(bytes, at);
        if !self.too_long {
            self.value = serde_json::from_slice(&self.raw).ok();
        }
        self.raw = Vec::new();
    }
}

impl<'p> Wanted<'p> {
    fn new(text: &'p str) -> Option<Self> {
        let (path, settled_at, kind) = if let Some(path) = text.strip_prefix(CHARS) {
            let path = pointer::pattern(path)?;
            let fixed = path.iter().take_while(|it| **it != Segment::Any).count();
            (path, fixed, Kind::Chars(None))
        } else {
            let path = pointer::segments(text)?;
            let length = path.len();
            (path, length, Kind::Value(Capture::default()))
        };
        Some(Self {
            text,
            path,
            matched: 0,
            settled_at,
            settled: false,
            kind,
        })
    }

    /// Whether the present path, of this length, is the whole path wanted.
    fn is_at(&self, length: usize) -> bool {
        !self.settled && self.path.len() == length && self.matched == length
    }
}

/// All that is wanted, and where the reader stands.
#[derive(Debug)]
pub(super) struct Tracker<'p> {
    wanted: Vec<Wanted<'p>>,
    unsettled: usize,
    /// For each open container the index of its next element.
    open: SmallVec<[u64; 8]>,
    /// The most segments that anything unsettled matches: what lies deeper need not be compared.
    reach: usize,
    longest_key: usize,
    key: Option<Key>,
    chars: Option<CharCount>,
}

impl<'p> Tracker<'p> {
    pub(super) fn new(pointers: impl IntoIterator<Item = &'p str>) -> Self {
        let pointers = pointers.into_iter();
        let mut wanted: Vec<Wanted<'_>> = Vec::with_capacity(pointers.size_hint().0);
        for text in pointers {
            if wanted.iter().all(|it| it.text != text) {
                wanted.extend(Wanted::new(text));
            }
        }
        Self {
            unsettled: wanted.len(),
            open: SmallVec::new(),
            reach: 0,
            longest_key: wanted
                .iter()
                .flat_map(|it| &it.path)
                .map(Segment::longest_key)
                .max()
                .unwrap_or(0),
            key: None,
            chars: None,
            wanted,
        }
    }

    pub(super) const fn is_complete(&self) -> bool {
        self.unsettled == 0
    }

    /// Values that are being kept go on at the start of the next push.
    pub(super) fn begin_push(&mut self) {
        for capture in self.captures() {
            if !capture.raw.is_empty() || capture.too_long {
                capture.from = Some(0);
            }
        }
    }

    pub(super) fn end_push(&mut self, bytes: &[u8]) {
        for capture in self.captures() {
            capture.take(bytes, bytes.len());
        }
    }

    pub(super) const fn over<'a>(&'a mut self, bytes: &'a [u8]) -> Tracking<'a, 'p> {
        Tracking {
            tracker: self,
            bytes,
        }
    }

    pub(super) fn into_found(self, document_ended: bool) -> Vec<Found<'p>> {
        self.wanted
            .into_iter()
            .filter_map(|it| {
                let value = match it.kind {
                    Kind::Value(capture) => capture.value,
                    // A count that may still grow says nothing.
                    Kind::Chars(count) => count
                        .filter(|_| it.settled || document_ended)
                        .map(Value::from),
                };
                value.map(|value| Found {
                    pointer: it.text,
                    value,
                })
            })
            .collect()
    }

    fn captures(&mut self) -> impl Iterator<Item = &mut Capture> {
        self.wanted.iter_mut().filter_map(|it| match &mut it.kind {
            Kind::Value(capture) if !it.settled => Some(capture),
            Kind::Value(_) | Kind::Chars(_) => None,
        })
    }

    /// The path goes to another child of the present container.
    fn enter(&mut self, matches: impl Fn(&Segment<'_>) -> bool) {
        let length = self.open.len().saturating_sub(1);
        if self.reach < length {
            return;
        }
        self.reach = 0;
        for it in self.wanted.iter_mut().filter(|it| !it.settled) {
            if it.matched >= length {
                let goes_on = it.path.get(length).is_some_and(&matches);
                it.matched = if goes_on { length + 1 } else { length };
            }
            self.reach = self.reach.max(it.matched);
        }
    }
}

/// A tracker over the bytes of one push.
#[derive(Debug)]
pub(super) struct Tracking<'a, 'p> {
    tracker: &'a mut Tracker<'p>,
    bytes: &'a [u8],
}

impl Sink for Tracking<'_, '_> {
    fn value_start(&mut self, at: usize, is_string: bool) {
        let length = self.tracker.open.len();
        if self.tracker.reach < length {
            return;
        }
        let mut counts = false;
        for it in &mut self.tracker.wanted {
            if !it.is_at(length) {
                continue;
            }
            match &mut it.kind {
                Kind::Value(capture) => capture.from = Some(at),
                Kind::Chars(_) => counts |= is_string,
            }
        }
        self.tracker.chars = counts.then(CharCount::default);
    }

    fn value_end(&mut self, at: usize) {
        let length = self.tracker.open.len();
        if self.tracker.reach < length {
            return;
        }
        let counted = self.tracker.chars.take();
        for it in &mut self.tracker.wanted {
            if let (Kind::Chars(sum), Some(chars)) = (&mut it.kind, &counted)
                && !it.settled
                && it.path.len() == length
                && it.matched == length
            {
                *sum = Some(sum.unwrap_or(0).saturating_add(chars.count()));
            }
            if it.settled || it.settled_at != length || it.matched < length {
                continue;
            }
            if let Kind::Value(capture) = &mut it.kind {
                capture.end(self.bytes, at);
            }
            it.settled = true;
            self.tracker.unsettled -= 1;
        }
    }

    fn array_start(&mut self) {
        self.tracker.open.push(0);
    }

    fn object_start(&mut self) {
        self.tracker.open.push(0);
    }

    fn container_end(&mut self) {
        self.tracker.open.pop();
    }

    fn element(&mut self) {
        if let Some(next) = self.tracker.open.last_mut() {
            let index = *next;
            *next += 1;
            self.tracker.enter(|segment| segment.matches_index(index));
        }
    }

    fn key_start(&mut self) {
        let is_compared = self.tracker.reach + 1 >= self.tracker.open.len();
        self.tracker.key = is_compared.then(|| Key::new(self.tracker.longest_key));
    }

    fn key_end(&mut self) {
        if let Some(key) = self.tracker.key.take() {
            match key.name() {
                Some(name) => self.tracker.enter(|segment| segment.matches_key(name)),
                None => self.tracker.enter(|segment| *segment == Segment::Any),
            }
        }
    }

    fn piece(&mut self, piece: Piece<'_>) {
        if let Some(key) = &mut self.tracker.key {
            key.push(piece);
        } else if let Some(chars) = &mut self.tracker.chars {
            chars.push(piece);
        }
    }

    fn is_done(&self) -> bool {
        self.tracker.is_complete()
    }
}
