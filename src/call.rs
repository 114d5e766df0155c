//! One unit of work as plain data: what is known of it when rules are asked, and how it ended.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A call before anything was sent upstream: an HTTP request, an RPC, a command; on `tcp` the
/// connection itself. Borrows from the head that the listener holds.
#[derive(Clone, Debug, Default)]
pub struct Call<'a> {
    pub listener: &'a str,
    pub protocol: &'static str,
    pub peer: Option<SocketAddr>,
    /// The host that the client named in its TLS handshake.
    pub sni: Option<&'a str>,
    /// Empty where the protocol has none.
    pub method: &'a str,
    /// As on the wire, without the query. Empty where the protocol has none.
    pub path: &'a str,
    pub query: Option<&'a str>,
    /// Host and port as the client named them.
    pub host: Option<&'a str>,
    pub fields: &'a [Field<'a>],
    pub description: Description,
    /// Values that rules asked for by JSON pointer, found in the request body.
    pub found: &'a [Found<'a>],
}

impl<'a> Call<'a> {
    /// All values of a header, in order; names compare without case.
    pub fn header<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let fields = self.fields;
        fields
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
    }

    /// The value found at a JSON pointer of the request body.
    pub fn body(&self, pointer: &str) -> Option<&'a Value> {
        let found = self.found;
        found
            .iter()
            .find(|it| it.pointer == pointer)
            .map(|it| &it.value)
    }
}

/// One header line, its name as the client wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    pub name: &'a str,
    pub value: &'a [u8],
}

/// A value that a streaming look found in a request body.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<'p> {
    pub pointer: &'p str,
    pub value: Value,
}

/// What a protocol knows of a call beyond its head. `None`: this protocol or this call has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Dotted and lower-case, `chat.completions`; listed by `hormesis protocols`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether the client asked for a streamed answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_chars: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
}

/// What the driver fills in so that a decision is a pure function: numbers and times, no clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// The call's number on its listener, from 0.
    pub number: u64,
    /// How many calls this rule had selected before this one.
    pub ordinal: u64,
    /// Time since the rule was armed.
    pub since_armed: Duration,
}

/// A direction of bytes.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Request,
    #[default]
    Response,
}

/// Where in a call an effect acts. Ordered as a call passes them.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Connection scope: the socket was accepted, nothing read.
    Accept,
    /// Connection scope: before the TLS handshake.
    Tls,
    RequestHead,
    /// Before a connection to the upstream is taken.
    Connect,
    BeforeUpstream,
    /// The upstream's answer was read to its end, and dropped as it came.
    AfterUpstream,
    ResponseHead,
    FirstUnit,
    FirstToken,
    BetweenUnits,
    BetweenTokens,
    /// The n-th unit, from 1.
    Unit(u64),
    /// The n-th unit with content, from 1.
    Token(u64),
    /// After this many body bytes.
    Byte(u64),
    /// Before the end mark of the body: the last chunk, the last byte of an announced length, FIN.
    End,
}

impl Phase {
    /// Whether the phase needs the body's units to be told apart.
    pub const fn needs_units(self) -> bool {
        matches!(
            self,
            Self::FirstUnit
                | Self::FirstToken
                | Self::BetweenUnits
                | Self::BetweenTokens
                | Self::Unit(_)
                | Self::Token(_)
        )
    }

    /// Whether nothing has gone upstream yet.
    pub const fn before_upstream(self) -> bool {
        matches!(
            self,
            Self::Accept | Self::Tls | Self::RequestHead | Self::Connect | Self::BeforeUpstream
        )
    }
}

/// How a call ended, told by its first cause. The order is their precedence.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The client left before the answer was whole.
    ClientAbort,
    /// A time-out of ours or of the upstream's.
    Timeout,
    /// The upstream failed: refused, reset, lied, or answered with an error.
    UpstreamError,
    /// The client did not get the true answer, because of a rule. Delayed but whole is `Ok`.
    InjectedFault,
    /// Refused by hormesis itself or malformed by the client: no upstream work.
    Rejected,
    Ok,
}

/// Arrays by outcome are in the order of [`Outcome::ALL`].
const _: () = {
    let mut index = 0;
    while index < Outcome::ALL.len() {
        assert!(Outcome::ALL[index] as usize == index);
        index += 1;
    }
};

impl Outcome {
    pub const ALL: [Self; 6] = [
        Self::ClientAbort,
        Self::Timeout,
        Self::UpstreamError,
        Self::InjectedFault,
        Self::Rejected,
        Self::Ok,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientAbort => "client_abort",
            Self::Timeout => "timeout",
            Self::UpstreamError => "upstream_error",
            Self::InjectedFault => "injected_fault",
            Self::Rejected => "rejected",
            Self::Ok => "ok",
        }
    }
}
