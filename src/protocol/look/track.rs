//! Follows the path of a reader through a document and keeps the values that are wanted.

use serde_json::Value;

use smallvec::SmallVec;

use super::pointer::{Path, Segment};
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

/// The bytes of a value as they come. Small: a look for a few must fit what an allocator has at hand.
#[derive(Debug, Default)]
enum Capture {
    /// It has not begun, or is no value after all (a number beyond f64, broken UTF-8).
    #[default]
    None,
    /// It began here in the present push.
    From(usize),
    /// It began in an earlier push: what came of it before this one.
    Held(Vec<u8>),
    TooLong,
    Found(Value),
}

impl Capture {
    /// The present push ends, and the value does not.
    fn hold(&mut self, bytes: &[u8]) {
        *self = match std::mem::take(self) {
            Self::From(from) => Self::held(Vec::new(), &bytes[from..]),
            Self::Held(raw) => Self::held(raw, bytes),
            other => other,
        };
    }

    fn held(mut raw: Vec<u8>, more: &[u8]) -> Self {
        if raw.len() + more.len() > VALUE_CAP {
            return Self::TooLong;
        }
        raw.extend_from_slice(more);
        Self::Held(raw)
    }

    /// The value ends before the byte at `at`.
    fn end(&mut self, bytes: &[u8], at: usize) {
        let parsed = |raw: &[u8]| serde_json::from_slice(raw).map_or(Self::None, Self::Found);
        *self = match std::mem::take(self) {
            Self::From(from) if at - from > VALUE_CAP => Self::None,
            Self::From(from) => parsed(&bytes[from..at]),
            Self::Held(raw) => match Self::held(raw, &bytes[..at]) {
                Self::Held(raw) => parsed(&raw),
                _ => Self::None,
            },
            Self::TooLong => Self::None,
            other => other,
        };
    }

    fn into_value(self) -> Option<Value> {
        match self {
            Self::Found(value) => Some(value),
            Self::None | Self::From(_) | Self::Held(_) | Self::TooLong => None,
        }
    }
}

impl<'p> Wanted<'p> {
    fn new(text: &'p str) -> Option<Self> {
        let (path, settled_at, kind) = if let Some(path) = text.strip_prefix(CHARS) {
            let path = Path::pattern(path)?;
            let fixed = path.segments().take_while(|it| !it.is_any()).count();
            (path, fixed, Kind::Chars(None))
        } else {
            let path = Path::pointer(text)?;
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
                .map(|it| it.path.longest_key())
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

    /// Values that go on in the next push are kept.
    pub(super) fn end_push(&mut self, bytes: &[u8]) {
        for it in &mut self.wanted {
            if let Kind::Value(capture) = &mut it.kind {
                capture.hold(bytes);
            }
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
                    Kind::Value(capture) => capture.into_value(),
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

    /// The path goes to another child of the present container.
    fn enter(&mut self, matches: impl Fn(Segment<'_>) -> bool) {
        let length = self.open.len().saturating_sub(1);
        if self.reach < length {
            return;
        }
        self.reach = 0;
        for it in self.wanted.iter_mut().filter(|it| !it.settled) {
            if it.matched >= length {
                let goes_on = it.path.segment(length).is_some_and(&matches);
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
                Kind::Value(capture) => *capture = Capture::From(at),
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
            let name = key.name();
            self.tracker.enter(|segment| {
                name.map_or_else(|| segment.is_any(), |name| segment.matches_key(name))
            });
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
