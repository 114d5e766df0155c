//! What a value must be: a text, a list of them, a regex, a range, or anything but.

use std::borrow::Cow;
use std::fmt;

use globset::GlobBuilder;
use regex::bytes::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// A value that a rule asks about.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// From the request body: matched by its JSON type.
    Json(&'a Value),
    /// From the wire: may be read as a number or a boolean.
    Text(&'a [u8]),
}

/// A condition on a value. Valid by construction; keeps its text, so that it can be shown again.
#[derive(Clone, Debug)]
pub enum Matcher {
    Any(Vec<Self>),
    Bool(bool),
    /// A text with `*`, `?`, `[…]` or `{…}`; a backslash takes their meaning.
    Glob(Pattern),
    Not(Box<Self>),
    Number(f64),
    Range(Range),
    /// Found anywhere in the value; `^` and `$` anchor it.
    Regex(Pattern),
    Text(Box<str>),
}

/// A compiled pattern with the text that it came from.
#[derive(Clone, Debug)]
pub struct Pattern {
    source: Box<str>,
    regex: Regex,
}

impl Pattern {
    pub(super) fn regex(&self) -> &Regex {
        &self.regex
    }
}

/// Numbers from `min` to `max`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Range {
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
}

impl Range {
    pub fn contains(&self, value: f64) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }
}

/// What a text is, for what its wildcards stop at and whether letters have case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Case does not count.
    Host,
    /// `*` stops at `/`, `**` does not.
    Path,
    Text,
}

impl Matcher {
    /// Whether the values that a call has under one name (a header can have several) satisfy the
    /// condition: one of them must, and for `not` none may.
    pub fn holds(&self, subjects: &[Subject<'_>]) -> bool {
        match self {
            Self::Any(matchers) => matchers.iter().any(|it| it.holds(subjects)),
            Self::Not(matcher) => !matcher.holds(subjects),
            leaf => subjects.iter().any(|subject| leaf.fits(*subject)),
        }
    }

    fn fits(&self, subject: Subject<'_>) -> bool {
        match self {
            Self::Any(_) | Self::Not(_) => self.holds(&[subject]),
            Self::Bool(want) => subject.as_bool() == Some(*want),
            Self::Number(want) => subject
                .as_number()
                .is_some_and(|value| value.total_cmp(want).is_eq()),
            Self::Range(range) => subject
                .as_number()
                .is_some_and(|value| range.contains(value)),
            Self::Glob(pattern) | Self::Regex(pattern) => subject
                .as_text()
                .is_some_and(|text| pattern.regex.is_match(text)),
            Self::Text(want) => subject.as_text() == Some(want.as_bytes()),
        }
    }

    /// A text as a user writes it: exact, or a glob where it has wildcards.
    pub(super) fn from_text(text: &str, style: Style) -> Result<Self, String> {
        if !text.contains(['*', '?', '[', '{']) {
            return Ok(Self::Text(match style {
                Style::Host => text.to_ascii_lowercase().into(),
                Style::Path | Style::Text => text.into(),
            }));
        }
        let glob = GlobBuilder::new(text)
            .literal_separator(style == Style::Path)
            .backslash_escape(true)
            .build()
            .map_err(|error| {
                format!(
                    "{text:?} is no pattern: {}. A backslash takes the meaning of * ? [ and {{",
                    error.kind()
                )
            })?;
        // As globset itself does: a wildcard also stands for a line break.
        Self::pattern(text, &format!("(?s){}", glob.regex()), style)
            .map(Self::Glob)
            .map_err(|_| format!("the pattern {text:?} is too large: write a shorter one"))
    }

    fn from_regex(text: &str, style: Style) -> Result<Self, String> {
        Self::pattern(text, text, style)
            .map(Self::Regex)
            .map_err(|error| format!("{text:?} is no regex: {error}"))
    }

    fn pattern(source: &str, regex: &str, style: Style) -> Result<Pattern, regex::Error> {
        // Flags stand in the text, so that it can join a set with others.
        let flags = if style == Style::Host { "(?i)" } else { "" };
        Ok(Pattern {
            source: source.into(),
            regex: Regex::new(&format!("{flags}{regex}"))?,
        })
    }
}

impl<'a> Subject<'a> {
    fn as_text(self) -> Option<&'a [u8]> {
        match self {
            Self::Text(text) => Some(text),
            Self::Json(value) => value.as_str().map(str::as_bytes),
        }
    }

    fn as_number(self) -> Option<f64> {
        match self {
            Self::Text(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
            Self::Json(value) => value.as_f64(),
        }
    }

    fn as_bool(self) -> Option<bool> {
        match self {
            Self::Text(b"true") => Some(true),
            Self::Text(b"false") => Some(false),
            Self::Text(_) => None,
            Self::Json(value) => value.as_bool(),
        }
    }
}

/// By what the user wrote.
impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any(one), Self::Any(other)) => one == other,
            (Self::Bool(one), Self::Bool(other)) => one == other,
            (Self::Glob(one), Self::Glob(other)) => one == other,
            (Self::Not(one), Self::Not(other)) => one == other,
            (Self::Number(one), Self::Number(other)) => one.total_cmp(other).is_eq(),
            (Self::Range(one), Self::Range(other)) => one == other,
            (Self::Regex(one), Self::Regex(other)) => one == other,
            (Self::Text(one), Self::Text(other)) => one == other,
            _ => false,
        }
    }
}

