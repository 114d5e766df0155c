//! The data plane on real sockets, byte for byte, between scripts on both sides.

#[path = "../support/mod.rs"]
mod support;

mod bodies;
mod damage;
mod lies;
mod positions;
mod streams;
mod strictness;
mod transparency;
