//! What a proxy changes of a head. Most heads only lose hop-by-hop lines, in place; the few that
//! need more are written anew.

use crate::effect::HeadEdit;
use crate::http1::fields::FieldAt;
use crate::http1::framing::Framing;
use crate::http1::head::{Request, Response};

/// What an answer tells the client of its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Persistence {
    /// It ends after this answer.
    Close,
    /// Nothing: HTTP/1.1 keeps it by itself.
    #[default]
    Implied,
    /// An HTTP/1.0 client must be told that it stays.
    KeepAlive,
}

/// Takes the hop-by-hop lines out of a head. What stays is moved to the end of `head`, so that it
/// still stands right before the body; returns where it starts. Field offsets are void afterwards.
pub fn strip_in_place(head: &mut [u8], fields: &[FieldAt]) -> usize {
    let mut kept_from = head.len();
    let mut unread_to = head.len();
    for (index, field) in fields.iter().enumerate().rev() {
        if !field.hop {
            continue;
        }
        let line_end = line_end(head, fields, index);
        kept_from = move_down(head, line_end, unread_to, kept_from);
        unread_to = field.start();
    }
    if unread_to == head.len() {
        0
    } else {
        move_down(head, 0, unread_to, kept_from)
    }
}

/// Copies `from..to` so that it ends at `end`; returns its new start.
fn move_down(head: &mut [u8], from: usize, to: usize, end: usize) -> usize {
    let start = end - (to - from);
    head.copy_within(from..to, start);
    start
}

fn line_end(head: &[u8], fields: &[FieldAt], index: usize) -> usize {
    // After the last field stands the empty line. Heads with bare LF are rebuilt, not stripped.
    fields
        .get(index + 1)
        .map_or(head.len() - 2, |next| next.start())
}

/// How a request is written anew.
#[derive(Clone, Copy, Debug)]
pub struct RequestEdit<'a> {
    pub framing: Framing,
    /// For requests that name no host (HTTP/1.0).
    pub default_host: &'a str,
    pub keep_expect: bool,
    pub edits: &'a [HeadEdit],
}

/// Writes a request head anew: origin form, HTTP/1.1, one Host, one length.
pub fn rebuild_request(head: &[u8], request: &Request, edit: RequestEdit<'_>, out: &mut Vec<u8>) {
    let (authority, path, query) = request.parts(head);
    let host = authority.unwrap_or(edit.default_host);
    out.extend_from_slice(request.method(head).as_bytes());
    out.push(b' ');
    // Absolute form may come without a path, but a request cannot; without one and a query OPTIONS
    // asks about the server as a whole (RFC 9112 §3.2.4).
    out.extend_from_slice(match path {
        "" if query.is_none() && request.method(head) == "OPTIONS" => b"*",
        "" => b"/",
        path => path.as_bytes(),
    });
    if let Some(query) = query {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    if request.host_value(head).is_none() {
        line(out, b"Host", host.as_bytes());
    }
    let (mut length_written, mut upgrade_written) = (false, false);
    for field in &request.fields {
        let name = field.name(head);
        if field.hop || is_edited(name, edit.edits) {
            continue;
        }
        if name.eq_ignore_ascii_case(b"host") {
            line(out, name, host.as_bytes());
        } else if name.eq_ignore_ascii_case(b"connection") {
            upgrade_line(out, name, &mut upgrade_written);
        } else if field.framing {
            if !length_written {
                framing_line(out, edit.framing);
                length_written = true;
            }
        } else if edit.keep_expect || !name.eq_ignore_ascii_case(b"expect") {
            line(out, name, field.value(head));
        }
    }
    finish(out, edit.edits);
}

/// How a response is written anew.
#[derive(Clone, Copy, Debug)]
pub struct ResponseEdit<'a> {
    /// In place of the upstream's framing; `None` keeps its lines.
    pub framing: Option<Framing>,
    pub persistence: Persistence,
    pub edits: &'a [HeadEdit],
}

/// Writes a response head anew: HTTP/1.1, and what the edit says.
pub fn rebuild_response(
    head: &[u8],
    response: &Response,
    edit: ResponseEdit<'_>,
    out: &mut Vec<u8>,
) {
    let first_line_end = memchr::memchr(b'\n', head).map_or(head.len(), |at| at + 1);
    let first_line = head[..first_line_end].trim_ascii_end();
    let status = edit.edits.iter().rev().find_map(|edit| match edit {
        HeadEdit::Status(status) => Some(*status),
        _ => None,
    });
    out.extend_from_slice(b"HTTP/1.1 ");
    match status {
        Some(status) => out.extend_from_slice(status.to_string().as_bytes()),
        None => out.extend_from_slice(&first_line[response.status_at().min(first_line.len())..]),
    }
    out.extend_from_slice(b"\r\n");
    let (mut length_written, mut upgrade_written) = (false, false);
    for field in &response.fields {
        let name = field.name(head);
        if field.hop || is_edited(name, edit.edits) {
            continue;
        }
        match edit.framing {
            _ if name.eq_ignore_ascii_case(b"connection") => {
                upgrade_line(out, name, &mut upgrade_written);
            }
            Some(_) if field.framing => {}
            None if field.framing && response.framing == Framing::None => {
                line(out, name, field.value(head));
            }
            None if field.framing => {
                if !length_written {
                    framing_line(out, response.framing);
                    length_written = true;
                }
            }
            _ => line(out, name, field.value(head)),
        }
    }
    if let Some(framing) = edit.framing {
        framing_line(out, framing);
    }
    match edit.persistence {
        Persistence::Close => line(out, b"Connection", b"close"),
        Persistence::Implied => {}
        Persistence::KeepAlive => line(out, b"Connection", b"keep-alive"),
    }
    finish(out, edit.edits);
}

