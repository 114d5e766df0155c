//! Which calls a rule may touch.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};

use crate::call::{Call, Description};
use crate::rule::cidr::Cidr;
use crate::rule::list::OneOrMany;
use crate::rule::matcher::{HostMatcher, Matcher, PathMatcher, Range, Subject, TextMatcher};

/// Conditions on a call; all that are given must hold. About a header or parameter that the call
/// does not have only `not` holds. What the protocol or the body does not tell selects nothing, not
/// even by `not`: it may be what the rule must not touch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Select {
    /// the protocol's name, like "openai"
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<TextMatcher>,
    /// what is done, like "chat.completions"; `hormesis protocols` lists them
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<TextMatcher>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<TextMatcher>,
    /// without the query; `*` stops at `/`, `**` does not
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathMatcher>,
    /// without the port and without case
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostMatcher>,
    /// by name, percent signs decoded
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, TextMatcher>,
    /// by name, without case
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, TextMatcher>,
    /// the client's address: "10.0.0.0/8", or a list
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<OneOrMany<Cidr>>,
    /// the host of the client's TLS handshake, without case; a client without TLS names none
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sni: Option<HostMatcher>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<TextMatcher>,
    /// the model's version
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<TextMatcher>,
    /// whether the client asks for a streamed answer
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// characters of the prompt: `{ min = 1000 }`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_chars: Option<Range>,
    /// tokens that the client asks for at most: `{ max = 100 }`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<Range>,
    /// JSON pointer into the request body → condition
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub body: BTreeMap<String, TextMatcher>,
}

/// What is known of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Truth {
    No,
    /// Not told yet, or never.
    Unknown,
    Yes,
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

impl Select {
    /// The conditions of the head: always known.
    pub(super) fn head(&self, call: &Call<'_>) -> bool {
        text_holds(self.method.as_ref(), call.method)
            && text_holds(self.protocol.as_ref(), call.protocol)
            && self
                .path
                .as_ref()
                .is_none_or(|it| it.0.holds(&[Subject::Text(call.path.as_bytes())]))
            && host_holds(self.host.as_ref(), call.host)
            && host_holds(self.sni.as_ref(), call.sni)
            && self.peer.as_ref().is_none_or(|peers| {
                let address = call.peer.map(|peer| peer.ip());
                address.is_some_and(|it| peers.as_slice().iter().any(|cidr| cidr.contains(it)))
            })
            && self.headers.iter().all(|(name, matcher)| {
                let values: SmallVec<[_; 2]> = call.header(name).map(Subject::Text).collect();
                matcher.0.holds(&values)
            })
            && self.query.iter().all(|(name, matcher)| {
                let values: SmallVec<[_; 2]> = parameters(call.query)
                    .filter(|(key, _)| key.as_ref() == name.as_bytes())
                    .map(|(_, value)| value)
                    .collect();
                let subjects: SmallVec<[_; 2]> =
                    values.iter().map(|it| Subject::Text(it)).collect();
                matcher.0.holds(&subjects)
            })
    }

    /// The conditions on the protocol's description and the body, as far as they are known.
    pub(super) fn deep(&self, call: &Call<'_>) -> Truth {
        if !self.has_deep() {
            return Truth::Yes;
        }
        let Description {
            operation,
            model,
            version,
            ..
        } = &call.description;
        [
            described(self.operation.as_ref(), operation.as_deref()),
            described(self.model.as_ref(), model.as_deref()),
            described(self.version.as_ref(), version.as_deref()),
            known(self.stream, call.description.stream, |want, is| want == is),
            counted(self.prompt_chars, call.description.prompt_chars),
            counted(self.max_tokens, call.description.max_tokens),
        ]
        .into_iter()
        .chain(self.body.iter().map(|(pointer, matcher)| {
            known(Some(matcher), call.body(pointer), |matcher, value| {
                matcher.0.holds(&[Subject::Json(value)])
            })
        }))
        .min()
        .unwrap_or(Truth::Yes)
    }

    /// Whether [`Self::deep`] is a question at all: many rules ask for nothing beyond the head.
    pub(super) fn has_deep(&self) -> bool {
        self.operation.is_some()
            || self.model.is_some()
            || self.version.is_some()
            || self.stream.is_some()
            || self.prompt_chars.is_some()
            || self.max_tokens.is_some()
            || !self.body.is_empty()
    }

    /// Whether a part of the description that a condition asks for is not told.
    pub(super) fn lacks_description(&self, description: &Description) -> bool {
        (self.operation.is_some() && description.operation.is_none())
            || (self.model.is_some() && description.model.is_none())
            || (self.version.is_some() && description.version.is_none())
            || (self.stream.is_some() && description.stream.is_none())
            || (self.prompt_chars.is_some() && description.prompt_chars.is_none())
            || (self.max_tokens.is_some() && description.max_tokens.is_none())
    }

    /// Whether a condition asks how long the prompt is, which only a whole body tells.
    pub(super) fn lacks_prompt_chars(&self, description: &Description) -> bool {
        self.prompt_chars.is_some() && description.prompt_chars.is_none()
    }

