//! `throttle`: bandwidth.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use smallvec::smallvec;

use crate::call::{Call, Phase, Side};
use crate::draw::Draws;
use crate::effect::{Effect, Effects, Rate};
use crate::fault::complaint::unless;
use crate::fault::{Complaint, Doc, Fault, Kind};
use crate::units::ByteSize;

/// Exactly one of `bytes_per_second`, `units_per_second`, `tokens_per_second`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ThrottleConfig {
    /// bytes of the body that pass in a second
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<ByteSize>,
    /// bytes that pass at once after a pause; a tenth of a second's worth where absent
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<ByteSize>,
    /// direction of the bytes that are slowed; "response" where absent
    #[serde(skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    /// units of the answer in a second, evenly: a least gap between two of them
    #[serde(skip_serializing_if = "Option::is_none")]
    pub units_per_second: Option<PerSecond>,
    /// the same, counting only units with content
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_second: Option<PerSecond>,
}

/// How many in a second: above 0.001, at most a million.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct PerSecond(f64);

impl PerSecond {
    fn gap(self) -> Duration {
        Duration::from_secs_f64(1.0 / self.0)
    }
}

impl<'de> Deserialize<'de> for PerSecond {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(deserializer)?;
        if (0.001..=1e6).contains(&value) {
            Ok(Self(value))
        } else {
            Err(D::Error::custom(format!(
                "{value} a second cannot be kept: give a number from 0.001 to 1000000"
            )))
        }
    }
}

impl JsonSchema for PerSecond {
    fn schema_name() -> Cow<'static, str> {
        "PerSecond".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0.001, "maximum": 1e6, "examples": [20] })
    }
}

#[derive(Debug)]
struct Throttle {
    side: Side,
    rate: Rate,
}

impl Fault for Throttle {
    fn arm(&self, _call: &Call<'_>, _draws: &mut Draws) -> Effects {
        smallvec![Effect::Pace {
            side: self.side,
            rate: self.rate,
        }]
    }

    fn place(&self) -> (Phase, Side) {
        let phase = match self.rate {
            Rate::Bytes { .. } => Phase::Byte(0),
            Rate::Tokens { .. } => Phase::BetweenTokens,
            Rate::Units { .. } => Phase::BetweenUnits,
        };
        (phase, self.side)
    }
}

const ONE_RATE: &str = "give one of bytes_per_second, units_per_second, tokens_per_second: \
                        throttle = { bytes_per_second = \"64KiB\" }";

impl Kind for ThrottleConfig {
    const DOC: Doc = Doc {
        summary: "limits bandwidth, or the rate of units",
        does: "Bytes of a body pass at most so fast: a bucket of `burst` bytes that starts full and refills at the rate. \
               Or units (or tokens) of an answer keep a least gap: a unit that comes later than that is not delayed. A \
               throttle is no wait: `max_delay_per_call` does not count it.",
        stands_for: "A saturated link or a slow mobile client (bytes); a decoder that shares its GPU (tokens).",
        examples: &[
            r#"[[rules]]
name = "thin-link"
[[rules.faults]]
throttle = { bytes_per_second = "64KiB", burst = "16KiB" }
"#,
            r#"[[rules]]
name = "ten-tokens-a-second"
[[rules.faults]]
throttle = { tokens_per_second = 10 }
"#,
        ],
        phases: &["body", "between-units", "between-tokens"],
        views: &[],
        usual: "bytes_per_second = \"10KiB\"",
        cost: "None. Chosen, with units or tokens: the answer is framed as it passes.",
    };

