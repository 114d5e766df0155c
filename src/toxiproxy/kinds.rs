//! The types of toxics and their attributes, as the API names them.

use crate::toxic::ToxicKind;

use super::json::{Decoder, Place, Value, Writer, is_field};

/// A type of toxic.
#[derive(Debug)]
struct Type {
    /// How Go's errors name it.
    go: &'static str,
    /// Of the attributes, all of which are whole numbers.
    integer: &'static str,
    attributes: &'static [&'static str],
}

const fn of(go: &'static str, attributes: &'static [&'static str]) -> Type {
    Type {
        go,
        integer: "int64",
        attributes,
    }
}

static NOOP: Type = of("NoopToxic", &[]);
static LATENCY: Type = of("LatencyToxic", &["latency", "jitter"]);
static BANDWIDTH: Type = of("BandwidthToxic", &["rate"]);
static SLOW_CLOSE: Type = of("SlowCloseToxic", &["delay"]);
static TIMEOUT: Type = of("TimeoutToxic", &["timeout"]);
static RESET_PEER: Type = of("ResetToxic", &["timeout"]);
static SLICER: Type = Type {
    go: "SlicerToxic",
    integer: "int",
    attributes: &["average_size", "size_variation", "delay"],
};
static LIMIT_DATA: Type = of("LimitDataToxic", &["bytes"]);

/// The most attributes that a type has.
const MOST: usize = 3;
type Values = [i64; MOST];

/// A toxic of this type with every attribute 0.
pub(super) fn of_type(name: &str) -> Option<ToxicKind> {
    Some(match name {
        "noop" => ToxicKind::Noop,
        "latency" => ToxicKind::Latency {
            latency_ms: 0,
            jitter_ms: 0,
        },
        "bandwidth" => ToxicKind::Bandwidth { rate_kb: 0 },
        "slow_close" => ToxicKind::SlowClose { delay_ms: 0 },
        "timeout" => ToxicKind::Timeout { timeout_ms: 0 },
        "reset_peer" => ToxicKind::ResetPeer { timeout_ms: 0 },
        "slicer" => ToxicKind::Slicer {
            average_size: 0,
            size_variation: 0,
            delay_us: 0,
        },
        "limit_data" => ToxicKind::LimitData { bytes: 0 },
        _ => return None,
    })
}

fn parts(kind: ToxicKind) -> (&'static Type, Values) {
    match kind {
        ToxicKind::Noop => (&NOOP, [0; MOST]),
        ToxicKind::Latency {
            latency_ms,
            jitter_ms,
        } => (&LATENCY, [latency_ms, jitter_ms, 0]),
        ToxicKind::Bandwidth { rate_kb } => (&BANDWIDTH, [rate_kb, 0, 0]),
        ToxicKind::SlowClose { delay_ms } => (&SLOW_CLOSE, [delay_ms, 0, 0]),
        ToxicKind::Timeout { timeout_ms } => (&TIMEOUT, [timeout_ms, 0, 0]),
        ToxicKind::ResetPeer { timeout_ms } => (&RESET_PEER, [timeout_ms, 0, 0]),
        ToxicKind::Slicer {
            average_size,
            size_variation,
            delay_us,
        } => (&SLICER, [average_size, size_variation, delay_us]),
        ToxicKind::LimitData { bytes } => (&LIMIT_DATA, [bytes, 0, 0]),
    }
}

fn with(kind: ToxicKind, [first, second, third]: Values) -> ToxicKind {
    match kind {
        ToxicKind::Noop => ToxicKind::Noop,
        ToxicKind::Latency { .. } => ToxicKind::Latency {
            latency_ms: first,
            jitter_ms: second,
        },
        ToxicKind::Bandwidth { .. } => ToxicKind::Bandwidth { rate_kb: first },
        ToxicKind::SlowClose { .. } => ToxicKind::SlowClose { delay_ms: first },
        ToxicKind::Timeout { .. } => ToxicKind::Timeout { timeout_ms: first },
        ToxicKind::ResetPeer { .. } => ToxicKind::ResetPeer { timeout_ms: first },
        ToxicKind::Slicer { .. } => ToxicKind::Slicer {
            average_size: first,
            size_variation: second,
            delay_us: third,
        },
        ToxicKind::LimitData { .. } => ToxicKind::LimitData { bytes: first },
    }
}

/// Reads attributes over those that `kind` has: what is not named stays.
pub(super) fn merge(
    kind: ToxicKind,
    attributes: Value<'_>,
    place: Place<'_>,
    decoder: &mut Decoder,
) -> ToxicKind {
    let (of, mut values) = parts(kind);
    let whole = format!("toxics.{}", of.go);
    for (key, value) in decoder.object(attributes, place, &whole) {
        let mut named = of.attributes.iter().zip(&mut values);
        if let Some((name, into)) = named.find(|(name, _)| is_field(&key, name)) {
            let path = format!("attributes.{name}");
            let place = Place::Field {
                of: of.go,
                path: &path,
            };
            decoder.integer(into, value, place, of.integer);
        }
    }
    with(kind, values)
}

/// Writes the attributes, those that are 0 too.
pub(super) fn write(kind: ToxicKind, writer: &mut Writer) {
    let (of, values) = parts(kind);
    writer.raw("{");
    for (index, (name, value)) in of.attributes.iter().zip(values).enumerate() {
        let comma = if index > 0 { "," } else { "" };
        writer.raw(comma).string(name).raw(":").integer(value);
    }
    writer.raw("}");
}

/// Values on which Toxiproxy itself ends, by a panic or an endless recursion, at the first bytes.
///
/// # Errors
/// What is wrong with them.
pub(super) fn check(kind: ToxicKind) -> Result<(), String> {
    match kind {
        ToxicKind::Bandwidth { rate_kb } if rate_kb < 0 => {
            Err(format!("rate is {rate_kb}: it must not be negative"))
        }
        ToxicKind::Latency { jitter_ms, .. } if jitter_ms > i64::MAX / 2 => {
            Err(format!("jitter is {jitter_ms}: no jitter is that large"))
        }
        ToxicKind::Slicer { average_size, .. } if average_size < 1 => Err(format!(
            "average_size is {average_size}: a piece has at least 1 byte"
        )),
        ToxicKind::Slicer {
            average_size,
            size_variation,
            ..
        } if !(0..=average_size).contains(&size_variation) => Err(format!(
            "size_variation is {size_variation}: it must be between 0 and average_size, {average_size}"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::Tape;
    use super::*;

    const NAMES: [&str; 8] = [
        "noop",
        "latency",
        "bandwidth",
        "slow_close",
        "timeout",
        "reset_peer",
        "slicer",
        "limit_data",
    ];

    fn merged(kind: ToxicKind, text: &str) -> Result<ToxicKind, String> {
        let tape = Tape::read(text.as_bytes()).unwrap();
        let mut decoder = Decoder::default();
        let place = Place::Field {
            of: "",
            path: "attributes",
        };
        let kind = merge(kind, tape.root(), place, &mut decoder);
        decoder.finish().map(|()| kind)
    }

    #[test]
    fn every_type_is_named_alike_everywhere() {
        for name in NAMES {
            let kind = of_type(name).unwrap();
            assert_eq!(kind.name(), name);
        }
        assert!(of_type("Latency").is_none());
    }

    #[test]
    fn what_is_written_reads_back() {
        for name in NAMES {
            let kind = with(of_type(name).unwrap(), [3, 2, 1]);
            let mut writer = Writer::default();
            write(kind, &mut writer);
            let text = writer.into_text();
            assert_eq!(merged(of_type(name).unwrap(), &text), Ok(kind), "{text}");
        }
    }

    #[test]
    fn a_part_of_the_attributes_leaves_the_others() {
        let latency = |latency_ms, jitter_ms| ToxicKind::Latency {
            latency_ms,
            jitter_ms,
        };
        let merged = |text| merged(latency(10, 5), text);
        assert_eq!(merged(r#"{"JITTER": 7, "rate": "x"}"#), Ok(latency(10, 7)));
        assert_eq!(merged("null"), Ok(latency(10, 5)));
        assert_eq!(
            merged(r#"{"latency": "5"}"#).unwrap_err(),
            "json: cannot unmarshal string into Go struct field LatencyToxic.attributes.latency of type int64"
        );
        assert_eq!(
            merged("[]").unwrap_err(),
            "json: cannot unmarshal array into Go struct field .attributes of type toxics.LatencyToxic"
        );
    }

    #[test]
    fn what_would_end_toxiproxy_is_refused() {
        let slicer = |average_size, size_variation| {
            check(ToxicKind::Slicer {
                average_size,
                size_variation,
                delay_us: 0,
            })
        };
        assert!(slicer(0, 0).is_err());
        assert!(slicer(64, 65).is_err());
        assert!(slicer(64, -1).is_err());
        assert!(slicer(64, 64).is_ok());
        assert!(check(ToxicKind::Bandwidth { rate_kb: -1 }).is_err());
        assert!(check(ToxicKind::Bandwidth { rate_kb: 0 }).is_ok());
    }
}
