//! When a certificate expires: the one field that the TLS library does not tell.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SEQUENCE: u8 = 0x30;
/// `[0]`, the version, which the first ones do not have.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The end of a certificate's validity (RFC 5280 §4.1.2.5). `None` where it cannot be read.
pub fn not_after(certificate: &[u8]) -> Option<SystemTime> {
    let (certificate, _) = expect(certificate, SEQUENCE)?;
    let (body, _) = expect(certificate, SEQUENCE)?;
    let mut rest = body;
    if rest.first() == Some(&VERSION) {
        (_, _, rest) = element(rest)?;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        (_, _, rest) = element(rest)?;
    }
    let (validity, _) = expect(rest, SEQUENCE)?;
    let (_, _, end) = element(validity)?;
    let (kind, end, _) = element(end)?;
    let seconds = seconds(kind, std::str::from_utf8(end).ok()?)?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

fn expect(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(bytes)?;
    (tag == wanted).then_some((content, rest))
}

/// One element of DER: its tag, its content, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, bytes) = bytes.split_first()?;
    let (first, mut bytes) = bytes.split_first()?;
    let mut length = usize::from(*first);
    if length >= 0x80 {
        let digits;
        (digits, bytes) = bytes.split_at_checked(length & 0x7f)?;
        if digits.is_empty() || digits.len() > 4 {
            return None;
        }
        length = digits
            .iter()
            .fold(0, |sum, digit| sum << 8 | usize::from(*digit));
    }
    let (content, rest) = bytes.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// Seconds since 1970 of `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn seconds(kind: u8, text: &str) -> Option<u64> {
    let text = text.strip_suffix('Z')?;
    if !text.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match kind {
        UTC_TIME if text.len() == 12 => {
            let year: u64 = text[..2].parse().ok()?;
            (
                if year < 50 { 2000 + year } else { 1900 + year },
                &text[2..],
            )
        }
        GENERALIZED_TIME if text.len() == 14 => (text[..4].parse().ok()?, &text[4..]),
        _ => return None,
    };
    let part = |at: usize| rest[at..at + 2].parse::<u64>().ok();
    let (month, day) = (part(0)?, part(2)?);
    let (hour, minute, second) = (part(4)?, part(6)?, part(8)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some((days(year, month, day) * 24 + hour) * 3600 + minute * 60 + second)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; years begin in March, so that the
/// leap day is their last.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap = year / 4 - year / 100 + year / 400;
    // From 0000-03-01 to 1970-01-01 it is 719,468 days.
    year * 365 + leap + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn until(year: i32, month: u8, day: u8) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, month, day);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_is_read_in_both_forms() {
        for (year, month, day, seconds) in [
            (2024, 2, 29, 1_709_164_800),
            (2049, 12, 31, 2_524_521_600),
            (2100, 3, 1, 4_107_542_400),
        ] {
            let want = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(not_after(&until(year, month, day)), Some(want));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(at in 0..200_usize, byte: u8, cut in 0..400_usize) {
            let mut bytes = until(2030, 1, 1);
            bytes[at] = byte;
            bytes.truncate(cut);
            not_after(&bytes);
        }
    }
}
