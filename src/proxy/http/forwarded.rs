//! What heads tell of the way they came, where a listener is told to add it.

use crate::effect::HeadEdit;
use crate::http1::Request;
use crate::proxy::call::InFlight;

/// The name that this hop goes by in Via: a pseudonym, which RFC 9110 §7.6.3 allows.
const PSEUDONYM: &str = "hormesis";

/// Lines for a request. None where the listener adds none.
pub(super) fn of_request(call: &InFlight<'_>, head: &Request, bytes: &[u8]) -> Vec<HeadEdit> {
    let policy = call.generation.snapshot.listeners[call.listener].heads;
    let mut edits = Vec::new();
    if policy.x_forwarded {
        x_forwarded(call, head, bytes, &mut edits);
    }
    if policy.via {
        edits.push(via(head.minor, call.session.http2));
    }
    edits
}

/// Lines for an answer: how it was received from the upstream, on a stream of HTTP/2 or not.
pub(super) fn of_response(call: &InFlight<'_>, minor: u8, http2: bool) -> Vec<HeadEdit> {
    let policy = call.generation.snapshot.listeners[call.listener].heads;
    if policy.via {
        vec![via(minor, http2)]
    } else {
        Vec::new()
    }
}

/// With the version that was received (RFC 9110 §7.6.3), whatever form the driver has of it.
fn via(minor: u8, http2: bool) -> HeadEdit {
    let (major, minor) = if http2 { (2, 0) } else { (1, minor) };
    HeadEdit::Add {
        name: "Via".into(),
        value: format!("{major}.{minor} {PSEUDONYM}"),
    }
}

/// The address joins those of the proxies before; scheme and host are the first one's to tell.
fn x_forwarded(call: &InFlight<'_>, head: &Request, bytes: &[u8], edits: &mut Vec<HeadEdit>) {
    let known = |name: &str| {
        let fields = head.fields(bytes);
        let values = fields.filter(|it| it.name.eq_ignore_ascii_case(name));
        let values: Vec<_> = values.map(|it| String::from_utf8_lossy(it.value)).collect();
        (!values.is_empty()).then(|| values.join(", "))
    };
    if let Some(peer) = call.session.peer {
        let before = known("x-forwarded-for").map_or_else(String::new, |it| it + ", ");
        edits.push(HeadEdit::Set {
            name: "X-Forwarded-For".into(),
            value: format!("{before}{}", peer.ip().to_canonical()),
        });
    }
    if known("x-forwarded-proto").is_none() {
        let tls = call.generation.snapshot.listeners[call.listener]
            .tls
            .is_some();
        edits.push(HeadEdit::Add {
            name: "X-Forwarded-Proto".into(),
            value: if tls { "https" } else { "http" }.into(),
        });
    }
    if known("x-forwarded-host").is_none()
        && let (Some(host), _, _) = head.parts(bytes)
    {
        edits.push(HeadEdit::Add {
            name: "X-Forwarded-Host".into(),
            value: host.to_owned(),
        });
    }
}
