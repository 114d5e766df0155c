//! Entity tags: who changes what another has changed meanwhile is told so.

use axum::extract::FromRequestParts;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::admin::answer::Refusal;

/// Sets `ETag`.
pub(super) fn tagged(mut response: Response, tag: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}

/// What the request demands of the state before it: `If-Match` and `If-None-Match`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Preconditions {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Tags {
    Any,
    OneOf(Vec<String>),
}

impl Tags {
    fn have(&self, tag: Option<&str>) -> bool {
        match self {
            Self::Any => tag.is_some(),
            Self::OneOf(tags) => tag.is_some_and(|tag| tags.iter().any(|it| it == tag)),
        }
    }

    /// `W/"…"` compares as a tag of its own: we give out none, so that it never matches.
    fn read(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Self>, Refusal> {
        let mut tags = Vec::new();
        let mut any = false;
        let mut given = false;
        for value in headers.get_all(name) {
            given = true;
            let text = value.to_str().map_err(|_| malformed(name))?;
            for tag in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
                match tag {
                    "*" => any = true,
                    _ if is_tag(tag) => tags.push(tag.to_owned()),
                    _ => return Err(malformed(name)),
                }
            }
        }
        Ok(match (given, any) {
            (false, _) => None,
            (true, true) => Some(Self::Any),
            (true, false) => Some(Self::OneOf(tags)),
        })
    }
}

fn is_tag(text: &str) -> bool {
    let opaque = text.strip_prefix("W/").unwrap_or(text);
    let inner = opaque.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    inner.is_some_and(|inner| !inner.contains('"'))
}

fn malformed(name: &HeaderName) -> Refusal {
    Refusal::new(
        StatusCode::BAD_REQUEST,
        format!("{name} is no list of entity tags"),
        "send back the ETag as it was answered, quotes included, or *",
    )
}

impl<S: Send + Sync> FromRequestParts<S> for Preconditions {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Ok(Self {
            if_match: Tags::read(&parts.headers, &header::IF_MATCH)?,
            if_none_match: Tags::read(&parts.headers, &header::IF_NONE_MATCH)?,
        })
    }
}

impl Preconditions {
    /// Whether they hold for what is there now; `None` where there is nothing.
    ///
    /// # Errors
    /// 412, with what is there.
    pub(super) fn hold(&self, current: Option<&str>) -> Result<(), Refusal> {
        let fits = self.if_match.as_ref().is_none_or(|tags| tags.have(current))
            && !self
                .if_none_match
                .as_ref()
                .is_some_and(|tags| tags.have(current));
        if fits {
            return Ok(());
        }
        Err(match current {
            Some(tag) => Refusal::new(
                StatusCode::PRECONDITION_FAILED,
                format!("it is there as {tag}, which is not what was asked for"),
                "read it again, and send the change with its ETag as If-Match",
            ),
            None => Refusal::new(
                StatusCode::PRECONDITION_FAILED,
                "it is not there",
                "send the change without If-Match, which creates it",
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preconditions(if_match: &[&'static str], if_none_match: &[&'static str]) -> Preconditions {
        let mut headers = HeaderMap::new();
        for tag in if_match {
            headers.append(header::IF_MATCH, HeaderValue::from_static(tag));
        }
        for tag in if_none_match {
            headers.append(header::IF_NONE_MATCH, HeaderValue::from_static(tag));
        }
        Preconditions {
            if_match: Tags::read(&headers, &header::IF_MATCH).unwrap(),
            if_none_match: Tags::read(&headers, &header::IF_NONE_MATCH).unwrap(),
        }
    }

    #[test]
    fn what_is_demanded_of_the_state_before_holds_or_not() {
        let there = Some("\"a\"");
        for (if_match, if_none_match, current, holds) in [
            (&[][..], &[][..], there, true),
            (&[], &[], None, true),
            (&["\"a\""], &[], there, true),
            (&["\"b\", \"a\""], &[], there, true),
            (&["\"b\"", "\"a\""], &[], there, true),
            (&["\"b\""], &[], there, false),
            (&["W/\"a\""], &[], there, false),
            (&["*"], &[], there, true),
            (&["*"], &[], None, false),
            (&["\"a\""], &[], None, false),
            (&[], &["*"], there, false),
            (&[], &["*"], None, true),
            (&[], &["\"a\""], there, false),
            (&[], &["\"b\""], there, true),
            // Present and empty matches nothing.
            (&[""], &[], there, false),
        ] {
            let asked = preconditions(if_match, if_none_match);
            assert_eq!(asked.hold(current).is_ok(), holds, "{asked:?} {current:?}");
        }
    }

    #[test]
    fn what_is_no_tag_is_said_to_be_none() {
        for text in ["a", "\"a", "\"a\" \"b\"", "W/a"] {
            let mut headers = HeaderMap::new();
            headers.append(header::IF_MATCH, HeaderValue::from_str(text).unwrap());
            assert!(Tags::read(&headers, &header::IF_MATCH).is_err(), "{text}");
        }
    }
}