    /// Asks for all that `other` asks for too; on what conditions is lost.
    pub(super) fn ask_also(&mut self, other: &Self) {
        let asked = |own: &mut Option<TextMatcher>, other: &Option<TextMatcher>| {
            *own = own.take().or_else(|| other.clone());
        };
        asked(&mut self.operation, &other.operation);
        asked(&mut self.model, &other.model);
        asked(&mut self.version, &other.version);
        self.stream = self.stream.or(other.stream);
        self.prompt_chars = self.prompt_chars.or(other.prompt_chars);
        self.max_tokens = self.max_tokens.or(other.max_tokens);
        for (pointer, matcher) in &other.body {
            self.body
                .entry(pointer.clone())
                .or_insert_with(|| matcher.clone());
        }
    }

    /// The conditions of the head alone.
    pub(super) fn head_part(&self) -> Self {
        Self {
            protocol: self.protocol.clone(),
            // Told by the head in most protocols; where it is, it narrows what the body is read for.
            operation: self.operation.clone(),
            method: self.method.clone(),
            path: self.path.clone(),
            host: self.host.clone(),
            query: self.query.clone(),
            headers: self.headers.clone(),
            peer: self.peer.clone(),
            sni: self.sni.clone(),
            ..Self::default()
        }
    }

    /// Whether the call satisfies the conditions of the head, and its operation if that is told.
    pub(super) fn head_may(&self, call: &Call<'_>) -> bool {
        self.head(call)
            && described(
                self.operation.as_ref(),
                call.description.operation.as_deref(),
            ) != Truth::No
    }
}

fn host_holds(matcher: Option<&HostMatcher>, host: Option<&str>) -> bool {
    let Some(matcher) = matcher else {
        return true;
    };
    let host = host.map(host_name);
    let subjects: SmallVec<[_; 1]> = match &host {
        Some(host) => smallvec![Subject::Text(host.as_bytes())],
        None => smallvec![],
    };
    matcher.0.holds(&subjects)
}

fn text_holds(matcher: Option<&TextMatcher>, value: &str) -> bool {
    matcher.is_none_or(|it| it.0.holds(&[Subject::Text(value.as_bytes())]))
}

fn described(matcher: Option<&TextMatcher>, value: Option<&str>) -> Truth {
    known(matcher, value, |TextMatcher(it): &TextMatcher, value| {
        it.holds(&[Subject::Text(value.as_bytes())])
    })
}

fn counted(range: Option<Range>, value: Option<u64>) -> Truth {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a prompt of 2^53 characters is not sent"
    )]
    known(range, value, |range, value| range.contains(value as f64))
}

fn known<C, V>(condition: Option<C>, value: Option<V>, holds: impl FnOnce(C, V) -> bool) -> Truth {
    match (condition, value) {
        (None, _) => Truth::Yes,
        (Some(_), None) => Truth::Unknown,
        (Some(condition), Some(value)) => holds(condition, value).into(),
    }
}

/// A host as clients name it, without its port, in lower case.
pub(super) fn host_name(host: &str) -> String {
    let name = match host.rsplit_once(':') {
        // The colons of an IPv6 address are inside its brackets.
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    };
    name.to_ascii_lowercase()
}

/// The parameters of a query, decoded.
pub(crate) fn parameters(
    query: Option<&str>,
) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true), decode(value, true))
        })
}

/// Percent signs decoded, and `+` as a space where that is the custom. What is no escape stays.
pub(super) fn decode(text: &str, plus: bool) -> Cow<'_, [u8]> {
    if !(text.contains('%') || plus && text.contains('+')) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escape = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)),
            _ => None,
        };
        if let Some((high, low)) = escape {
            out.push(high * 16 + low);
            rest = rest.get(3..).unwrap_or_default();
        } else {
            out.push(if plus && *first == b'+' { b' ' } else { *first });
            rest = tail;
        }
    }
    Cow::Owned(out)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// A condition that can be looked up instead of asked: on what, and which.
pub(super) type Term<'a> = (Attribute<'a>, &'a Matcher);

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Attribute<'a> {
    Header(&'a str),
    Path,
    Query(&'a str),
    Host,
    Operation,
    Model,
    Body(&'a str),
    Version,
    Method,
}

impl Select {
    /// The conditions of the head that can be looked up.
    pub(super) fn head_terms(&self) -> Vec<Term<'_>> {
        let mut terms: Vec<Term<'_>> = Vec::new();
        terms.extend(
            self.headers
                .iter()
                .map(|(name, it)| (Attribute::Header(name), &it.0)),
        );
        terms.extend(
            self.query
                .iter()
                .map(|(name, it)| (Attribute::Query(name), &it.0)),
        );
        terms.extend(self.path.iter().map(|it| (Attribute::Path, &it.0)));
        terms.extend(self.host.iter().map(|it| (Attribute::Host, &it.0)));
        terms.extend(
            self.operation
                .iter()
                .map(|it| (Attribute::Operation, &it.0)),
        );
        terms.extend(self.method.iter().map(|it| (Attribute::Method, &it.0)));
        terms
    }

    /// The other conditions that can be looked up.
    pub(super) fn deep_terms(&self) -> Vec<Term<'_>> {
        let mut terms: Vec<Term<'_>> = Vec::new();
        terms.extend(self.model.iter().map(|it| (Attribute::Model, &it.0)));
        terms.extend(self.version.iter().map(|it| (Attribute::Version, &it.0)));
        terms.extend(
            self.body
                .iter()
                .map(|(pointer, it)| (Attribute::Body(pointer), &it.0)),
        );
        terms
    }
}
