//! A token bucket over bytes.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use crate::effect::Planned;

/// Bytes that may pass now, filled at a steady rate up to its burst.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) step: usize,
    pub(super) planned: Rc<Planned>,
    per_second: u64,
    burst: u64,
    /// Bytes in the bucket at `at`, in billionths, so that no rate is rounded away.
    nanobytes: u128,
    at: Option<Instant>,
}

const NANO: u128 = 1_000_000_000;

impl Bucket {
    pub(super) fn new(step: usize, planned: Rc<Planned>, per_second: u64, burst: u64) -> Self {
        let (per_second, burst) = (per_second.max(1), burst.max(1));
        Self {
            step,
            planned,
            per_second,
            burst,
            nanobytes: u128::from(burst) * NANO,
            at: None,
        }
    }

    fn refill(&mut self, now: Instant) {
        let since = self
            .at
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let gained = since.as_nanos().saturating_mul(u128::from(self.per_second));
        self.nanobytes = self
            .nanobytes
            .saturating_add(gained)
            .min(u128::from(self.burst) * NANO);
        self.at = Some(now);
    }

    /// How many of `wanted` bytes may go now, and else when some may. A write is never smaller than
    /// a hundredth of a second of the rate (or what is wanted, or the burst), to spare system calls.
    pub(super) fn allow(&mut self, wanted: usize, now: Instant) -> Result<usize, Instant> {
        self.refill(now);
        let least = (self.per_second / 100)
            .clamp(1, 64 * 1024)
            .min(self.burst)
            .min(wanted as u64)
            .max(1);
        let have = u64::try_from(self.nanobytes / NANO).unwrap_or(u64::MAX);
        if have >= least {
            return Ok(usize::try_from(have).unwrap_or(usize::MAX).min(wanted));
        }
        let missing = u128::from(least) * NANO - self.nanobytes;
        let nanos = missing.div_ceil(u128::from(self.per_second));
        Err(now + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    pub(super) fn spend(&mut self, bytes: usize) {
        self.nanobytes = self.nanobytes.saturating_sub(bytes as u128 * NANO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::{Effect, Rate, RuleToken};

    fn bucket(per_second: u64, burst: u64) -> Bucket {
        let rate = Rate::Bytes { per_second, burst };
        let planned = Planned {
            token: RuleToken {
                rule: "r".into(),
                index: 0,
                epoch: 0,
            },
            fault: "throttle",
            fault_index: 0,
            effect: Effect::Pace {
                side: crate::call::Side::Response,
                rate,
            },
        };
        Bucket::new(0, Rc::new(planned), per_second, burst)
    }

    /// Sends `total` bytes through and returns how long that takes.
    fn time_to_send(mut bucket: Bucket, total: usize) -> Duration {
        let start = Instant::now();
        let (mut now, mut left) = (start, total);
        while left > 0 {
            match bucket.allow(left, now) {
                Ok(count) => {
                    bucket.spend(count);
                    left -= count;
                }
                Err(later) => {
                    assert!(later > now);
                    now = later;
                }
            }
        }
        now - start
    }

    #[test]
    fn a_rate_holds_to_the_nanosecond() {
        for (per_second, burst, total) in [
            (10u32, 5u32, 25u32),
            (1000, 100, 1100),
            (1, 1, 4),
            (3, 1, 10),
            (1 << 20, 4096, 1 << 22),
        ] {
            let want = f64::from(total - burst) / f64::from(per_second);
            let bucket = bucket(per_second.into(), burst.into());
            let took = time_to_send(bucket, total as usize).as_secs_f64();
            assert!(
                took >= want - 1e-9 && took <= want + 0.011,
                "{per_second}: {took} for {want}"
            );
        }
    }
}
