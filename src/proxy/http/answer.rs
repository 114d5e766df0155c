//! Answers of our own: injected ones as the protocol's servers write them, and those that say why
//! a call failed for real.

use std::borrow::Cow;

use crate::effect::Answer;
use crate::error::Origin;
use crate::protocol::NativeError;
use crate::proxy::call::InFlight;
use crate::proxy::http::to_client;
use crate::proxy::patience;
use crate::proxy::rescue::{Failure, reason_phrase};
use crate::proxy::worker::bare_call;
use crate::snapshot::ProtocolSpec;

/// Tells who made an answer that the upstream did not.
const ORIGIN_HEADER: &str = "x-hormesis-origin";

/// One answer, whole.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) status: u16,
    pub(super) headers: Vec<(Cow<'static, str>, String)>,
    pub(super) body: Vec<u8>,
    pub(super) origin: Origin,
}

impl Own {
    /// An injected answer in the protocol's own form.
    pub(super) fn injected(call: &InFlight<'_>, answer: &Answer) -> Self {
        let name = call.listener_name();
        let protocol = call.target.protocol;
        let bare = bare_call(
            &name,
            protocol.name(),
            call.session.peer,
            call.description.clone(),
        );
        let error = match protocol {
            ProtocolSpec::Http(_, dialect) => dialect.error(answer, &bare),
            // A listener that reads heads has a dialect; this cannot be asked of another.
            ProtocolSpec::Tcp => return Self::plain(502, "no protocol", Origin::Injected),
        };
        Self::native(error, Origin::Injected)
    }

    /// A sentence, in the protocol's own form where it has one for failures.
    pub(super) fn said(protocol: ProtocolSpec, status: u16, text: &str, origin: Origin) -> Self {
        let native = match protocol {
            ProtocolSpec::Http(_, dialect) => dialect.failure(status, &format!("hormesis: {text}")),
            ProtocolSpec::Tcp => None,
        };
        match native {
            Some(error) => Self::native(error, origin),
            None => Self::plain(status, text, origin),
        }
    }

    fn native(error: NativeError, origin: Origin) -> Self {
        Self {
            status: error.status.as_u16(),
            headers: error.headers,
            body: error.body,
            origin,
        }
    }

    /// A plain sentence.
    fn plain(status: u16, text: &str, origin: Origin) -> Self {
        let mut headers = vec![(
            "content-type".into(),
            "text/plain; charset=utf-8".to_owned(),
        )];
        if status == 405 {
            // RFC 9110 §15.5.6 wants it; what the upstream allows is not ours to list.
            headers.push(("allow".into(), String::new()));
        }
        Self {
            status,
            headers,
            body: format!("hormesis: {text}\n").into_bytes(),
            origin,
        }
    }

    /// The answer that a real failure is told with, where somebody is there to read it.
    pub(super) fn of(call: &InFlight<'_>, failure: &Failure) -> Option<Self> {
        let rescue = failure.rescue();
        Some(Self::said(
            call.target.protocol,
            rescue.status?,
            &failure.to_string(),
            rescue.origin,
        ))
    }

    fn head(&self, keep: bool, minor: u8, hide_origin: bool) -> Vec<u8> {
        let mut head = format!(
            "HTTP/1.1 {} {}\r\n",
            self.status,
            reason_phrase(self.status)
        )
        .into_bytes();
        let mut line = |name: &str, value: &str| {
            for part in [name, ": ", value, "\r\n"] {
                head.extend_from_slice(part.as_bytes());
            }
        };
        for (name, value) in &self.headers {
            line(name, value);
        }
        if !hide_origin {
            line(ORIGIN_HEADER, self.origin.as_str());
        }
        // RFC 9110 §8.6: none with 1xx and 204.
        if self.status != 204 {
            line("content-length", &self.body.len().to_string());
        }
        match (keep, minor) {
            (false, _) => line("connection", "close"),
            (true, 0) => line("connection", "keep-alive"),
            (true, _) => {}
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

/// Writes an answer of ours; the call then has its status.
pub(super) async fn write(
    call: &mut InFlight<'_>,
    own: &Own,
    keep: bool,
    minor: u8,
    to_head: bool,
) -> Result<(), Failure> {
    let hide = call.generation.snapshot.listeners[call.listener].hide_origin;
    let head = own.head(keep, minor, hide);
    let bodiless = to_head || own.status == 204 || own.status == 304;
    let body: &[u8] = if bodiless { &[] } else { &own.body };
    call.status = Some(own.status);
    let limit = call.generation.snapshot.limits.body_idle;
    to_client(patience::write(
        &call.session.client,
        &head,
        body,
        Some(limit),
    ))
    .await?;
    call.response_bytes += body.len() as u64;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_own_answer_says_who_made_it_unless_hidden() {
        let own = Own::plain(503, "busy", Origin::Proxy);
        let text = |keep, minor, hide| String::from_utf8(own.head(keep, minor, hide)).unwrap();
        assert!(text(true, 1, false).starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
        assert!(text(true, 1, false).contains("x-hormesis-origin: proxy\r\n"));
        assert!(!text(true, 1, true).contains("hormesis-origin"));
        assert!(text(false, 1, false).contains("connection: close\r\n"));
        assert!(text(true, 0, false).contains("connection: keep-alive\r\n"));
        assert!(text(true, 1, false).contains("content-length: 15\r\n"));
    }
}
