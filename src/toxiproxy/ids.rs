//! Names of requests, in the form of `X-Toxiproxy-Request-Id`: 20 letters and digits that sort by
//! time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

#[derive(Debug)]
pub(super) struct RequestIds {
    machine: [u8; 3],
    process: [u8; 2],
    next: AtomicU32,
}

impl RequestIds {
    pub(super) fn new() -> Self {
        let mut random = [0; 6];
        // Without randomness they are only easier to guess, which matters to nobody.
        crate::error::ignore(getrandom::fill(&mut random));
        let [a, b, c, start @ ..] = random;
        let [.., high, low] = std::process::id().to_be_bytes();
        Self {
            machine: [a, b, c],
            process: [high, low],
            next: AtomicU32::new(u32::from_be_bytes([0, start[0], start[1], start[2]])),
        }
    }

    pub(super) fn next(&self) -> String {
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |it| it.as_secs());
        let [.., t0, t1, t2, t3] = seconds.to_be_bytes();
        let [m0, m1, m2] = self.machine;
        let [p0, p1] = self.process;
        let [_, n0, n1, n2] = self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        encode([t0, t1, t2, t3, m0, m1, m2, p0, p1, n0, n1, n2])
    }
}

/// Base 32 with the digits of RFC 4648 §7, in lower case; the last digit has one bit alone.
fn encode(bytes: [u8; 12]) -> String {
    let whole = bytes
        .iter()
        .fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
    let digit = |place: u32| {
        let value = ((whole << 4) >> (place * 5)) & 31;
        // Five bits are always the index of a digit.
        usize::try_from(value).map_or('0', |index| char::from(DIGITS[index]))
    };
    (0..20).rev().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_known_form_and_differ() {
        // An example of the form's own documentation.
        let bytes = [
            0x4d, 0x88, 0xe1, 0x5b, 0x60, 0xf4, 0x86, 0xe4, 0x28, 0x41, 0x2d, 0xc9,
        ];
        assert_eq!(encode(bytes), "9m4e2mr0ui3e8a215n4g");
        let ids = RequestIds::new();
        let (first, second) = (ids.next(), ids.next());
        assert_ne!(first, second);
        assert_eq!(first.len(), 20);
    }
}
