//! Quantities with their units: what a configuration says ("250ms", "5%", "64KiB") and what the
//! ledgers count (µJ). Each parses from text once; a value that exists is valid.

use std::borrow::Cow;
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

/// Why a text is no quantity: what was wrong and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseUnitError(String);

/// A chance in `0.0..=1.0`. Written `"5%"` or `0.05`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Probability(f64);

impl Probability {
    pub const ALWAYS: Self = Self(1.0);
    pub const NEVER: Self = Self(0.0);

    /// A probability from a fraction; refuses NaN and anything outside `0.0..=1.0`.
    pub fn new(fraction: f64) -> Result<Self, ParseUnitError> {
        if (0.0..=1.0).contains(&fraction) {
            Ok(Self(fraction))
        } else {
            Err(ParseUnitError(format!(
                "{fraction} is no probability: give a number from 0 to 1, or a percentage like \"5%\""
            )))
        }
    }

    pub fn fraction(self) -> f64 {
        self.0
    }
}

impl FromStr for Probability {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, scale) = match text.trim().strip_suffix('%') {
            Some(percent) => (percent.trim_end(), 100.0),
            None => (text.trim(), 1.0),
        };
        let value: f64 = number.parse().map_err(|_| {
            ParseUnitError(format!(
                "{text:?} is no probability: give a number from 0 to 1, or a percentage like \"5%\""
            ))
        })?;
        Self::new(value / scale).map_err(|_| {
            ParseUnitError(format!(
                "{text:?} is no probability: give 0% to 100%, or 0 to 1 without a percent sign"
            ))
        })
    }
}

impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounded so that 0.07 * 100 does not print as 7.000000000000001.
        write!(f, "{}%", (self.0 * 1e12).round() / 1e10)
    }
}

/// A length of time as a configuration writes it: `"250ms"`, `"1m 30s"`, `"2h"`. A bare number is
/// refused, since nobody can tell its unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(Duration);

impl Span {
    pub const ZERO: Self = Self(Duration::ZERO);

    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    pub const fn get(self) -> Duration {
        self.0
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl FromStr for Span {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        if trimmed == "0" {
            return Ok(Self::ZERO);
        }
        if let Some(exact) = decimal_span(trimmed) {
            return Ok(Self(exact));
        }
        humantime::parse_duration(trimmed).map(Self).map_err(|_| {
            ParseUnitError(format!(
                "{text:?} is no length of time: give a number with a unit, like \"250ms\", \"1.5s\", \"5m\" or \"1h\""
            ))
        })
    }
}

/// `"1.5s"` and its kin, which humantime does not read.
fn decimal_span(text: &str) -> Option<Duration> {
    let at = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let (number, unit) = text.split_at(at);
    if !number.contains('.') {
        return None;
    }
    let nanos_per_unit = match unit.trim() {
        "us" | "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" | "min" => 60e9,
        "h" => 3600e9,
        _ => return None,
    };
    let value: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64((value * nanos_per_unit).round() / 1e9).ok()
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.0))
    }
}

/// How data that is printed, logged and replayed writes a length of time: whole microseconds, in a
/// field whose name ends in `_us`. For `serde(with)`.
pub mod micros {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(of(*time))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_micros)
    }

    /// Half a million years are the most.
    pub fn of(time: Duration) -> u64 {
        u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
    }

    /// The same for a time that may be absent.
    pub mod option {
        use std::time::Duration;

        use serde::{Deserialize, Deserializer, Serialize, Serializer};

        pub fn serialize<S: Serializer>(
            time: &Option<Duration>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            time.map(crate::units::micros::of).serialize(serializer)
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Duration>, D::Error> {
            Ok(Option::deserialize(deserializer)?.map(Duration::from_micros))
        }
    }
}

/// A number of bytes: `"64KiB"`, `"1MB"`, `"512B"`, or a bare whole number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

impl ByteSize {
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    pub const fn kib(kib: u64) -> Self {
        Self(kib * 1024)
    }

    pub const fn mib(mib: u64) -> Self {
        Self(mib * 1024 * 1024)
    }

    pub const fn get(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || {
            ParseUnitError(format!(
                "{text:?} is no number of bytes: give a number with a unit, like \"512B\", \"64KiB\" or \"1MB\""
            ))
        };
        let trimmed = text.trim();
        let at = trimmed
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(at);
        let scale: u64 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            _ => return Err(refuse()),
        };
        if let Ok(whole) = number.parse::<u64>() {
            return whole.checked_mul(scale).map(Self).ok_or_else(refuse);
        }
        let value: f64 = number.parse().map_err(|_| refuse())?;
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a decimal size is rounded by intent; the digits before it forbid a sign"
        )]
        let bytes = (value * scale as f64).round() as u64;
        Ok(Self(bytes))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
            if self.0 >> shift != 0 && self.0 & ((1 << shift) - 1) == 0 {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}B", self.0)
    }
}

