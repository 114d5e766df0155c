//! `grpc`: gRPC over HTTP/2. A unit is a message with its five-byte prefix; an error is a status in
//! the answer's only head ("Trailers-Only"). The Open Inference Protocol's methods are known by
//! name; all others are selected by their path.
//! Source: gRPC's `doc/PROTOCOL-HTTP2.md`, `doc/statuscodes.md`, `doc/http-grpc-status-mapping.md`.

use std::borrow::Cow;

use ::http::StatusCode;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;

use super::frame::{Boundary, Classify, Units};
use super::registry::ProtocolInfo;
use super::{
    Dialect, EndField, Framer, NativeError, RequestHead, ResponseHead, UnitKind, is_encoded,
    media_type, native,
};
use crate::call::{Call, Description, Found};
use crate::effect::{Answer, ErrorKind, ErrorSpec};
use crate::view::Usage;

pub(super) const INFO: ProtocolInfo = ProtocolInfo {
    name: "grpc",
    summary: "gRPC over HTTP/2; the Open Inference Protocol's methods are known by name",
    doc: include_str!("docs/grpc.md"),
    operations: &[
        "infer",
        "infer_stream",
        "model.config",
        "model.metadata",
        "model.ready",
        "model.statistics",
        "repository.index",
        "repository.load",
        "repository.unload",
        "server.live",
        "server.metadata",
        "server.ready",
    ],
    units: "messages, with their five-byte prefix",
    dialect: Some(&Grpc),
};

/// The methods of the Open Inference Protocol, as its HTTP side calls what they do.
const METHODS: [(&str, &str); 12] = [
    ("ModelInfer", "infer"),
    ("ModelStreamInfer", INFER_STREAM),
    ("ModelConfig", "model.config"),
    ("ModelMetadata", "model.metadata"),
    ("ModelReady", "model.ready"),
    ("ModelStatistics", "model.statistics"),
    ("RepositoryIndex", "repository.index"),
    ("RepositoryModelLoad", "repository.load"),
    ("RepositoryModelUnload", "repository.unload"),
    ("ServerLive", "server.live"),
    ("ServerMetadata", "server.metadata"),
    ("ServerReady", "server.ready"),
];
const INFER_STREAM: &str = "infer_stream";

/// A flag and the length of what follows.
const PREFIX: usize = 5;

/// What a `grpc-message` may not hold as it is; bytes beyond ASCII are encoded anyway.
const MESSAGE: &AsciiSet = &CONTROLS.add(b'%');

#[derive(Debug)]
pub(super) struct Grpc;

impl Dialect for Grpc {
    fn describe(&self, head: &RequestHead<'_>) -> Description {
        let method = head
            .path
            .strip_prefix("/inference.GRPCInferenceService/")
            .and_then(|name| METHODS.iter().find(|(method, _)| *method == name));
        let Some((_, operation)) = method else {
            return Description::default();
        };
        Description {
            operation: Some(Cow::Borrowed(operation)),
            stream: match *operation {
                INFER_STREAM => Some(true),
                "infer" => Some(false),
                _ => None,
            },
            ..Description::default()
        }
    }

