//! The request that is to be explained: from a file, a curl command, or a line of the decision log.

use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use super::curl;
use crate::call::{Description, Field};
use crate::cli::UsageError;

/// A request as a listener would have it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Request {
    pub(super) method: String,
    /// With the query.
    pub(super) target: String,
    pub(super) fields: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    /// The port that a URL names: it tells the listener.
    pub(super) port: Option<u16>,
    /// What a record tells beyond the request.
    pub(super) recorded: Option<Recorded>,
}

/// A call as the decision log tells of it: without headers, query and body.
#[derive(Debug, PartialEq)]
pub(super) struct Recorded {
    pub(super) listener: String,
    pub(super) number: u64,
    pub(super) peer: Option<std::net::SocketAddr>,
    pub(super) description: Description,
}

impl Request {
    pub(super) fn fields(&self) -> Vec<Field<'_>> {
        let fields = self.fields.iter();
        fields.map(|(name, value)| Field { name, value }).collect()
    }

    pub(super) fn path(&self) -> &str {
        self.target.split_once('?').map_or(&self.target, |it| it.0)
    }

    pub(super) fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|it| it.1)
    }

    /// The value of `Host`, else what the URL named.
    pub(super) fn host(&self) -> Option<&str> {
        let mut fields = self.fields.iter();
        let (_, value) = fields.find(|(name, _)| name.eq_ignore_ascii_case("host"))?;
        std::str::from_utf8(value).ok()
    }

    /// Reads a file with an HTTP/1.1 request: a line, headers, an empty line, a body.
    pub(super) fn from_file(path: &Path) -> anyhow::Result<Self> {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let request = Self::parse(&bytes);
        Ok(request.map_err(|why| UsageError(format!("{}: {why}", path.display())))?)
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut headers = [httparse::EMPTY_HEADER; 128];
        let mut parsed = httparse::Request::new(&mut headers);
        // A file made by hand may end with its last header.
        let mut whole = bytes.to_vec();
        whole.extend_from_slice(b"\r\n\r\n");
        let length = match parsed.parse(&whole) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Err("the request has no end".into()),
            Err(error) => {
                return Err(format!(
                    "no HTTP request ({error}): it begins like \"POST /v1/chat/completions HTTP/1.1\""
                ));
            }
        };
        Ok(Self {
            method: parsed.method.unwrap_or_default().to_owned(),
            target: parsed.path.unwrap_or_default().to_owned(),
            fields: parsed
                .headers
                .iter()
                .map(|it| (it.name.to_owned(), it.value.to_vec()))
                .collect(),
            body: bytes.get(length..).unwrap_or_default().to_vec(),
            ..Self::default()
        })
    }

    /// Reads a curl command, as browsers and documentation give it.
    pub(super) fn from_curl(command: &str) -> Result<Self, UsageError> {
        curl::parse(command).map_err(|why| UsageError(format!("--curl: {why}")))
    }

    /// Reads a line of the decision log.
    pub(super) fn from_record(line: &str) -> Result<Self, UsageError> {
        let wrong = |why: &str| UsageError(format!("--record: {why}"));
        let value: Value = serde_json::from_str(line)
            .map_err(|error| wrong(&format!("no line of the decision log ({error})")))?;
        if value.get("kind").and_then(Value::as_str) != Some("call") {
            return Err(wrong(
                "this line tells of no call: its kind is not \"call\"",
            ));
        }
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let listener = text("listener").ok_or_else(|| wrong("the line names no listener"))?;
        let number = value.get("number").and_then(Value::as_u64);
        let description: Description = serde_json::from_value(value.clone())
            .map_err(|error| wrong(&format!("its description cannot be read: {error}")))?;
        Ok(Self {
            method: text("method").unwrap_or_default().to_owned(),
            target: text("path").unwrap_or_default().to_owned(),
            recorded: Some(Recorded {
                listener: listener.to_owned(),
                number: number.ok_or_else(|| wrong("the line has no number"))?,
                peer: text("peer").and_then(|it| it.parse().ok()),
                description,
            }),
            ..Self::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_made_by_hand_is_read() {
        let request = Request::parse(b"POST /v1/x?a=b HTTP/1.1\nHost: h:1\nX-A: 1\n\n{\"a\":1}");
        let request = request.unwrap();
        assert_eq!((request.path(), request.query()), ("/v1/x", Some("a=b")));
        assert_eq!(request.host(), Some("h:1"));
        assert_eq!(request.body, b"{\"a\":1}");
        assert!(
            Request::parse(b"GET / HTTP/1.1\nHost: h")
                .unwrap()
                .body
                .is_empty()
        );
        assert!(
            Request::parse(b"hello")
                .unwrap_err()
                .contains("no HTTP request")
        );
        assert!(Request::parse(b"").is_err());
    }

    #[test]
    fn a_record_tells_listener_number_and_description() {
        let line = r#"{"kind":"call","listener":"chat","number":7,"path":"/p","model":"m","stream":true,"draw":1}"#;
        let recorded = Request::from_record(line).unwrap().recorded.unwrap();
        assert_eq!((recorded.listener.as_str(), recorded.number), ("chat", 7));
        assert_eq!(recorded.description.model.as_deref(), Some("m"));
        assert_eq!(recorded.description.stream, Some(true));
        for bad in [
            "{",
            "{}",
            r#"{"kind":"energy"}"#,
            r#"{"kind":"call","listener":"l"}"#,
        ] {
            assert!(Request::from_record(bad).is_err(), "{bad}");
        }
    }
}
