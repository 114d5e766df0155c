//! An expression as data.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use crate::error::nearest;
use crate::measure::parse::parse;
use crate::measure::{Measure, Mistake, Quantity};
use crate::units::Span;

/// A measurement, and where it is compared a condition: `error_rate(chat) > 25% for 10s`.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    pub measurement: Measurement,
    pub test: Option<Test>,
    /// How far back the measurement looks.
    pub window: Duration,
    /// How long the condition must have been true without a break; absent: now is enough.
    pub hold: Option<Duration>,
}

/// What is measured, and of which calls.
#[derive(Clone, Debug)]
pub struct Measurement {
    pub measure: &'static Measure,
    /// Present for measures that are distributions.
    pub statistic: Option<Statistic>,
    /// Empty: all.
    pub listeners: Vec<ListenerName>,
}

/// A listener as an expression names it.
#[derive(Clone, Debug, Eq)]
pub struct ListenerName {
    pub name: String,
    /// Where in the expression.
    pub span: Range<usize>,
}

/// One number of a distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Statistic {
    pub name: &'static str,
    /// Absent: the mean.
    pub(super) share: Option<f64>,
}

/// What a measurement is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Test {
    pub comparison: Comparison,
    pub bound: Quantity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    AtLeast,
    AtMost,
    Less,
    More,
}

impl Comparison {
    pub const ALL: [Self; 4] = [Self::AtLeast, Self::AtMost, Self::Less, Self::More];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AtLeast => ">=",
            Self::AtMost => "<=",
            Self::Less => "<",
            Self::More => ">",
        }
    }

    pub(super) fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::AtLeast => value >= bound,
            Self::AtMost => value <= bound,
            Self::Less => value < bound,
            Self::More => value > bound,
        }
    }
}

impl Statistic {
    pub(super) const ALL: [Self; 6] = [
        Self::new("mean", None),
        Self::new("p50", Some(0.50)),
        Self::new("p75", Some(0.75)),
        Self::new("p90", Some(0.90)),
        Self::new("p95", Some(0.95)),
        Self::new("p99", Some(0.99)),
    ];

    const fn new(name: &'static str, share: Option<f64>) -> Self {
        Self { name, share }
    }

    pub(super) fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name == name)
    }

    pub(super) fn names() -> [&'static str; Self::ALL.len()] {
        Self::ALL.map(|it| it.name)
    }
}

impl Expression {
    /// What is wrong with the listeners that it names, where these are all there are.
    pub fn check_listeners(&self, known: &[&str]) -> Vec<Mistake> {
        let listeners = self.measurement.listeners.iter();
        let unknown = listeners.filter(|it| !known.contains(&it.name.as_str()));
        unknown
            .map(|it| {
                let help = match nearest(&it.name, known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if known.is_empty() => "there are none".to_owned(),
                    None => format!("there are {}", listed(known)),
                };
                Mistake::new(
                    it.span.clone(),
                    format!("there is no listener `{}`", it.name),
                    help,
                )
            })
            .collect()
    }
}

/// Names for a message.
pub(super) fn listed(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|it| format!("`{it}`")).collect();
    quoted.join(", ")
}

impl FromStr for Expression {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        parse(text)
    }
}

impl fmt::Display for Expression {
    /// In one form, whichever way it was written: it is parsed as the same again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.measurement)?;
        let Some(test) = &self.test else {
            return write!(f, " over {}", span(self.window));
        };
        if self.hold.is_some() {
            write!(f, " over {}", span(self.window))?;
        }
        let sign = test.comparison.as_str();
        let last = self.hold.unwrap_or(self.window);
        write!(f, " {sign} {} for {}", test.bound, span(last))
    }
}

/// A length of time in one word.
pub(super) fn span(time: Duration) -> String {
    Span::from(time).to_string().replace(' ', "")
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.measure.name)?;
        if let Some(statistic) = self.statistic {
            write!(f, ".{}", statistic.name)?;
        }
        let names: Vec<_> = self.listeners.iter().map(|it| it.name.as_str()).collect();
        if names.is_empty() {
            return Ok(());
        }
        write!(f, "({})", names.join(", "))
    }
}

/// Where a listener was named does not matter.
impl PartialEq for ListenerName {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl PartialEq for Measurement {
    fn eq(&self, other: &Self) -> bool {
        self.measure.name == other.measure.name
            && self.statistic == other.statistic
            && self.listeners == other.listeners
    }
}
