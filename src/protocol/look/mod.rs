//! A streaming look into a JSON request body: finds the values at some JSON pointers while the
//! bytes pass, and stops as soon as all are found.
//!
//! The first value in the document whose path matches a pointer is the one found, so of duplicate
//! keys the first wins. Values over [`VALUE_CAP`] bytes are not found. Beside pointers a look
//! takes *measures*: `chars:/messages/*/content` counts the characters of all strings at paths of
//! that form (`*` is any key or index), and is found as a number where there is one such string.

mod pointer;
mod scan;
mod text;
mod track;

use serde_json::Value;

pub use pointer::is_pointer;
use scan::{Malformed, Scanner};
use track::Tracker;

use crate::call::Found;

/// A value with more bytes than this is passed over.
pub const VALUE_CAP: usize = 64 << 10;

/// What a measure of characters begins with; the rest is the path.
pub const CHARS: &str = "chars:";

/// Whether this text is a measure, which is known only where all that it counts was read.
pub fn is_measure(text: &str) -> bool {
    text.starts_with(CHARS)
}

/// How far a look has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All was found, or the document has ended.
    Done,
    /// The bytes are no JSON document (or one nested over 128 levels): nothing more will be found.
    Invalid,
    /// More bytes may bring more.
    More,
}

/// A look in progress. Holds the values of its pointers, never the document.
#[derive(Debug)]
pub struct Look<'p> {
    scanner: Scanner,
    tracker: Tracker<'p>,
    progress: Progress,
}

impl<'p> Look<'p> {
    /// A look for these pointers and measures. What is neither is never found; equal ones are
    /// looked for once.
    pub fn new<P: AsRef<str> + ?Sized + 'p>(pointers: impl IntoIterator<Item = &'p P>) -> Self {
        let tracker = Tracker::new(pointers.into_iter().map(AsRef::as_ref));
        let progress = if tracker.is_complete() {
            Progress::Done
        } else {
            Progress::More
        };
        Self {
            scanner: Scanner::new(),
            tracker,
            progress,
        }
    }

    /// Takes the next bytes of the document. After [`Progress::Done`] and [`Progress::Invalid`]
    /// bytes are ignored.
    pub fn push(&mut self, bytes: &[u8]) -> Progress {
        if self.progress != Progress::More {
            return self.progress;
        }
        let read = self
            .scanner
            .push(bytes, &mut self.tracker.over(bytes))
            .map(|()| self.tracker.end_push(bytes));
        self.progress = match read {
            Err(Malformed) => Progress::Invalid,
            Ok(()) if self.tracker.is_complete() || self.scanner.has_ended() => Progress::Done,
            Ok(()) => Progress::More,
        };
        self.progress
    }

    /// What was found, in the order of the pointers. A document that broke off or is invalid gives
    /// what came before.
    pub fn finish(mut self) -> Vec<Found<'p>> {
        if self.progress == Progress::More {
            self.scanner.finish(&mut self.tracker.over(&[]));
        }
        self.tracker.into_found(self.scanner.has_ended())
    }
}

/// The value found at a pointer.
pub(super) fn value<'a>(found: &'a [Found<'_>], pointer: &str) -> Option<&'a Value> {
    found
        .iter()
        .find(|it| it.pointer == pointer)
        .map(|it| &it.value)
}

/// The sum of all measures of characters; `None` where none was found.
pub(super) fn total_chars(found: &[Found<'_>]) -> Option<u64> {
    found
        .iter()
        .filter(|it| is_measure(it.pointer))
        .filter_map(|it| it.value.as_u64())
        .reduce(u64::saturating_add)
}

#[cfg(test)]
mod tests;
