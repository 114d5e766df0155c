//! Entry functions of the fuzz targets under `fuzz/`: arbitrary bytes go in, and what must hold for
//! all bytes is asserted. They are part of the library so that an ordinary test can replay the
//! corpora; nothing else calls them.

use http::StatusCode;
use serde_json::Value;

use super::look::{Look, Progress};
use super::{Dialect, Framer, RequestHead, ResponseHead, UNIT_CAP, UnitEnd, UnitKind, registry};
use crate::call::{Call, Description, Field};
use crate::effect::{Answer, ErrorKind, ErrorSpec};

/// All units of a stream by their ends, and what it left unfinished.
type Cut = (Vec<UnitEnd>, Option<UnitKind>);

/// Frames a body with every dialect, whole and in pieces: the first byte of the input gives the
/// sizes of the pieces, the rest is the body. Any split gives the same units.
pub fn sse(input: &[u8]) {
    let (&sizes, body) = input.split_first().unwrap_or((&0, &[]));
    for media in ["text/event-stream", "application/x-ndjson"] {
        let fields = [Field {
            name: "content-type",
            value: media.as_bytes(),
        }];
        let head = ResponseHead {
            status: 200,
            fields: &fields,
        };
        for dialect in dialects() {
            let framer = || dialect.framer(&Description::default(), &head);
            let (Some(mut whole), Some(mut split)) = (framer(), framer()) else {
                continue;
            };
            let expected = cut(whole.as_mut(), [body]);
            assert_eq!(cut(split.as_mut(), pieces(body, sizes)), expected);
            assert_eq!(split.usage(), whole.usage());
            assert_eq!(split.saw_error(), whole.saw_error());
            assert_eq!(split.saw_end(), whole.saw_end());
            check_units(dialect, body, &expected);
        }
    }
}

/// Looks into a document, whole and in pieces: any split finds the same, and a document that
/// `serde_json` reads is read.
pub fn look(input: &[u8]) {
    const POINTERS: [&str; 9] = [
        "",
        "/model",
        "/stream",
        "/messages/0/content",
        "/a~1b/~0",
        "/0",
        "/ä",
        "chars:/messages/*/content",
        "chars:/*",
    ];
    let (&sizes, body) = input.split_first().unwrap_or((&0, &[]));
    let mut whole = Look::new(POINTERS);
    let progress = whole.push(body);
    let mut split = Look::new(POINTERS);
    for piece in pieces(body, sizes) {
        split.push(piece);
    }
    let found = whole.finish();
    assert_eq!(split.finish(), found);
    let Ok(document) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    assert_ne!(progress, Progress::Invalid, "serde_json reads it");
    // Where a key stands twice the look takes the first and `serde_json` the last, so only what
    // lies at the top must be in both.
    for it in found
        .iter()
        .filter(|it| it.pointer.matches('/').count() <= 1)
    {
        if it.pointer.is_empty() {
            assert_eq!(it.value, document);
        } else if super::look::is_pointer(it.pointer) {
            assert!(document.pointer(it.pointer).is_some());
        }
    }
}

/// Describes a request line (`METHOD PATH?QUERY`) with every dialect and writes every error for
/// it: all operations are listed, all errors are whole.
pub fn describe(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (method, target) = text.split_once(' ').unwrap_or(("GET", &text));
    let (path, query) = target
        .split_once('?')
        .map_or((target, None), |(path, query)| (path, Some(query)));
    let head = RequestHead {
        method,
        path,
        query,
        fields: &[],
    };
    for info in registry() {
        let Some(dialect) = info.dialect else {
            continue;
        };
        let mut description = dialect.describe(&head);
        if let Some(operation) = &description.operation {
            assert!(info.operations.contains(&operation.as_ref()));
        }
        let mut look = Look::new(dialect.pointers(&head, &description));
        look.push(b"{\"model\":\"m\",\"stream\":true}");
        dialect.complete(&mut description, &look.finish());
        let call = Call {
            protocol: info.name,
            method,
            path,
            query,
            description,
            ..Call::default()
        };
        for kind in ErrorKind::ALL {
            check_error(dialect, &call, kind);
        }
    }
}

fn dialects() -> impl Iterator<Item = &'static dyn Dialect> {
    registry().iter().filter_map(|info| info.dialect)
}

/// A body in pieces of uneven sizes; `sizes` 0 gives single bytes.
fn pieces(body: &[u8], sizes: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = body;
    let mut state = u32::from(sizes);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let size = match sizes {
            0 => 1,
            _ => 1 + (state >> 16) as usize % usize::from(sizes),
        };
        let (piece, after) = rest.split_at(size.min(rest.len()));
        rest = after;
        Some(piece)
    })
}

/// Runs a framer; the ends come back as offsets in the whole body.
fn cut<'a>(framer: &mut dyn Framer, pieces: impl IntoIterator<Item = &'a [u8]>) -> Cut {
    let mut all = Vec::new();
    let mut ends = Vec::new();
    let mut offset = 0;
    for piece in pieces {
        ends.clear();
        framer.push(piece, &mut ends);
        for end in &ends {
            assert!((1..=piece.len()).contains(&end.at), "{end:?}");
            all.push(UnitEnd {
                at: offset + end.at,
                kind: end.kind,
            });
        }
        offset += piece.len();
    }
    (all, framer.finish())
}

fn check_units(dialect: &dyn Dialect, body: &[u8], (ends, left): &Cut) {
    let mut start = 0;
    for end in ends {
        assert!(end.at > start && end.at - start <= UNIT_CAP);
        // Whatever the unit is, asking about it must not panic.
        let _is_error: bool = dialect.is_error_unit(&body[start..end.at]);
        start = end.at;
    }
    assert_eq!(left.is_some(), start < body.len());
}

fn check_error(dialect: &dyn Dialect, call: &Call<'_>, kind: ErrorKind) {
    let answer = Answer {
        error: ErrorSpec::Kind(kind),
        headers: Vec::new(),
        body: None,
    };
    let error = dialect.error(&answer, call);
    let is_status = |(name, value): &(_, String)| name == "grpc-status" && value != "0";
    assert!(
        error.headers.iter().any(is_status)
            || error.status >= StatusCode::BAD_REQUEST && !error.body.is_empty()
    );
    let is_json = |(name, value): &(_, String)| name == "content-type" && value == super::JSON;
    if error.headers.iter().any(is_json) {
        assert!(serde_json::from_slice::<Value>(&error.body).is_ok());
    }
    if let Some(event) = dialect.error_in_stream(&answer, &call.description) {
        assert!(dialect.is_error_unit(&event));
    }
}
