//! The head of an answer as the client will get it.

use std::time::Duration;

use crate::call::Side;
use crate::http1::{
    Framing, Persistence, Response, ResponseEdit, rebuild_response, strip_in_place,
};
use crate::io::Buffer;
use crate::proxy::call::InFlight;
use crate::proxy::http::exchange::Asked;
use crate::proxy::http::forwarded;
use crate::proxy::stages::{Outlet, Reframing, Stages};

/// How an answer will be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// The framing that the client is told, where it is not the upstream's.
    pub(super) framing: Option<Framing>,
    pub(super) outlet: Outlet,
    /// The connection's end is the body's.
    pub(super) until_close: bool,
    /// How long the client may take nothing.
    pub(super) patience: Option<Duration>,
}

/// How the client is told of the body's end.
pub(super) fn shape(
    head: &Response,
    asked: Asked,
    stages: Option<&Stages>,
    patience: Option<Duration>,
) -> Shape {
    let cut = stages.and_then(Stages::reframing);
    let framing = match cut {
        Some(Reframing::Length(length)) => Framing::Length(length),
        Some(Reframing::Unknown) => Framing::Chunked,
        None => head.framing,
    };
    // An HTTP/1.0 client knows no chunks: its body ends with the connection.
    let framing = if framing == Framing::Chunked && asked.minor == 0 {
        Framing::UntilClose
    } else {
        framing
    };
    Shape {
        framing: (framing != head.framing).then_some(framing),
        outlet: if framing == Framing::Chunked {
            Outlet::Chunked
        } else {
            Outlet::Raw
        },
        until_close: framing == Framing::UntilClose,
        patience,
    }
}

/// The head as it will be sent: in place at the start of the buffer where it only loses lines.
#[derive(Debug)]
pub(super) enum HeadBytes {
    InPlace(usize),
    Rebuilt(Vec<u8>),
}

pub(super) fn prepare_head(
    call: &InFlight<'_>,
    head: &Response,
    buffer: &mut Buffer,
    framing: Option<Framing>,
    persistence: Persistence,
) -> HeadBytes {
    let mut edits = forwarded::of_response(call, head.minor);
    if let Some(execution) = call.execution() {
        edits.extend(execution.take_head_edits(Side::Response));
    }
    if framing.is_none() && persistence == Persistence::Implied && edits.is_empty() && !head.rebuild
    {
        // "HTTP/1.x": what follows is ours to frame, so the version is too (RFC 9110 §2.5).
        buffer[7] = b'1';
        let stripped = strip_in_place(&mut buffer[..head.len], &head.fields);
        buffer.consume(stripped);
        return HeadBytes::InPlace(head.len - stripped);
    }
    let mut rebuilt = Vec::with_capacity(head.len + 64);
    let edit = ResponseEdit {
        framing,
        persistence,
        edits: &edits,
    };
    rebuild_response(&buffer[..head.len], head, edit, &mut rebuilt);
    buffer.consume(head.len);
    HeadBytes::Rebuilt(rebuilt)
}
