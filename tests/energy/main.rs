//! The energy of calls, held to its invariants on a machine that does not exist: a fake powercap
//! and `/proc` tree, an upstream that knows its joules, and a clock that tests move.

#![expect(
    clippy::unwrap_used,
    reason = "helpers stand outside test functions; a bed that cannot be made fails its test"
)]

mod bed;
mod ghosts;
mod invariants;
mod live;
mod powercap;
mod process;
mod ranges;
mod rivals;
mod transparency;
