//! Values as expressions write them, each in the unit of its measure.

use std::fmt;
use std::str::FromStr;

use crate::units::{Probability, Span};

/// What the value of a measure is a number of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Calls or others in a second, at least 0.
    PerSecond,
    Seconds,
    /// Of a whole, 0 to 1.
    Share,
}

/// A value of some unit, as a plain number of it: a share as a fraction, a time in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantity {
    pub number: f64,
    pub unit: Unit,
}

impl Unit {
    pub const ALL: [Self; 3] = [Self::PerSecond, Self::Seconds, Self::Share];

    /// As machines are told.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PerSecond => "per_second",
            Self::Seconds => "seconds",
            Self::Share => "share",
        }
    }

    /// What a value of it is, in words.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::PerSecond => "a number a second",
            Self::Seconds => "a time",
            Self::Share => "a share",
        }
    }

    /// Values as they can be written.
    pub const fn examples(self) -> [&'static str; 2] {
        match self {
            Self::PerSecond => ["50/s", "300/min"],
            Self::Seconds => ["300ms", "1.5s"],
            Self::Share => ["25%", "0.25"],
        }
    }

    pub(super) fn parse(self, text: &str) -> Option<Quantity> {
        let number = match self {
            Self::PerSecond => per_second(text)?,
            Self::Seconds => Span::from_str(text).ok()?.get().as_secs_f64(),
            Self::Share => Probability::from_str(text).ok()?.fraction(),
        };
        Some(Quantity { number, unit: self })
    }
}

fn per_second(text: &str) -> Option<f64> {
    let (number, unit) = text.split_once('/')?;
    let seconds = match unit {
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number / seconds)
}

impl fmt::Display for Quantity {
    /// Short, for people; exact enough to be read again as the same decision.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit {
            Unit::PerSecond => write!(f, "{}/s", digits(self.number)),
            Unit::Seconds if self.number < 1.0 => write!(f, "{}ms", digits(self.number * 1e3)),
            Unit::Seconds => write!(f, "{}s", digits(self.number)),
            Unit::Share => write!(f, "{}%", digits(self.number * 1e2)),
        }
    }
}

/// Six places behind the point at most, and no zeros at the end.
fn digits(number: f64) -> String {
    let text = format!("{number:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_in_their_units() {
        let read = |unit: Unit, text| unit.parse(text).map(|it: Quantity| it.number);
        assert_eq!(read(Unit::Share, "25%"), Some(0.25));
        assert_eq!(read(Unit::Share, "0.25"), Some(0.25));
        assert_eq!(read(Unit::Seconds, "300ms"), Some(0.3));
        assert_eq!(read(Unit::PerSecond, "120/min"), Some(2.0));
        for (unit, bad) in [
            (Unit::Share, "25"),
            (Unit::Share, "300ms"),
            (Unit::Seconds, "300"),
            (Unit::PerSecond, "50"),
            (Unit::PerSecond, "-1/s"),
            (Unit::PerSecond, "inf/s"),
            (Unit::PerSecond, "NaN/s"),
            (Unit::PerSecond, "1/day"),
        ] {
            assert_eq!(read(unit, bad), None, "{bad}");
        }
    }

    #[test]
    fn every_example_is_read_and_shown_as_the_same() {
        for unit in Unit::ALL {
            for example in unit.examples() {
                let value = unit.parse(example).unwrap();
                let shown = value.to_string();
                assert_eq!(unit.parse(&shown), Some(value), "{example} {shown}");
            }
        }
    }
}
