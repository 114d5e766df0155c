//! A request of HTTP/2 as text of HTTP/1.1 (RFC 9113 §8.3).

use http::header::{CONTENT_LENGTH, COOKIE, HOST};
use http::request::Parts;

use crate::http1::HeadError;
use crate::io::Buffer;
use crate::snapshot::Limits;

/// Writes a request's head into `buffer`; whoever parses it finds what HTTP/1.1 finds wrong too.
/// `ended`: no body follows.
pub(in crate::proxy) fn write_head(
    parts: &Parts,
    ended: bool,
    buffer: &mut Buffer,
    limits: &Limits,
) -> Result<(), HeadError> {
    let mut head = Head {
        buffer,
        cap: limits.header_bytes + 1,
    };
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    let target = match (parts.uri.path_and_query(), authority) {
        (Some(target), _) => target.as_str(),
        // CONNECT, which is refused by its name.
        (None, Some(authority)) => authority,
        (None, None) => return Err(HeadError::Malformed("no :path")),
    };
    head.put(&[
        parts.method.as_str().as_bytes(),
        b" ",
        target.as_bytes(),
        b" HTTP/1.1\r\n",
    ])?;
    if let Some(authority) = authority {
        head.put(&[b"host: ", authority.as_bytes(), b"\r\n"])?;
        // RFC 9113 §8.3.1: two that differ would be two readers' two hosts.
        let differs =
            |host: &http::HeaderValue| !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes());
        if parts.headers.get_all(HOST).iter().any(differs) {
            return Err(HeadError::Malformed(":authority and Host differ"));
        }
    }
    let mut cookies = false;
    for (name, value) in &parts.headers {
        let value = value.as_bytes();
        if value != value.trim_ascii() {
            return Err(HeadError::Malformed("header value"));
        }
        if name == HOST && authority.is_some() {
            continue;
        }
        if name != COOKIE {
            head.line(name.as_str().as_bytes(), value)?;
        } else if !std::mem::replace(&mut cookies, true) {
            // Split for compression; one line again (RFC 9113 §8.2.3).
            let mut before: &[u8] = b"cookie: ";
            for crumb in parts.headers.get_all(COOKIE) {
                head.put(&[before, crumb.as_bytes()])?;
                before = b"; ";
            }
            head.put(&[b"\r\n"])?;
        }
    }
    if !ended && !parts.headers.contains_key(CONTENT_LENGTH) {
        head.put(&[b"transfer-encoding: chunked\r\n"])?;
    }
    head.put(&[b"\r\n"])
}

struct Head<'b> {
    buffer: &'b mut Buffer,
    cap: usize,
}

impl Head<'_> {
    fn put(&mut self, parts: &[&[u8]]) -> Result<(), HeadError> {
        for part in parts {
            if !self.buffer.append(part, self.cap) {
                return Err(HeadError::TooLarge);
            }
        }
        Ok(())
    }

    fn line(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeadError> {
        self.put(&[name, b": ", value, b"\r\n"])
    }
}
