//! JSON as Go reads and writes it.

mod decode;
mod encode;
mod tape;

pub(super) use decode::{Decoder, Place, is_field};
pub(super) use encode::Writer;
pub(super) use tape::{Kind, Tape, Value};
