//! How a call went, as its client saw it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Origin;

use super::schedule::Arrival;

/// One call at its end. Times count from the intended arrival.
#[derive(Clone, Debug)]
pub(super) struct Observation {
    pub(super) arrival: Arrival,
    pub(super) latency: Duration,
    /// First unit with content; `None` where the answer is no stream or none came.
    pub(super) first_token: Option<Duration>,
    /// Times between tokens.
    pub(super) gaps: Vec<Duration>,
    pub(super) result: Result<(), Failure>,
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    pub reason: String,
}

/// Who broke the call, as far as its client can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// An error answer; its `x-hormesis-origin` says whose, without one it is the upstream's.
    Answered(Origin),
    /// The connection ended before the answer did. Nothing on the wire says who ended it; the
    /// decision log does.
    Cut,
    /// No connection could be made.
    Refused,
    /// Given up after the time-out.
    TimedOut,
}

impl Failure {
    pub(super) fn new(kind: FailureKind, reason: impl Into<String>) -> Self {
        Self {
            kind,
            reason: reason.into(),
        }
    }

    pub(super) fn cut(reason: impl Into<String>) -> Self {
        Self::new(FailureKind::Cut, reason)
    }
}

/// Failed calls by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCounts {
    pub injected: u64,
    pub cut: u64,
    pub upstream: u64,
    pub proxy: u64,
    pub downstream: u64,
    pub timed_out: u64,
    pub refused: u64,
}

impl ErrorCounts {
    pub(super) fn count(&mut self, kind: FailureKind) {
        let slot = match kind {
            FailureKind::Answered(Origin::Injected) => &mut self.injected,
            FailureKind::Answered(Origin::Upstream) => &mut self.upstream,
            FailureKind::Answered(Origin::Proxy) => &mut self.proxy,
            FailureKind::Answered(Origin::Downstream) => &mut self.downstream,
            FailureKind::Cut => &mut self.cut,
            FailureKind::TimedOut => &mut self.timed_out,
            FailureKind::Refused => &mut self.refused,
        };
        *slot += 1;
    }

    /// Name and count of each kind, in a fixed order.
    pub fn by_kind(&self) -> [(&'static str, u64); 7] {
        [
            ("injected", self.injected),
            ("cut", self.cut),
            ("upstream", self.upstream),
            ("proxy", self.proxy),
            ("downstream", self.downstream),
            ("timed_out", self.timed_out),
            ("refused", self.refused),
        ]
    }

    pub fn total(&self) -> u64 {
        self.by_kind().iter().map(|(_, count)| count).sum()
    }
}

/// The party that an error answer names in `x-hormesis-origin`.
pub(super) fn origin_of(headers: &http::HeaderMap) -> Origin {
    let named = headers
        .get("x-hormesis-origin")
        .and_then(|value| value.to_str().ok());
    Origin::ALL
        .into_iter()
        .find(|origin| named == Some(origin.as_str()))
        .unwrap_or(Origin::Upstream)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    #[test]
    fn an_error_without_a_named_origin_is_the_upstreams() {
        let mut headers = HeaderMap::new();
        assert_eq!(origin_of(&headers), Origin::Upstream);
        headers.insert("x-hormesis-origin", HeaderValue::from_static("injected"));
        assert_eq!(origin_of(&headers), Origin::Injected);
        headers.insert("x-hormesis-origin", HeaderValue::from_static("nobody"));
        assert_eq!(origin_of(&headers), Origin::Upstream);
    }

    #[test]
    fn every_kind_is_counted_once() {
        let mut counts = ErrorCounts::default();
        let answered = Origin::ALL.map(FailureKind::Answered);
        let others = [
            FailureKind::Cut,
            FailureKind::Refused,
            FailureKind::TimedOut,
        ];
        for kind in answered.into_iter().chain(others) {
            counts.count(kind);
        }
        assert!(counts.by_kind().iter().all(|(_, count)| *count == 1));
        assert_eq!(counts.total(), 7);
    }
}
