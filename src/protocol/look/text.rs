//! What the pieces of a string come to: a key to compare, or a number of characters.

use smallvec::SmallVec;

use super::scan::Piece;

/// A key without its escapes, as far as it could match anything.
#[derive(Debug)]
pub(super) struct Key {
    name: SmallVec<[u8; 32]>,
    longest: usize,
    high: Option<u16>,
    /// Too long, or no text: equals no name.
    is_none: bool,
}

impl Key {
    pub(super) fn new(longest: usize) -> Self {
        Self {
            name: SmallVec::new(),
            longest,
            high: None,
            is_none: false,
        }
    }

    pub(super) fn push(&mut self, piece: Piece<'_>) {
        if self.is_none {
            return;
        }
        let mut buffer = [0; 4];
        let bytes = match (piece, self.high.take()) {
            (Piece::Plain(bytes), None) => bytes,
            (Piece::Short(byte), None) => {
                buffer[0] = byte;
                &buffer[..1]
            }
            (Piece::Unit(high @ 0xD800..=0xDBFF), None) => {
                self.high = Some(high);
                return;
            }
            (Piece::Unit(unit), high) => {
                let units = high.into_iter().chain([unit]);
                let mut chars = char::decode_utf16(units);
                match (chars.next(), chars.next()) {
                    (Some(Ok(char)), None) => char.encode_utf8(&mut buffer).as_bytes(),
                    _ => return self.is_none = true,
                }
            }
            (Piece::Plain(_) | Piece::Short(_), Some(_)) => return self.is_none = true,
        };
        if self.name.len() + bytes.len() > self.longest {
            self.is_none = true;
        } else {
            self.name.extend_from_slice(bytes);
        }
    }

    /// `None` where no name can equal the key.
    pub(super) fn name(&self) -> Option<&[u8]> {
        (!self.is_none && self.high.is_none()).then_some(&self.name)
    }
}

/// Counts Unicode scalar values.
#[derive(Debug, Default)]
pub(super) struct CharCount {
    count: u64,
    /// The last piece was a high surrogate: a low one completes the same character.
    after_high: bool,
}

impl CharCount {
    pub(super) fn push(&mut self, piece: Piece<'_>) {
        let after_high = std::mem::take(&mut self.after_high);
        self.count += match piece {
            // Continuation bytes of UTF-8 begin no character.
            Piece::Plain(bytes) => bytes.iter().filter(|&&byte| byte & 0xC0 != 0x80).count() as u64,
            Piece::Short(_) => 1,
            Piece::Unit(0xDC00..=0xDFFF) if after_high => 0,
            Piece::Unit(unit) => {
                self.after_high = matches!(unit, 0xD800..=0xDBFF);
                1
            }
        };
    }

    pub(super) const fn count(&self) -> u64 {
        self.count
    }
}
