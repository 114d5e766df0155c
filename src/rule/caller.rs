//! Faults that the caller of a rule asks for, in headers of the call: hormesis' own and Envoy's.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};
use subtle::ConstantTimeEq;

use crate::call::{Call, Phase, Side};
use crate::effect::{Answer, Effect, ErrorKind, ErrorSpec, Rate, WaitTime};
use crate::rule::Denied;
use crate::units::{ByteSize, Probability, Span};

/// What is asked for.
pub const FAULT_HEADER: &str = "x-hormesis-fault";
/// Proves that the caller may.
pub const SECRET_HEADER: &str = "x-hormesis-fault-secret";
/// Of all headers of Envoy's that ask for faults.
const ENVOY: &str = "x-envoy-fault-";

/// Whether a header asks for faults, understood or not: no upstream sees it.
pub fn asks_for_faults(header: &str) -> bool {
    let begins = header.get(..ENVOY.len());
    begins.is_some_and(|it| it.eq_ignore_ascii_case(ENVOY))
        || header.eq_ignore_ascii_case(FAULT_HEADER)
        || header.eq_ignore_ascii_case(SECRET_HEADER)
}

/// Who may ask, and for how much.
#[derive(Clone, PartialEq)]
pub struct Caller {
    pub secret: Arc<[u8]>,
    /// Longer delays are asked in vain: they last so long.
    pub max_delay: Duration,
    /// Bytes a second. Who asks for fewer gets these: else a call would hold its place for months.
    pub min_throughput: u64,
    /// A caller who asks for a larger share of its calls gets this one.
    pub probability: Probability,
    /// Whether the rule has faults of its own, for `on`.
    pub has_faults: bool,
}

/// What a call asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Asked {
    /// The rule's own faults.
    own: Option<f64>,
    delay: Option<(Duration, f64)>,
    abort: Option<(Answer, f64)>,
    /// Bytes a second.
    throughput: Option<(u64, f64)>,
}

