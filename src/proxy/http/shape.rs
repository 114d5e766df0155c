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
use crate::upstream::Connection;

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
    /// The upstream may send trailers behind a body of announced length, as HTTP/2 can.
    pub(super) trailing: bool,
}

/// Where trailers behind a body of announced length can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    None,
    /// Behind chunks in the length's place.
    Chunks,
    /// Where they are, on a stream of HTTP/2.
    Stream,
}

/// Where the client can be given the trailers of an answer, should it have some. HTTP/1.1 has room
/// for them in chunks alone: where they are announced (RFC 9110 §6.6.2), they matter more than the
/// length.
pub(super) fn room_for_trailers(
    call: &InFlight<'_>,
    head: &Response,
    bytes: &[u8],
    asked: Asked,
    connection: &Connection,
) -> Room {
    if !connection.http2 || !matches!(head.framing, Framing::Length(_)) {
        return Room::None;
    }
    let announces = |name: &str| name.eq_ignore_ascii_case("trailer");
    if call.session.http2 {
        Room::Stream
    } else if asked.minor == 1 && head.fields(bytes).any(|it| announces(it.name)) {
        Room::Chunks
    } else {
        Room::None
    }
}

/// How the client is told of the body's end.
pub(super) fn shape(
    head: &Response,
    asked: Asked,
    stages: Option<&Stages>,
    patience: Option<Duration>,
    room: Room,
) -> Shape {
    let cut = stages.and_then(Stages::reframing);
    let chunks = room == Room::Chunks && stages.is_none();
    let framing = match cut {
        None if chunks => Framing::Chunked,
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
        trailing: chunks || room == Room::Stream && cut.is_none(),
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
    http2: bool,
) -> HeadBytes {
    let mut edits = forwarded::of_response(call, head.minor, http2);
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
