//! Numbers as commands show them.

use std::time::Duration;

use crate::report::number;
use crate::units::Span;

/// A time given in seconds, three digits.
pub(super) fn seconds(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and no time is negative"
    )]
    let micros = (seconds * 1e6).round() as u64;
    plain(&number::time(micros))
}

pub(super) fn optional_seconds(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), seconds)
}

/// A share from 0 to 1.
pub(super) fn percent(share: f64) -> String {
    plain(&number::percent(share))
}

pub(super) fn joules(joules: f64) -> String {
    plain(&number::joules(joules))
}

/// Microjoules where they are known.
pub(super) fn microjoules(value: Option<u64>) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    value.map_or_else(|| "–".to_owned(), |it| joules(it as f64 / 1e6))
}

/// Something a second.
pub(super) fn rate(per_second: f64) -> String {
    if per_second == 0.0 {
        "0".to_owned()
    } else {
        number::digits(per_second)
    }
}

/// A length of time in whole seconds: "1m 30s". What is not over does not read as 0.
pub(super) fn whole_seconds(seconds: f64) -> String {
    let whole = Duration::try_from_secs_f64(seconds.ceil()).unwrap_or_default();
    Span::from(whole).to_string()
}

/// Terminals and what reads from them know one space.
fn plain(text: &str) -> String {
    text.replace('\u{a0}', " ")
}

/// The time of day of an RFC 3339 text in UTC.
pub(super) fn time_of_day(rfc3339: &str) -> &str {
    rfc3339
        .split_once('T')
        .and_then(|(_, time)| time.get(..8))
        .unwrap_or(rfc3339)
}

/// "1 call", "2 calls".
pub(super) fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(seconds(0.0123), "12.3 ms");
        assert_eq!(optional_seconds(None), "–");
        assert_eq!(microjoules(Some(1_500_000)), "1.50 J");
        assert_eq!(whole_seconds(29.2), "30s");
        assert_eq!(whole_seconds(600.0), "10m");
        assert_eq!(time_of_day("2026-11-27T11:05:12.123456Z"), "11:05:12");
        assert_eq!((rate(0.0), rate(12.34)), ("0".into(), "12.3".into()));
        assert_eq!(counted(1, "call"), "1 call");
    }
}