impl Caller {
    /// What a call asks for: `None` where it asks for nothing.
    pub(super) fn asked(&self, call: &Call<'_>) -> Option<Result<Asked, Denied>> {
        let asks = |it: &&crate::call::Field<'_>| {
            asks_for_faults(it.name) && !it.name.eq_ignore_ascii_case(SECRET_HEADER)
        };
        call.fields.iter().find(asks)?;
        if !self.knows_secret(call) {
            return Some(Err(Denied::Secret));
        }
        Some(self.read(call).ok_or(Denied::Unreadable))
    }

    /// In a time that does not tell how much of it was right.
    fn knows_secret(&self, call: &Call<'_>) -> bool {
        let mut secrets = call.header(SECRET_HEADER);
        match (secrets.next(), secrets.next()) {
            (Some(secret), None) => bool::from(secret.ct_eq(&self.secret)),
            _ => false,
        }
    }

    /// `None` where anything of it is not understood: a part of what was asked is not what was
    /// asked.
    fn read(&self, call: &Call<'_>) -> Option<Asked> {
        let mut asked = Asked::default();
        for value in call.header(FAULT_HEADER) {
            self.read_own(std::str::from_utf8(value).ok()?, &mut asked)?;
        }
        let envoy = self.read_envoy(call)?;
        asked.delay = asked.delay.or(envoy.delay);
        asked.abort = asked.abort.or(envoy.abort);
        asked.throughput = asked.throughput.or(envoy.throughput);
        Some(asked)
    }

    /// `delay=200ms, abort=503, throughput=64KiB, percentage=30`, or `on`.
    fn read_own(&self, text: &str, asked: &mut Asked) -> Option<()> {
        let items = text.split([',', ';']).map(str::trim);
        let items: Vec<(&str, &str)> = items
            .map(|item| match item.split_once('=') {
                Some((key, value)) => (key.trim_end(), value.trim_start()),
                None => (item, ""),
            })
            .collect();
        let percentage = items.iter().find(|(key, _)| *key == "percentage");
        let share = self.share(percentage.map(|(_, value)| value.trim_end_matches('%')))?;
        for (key, value) in items {
            match key {
                "on" if value.is_empty() && self.has_faults => asked.own = Some(share),
                "delay" => {
                    let delay = Span::from_str(value).ok()?.get();
                    asked.delay = Some((delay.min(self.max_delay), share));
                }
                "abort" => asked.abort = Some((answer(error(value)?), share)),
                "throughput" => {
                    let rate = ByteSize::from_str(value).ok()?.get();
                    asked.throughput = Some((rate.max(self.min_throughput), share));
                }
                "percentage" => {}
                _ => return None,
            }
        }
        Some(())
    }

    /// As Envoy's fault filter reads them.
    fn read_envoy(&self, call: &Call<'_>) -> Option<Asked> {
        let mut asked = Asked::default();
        if let Some(millis) = number(call, "delay-request")? {
            let share = self.share(text(call, "delay-request-percentage")?)?;
            asked.delay = Some((Duration::from_millis(millis).min(self.max_delay), share));
        }
        if let Some(kibibytes) = number(call, "throughput-response")? {
            let share = self.share(text(call, "throughput-response-percentage")?)?;
            let rate = kibibytes.checked_mul(1024).filter(|it| *it > 0)?;
            asked.throughput = Some((rate.max(self.min_throughput), share));
        }
        let share = || self.share(text(call, "abort-request-percentage")?);
        if let Some(status) = number(call, "abort-request")? {
            let status = u16::try_from(status).ok()?;
            let status = Some(status).filter(|it| (200..600).contains(it))?;
            asked.abort = Some((answer(ErrorSpec::Status(status)), share()?));
        } else if let Some(code) = number(call, "abort-grpc-request")? {
            let code = u32::try_from(code).ok()?;
            asked.abort = Some((grpc(code), share()?));
        }
        Some(asked)
    }

    /// A share of the calls: as asked, or as much as is allowed. All where nothing is said.
    fn share(&self, percent: Option<&str>) -> Option<f64> {
        let asked = match percent {
            None => 100.0,
            Some(text) => text.trim().parse::<f64>().ok()?,
        };
        let sound = (0.0..=100.0).contains(&asked);
        sound.then(|| (asked / 100.0).min(self.probability.fraction()))
    }
}

impl Asked {
    /// Whether this draw lets any of it come.
    pub(super) fn hits(&self, draw: f64) -> bool {
        self.own(draw) || !self.effects(draw).is_empty()
    }

    /// Whether the rule's own faults are to act.
    pub(super) fn own(&self, draw: f64) -> bool {
        self.own.is_some_and(|share| draw < share)
    }

    /// What else is to be done, with the kind of fault that each is.
    pub(super) fn effects(&self, draw: f64) -> Vec<(&'static str, Effect)> {
        let mut effects = Vec::new();
        if let Some((time, _)) = self.delay.filter(|(_, share)| draw < *share) {
            effects.push((
                "delay",
                Effect::Wait {
                    at: Phase::BeforeUpstream,
                    side: Side::Request,
                    time: WaitTime::Once(time),
                },
            ));
        }
        if let Some((answer, share)) = &self.abort
            && draw < *share
        {
            effects.push((
                "abort",
                Effect::Answer {
                    at: Phase::BeforeUpstream,
                    answer: answer.clone(),
                },
            ));
        }
        if let Some((rate, _)) = self.throughput.filter(|(_, share)| draw < *share) {
            effects.push((
                "throttle",
                Effect::Pace {
                    side: Side::Response,
                    rate: Rate::Bytes {
                        per_second: rate,
                        burst: (rate / 10).max(1),
                    },
                },
            ));
        }
        effects
    }
}

/// A header of Envoy's; the outer `None` where it is no text.
#[expect(
    clippy::option_option,
    reason = "absent and not understood are two things"
)]
fn text<'a>(call: &Call<'a>, name: &str) -> Option<Option<&'a str>> {
    match call.header(&format!("{ENVOY}{name}")).next() {
        None => Some(None),
        Some(value) => std::str::from_utf8(value).ok().map(|it| Some(it.trim())),
    }
}