/// Energy in whole microjoules: integers, so that sums are exact.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(transparent)]
pub struct MicroJoules(pub u128);

impl MicroJoules {
    pub const ZERO: Self = Self(0);

    #[expect(
        clippy::cast_precision_loss,
        reason = "for display; 2^53 µJ are 285 years at 1 W"
    )]
    pub fn joules(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl Add for MicroJoules {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for MicroJoules {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sub for MicroJoules {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Sum for MicroJoules {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

/// Grams of CO2 equivalent.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GramsCo2e(pub f64);

/// Where all draws of one run start: the same seed gives the same hits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Seed(pub u64);

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Serde and schema of a quantity written as text, or as the bare number `$number` reads.
macro_rules! quantity {
    ($type:ty, $expect:literal, $pattern:literal, $examples:expr, number: $number:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;

                impl de::Visitor<'_> for Visitor {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expect)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }

                    fn visit_f64<E: de::Error>(self, value: f64) -> Result<$type, E> {
                        let read: fn(f64) -> Result<$type, ParseUnitError> = $number;
                        read(value).map_err(E::custom)
                    }

                    fn visit_i64<E: de::Error>(self, value: i64) -> Result<$type, E> {
                        #[expect(clippy::cast_precision_loss, reason = "sizes above 2^53 are not configured")]
                        self.visit_f64(value as f64)
                    }

                    fn visit_u64<E: de::Error>(self, value: u64) -> Result<$type, E> {
                        #[expect(clippy::cast_precision_loss, reason = "sizes above 2^53 are not configured")]
                        self.visit_f64(value as f64)
                    }
                }

                deserializer.deserialize_any(Visitor)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "description": $expect,
                    "type": ["string", "number"],
                    "pattern": $pattern,
                    "examples": $examples,
                })
            }
        }
    };
}

quantity!(
    Probability,
    "a probability: \"5%\", or a number from 0 to 1",
    r"^\s*[0-9.]+\s*%?\s*$",
    ("5%", 0.05),
    number: Probability::new
);
quantity!(
    Span,
    "a length of time with its unit: \"250ms\", \"1.5s\", \"5m\", \"1h\"",
    r"^\s*[0-9].*$",
    ("250ms", "5s"),
    number: |value| if value == 0.0 { Ok(Span::ZERO) } else {
        Err(ParseUnitError(format!("{value} has no unit: write \"{value}ms\" or \"{value}s\"")))
    }
);
quantity!(
    ByteSize,
    "a number of bytes: \"512B\", \"64KiB\", \"1MB\", or a whole number",
    r"^\s*[0-9.]+\s*[A-Za-z]*\s*$",
    ("64KiB", 1024),
    number: |value| if value >= 0.0 && value.fract() == 0.0 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
        Ok(ByteSize(value as u64))
    } else {
        Err(ParseUnitError(format!("{value} is no whole number of bytes")))
    }
);

/// Bytes in lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |it: u8| char::from(DIGITS[usize::from(it & 15)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(*byte)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probability_reads_percent_and_fraction() {
        assert_eq!("5%".parse(), Ok(Probability(0.05)));
        assert_eq!("0.25".parse(), Ok(Probability(0.25)));
        assert_eq!("7%".parse::<Probability>().unwrap().to_string(), "7%");
        for bad in ["1.5", "101%", "-1%", "NaN", "", "%", "ten"] {
            assert!(bad.parse::<Probability>().is_err(), "{bad:?}");
        }
    }

    #[derive(Debug, Deserialize)]
    struct Table {
        #[expect(dead_code, reason = "only its error counts")]
        wait: Span,
    }

    #[test]
    fn span_wants_a_unit() {
        assert_eq!("250ms".parse(), Ok(Span::from_millis(250)));
        assert_eq!("1.5s".parse(), Ok(Span::from_millis(1500)));
        assert_eq!("1m 30s".parse(), Ok(Span::from_secs(90)));
        assert_eq!("0".parse(), Ok(Span::ZERO));
        for bad in ["250", "", "-1s", "1 fortnight", "99999999999999999999h"] {
            assert!(bad.parse::<Span>().is_err(), "{bad:?}");
        }
        let error = toml::from_str::<Table>("wait = 250")
            .unwrap_err()
            .to_string();
        assert!(error.contains("250ms"), "{error}");
    }

    #[test]
    fn byte_size_reads_both_scales_and_prints_the_largest_whole_unit() {
        assert_eq!("64KiB".parse(), Ok(ByteSize::kib(64)));
        assert_eq!("1MB".parse(), Ok(ByteSize::new(1_000_000)));
        assert_eq!("1.5k".parse(), Ok(ByteSize::new(1536)));
        assert_eq!(ByteSize::mib(3).to_string(), "3MiB");
        assert_eq!(ByteSize::new(1000).to_string(), "1000B");
        for bad in ["-1", "1XB", "", "99999999999GiB"] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad:?}");
        }
    }
}