impl Serialize for Matcher {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Any(matchers) => matchers.serialize(serializer),
            Self::Bool(value) => value.serialize(serializer),
            Self::Glob(pattern) => pattern.source.serialize(serializer),
            Self::Not(matcher) => table(serializer, "not", matcher.as_ref()),
            Self::Number(value) => value.serialize(serializer),
            Self::Range(range) => range.serialize(serializer),
            Self::Regex(pattern) => table(serializer, "regex", &pattern.source),
            Self::Text(text) => text.serialize(serializer),
        }
    }
}

fn table<S: Serializer, T: Serialize>(
    serializer: S,
    key: &str,
    value: &T,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(key, value)?;
    map.end()
}

/// Reads a matcher whose texts are of a style.
#[derive(Clone, Copy)]
pub(super) struct InStyle(pub(super) Style);

impl<'de> DeserializeSeed<'de> for InStyle {
    type Value = Matcher;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Matcher, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for InStyle {
    type Value = Matcher;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a text (* and ? are wildcards), a number, a boolean, a list of these, or one of \
             { regex = \"…\" }, { min = 1, max = 9 }, { not = … }",
        )
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Matcher, E> {
        Matcher::from_text(text, self.0).map_err(E::custom)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Matcher, E> {
        Ok(Matcher::Bool(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Matcher, E> {
        Ok(Matcher::Number(value))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "JSON numbers are read as f64 too"
    )]
    fn visit_i64<E: Error>(self, value: i64) -> Result<Matcher, E> {
        Ok(Matcher::Number(value as f64))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "JSON numbers are read as f64 too"
    )]
    fn visit_u64<E: Error>(self, value: u64) -> Result<Matcher, E> {
        Ok(Matcher::Number(value as f64))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Matcher, A::Error> {
        let mut any = Vec::new();
        while let Some(matcher) = seq.next_element_seed(self)? {
            any.push(matcher);
        }
        if any.is_empty() {
            return Err(A::Error::custom(
                "an empty list selects nothing: leave the condition out to select all",
            ));
        }
        Ok(Matcher::Any(any))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Matcher, A::Error> {
        const ONE: &str =
            "a condition is one of { regex = \"…\" }, { min = 1, max = 9 }, { not = … }";
        let mut matcher = None;
        let mut range = Range {
            min: None,
            max: None,
        };
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Min => range.min = Some(map.next_value()?),
                Key::Max => range.max = Some(map.next_value()?),
                _ if matcher.is_some() => return Err(A::Error::custom(ONE)),
                Key::Not => matcher = Some(Matcher::Not(Box::new(map.next_value_seed(self)?))),
                Key::Regex => matcher = Some(map.next_value_seed(RegexIn(self.0))?),
            }
        }
        let ranged = range.min.is_some() || range.max.is_some();
        match matcher {
            Some(matcher) if !ranged => Ok(matcher),
            None if ranged => range
                .checked()
                .map(Matcher::Range)
                .map_err(A::Error::custom),
            _ => Err(A::Error::custom(ONE)),
        }
    }
}

/// Reads a regex, so that a wrong one is shown in its place.
struct RegexIn(Style);

impl<'de> DeserializeSeed<'de> for RegexIn {
    type Value = Matcher;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Matcher, D::Error> {
        let text = String::deserialize(deserializer)?;
        Matcher::from_regex(&text, self.0).map_err(D::Error::custom)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Key {
    Max,
    Min,
    Not,
    Regex,
}

impl Range {
    fn checked(self) -> Result<Self, &'static str> {
        match (self.min, self.max) {
            (None, None) => Err("a range has min, max or both: { min = 1, max = 9 }"),
            (Some(min), Some(max)) if min > max => {
                Err("min is above max, so no number is in this range")
            }
            (Some(value), _) | (_, Some(value)) if value.is_nan() => {
                Err("nan is no bound of a range")
            }
            _ => Ok(self),
        }
    }
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Bounds {
            min: Option<f64>,
            max: Option<f64>,
        }
        let Bounds { min, max } = Bounds::deserialize(deserializer)?;
        Self { min, max }.checked().map_err(D::Error::custom)
    }
}

macro_rules! styled {
    ($(#[$doc:meta])* $name:ident, $style:ident, $schema:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(transparent)]
        pub struct $name(pub Matcher);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                InStyle(Style::$style).deserialize(deserializer).map(Self)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                $schema.into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let this = generator.subschema_for::<Self>();
                json_schema!({
                    "description": "a text (* and ? are wildcards), a number, a boolean, a list of these, a regex, a range, or { not = … }",
                    "anyOf": [
                        { "type": ["string", "number", "boolean"] },
                        { "type": "array", "items": this, "minItems": 1 },
                        { "type": "object", "properties": { "regex": { "type": "string", "format": "regex" } }, "required": ["regex"], "additionalProperties": false },
                        { "type": "object", "properties": { "min": { "type": "number" }, "max": { "type": "number" } }, "minProperties": 1, "additionalProperties": false },
                        { "type": "object", "properties": { "not": this }, "required": ["not"], "additionalProperties": false },
                    ],
                })
            }
        }
    };
}

styled!(
    /// A matcher of plain text: headers, models, operations.
    TextMatcher,
    Text,
    "Matcher"
);
styled!(
    /// A matcher of paths: `*` stops at `/`, `**` does not.
    PathMatcher,
    Path,
    "PathMatcher"
);
styled!(
    /// A matcher of host names, without case.
    HostMatcher,
    Host,
    "HostMatcher"
);