#[expect(
    clippy::option_option,
    reason = "absent and not understood are two things"
)]
fn number(call: &Call<'_>, name: &str) -> Option<Option<u64>> {
    match text(call, name)? {
        None => Some(None),
        Some(text) => text.parse().ok().map(Some),
    }
}

/// A status, or a word of the vocabulary of errors.
fn error(text: &str) -> Option<ErrorSpec> {
    if let Ok(status) = text.parse::<u16>() {
        let fits = (200..600).contains(&status);
        return fits.then_some(ErrorSpec::Status(status));
    }
    let word: StrDeserializer<'_, Error> = text.into_deserializer();
    ErrorKind::deserialize(word).ok().map(ErrorSpec::Kind)
}

fn answer(error: ErrorSpec) -> Answer {
    Answer {
        error,
        headers: Vec::new(),
        body: None,
    }
}

/// Any code, also one that gRPC does not define: the kind serves where the call is no gRPC.
fn grpc(code: u32) -> Answer {
    let kind = match code {
        1 => ErrorKind::Cancelled,
        3 => ErrorKind::Invalid,
        4 => ErrorKind::Timeout,
        5 => ErrorKind::NotFound,
        8 => ErrorKind::RateLimited,
        9 => ErrorKind::ReadOnly,
        10 => ErrorKind::Conflict,
        14 => ErrorKind::Unavailable,
        16 => ErrorKind::Unauthorized,
        _ => ErrorKind::Internal,
    };
    Answer {
        error: ErrorSpec::Kind(kind),
        headers: vec![
            ("grpc-status".to_owned(), code.to_string()),
            ("grpc-message".to_owned(), "fault filter abort".to_owned()),
        ],
        body: None,
    }
}

