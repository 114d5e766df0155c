//! What went wrong with a call that no rule hurt, and what the client is told of it: the one place
//! where an error becomes an answer.

use std::io;

use crate::call::Outcome;
use crate::error::Origin;
use crate::http1::{ChunkedError, HeadError};
use crate::upstream::{ConnectError, h2_reason, unsayable};

/// A real failure of one call.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the client left: {0}")]
    ClientGone(io::Error),
    #[error("the request's body is malformed: {0}")]
    ClientBody(ChunkedError),
    #[error("the request is malformed: {0}")]
    ClientHead(HeadError),
    #[error("the client sent a plain request to a port that speaks TLS")]
    ClientPlain,
    #[error("the client closed in the middle of its request")]
    ClientShort,
    #[error("the request did not come in time")]
    ClientSlow,
    #[error("the client took nothing of its answer in time")]
    ClientStuck,
    #[error("the client speaks TLS to a listener that has none")]
    ClientTls,
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the upstream's body is malformed: {0}")]
    UpstreamBody(ChunkedError),
    #[error("the upstream closed the connection before it answered")]
    UpstreamClosed,
    #[error("the upstream sent more than its answer")]
    UpstreamExcess,
    #[error("the upstream's answer is malformed: {0}")]
    UpstreamHead(HeadError),
    #[error("a rule ended the request in the middle")]
    Injected { reset: bool },
    #[error("the upstream took nothing of the request in time")]
    UpstreamBlocked,
    #[error("the connection to the upstream failed: {0}")]
    UpstreamReset(io::Error),
    #[error("the upstream closed the connection in the middle of its answer")]
    UpstreamShort,
    #[error("the upstream stopped in the middle of its answer")]
    UpstreamStuck,
}

/// How a failure is told to the client and to the ledgers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rescue {
    /// `None`: nobody is there to be told.
    pub(super) status: Option<u16>,
    pub(super) origin: Origin,
    pub(super) outcome: Outcome,
}

impl Failure {
    /// What a failed write to the client means; a time-out is [`crate::proxy::patience`]'s.
    pub(super) fn of_client(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::ClientStuck,
            _ => Self::ClientGone(error),
        }
    }

    /// What a failed write to the upstream means.
    pub(super) fn of_upstream(error: io::Error) -> Self {
        match error.kind() {
            // It never left: the upstream has no part in it.
            _ if let Some(what) = unsayable(&error) => Self::ClientHead(HeadError::Unsayable(what)),
            io::ErrorKind::TimedOut => Self::UpstreamBlocked,
            _ => Self::UpstreamReset(error),
        }
    }

    /// The code with which the upstream's stream of HTTP/2 ended: a client of HTTP/2 gets it as it
    /// is, and may know better than we what it asks for.
    pub(super) fn stream_code(&self) -> Option<u32> {
        match self {
            Self::UpstreamReset(error) => h2_reason(error).map(u32::from),
            _ => None,
        }
    }

    /// Whether a connection broke off, be it while it was made: no peer said that it was done.
    pub(super) fn is_reset(&self) -> bool {
        match self {
            Self::ClientGone(_) | Self::UpstreamReset(_) => true,
            Self::Connect(ConnectError::Failed { source, .. }) => {
                source.kind() == io::ErrorKind::ConnectionReset
            }
            _ => false,
        }
    }

    /// Whether what a fault did to the call can be the cause: a peer that was kept waiting closes, or
    /// a time-out passes. No fault keeps a connection from being made, nor makes a peer lie.
    pub(super) const fn may_be_caused(&self) -> bool {
        matches!(
            self,
            Self::ClientStuck
                | Self::Connect(ConnectError::Timeout { .. } | ConnectError::TlsTimeout { .. })
                | Self::UpstreamBlocked
                | Self::UpstreamClosed
                | Self::UpstreamReset(_)
                | Self::UpstreamShort
                | Self::UpstreamStuck
        )
    }

    pub(super) fn rescue(&self) -> Rescue {
        let (status, origin, outcome) = match self {
            Self::ClientGone(_) | Self::ClientShort => {
                (None, Origin::Downstream, Outcome::ClientAbort)
            }
            Self::Injected { .. } => (None, Origin::Injected, Outcome::InjectedFault),
            // In what language, it would not understand.
            Self::ClientTls => (None, Origin::Downstream, Outcome::Rejected),
            Self::ClientBody(_) | Self::ClientPlain => {
                (Some(400), Origin::Downstream, Outcome::Rejected)
            }
            Self::ClientHead(error) => {
                (Some(error.status()), Origin::Downstream, Outcome::Rejected)
            }
            Self::ClientSlow => (Some(408), Origin::Downstream, Outcome::Rejected),
            Self::ClientStuck => (None, Origin::Downstream, Outcome::Timeout),
            Self::UpstreamBlocked | Self::UpstreamStuck => {
                (Some(504), Origin::Upstream, Outcome::Timeout)
            }
            Self::Connect(ConnectError::Timeout { .. } | ConnectError::TlsTimeout { .. }) => {
                (Some(504), Origin::Upstream, Outcome::Timeout)
            }
            Self::Connect(error) if error.is_local() => {
                (Some(503), Origin::Proxy, Outcome::Rejected)
            }
            Self::Connect(_)
            | Self::UpstreamBody(_)
            | Self::UpstreamClosed
            | Self::UpstreamExcess
            | Self::UpstreamHead(_)
            | Self::UpstreamReset(_)
            | Self::UpstreamShort => (Some(502), Origin::Upstream, Outcome::UpstreamError),
        };
        Rescue {
            status,
            origin,
            outcome,
        }
    }
}

/// The reason phrase of a status, or nothing.
pub(super) fn reason_phrase(status: u16) -> &'static str {
    http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_the_upstream_did_counts_against_the_client() {
        let upstream = [
            Failure::UpstreamClosed,
            Failure::UpstreamExcess,
            Failure::UpstreamShort,
            Failure::UpstreamHead(HeadError::Malformed("x")),
            Failure::UpstreamBody(ChunkedError::Size),
            Failure::UpstreamReset(io::ErrorKind::ConnectionReset.into()),
        ];
        for failure in upstream {
            assert_eq!(failure.rescue().origin, Origin::Upstream, "{failure}");
            assert_eq!(failure.rescue().status, Some(502), "{failure}");
        }
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS] {
            let source = io::Error::from_raw_os_error(code);
            let endpoint = "model:80".to_owned();
            let ours = Failure::Connect(ConnectError::Failed { endpoint, source }).rescue();
            assert_eq!((ours.status, ours.origin), (Some(503), Origin::Proxy));
            assert_eq!(ours.outcome, Outcome::Rejected);
        }
        let bad_chunk = Failure::ClientBody(ChunkedError::Size).rescue();
        assert_eq!(
            (bad_chunk.status, bad_chunk.origin),
            (Some(400), Origin::Downstream)
        );
    }
}
