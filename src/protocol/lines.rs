//! JSON Lines (NDJSON): every line is a unit, a blank one a sign of life.
//! Source: <https://jsonlines.org>.

use super::UnitKind;
use super::frame::{Boundary, Classify};

#[derive(Debug)]
pub(super) struct LineBoundary;

impl Boundary for LineBoundary {
    fn next_end(&mut self, bytes: &[u8]) -> Option<usize> {
        memchr::memchr(b'\n', bytes).map(|at| at + 1)
    }
}

#[derive(Debug)]
pub(super) struct Lines;

impl Classify for Lines {
    fn classify(&mut self, unit: &[u8]) -> UnitKind {
        if unit.iter().all(u8::is_ascii_whitespace) {
            UnitKind::Control
        } else {
            UnitKind::Token
        }
    }
}
