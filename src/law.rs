//! Laws of chance for lengths of time. Data: a law can be printed, logged and drawn from again.

use std::time::Duration;

use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::draw::Draws;
use crate::units::micros;

/// How long a wait lasts. Parameters are valid by construction: whoever builds a law from text
/// (a fault's configuration) checks them there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Law {
    /// Another law, never longer than `max`.
    Capped {
        #[serde(rename = "max_us", with = "micros")]
        max: Duration,
        law: Box<Law>,
    },
    Exponential {
        #[serde(rename = "mean_us", with = "micros")]
        mean: Duration,
    },
    #[serde(rename = "fixed_us", with = "micros")]
    Fixed(Duration),
    /// `ln X ~ N(ln median, sigma²)`.
    Lognormal {
        #[serde(rename = "median_us", with = "micros")]
        median: Duration,
        sigma: f64,
    },
    /// Cut at zero.
    Normal {
        #[serde(rename = "mean_us", with = "micros")]
        mean: Duration,
        #[serde(rename = "sd_us", with = "micros")]
        sd: Duration,
    },
    Uniform {
        #[serde(rename = "min_us", with = "micros")]
        min: Duration,
        #[serde(rename = "max_us", with = "micros")]
        max: Duration,
    },
}

/// The z-value of the 99th percentile of the standard normal.
const Z99: f64 = 2.326_347_874_040_841;

impl Law {
    /// A lognormal through its median and its 99th percentile (`p99 >= median > 0`).
    pub fn lognormal(median: Duration, p99: Duration) -> Self {
        let sigma = (p99.as_secs_f64() / median.as_secs_f64()).ln() / Z99;
        Self::Lognormal { median, sigma }
    }

    /// One time. Never negative; capped at a day, so that sums never overflow.
    pub fn sample(&self, draws: &mut Draws) -> Duration {
        let seconds = match self {
            Self::Capped { max, law } => return law.sample(draws).min(*max),
            Self::Fixed(time) => return *time,
            Self::Uniform { min, max } => {
                let spread = max.saturating_sub(*min).as_secs_f64();
                return *min + seconds_to_duration(spread * draws.uniform());
            }
            // 1 - u is never 0, so the logarithm is finite.
            Self::Exponential { mean } => -(1.0 - draws.uniform()).ln() * mean.as_secs_f64(),
            Self::Lognormal { median, sigma } => {
                let z: f64 = StandardNormal.sample(draws.rng());
                median.as_secs_f64() * (z * sigma).exp()
            }
            Self::Normal { mean, sd } => {
                let z: f64 = StandardNormal.sample(draws.rng());
                mean.as_secs_f64() + z * sd.as_secs_f64()
            }
        };
        seconds_to_duration(seconds)
    }
}

fn seconds_to_duration(seconds: f64) -> Duration {
    const DAY: f64 = 86_400.0;
    Duration::try_from_secs_f64(seconds.clamp(0.0, DAY)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantiles(law: &Law) -> (f64, f64, f64) {
        let mut draws = Draws::from_sub_seed(11);
        let mut times: Vec<f64> = (0..40_000)
            .map(|_| law.sample(&mut draws).as_secs_f64())
            .collect();
        times.sort_by(f64::total_cmp);
        let mean = times.iter().sum::<f64>() / 40_000.0;
        (times[20_000], times[39_600], mean)
    }

    #[test]
    fn lognormal_meets_its_median_and_p99() {
        let law = Law::lognormal(Duration::from_millis(400), Duration::from_secs(3));
        let (median, p99, _) = quantiles(&law);
        assert!((median - 0.4).abs() < 0.01, "{median}");
        assert!((p99 - 3.0).abs() < 0.2, "{p99}");
    }

    #[test]
    fn exponential_uniform_and_normal_meet_their_means() {
        let ms = Duration::from_millis;
        for (law, want) in [
            (Law::Exponential { mean: ms(50) }, 0.05),
            (
                Law::Uniform {
                    min: ms(10),
                    max: ms(30),
                },
                0.02,
            ),
            (
                Law::Normal {
                    mean: ms(100),
                    sd: ms(10),
                },
                0.1,
            ),
            (Law::Fixed(ms(7)), 0.007),
        ] {
            let (_, _, mean) = quantiles(&law);
            assert!((mean - want).abs() < want * 0.02, "{law:?}: {mean}");
        }
    }

    #[test]
    fn a_capped_law_keeps_its_body_and_loses_its_tail() {
        let law = Law::Lognormal {
            median: Duration::from_millis(100),
            sigma: 1.0,
        };
        let capped = Law::Capped {
            max: Duration::from_millis(300),
            law: Box::new(law.clone()),
        };
        let (mut plain, mut cut) = (Draws::from_sub_seed(9), Draws::from_sub_seed(9));
        let max = Duration::from_millis(300);
        assert!((0..1000).all(|_| capped.sample(&mut cut) == law.sample(&mut plain).min(max)));
    }

    #[test]
    fn a_wild_law_stays_within_a_day() {
        let law = Law::Lognormal {
            median: Duration::from_secs(3600),
            sigma: 50.0,
        };
        let mut draws = Draws::from_sub_seed(5);
        assert!((0..1000).all(|_| law.sample(&mut draws) <= Duration::from_secs(86_400)));
    }
}