/// The secret stays one.
impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("max_delay", &self.max_delay)
            .field("min_throughput", &self.min_throughput)
            .field("probability", &self.probability)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::call::Field;

    const SECRET: &str = "a secret of many bytes";

    fn caller(probability: f64) -> Caller {
        Caller {
            secret: SECRET.as_bytes().into(),
            max_delay: Duration::from_secs(2),
            min_throughput: 4096,
            probability: Probability::new(probability).unwrap(),
            has_faults: true,
        }
    }

    fn asked(caller: &Caller, headers: &[(&str, &str)]) -> Option<Result<Asked, Denied>> {
        let fields: Vec<_> = headers
            .iter()
            .map(|(name, value)| Field {
                name,
                value: value.as_bytes(),
            })
            .collect();
        caller.asked(&Call {
            fields: &fields,
            ..Call::default()
        })
    }

    fn with_secret(headers: &[(&str, &str)]) -> Result<Asked, Denied> {
        let headers = [headers, &[("X-Hormesis-Fault-Secret", SECRET)]].concat();
        asked(&caller(1.0), &headers).unwrap()
    }

    #[test]
    fn what_asks_for_nothing_is_left_alone() {
        assert_eq!(asked(&caller(1.0), &[("accept", "*/*")]), None);
        assert_eq!(asked(&caller(1.0), &[(SECRET_HEADER, SECRET)]), None);
    }

    #[test]
    fn without_the_secret_nothing_is_given() {
        let fault = ("x-hormesis-fault", "delay=1s");
        for secrets in [
            &[][..],
            &[(SECRET_HEADER, "")],
            &[(SECRET_HEADER, "a secret of many byteS")],
            &[(SECRET_HEADER, "a secret of many bytes ")],
            &[(SECRET_HEADER, SECRET), (SECRET_HEADER, SECRET)],
        ] {
            let headers = [&[fault][..], secrets].concat();
            assert_eq!(
                asked(&caller(1.0), &headers),
                Some(Err(Denied::Secret)),
                "{secrets:?}"
            );
        }
    }

    #[test]
    fn our_header_is_read_and_capped() {
        let found = with_secret(&[(
            FAULT_HEADER,
            "delay=1h; abort = overloaded,throughput=64KiB",
        )]);
        let found = found.unwrap();
        assert_eq!(found.delay, Some((Duration::from_secs(2), 1.0)));
        assert_eq!(found.throughput, Some((65_536, 1.0)));
        let kinds: Vec<_> = found.effects(0.0).into_iter().map(|it| it.0).collect();
        assert_eq!(kinds, ["delay", "abort", "throttle"]);
        assert!(!found.own(0.0));
        for slow in ["0B", "1B", "4095B"] {
            let asked = format!("throughput={slow}");
            let found = with_secret(&[(FAULT_HEADER, &asked)]).unwrap();
            assert_eq!(found.throughput, Some((4096, 1.0)), "{slow}");
        }
        let found = with_secret(&[(FAULT_HEADER, "on, percentage=30")]).unwrap();
        assert!(found.own(0.29) && !found.hits(0.31));
        let headers = [
            (FAULT_HEADER, "delay=1s, percentage=90%"),
            (SECRET_HEADER, SECRET),
        ];
        let capped = asked(&caller(0.25), &headers).unwrap().unwrap();
        assert!(capped.hits(0.24) && !capped.hits(0.26));
    }

    #[test]
    fn envoys_headers_are_read_as_envoy_reads_them() {
        let found = with_secret(&[
            ("x-envoy-fault-delay-request", "150"),
            ("X-Envoy-Fault-Abort-Request", "429"),
            ("x-envoy-fault-abort-grpc-request", "14"),
            ("x-envoy-fault-abort-request-percentage", "40"),
            ("x-envoy-fault-throughput-response", "8"),
        ])
        .unwrap();
        assert_eq!(found.delay, Some((Duration::from_millis(150), 1.0)));
        assert_eq!(found.throughput, Some((8192, 1.0)));
        let slow = with_secret(&[("x-envoy-fault-throughput-response", "1")]).unwrap();
        assert_eq!(slow.throughput, Some((4096, 1.0)));
        // The HTTP status stands before the gRPC code.
        assert_eq!(found.abort, Some((answer(ErrorSpec::Status(429)), 0.4)));
        let found = with_secret(&[("x-envoy-fault-abort-grpc-request", "99")]).unwrap();
        let (answer, _) = found.abort.unwrap();
        assert_eq!(answer.headers[0].1, "99");
        // A percentage alone asks for nothing.
        let found = with_secret(&[("x-envoy-fault-delay-request-percentage", "40")]).unwrap();
        assert!(!found.hits(0.0));
    }

    #[test]
    fn what_is_not_understood_is_not_done_in_part() {
        for (name, value) in [
            (FAULT_HEADER, "delay=1s, abrt=503"),
            (FAULT_HEADER, "delay=5"),
            (FAULT_HEADER, "abort=99"),
            (FAULT_HEADER, "delay=1s, percentage=101"),
            (FAULT_HEADER, "delay=1s, percentage=NaN"),
            (FAULT_HEADER, ""),
            ("x-envoy-fault-abort-request", "600"),
            ("x-envoy-fault-delay-request", "1s"),
            ("x-envoy-fault-throughput-response", "0"),
        ] {
            let said = with_secret(&[(name, value)]);
            assert_eq!(said, Err(Denied::Unreadable), "{value:?}");
        }
    }

    #[test]
    fn the_secret_is_not_shown() {
        assert!(!format!("{:?}", caller(1.0)).contains("secret"));
    }

    proptest! {
        #[test]
        fn no_value_panics_and_no_wait_is_above_the_cap(value in ".{0,60}", millis: u64) {
            let millis = millis.to_string();
            let headers = [(FAULT_HEADER, value.as_str()), ("x-envoy-fault-delay-request", &millis)];
            if let Ok(found) = with_secret(&headers) {
                prop_assert!(found.delay.unwrap().0 <= Duration::from_secs(2));
            }
        }
    }
}
