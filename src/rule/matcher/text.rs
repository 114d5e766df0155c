//! How a matcher is written, read and described by a schema. Read by hand, for an untagged enum
//! would say of any mistake only that nothing fits.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::rule::matcher::{Matcher, Range, Style};

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
struct InStyle(Style);

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
