//! What a failed stream tells through an `io::Error`.

use std::io;

use h2::Reason;

/// An error of one stream, as the driver sees it.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
struct StreamError {
    source: h2::Error,
    /// Not a byte of the request was sent.
    unsent: bool,
}

/// A part of a request that HTTP/2 has no way to say.
#[derive(Debug, thiserror::Error)]
#[error("{0} cannot be said in HTTP/2")]
struct Unsayable(&'static str);

/// The request cannot be said in HTTP/2, for a reason of its own.
pub(super) fn not_sayable(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, Unsayable(what))
}

/// What of a request could not be said in HTTP/2, where it failed for that: the upstream got nothing
/// of it, or a request that breaks off.
pub fn unsayable(error: &io::Error) -> Option<&'static str> {
    error.get_ref()?.downcast_ref().map(|it: &Unsayable| it.0)
}

/// What the stream of a running call says.
pub(super) fn of(source: h2::Error) -> io::Error {
    wrap(source, false)
}

/// The stream could not be opened.
pub(super) fn unsent(source: h2::Error) -> io::Error {
    wrap(source, true)
}

fn wrap(source: h2::Error, unsent: bool) -> io::Error {
    let kind = match source.get_io() {
        _ if unsent => io::ErrorKind::NotConnected,
        // The connection's own end: for a call it is as any broken connection.
        Some(error) => error.kind(),
        None if source.is_reset() || source.is_go_away() => io::ErrorKind::ConnectionReset,
        None => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, StreamError { source, unsent })
}

fn cause(error: &io::Error) -> Option<&StreamError> {
    error.get_ref()?.downcast_ref()
}

/// The code with which an upstream's stream ended in place of an answer (RFC 9113 §7); `None` where
/// the upstream speaks HTTP/1.1, or the connection ended without one.
pub fn h2_reason(error: &io::Error) -> Option<Reason> {
    let source = &cause(error)?.source;
    source.is_reset().then(|| source.reason()).flatten()
}

/// Whether the upstream surely did nothing with a request, so that sending it again does no harm
/// whatever it is: its stream was refused, or lies beyond the last that the upstream took before it
/// went away (RFC 9113 §8.7).
pub fn is_unprocessed(error: &io::Error) -> bool {
    cause(error).is_some_and(|it| {
        let source = &it.source;
        let refused = source.is_reset() && source.reason() == Some(Reason::REFUSED_STREAM);
        it.unsent || source.is_remote() && (refused || source.is_go_away())
    })
}
