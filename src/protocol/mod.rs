//! What the bytes mean. A protocol describes calls, tells the units of an answer apart and writes
//! errors as its own servers would. It knows nothing of rules, faults, metrics or upstreams.
//!
//! A new protocol is one file here, one `mod` line and one registry line.

mod frame;
pub mod fuzz;
mod grpc;
mod http;
mod lines;
pub mod look;
mod native;
pub mod open_inference;
pub mod openai;
mod registry;
mod sse;
mod tcp;

use std::borrow::Cow;
use std::fmt::Debug;

use ::http::StatusCode;
use serde_json::Value;

pub use self::registry::{Protocol, ProtocolInfo, UnknownProtocol, by_name, registry};
use crate::call::{Call, Description, Field, Found};
use crate::effect::Answer;
use crate::view::Usage;

/// A protocol over HTTP messages. Implementations are stateless: one static value serves all calls.
pub trait Dialect: Debug + Send + Sync {
    /// What the head alone tells.
    fn describe(&self, head: &RequestHead<'_>) -> Description;

    /// JSON pointers into the request body that would complete this description (`/model`,
    /// `/stream`); empty where the head told all, or where the call has no such body. Some are
    /// measures ([`look::is_measure`]); left out where nobody asks for `prompt_chars`, they spare
    /// reading on to the end of the prompt.
    fn pointers(
        &self,
        head: &RequestHead<'_>,
        description: &Description,
    ) -> &'static [&'static str];

    /// Completes a description with what a look into the body found. A pointer that is not in the
    /// body is not in `found`, and what is absent may have a meaning (no `/stream`: not streamed);
    /// so only for a look with all pointers but measures that came to [`look::Progress::Done`].
    fn complete(&self, description: &mut Description, found: &[Found<'_>]);

    /// A framer for the body of this answer; `None` where it has no units.
    fn framer(&self, description: &Description, head: &ResponseHead<'_>)
    -> Option<Box<dyn Framer>>;

    /// The error as this protocol's servers would send it in place of a whole answer. The headers
    /// and the body that the answer brings are in it already.
    fn error(&self, answer: &Answer, call: &Call<'_>) -> NativeError;

    /// The error as it would come in the middle of a streamed answer: bytes of the body. `None`
    /// where this protocol can only break off.
    fn error_in_stream(&self, answer: &Answer, description: &Description) -> Option<Vec<u8>>;

    /// A failure that no rule made, as clients of this protocol are told of it; given as HTTP's
    /// status for it and a sentence. `None`: as plain HTTP.
    fn failure(&self, _status: u16, _text: &str) -> Option<NativeError> {
        None
    }

    /// What a finished JSON answer reports of its token counts, if it does.
    fn usage(&self, body: &Value) -> Option<Usage>;

    /// Whether a unit of the answer reports an error: `ok` streams have none.
    fn is_error_unit(&self, unit: &[u8]) -> bool;

    /// The field of the head or of the trailers that says how a call ended, where HTTP's status does
    /// not. `None`: nothing is looked at.
    fn ending(&self) -> Option<EndField> {
        None
    }
}

/// A field that says how a call ended.
#[derive(Clone, Copy, Debug)]
pub struct EndField {
    pub name: &'static str,
    /// HTTP's status for what a value of it says.
    pub status: fn(&[u8]) -> u16,
}

/// The parts of a request head that a dialect reads.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    pub method: &'a str,
    /// Without the query.
    pub path: &'a str,
    pub query: Option<&'a str>,
    pub fields: &'a [Field<'a>],
}

/// The parts of a response head that a dialect reads.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    pub status: u16,
    pub fields: &'a [Field<'a>],
}

/// The first value of a header as text; names compare without case.
pub fn field<'a>(fields: &[Field<'a>], name: &str) -> Option<&'a str> {
    fields
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case(name))
        .and_then(|field| std::str::from_utf8(field.value).ok())
}

/// Whether a body is encoded (gzip and kin), so that its bytes are not what they say.
pub fn is_encoded(fields: &[Field<'_>]) -> bool {
    fields
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case("content-encoding"))
        .flat_map(|field| field.value.split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
}

/// The media type of a body, in lower case and without parameters.
fn media_type(fields: &[Field<'_>]) -> Option<String> {
    let value = field(fields, "content-type")?;
    let essence = value.split(';').next().unwrap_or(value);
    Some(essence.trim().to_ascii_lowercase())
}

/// Whether a request body may be JSON: it is not encoded and its type does not say otherwise.
/// Servers differ in whether they insist on the type, and `curl -d` sends a form's.
fn may_be_json(fields: &[Field<'_>]) -> bool {
    let is_other = |media: String| media.starts_with("multipart/") || media.starts_with("audio/");
    !is_encoded(fields) && !media_type(fields).is_some_and(is_other)
}

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// Cuts a stream of body bytes (transfer coding removed) into units. Any split of the same bytes
/// gives the same units. Holds at most [`UNIT_CAP`] bytes of an unfinished unit.
pub trait Framer: Debug {
    /// Takes the next bytes; appends the units that end within them. Never panics.
    fn push(&mut self, bytes: &[u8], ends: &mut Vec<UnitEnd>);

    /// The stream has ended: what the bytes after the last unit are, if there were any.
    fn finish(&mut self) -> Option<UnitKind>;

    /// Token counts that the units seen so far reported.
    fn usage(&self) -> Option<Usage> {
        None
    }

    /// Whether a unit so far reported an error.
    fn saw_error(&self) -> bool {
        false
    }

    /// Whether the protocol's own end mark was seen (`[DONE]`); `None` where it has none.
    fn saw_end(&self) -> Option<bool> {
        None
    }
}

/// The longest unit that is kept together; the rest of a longer one passes as [`UnitKind::Control`].
pub const UNIT_CAP: usize = 1 << 20;

/// Where a unit ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitEnd {
    /// Bytes of the current push that belong to this unit or those before it: in `1..=bytes.len()`.
    pub at: usize,
    pub kind: UnitKind,
}

/// What a unit is to faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitKind {
    /// Role, usage, `[DONE]`, comments: keeps its order, is never paced.
    Control,
    /// Has content: text, reasoning, refusal or a tool-call delta.
    Token,
}

/// An error as a protocol says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativeError {
    pub status: StatusCode,
    /// Without `content-length`, which the driver sets.
    pub headers: Vec<(Cow<'static, str>, String)>,
    pub body: Vec<u8>,
}
