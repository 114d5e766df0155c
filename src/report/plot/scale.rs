//! From values to pixels, and where the ticks stand.

/// How an axis runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    Linear {
        low: f64,
        high: f64,
    },
    /// Both ends above 0.
    Log {
        low: f64,
        high: f64,
    },
}

impl Scale {
    /// From 0 to a round number at or above `highest`.
    pub(super) fn linear(highest: f64) -> Self {
        let highest = if highest > 0.0 { highest } else { 1.0 };
        let step = step(highest);
        Self::Linear {
            low: 0.0,
            high: (highest / step).ceil() * step,
        }
    }

    /// Over the positive values, to the 1, 2 or 5 of a decade below and above them.
    pub(super) fn log(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values
            .filter(|value| *value > 0.0)
            .fold((f64::INFINITY, 0.0f64), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        if low.is_infinite() {
            return Self::Log {
                low: 1.0,
                high: 10.0,
            };
        }
        let (low, high) = (round_down(low), round_up(high));
        let high = if high > low { high } else { low * 10.0 };
        Self::Log { low, high }
    }

    /// Where a value lies, 0 to 1; values beyond an end lie on it.
    pub(super) fn place(self, value: f64) -> f64 {
        let place = match self {
            Self::Linear { low, high } => (value - low) / (high - low),
            Self::Log { low, high } => {
                (value.max(low).log10() - low.log10()) / (high.log10() - low.log10())
            }
        };
        place.clamp(0.0, 1.0)
    }

    pub(super) fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear { low, high } => {
                let step = step(high - low);
                let mut ticks = Vec::new();
                let mut count = 0.0;
                // Counted, not summed up: 0.1 + 0.1 + 0.1 is not 0.3.
                while low + count * step <= high + step * 1e-6 {
                    ticks.push(low + count * step);
                    count += 1.0;
                }
                ticks
            }
            Self::Log { low, high } => {
                let decades = (high / low).log10();
                let first = low.log10().floor();
                let per_decade: &[f64] = if decades > 4.0 {
                    &[1.0]
                } else if decades > 2.0 {
                    &[1.0, 3.0]
                } else {
                    &[1.0, 2.0, 5.0]
                };
                let mut ticks = Vec::new();
                let mut decade = first;
                while 10f64.powf(decade) <= high * 1.001 {
                    let tens = 10f64.powf(decade);
                    ticks.extend(per_decade.iter().map(|digit| digit * tens));
                    decade += 1.0;
                }
                ticks.retain(|tick| (low * 0.999..=high * 1.001).contains(tick));
                ticks
            }
        }
    }
}

/// A step of 1, 2 or 5 times a power of ten that gives three to eight ticks.
fn step(span: f64) -> f64 {
    let rough = span / 6.0;
    let tens = 10f64.powf(rough.log10().floor());
    let digit = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|digit| digit * tens >= rough * 0.999);
    digit.unwrap_or(10.0) * tens
}

fn round_down(value: f64) -> f64 {
    let tens = 10f64.powf(value.log10().floor());
    let digit = [5.0, 2.0, 1.0]
        .into_iter()
        .find(|digit| digit * tens <= value * 1.001);
    digit.unwrap_or(1.0) * tens
}

fn round_up(value: f64) -> f64 {
    let tens = 10f64.powf(value.log10().floor());
    let digit = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|digit| digit * tens >= value * 0.999);
    digit.unwrap_or(10.0) * tens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_ticks_are_round_and_end_above_the_highest() {
        let scale = Scale::linear(26.0);
        assert_eq!(scale.ticks(), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]);
        assert!((scale.place(15.0) - 0.5).abs() < 1e-9);
        assert_eq!(Scale::linear(0.0).ticks().first(), Some(&0.0));
    }

    #[test]
    fn log_covers_its_values() {
        let scale = Scale::log([0.0, 3.0, 700.0].into_iter());
        assert_eq!(
            scale,
            Scale::Log {
                low: 2.0,
                high: 1000.0
            }
        );
        assert!(scale.place(1.0).abs() < 1e-9);
        assert!((scale.place(1e9) - 1.0).abs() < 1e-9);
        assert_eq!(scale.ticks(), [3.0, 10.0, 30.0, 100.0, 300.0, 1000.0]);
    }

    #[test]
    fn a_single_value_still_has_an_axis() {
        let scale = Scale::log([10.0].into_iter());
        assert!(scale.ticks().len() >= 2, "{scale:?}");
        assert!(Scale::log(std::iter::empty()).ticks().len() >= 2);
    }
}
