//! The data plane on real sockets, byte for byte, between scripts on both sides.

#[path = "../support/mod.rs"]
mod support;

mod bodies;
mod transparency;