    fn build(&self) -> Result<Arc<dyn Fault>, Vec<Complaint>> {
        let mut complaints = Vec::new();
        let side = self.side.unwrap_or_default();
        let rate = self.rate(&mut complaints);
        let by_bytes = self.bytes_per_second.is_some();
        if self.burst.is_some() && !by_bytes {
            complaints.push(Complaint::new(
                "burst",
                "only bytes have a burst: units keep a least gap",
                "leave `burst` out",
            ));
        }
        if self.burst == Some(ByteSize::new(0)) {
            complaints.push(Complaint::new(
                "burst",
                "with a burst of 0 no byte could ever pass",
                "give at least one byte, or leave `burst` out",
            ));
        }
        if side == Side::Request && !by_bytes {
            complaints.push(Complaint::new(
                "side",
                "only answers have units",
                "slow a request with bytes_per_second",
            ));
        }
        unless(complaints, rate)?
            .map(|rate| Arc::new(Throttle { side, rate }) as Arc<dyn Fault>)
            .ok_or_else(Vec::new)
    }
}

impl ThrottleConfig {
    /// The rate; `None` only where there was a complaint.
    fn rate(&self, complaints: &mut Vec<Complaint>) -> Option<Rate> {
        let given = (
            self.bytes_per_second,
            self.units_per_second,
            self.tokens_per_second,
        );
        let (field, message) = match given {
            (Some(bytes), None, None) if bytes.get() > 0 => {
                let per_second = bytes.get();
                let tenth = (per_second / 10).max(1);
                let burst = self.burst.map_or(tenth, ByteSize::get);
                return Some(Rate::Bytes { per_second, burst });
            }
            (None, Some(units), None) => return Some(Rate::Units { gap: units.gap() }),
            (None, None, Some(tokens)) => return Some(Rate::Tokens { gap: tokens.gap() }),
            (Some(_), None, None) => ("bytes_per_second", "at 0 bytes a second nothing passes"),
            (None, None, None) => ("", "how fast?"),
            (_, _, Some(_)) => ("tokens_per_second", "a throttle has one rate"),
            (_, Some(_), _) => ("units_per_second", "a throttle has one rate"),
        };
        let help = match field {
            "bytes_per_second" => "give more, or use `stall`",
            _ => ONE_RATE,
        };
        complaints.push(Complaint::new(field, message, help));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> ThrottleConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn rates_become_buckets_and_gaps() {
        let mut draws = Draws::from_sub_seed(1);
        for (text, rate) in [
            (
                "bytes_per_second = \"64KiB\"",
                Rate::Bytes {
                    per_second: 65_536,
                    burst: 6_553,
                },
            ),
            (
                "bytes_per_second = 5\nburst = \"1KiB\"",
                Rate::Bytes {
                    per_second: 5,
                    burst: 1024,
                },
            ),
            (
                "tokens_per_second = 20",
                Rate::Tokens {
                    gap: Duration::from_millis(50),
                },
            ),
            (
                "units_per_second = 0.5",
                Rate::Units {
                    gap: Duration::from_secs(2),
                },
            ),
        ] {
            let side = Side::Response;
            let fault = read(text).build().unwrap();
            assert_eq!(
                fault.arm(&Call::default(), &mut draws)[..],
                [Effect::Pace { side, rate }]
            );
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_field() {
        for (text, field) in [
            ("", ""),
            ("bytes_per_second = 0", "bytes_per_second"),
            ("bytes_per_second = 9\nburst = 0", "burst"),
            (
                "bytes_per_second = 9\nunits_per_second = 3",
                "units_per_second",
            ),
            (
                "units_per_second = 9\ntokens_per_second = 3",
                "tokens_per_second",
            ),
            ("units_per_second = 9\nburst = 3", "burst"),
            ("units_per_second = 9\nside = \"request\"", "side"),
        ] {
            let complaints = read(text).build().unwrap_err();
            let fields: Vec<_> = complaints.iter().map(|it| it.field.as_str()).collect();
            assert_eq!(fields, [field], "{text}");
        }
        assert!(toml::from_str::<ThrottleConfig>("units_per_second = 0").is_err());
        assert!(toml::from_str::<ThrottleConfig>("units_per_second = nan").is_err());
    }
}