fn is_edited(name: &[u8], edits: &[HeadEdit]) -> bool {
    edits.iter().any(|edit| match edit {
        HeadEdit::Remove { name: gone } | HeadEdit::Set { name: gone, .. } => {
            name.eq_ignore_ascii_case(gone.as_bytes())
        }
        HeadEdit::Add { .. } | HeadEdit::Status(_) => false,
    })
}

fn finish(out: &mut Vec<u8>, edits: &[HeadEdit]) {
    for edit in edits {
        if let HeadEdit::Add { name, value } | HeadEdit::Set { name, value } = edit {
            line(out, name.as_bytes(), value.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// All that goes on of the peers' `Connection`: what else it names is of one connection only.
fn upgrade_line(out: &mut Vec<u8>, name: &[u8], written: &mut bool) {
    if !std::mem::replace(written, true) {
        line(out, name, b"Upgrade");
    }
}

fn framing_line(out: &mut Vec<u8>, framing: Framing) {
    match framing {
        Framing::Chunked => line(out, b"Transfer-Encoding", b"chunked"),
        Framing::Length(length) => line(out, b"Content-Length", length.to_string().as_bytes()),
        Framing::None | Framing::UntilClose => {}
    }
}

fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [name, b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::{Upgrade, parse_request, parse_response};

    fn stripped(text: &str) -> String {
        let head = parse_request(text.as_bytes(), 65_536, 100)
            .unwrap()
            .unwrap();
        let mut bytes = text.as_bytes()[..head.len].to_vec();
        let start = strip_in_place(&mut bytes, &head.fields);
        String::from_utf8(bytes[start..].to_vec()).unwrap()
    }

    #[test]
    fn stripping_leaves_every_other_byte() {
        let plain = "GET /%2e?q=%00 HTTP/1.1\r\nhOsT: h\r\nX-Odd:   v  \r\n\r\n";
        assert_eq!(stripped(plain), plain);
        assert_eq!(
            stripped(
                "GET / HTTP/1.1\r\nConnection: x\r\nHost: h\r\nX: 1\r\nA: 1\r\nA: 2\r\nKeep-Alive: 3\r\n\r\n"
            ),
            "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nA: 2\r\n\r\n"
        );
    }

    #[test]
    fn a_rebuilt_request_is_in_origin_form() {
        let text = "POST http://real?q HTTP/1.1\nHost: other\r\nContent-Length: 3\r\nX: y\r\nContent-Length: 3\r\n\r\n";
        let request = parse_request(text.as_bytes(), 65_536, 100)
            .unwrap()
            .unwrap();
        let mut out = Vec::new();
        let edit = RequestEdit {
            framing: request.framing,
            default_host: "up",
            keep_expect: true,
            edits: &[],
        };
        rebuild_request(text.as_bytes(), &request, edit, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "POST /?q HTTP/1.1\r\nHost: real\r\nContent-Length: 3\r\nX: y\r\n\r\n"
        );
    }

    #[test]
    fn a_rebuilt_response_says_what_the_edit_says() {
        let text =
            "HTTP/1.0 200 Fine then\r\nContent-Length: 9\r\nServer: s\r\nConnection: close\r\n\r\n";
        let response = parse_response(text.as_bytes(), 65_536, false, Upgrade::No)
            .unwrap()
            .unwrap();
        let write = |edit| {
            let mut out = Vec::new();
            rebuild_response(text.as_bytes(), &response, edit, &mut out);
            String::from_utf8(out).unwrap()
        };
        let keep = ResponseEdit {
            framing: None,
            persistence: Persistence::KeepAlive,
            edits: &[],
        };
        assert_eq!(
            write(keep),
            "HTTP/1.1 200 Fine then\r\nContent-Length: 9\r\nServer: s\r\nConnection: keep-alive\r\n\r\n"
        );
        let edits = [
            HeadEdit::Status(201),
            HeadEdit::Set {
                name: "server".into(),
                value: "t".into(),
            },
        ];
        let edit = ResponseEdit {
            framing: Some(Framing::Chunked),
            persistence: Persistence::Close,
            edits: &edits,
        };
        assert_eq!(
            write(edit),
            "HTTP/1.1 201\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nserver: t\r\n\r\n"
        );
    }
}