    fn pointers(
        &self,
        _head: &RequestHead<'_>,
        _description: &Description,
    ) -> &'static [&'static str] {
        &[]
    }

    fn complete(&self, _description: &mut Description, _found: &[Found<'_>]) {}

    fn framer(
        &self,
        _description: &Description,
        head: &ResponseHead<'_>,
    ) -> Option<Box<dyn Framer>> {
        let media = media_type(head.fields)?;
        let is_grpc = media == "application/grpc" || media.starts_with("application/grpc+");
        (is_grpc && !is_encoded(head.fields))
            .then(|| -> Box<dyn Framer> { Box::new(Units::new(Prefixed::default(), Messages)) })
    }

    fn error(&self, answer: &Answer, _call: &Call<'_>) -> NativeError {
        let (code, words) = match native::kind(&answer.error) {
            Some(kind) if answer.error == ErrorSpec::Kind(kind) => said(kind),
            _ => {
                let status = native::status(&answer.error);
                (code_of(status.as_u16()), native::reason(status))
            }
        };
        let text = answer.body.as_deref().unwrap_or(words);
        let mut error = trailers_only(code, text);
        error.headers.retain(|(own, _)| {
            let replaced = |(name, _): &(String, String)| name.eq_ignore_ascii_case(own);
            !answer.headers.iter().any(replaced)
        });
        let added = answer.headers.iter().cloned();
        error
            .headers
            .extend(added.map(|(name, value)| (Cow::Owned(name), value)));
        error
    }

    /// An error in the middle is a status in the trailers, which are no bytes of the body.
    fn error_in_stream(&self, _answer: &Answer, _description: &Description) -> Option<Vec<u8>> {
        None
    }

    fn failure(&self, status: u16, text: &str) -> Option<NativeError> {
        Some(trailers_only(code_of(status), text))
    }

    fn usage(&self, _body: &Value) -> Option<Usage> {
        None
    }

    fn is_error_unit(&self, _unit: &[u8]) -> bool {
        false
    }

    fn ending(&self) -> Option<EndField> {
        Some(EndField {
            name: "grpc-status",
            status: status_of,
        })
    }
}

/// HTTP's status for a code (`google/rpc/code.proto`). What is no code says that something is wrong.
fn status_of(code: &[u8]) -> u16 {
    match code {
        b"0" => 200,
        b"1" => 499,
        b"3" | b"9" | b"11" => 400,
        b"4" => 504,
        b"5" => 404,
        b"6" | b"10" => 409,
        b"7" => 403,
        b"8" => 429,
        b"12" => 501,
        b"14" => 503,
        b"16" => 401,
        _ => 500,
    }
}

/// An answer whose only head is its trailers too.
fn trailers_only(code: u8, text: &str) -> NativeError {
    NativeError {
        status: StatusCode::OK,
        headers: vec![
            (Cow::Borrowed("content-type"), "application/grpc".to_owned()),
            (Cow::Borrowed("grpc-status"), code.to_string()),
            (
                Cow::Borrowed("grpc-message"),
                utf8_percent_encode(text, MESSAGE).to_string(),
            ),
        ],
        body: Vec::new(),
    }
}

/// The code and the words of an error, as gRPC servers of models (Triton) give them.
const fn said(kind: ErrorKind) -> (u8, &'static str) {
    match kind {
        ErrorKind::Cancelled => (1, "Request was cancelled"),
        ErrorKind::Conflict => (10, "aborted by a concurrent change"),
        ErrorKind::Internal => (13, "internal error"),
        ErrorKind::Invalid => (3, "invalid argument"),
        ErrorKind::Loading => (14, "model is not ready"),
        ErrorKind::Moved => (9, "served elsewhere"),
        ErrorKind::NotFound => (5, "not found"),
        ErrorKind::OutOfMemory => (8, "out of memory"),
        ErrorKind::Overloaded => (14, "Exceeds maximum queue size"),
        ErrorKind::RateLimited => (8, "Too many requests"),
        ErrorKind::ReadOnly => (9, "read only"),
        ErrorKind::Timeout => (4, "Deadline Exceeded"),
        ErrorKind::Unauthorized => (16, "Unauthenticated"),
        ErrorKind::Unavailable => (14, "Server is not ready"),
    }
}

/// The code that stands for an HTTP status. As clients map them, but that a time-out is one here.
const fn code_of(status: u16) -> u8 {
    match status {
        400 | 431 => 13,
        401 => 16,
        403 => 7,
        404 | 405 | 501 => 12,
        408 | 504 => 4,
        499 => 1,
        429 | 502 | 503 => 14,
        _ => 2,
    }
}

/// Finds the ends of messages.
#[derive(Debug, Default)]
struct Prefixed {
    /// Bytes of the prefix that were read.
    prefix: usize,
    length: u32,
    /// Bytes of the message that are still to come.
    left: usize,
}

impl Boundary for Prefixed {
    fn next_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while self.prefix < PREFIX {
            let byte = *bytes.get(at)?;
            // The first byte is the flag; a length has 32 bits.
            self.length = match self.prefix {
                0 => 0,
                _ => self.length << 8 | u32::from(byte),
            };
            self.prefix += 1;
            at += 1;
            if self.prefix == PREFIX {
                self.left = usize::try_from(self.length).unwrap_or(usize::MAX);
            }
        }
        let rest = bytes.len() - at;
        if self.left > rest {
            self.left -= rest;
            return None;
        }
        at += self.left;
        *self = Self::default();
        Some(at)
    }
}

