//! Entry functions of the fuzz targets for this codec: arbitrary bytes go in, and what must hold for
//! all bytes is asserted. An ordinary test replays the corpora; nothing else calls them.

use crate::http1::{
    BodyScanner, Framing, Persistence, Request, RequestEdit, Response, ResponseEdit, Upgrade,
    parse_request, parse_response, rebuild_request, rebuild_response, strip_in_place,
};

const MAX_BYTES: usize = 64 * 1024;
const MAX_FIELDS: usize = 100;

/// A request head, then its body. What is forwarded of it, in place or written anew, is read by the
/// same parser as the same request: nothing of it can be taken for another one.
pub fn http1_request(input: &[u8]) {
    let Ok(Some(head)) = parse_request(input, MAX_BYTES, MAX_FIELDS) else {
        return;
    };
    assert!(head.len <= input.len());
    let bytes = &input[..head.len];
    let (authority, path, query) = head.parts(bytes);
    let edit = RequestEdit {
        framing: head.framing,
        default_host: "upstream",
        keep_expect: true,
        edits: &[],
    };
    let mut rebuilt = Vec::new();
    rebuild_request(bytes, &head, edit, &mut rebuilt);
    let again = reread(&rebuilt, |bytes| {
        parse_request(bytes, MAX_BYTES * 2, MAX_FIELDS + 2)
    });
    assert_eq!(again.framing, head.framing);
    assert_eq!(again.method(&rebuilt), head.method(bytes));
    assert_eq!(again.parts(&rebuilt).0, authority.or(Some("upstream")));
    if !path.is_empty() {
        assert_eq!(again.parts(&rebuilt).1, path);
    }
    assert_eq!(again.parts(&rebuilt).2, query);
    if !head.rebuild {
        let stripped = strip(bytes, &head);
        let again = reread(&stripped, |bytes| {
            parse_request(bytes, MAX_BYTES, MAX_FIELDS)
        });
        assert_eq!(
            (again.framing, again.parts(&stripped)),
            (head.framing, (authority, path, query))
        );
        assert!(again.fields.iter().all(|field| !field.hop));
    }
    body(head.framing, &input[head.len..]);
}

/// A response head, then its body; as [`http1_request`]. The first byte says what was asked.
pub fn http1_response(input: &[u8]) {
    let (&asked, input) = input.split_first().unwrap_or((&0, &[]));
    let to_head = asked & 1 != 0;
    let upgrade = if asked & 2 != 0 {
        Upgrade::Asked
    } else {
        Upgrade::No
    };
    let parse = |bytes: &[u8]| parse_response(bytes, MAX_BYTES * 2, to_head, upgrade);
    let Ok(Some(head)) = parse(input) else {
        return;
    };
    let bytes = &input[..head.len];
    let mut rebuilt = Vec::new();
    let edit = ResponseEdit {
        framing: None,
        persistence: Persistence::Implied,
        edits: &[],
    };
    rebuild_response(bytes, &head, edit, &mut rebuilt);
    let again: Response = reread(&rebuilt, parse);
    assert_eq!((again.status, again.framing), (head.status, head.framing));
    body(head.framing, &input[head.len..]);
}

fn strip(bytes: &[u8], head: &Request) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let start = strip_in_place(&mut bytes, &head.fields);
    bytes.split_off(start)
}

/// Parses what we wrote ourselves: it must be one whole head.
fn reread<T, E: std::fmt::Debug>(bytes: &[u8], parse: impl Fn(&[u8]) -> Result<Option<T>, E>) -> T {
    match parse(bytes) {
        Ok(Some(head)) => head,
        other => panic!(
            "what was written is read as {:?}",
            other.map(|_| "incomplete")
        ),
    }
}

/// A body in one piece and byte by byte: the same payload, the same end, the same refusal.
fn body(framing: Framing, bytes: &[u8]) {
    let scan = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut scanner = BodyScanner::new(framing);
        let (mut payload, mut wire) = (Vec::new(), 0);
        for piece in pieces {
            match scanner.scan(piece, |part| payload.extend_from_slice(part)) {
                Ok(scanned) => wire += scanned.wire,
                Err(_) => return None,
            }
        }
        Some((payload, wire, scanner.is_done()))
    };
    let whole = scan(&mut std::iter::once(bytes));
    assert_eq!(scan(&mut bytes.chunks(1)), whole);
    if let Some((payload, wire, _)) = whole {
        assert!(payload.len() <= wire && wire <= bytes.len());
    }
}
