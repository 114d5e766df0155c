//! Kinds of harm. A fault turns its configuration and a call into effects; it sees views, never
//! protocols, sockets, clocks or other faults.
//!
//! A new kind is one file here, one `mod` line and one registry line.

use std::fmt::Debug;

use crate::call::{Call, Phase, Side};
use crate::draw::Draws;
use crate::effect::Effects;

/// A configured fault, valid by construction.
pub trait Fault: Debug + Send + Sync {
    /// The effects of this fault on this call. Pure: all chance comes from `draws`.
    fn arm(&self, call: &Call<'_>, draws: &mut Draws) -> Effects;

    /// Where it acts, so that the configuration can be refused where a protocol has no such place.
    fn place(&self) -> (Phase, Side);
}
