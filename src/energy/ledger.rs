//! The activity ledger: how the data plane tells when an upstream worked for which call. Each
//! worker owns the sending end of a ring; the sampler thread owns the other ends.

use std::sync::Arc;

use tokio::time::Instant;

use crate::call::Outcome;

/// A worker's end of its ring. Sending never blocks and makes no system call; when the ring is
/// full the interval folds into a class total.
#[derive(Debug)]
pub struct ActivitySender {}

impl ActivitySender {
    /// The first byte of a call goes to an upstream (its index in the snapshot).
    pub fn begin(&mut self, _call: u64, _upstream: u16, _at: Instant) {}

    /// From here on we, or a slow client, hold bytes of the answer unread.
    pub fn hold(&mut self, _call: u64, _at: Instant) {}

    /// The answer is read again.
    pub fn release(&mut self, _call: u64, _at: Instant) {}

    /// The last byte was received, or the upstream connection closed.
    pub fn end(&mut self, _call: u64, _at: Instant, _finish: Finish) {}
}

/// What is known of a call's work at its end.
#[derive(Clone, Debug)]
pub struct Finish {
    pub outcome: Outcome,
    pub listener: Arc<str>,
    pub protocol: &'static str,
    pub model: Option<Arc<str>>,
    /// The rule that hit, `several`, or none.
    pub rule: Option<Arc<str>>,
    /// Whether an injected wait was pending when the client left.
    pub abort_injected: bool,
    pub output_tokens: Option<u64>,
    pub output_units: u64,
}
