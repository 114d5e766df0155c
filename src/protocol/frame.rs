//! From bytes to units, whatever the format: a [`Boundary`] finds where units end, a [`Classify`]
//! tells what they are, [`Units`] holds the unfinished one between pushes.

use std::fmt::Debug;

use super::{Framer, UNIT_CAP, UnitEnd, UnitKind};
use crate::view::Usage;

/// A buffer that a rare long unit has blown up is given back beyond this.
const KEPT_CAPACITY: usize = 64 << 10;

/// Finds the ends of units; remembers across calls where in a unit it stands.
pub(super) trait Boundary: Debug + Send {
    /// Reads on until the unit ends and gives the length of what was read of it: in
    /// `1..=bytes.len()`. `None`: all bytes were read and the unit goes on.
    fn next_end(&mut self, bytes: &[u8]) -> Option<usize>;
}

/// Tells what a unit is, and remembers what the units so far reported.
pub(super) trait Classify: Debug + Send {
    /// `unit` holds all bytes of a unit, its terminator too; or the first [`UNIT_CAP`] bytes of a
    /// longer one; or what a stream left unfinished at its end.
    fn classify(&mut self, unit: &[u8]) -> UnitKind;

    fn usage(&self) -> Option<Usage> {
        None
    }

    fn saw_error(&self) -> bool {
        false
    }

    fn saw_end(&self) -> Option<bool> {
        None
    }
}

/// The framer of a format. A unit that lies wholly inside one push is classified in place; only
/// one that spans pushes is copied.
#[derive(Debug)]
pub(super) struct Units<B, C> {
    boundary: B,
    classifier: C,
    /// The bytes of the unfinished unit from earlier pushes.
    held: Vec<u8>,
    /// Bytes of the unfinished unit, or of the present piece of one over the cap.
    length: usize,
    /// The unfinished unit is over the cap: its first piece is out, what follows is control.
    beyond_cap: bool,
}

impl<B: Boundary, C: Classify> Units<B, C> {
    pub(super) fn new(boundary: B, classifier: C) -> Self {
        Self {
            boundary,
            classifier,
            held: Vec::new(),
            length: 0,
            beyond_cap: false,
        }
    }

    /// The kind of the piece that ends with `tail`.
    fn kind(&mut self, tail: &[u8]) -> UnitKind {
        self.length = 0;
        if self.beyond_cap {
            return UnitKind::Control;
        }
        if self.held.is_empty() {
            return self.classifier.classify(tail);
        }
        self.held.extend_from_slice(tail);
        let kind = self.classifier.classify(&self.held);
        if self.held.capacity() > KEPT_CAPACITY {
            self.held = Vec::new();
        }
        self.held.clear();
        kind
    }
}

impl<B: Boundary, C: Classify> Framer for Units<B, C> {
    fn push(&mut self, bytes: &[u8], ends: &mut Vec<UnitEnd>) {
        let mut start = 0;
        while start < bytes.len() {
            let room = UNIT_CAP - self.length;
            let window = &bytes[start..bytes.len().min(start + room)];
            let read = self.boundary.next_end(window);
            if let Some(length) = read {
                let kind = self.kind(&window[..length]);
                self.beyond_cap = false;
                start += length;
                ends.push(UnitEnd { at: start, kind });
            } else if window.len() == room {
                let kind = self.kind(window);
                self.beyond_cap = true;
                start += room;
                ends.push(UnitEnd { at: start, kind });
            } else {
                if !self.beyond_cap {
                    self.held.extend_from_slice(window);
                }
                self.length += window.len();
                return;
            }
        }
    }

    fn finish(&mut self) -> Option<UnitKind> {
        (self.length > 0).then(|| self.kind(&[]))
    }

    fn usage(&self) -> Option<Usage> {
        self.classifier.usage()
    }

    fn saw_error(&self) -> bool {
        self.classifier.saw_error()
    }

    fn saw_end(&self) -> Option<bool> {
        self.classifier.saw_end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::lines::{LineBoundary, Lines};

    fn framer() -> Units<LineBoundary, Lines> {
        Units::new(LineBoundary, Lines)
    }

    #[test]
    fn a_unit_over_the_cap_passes_in_pieces_and_the_next_one_is_whole_again() {
        let mut body = vec![b'x'; UNIT_CAP * 2 + 10];
        body.push(b'\n');
        body.extend_from_slice(b"{}\n");
        let expected = [
            (UNIT_CAP, UnitKind::Token),
            (UNIT_CAP * 2, UnitKind::Control),
            (UNIT_CAP * 2 + 11, UnitKind::Control),
            (UNIT_CAP * 2 + 14, UnitKind::Token),
        ];
        for step in [body.len(), 65_536, 999_983] {
            let mut framer = framer();
            let mut seen = Vec::new();
            for (index, piece) in body.chunks(step).enumerate() {
                let mut ends = Vec::new();
                framer.push(piece, &mut ends);
                seen.extend(ends.iter().map(|end| (index * step + end.at, end.kind)));
                assert!(framer.held.len() <= UNIT_CAP);
            }
            assert_eq!(seen, expected, "in pieces of {step}");
            assert_eq!(framer.finish(), None);
        }
    }

    #[test]
    fn a_unit_inside_one_push_is_not_copied() {
        let mut framer = framer();
        let mut ends = Vec::new();
        framer.push(b"{\"a\":1}\n{\"b\":2}\n", &mut ends);
        assert_eq!(ends.len(), 2);
        assert_eq!(framer.held.capacity(), 0);
    }
}
