//! When a certificate expires: the one field that the TLS library does not tell.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::tls::der::{SEQUENCE, after_issuer, element, expect};

const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The end of a certificate's validity (RFC 5280 §4.1.2.5). `None` where it cannot be read.
pub fn not_after(certificate: &[u8]) -> Option<SystemTime> {
    let (validity, _) = expect(after_issuer(certificate)?, SEQUENCE)?;
    let (_, _, end) = element(validity)?;
    let (kind, end, _) = element(end)?;
    let seconds = seconds(kind, std::str::from_utf8(end).ok()?)?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
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