/// A message says something unless it is empty.
#[derive(Debug)]
struct Messages;

impl Classify for Messages {
    fn classify(&mut self, unit: &[u8]) -> UnitKind {
        if unit.len() > PREFIX {
            UnitKind::Token
        } else {
            UnitKind::Control
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::UnitEnd;
    use super::*;
    use crate::call::Field;

    fn message(payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap();
        [&[0], &length.to_be_bytes()[..], payload].concat()
    }

    fn framer() -> Box<dyn Framer> {
        let fields = [Field {
            name: "content-type",
            value: b"application/grpc+proto",
        }];
        let head = ResponseHead {
            status: 200,
            fields: &fields,
        };
        Grpc.framer(&Description::default(), &head).unwrap()
    }

    #[test]
    fn only_grpc_has_units() {
        for media in [
            "application/grpc-web",
            "application/json",
            "application/grpcx",
        ] {
            let fields = [Field {
                name: "content-type",
                value: media.as_bytes(),
            }];
            let head = ResponseHead {
                status: 200,
                fields: &fields,
            };
            assert!(
                Grpc.framer(&Description::default(), &head).is_none(),
                "{media}"
            );
        }
    }

    #[test]
    fn methods_of_the_open_inference_protocol_are_operations() {
        let describe = |path| {
            Grpc.describe(&RequestHead {
                method: "POST",
                path,
                query: None,
                fields: &[],
            })
        };
        let stream = describe("/inference.GRPCInferenceService/ModelStreamInfer");
        assert_eq!(stream.operation.as_deref(), Some("infer_stream"));
        assert_eq!(stream.stream, Some(true));
        assert_eq!(describe("/my.Service/ModelInfer"), Description::default());
        for (_, operation) in METHODS {
            assert!(INFO.operations.contains(&operation));
        }
    }

    #[test]
    fn an_error_is_a_status_in_the_only_head_and_its_words_are_escaped() {
        let mut answer = Answer {
            error: ErrorSpec::Kind(ErrorKind::Unavailable),
            headers: Vec::new(),
            body: Some("50% zu spät\n".to_owned()),
        };
        let error = Grpc.error(&answer, &Call::default());
        assert_eq!((error.status, error.body.len()), (StatusCode::OK, 0));
        let field = |error: &NativeError, name: &str| {
            let found = error.headers.iter().find(|(it, _)| it == name);
            found.map(|(_, value)| value.clone()).unwrap()
        };
        assert_eq!(field(&error, "grpc-status"), "14");
        assert_eq!(field(&error, "grpc-message"), "50%25 zu sp%C3%A4t%0A");
        answer.error = ErrorSpec::Status(503);
        answer.headers = vec![("Grpc-Status".to_owned(), "7".to_owned())];
        let error = Grpc.error(&answer, &Call::default());
        assert_eq!(field(&error, "Grpc-Status"), "7");
        assert!(!error.headers.iter().any(|(name, _)| name == "grpc-status"));
        let own = Grpc.failure(504, "too slow").unwrap();
        assert_eq!(field(&own, "grpc-status"), "4");
    }

    proptest! {
        #[test]
        fn messages_are_told_apart_under_any_split(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..8),
            size in 1..40_usize,
            cut in 0..5_usize,
        ) {
            let (mut body, mut expected) = (Vec::new(), Vec::new());
            for payload in &payloads {
                body.extend(message(payload));
                let kind = if payload.is_empty() { UnitKind::Control } else { UnitKind::Token };
                expected.push(UnitEnd { at: body.len(), kind });
            }
            // A beginning of one more, that does not end.
            body.extend_from_slice(&message(b"x")[..cut]);
            let (mut framer, mut seen) = (framer(), Vec::new());
            for (index, piece) in body.chunks(size).enumerate() {
                let mut ends = Vec::new();
                framer.push(piece, &mut ends);
                seen.extend(ends.iter().map(|end| UnitEnd { at: index * size + end.at, kind: end.kind }));
            }
            prop_assert_eq!(seen, expected);
            prop_assert_eq!(framer.finish().is_some(), cut > 0);
        }
    }
}
