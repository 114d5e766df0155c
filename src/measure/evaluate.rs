//! From an expression and a history to a value, and to whether its condition is true.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::measure::registry::Reads;
use crate::measure::{Expression, History, Quantity, SAMPLE};

/// Of fewer calls nothing is said.
pub const LEAST: u64 = 20;
/// Moments at which a condition that must hold for long is looked at.
const MOMENTS: u32 = 150;

/// Which errors and times count for conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Counting {
    /// All of them, what faults did included.
    All,
    /// What no fault did: so a condition never stops the faults for what they do themselves.
    #[default]
    NotInjected,
}

/// What an expression says at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// `None`: too little was seen to tell.
    pub value: Option<f64>,
    /// So many calls (tokens, for what lies between them) were looked at.
    pub of: u64,
    /// Whether the condition is true; `None` where it cannot be told, or nothing is compared.
    pub holds: Option<bool>,
}

impl Expression {
    /// What it says at the last sample. Nothing before `since` counts.
    pub fn evaluate(&self, history: &History, counting: Counting, since: Duration) -> Evaluation {
        let (began, now) = history.reach();
        let since = since.max(began);
        let (value, of) = self.measure(history, counting, since, now);
        Evaluation {
            value,
            of,
            holds: value.zip(self.test).map(|(value, _)| {
                self.is_true(value) && self.has_held(history, counting, since, now)
            }),
        }
    }

    /// A value of it as it is shown to people.
    pub fn quantity(&self, number: f64) -> Quantity {
        let unit = self.measurement.measure.unit;
        Quantity { number, unit }
    }

    fn is_true(&self, value: f64) -> bool {
        self.test
            .is_some_and(|test| test.comparison.holds(value, test.bound.number))
    }

    /// Whether it was true at each moment of the time for which it must hold.
    fn has_held(
        &self,
        history: &History,
        counting: Counting,
        since: Duration,
        now: Duration,
    ) -> bool {
        let Some(hold) = self.hold else { return true };
        let step = SAMPLE.max(hold / MOMENTS);
        let Some(first) = now.checked_sub(hold).filter(|first| *first >= since) else {
            return false;
        };
        let mut at = now;
        while at > first {
            at = at.saturating_sub(step).max(first);
            let (value, _) = self.measure(history, counting, since, at);
            if !value.is_some_and(|value| self.is_true(value)) {
                return false;
            }
        }
        true
    }

    /// The value at a moment, and of how many.
    fn measure(
        &self,
        history: &History,
        counting: Counting,
        since: Duration,
        to: Duration,
    ) -> (Option<f64>, u64) {
        let listeners = &self.measurement.listeners;
        let wanted =
            |name: &str| listeners.is_empty() || listeners.iter().any(|it| it.name == name);
        let whole = to.checked_sub(self.window).filter(|from| *from >= since);
        let from = whole.unwrap_or(since);
        let seen = history.seen(wanted, from, to);
        match &self.measurement.measure.reads {
            Reads::Rate(count) => {
                let count = count(&seen);
                // Of a window that began before anything was counted, too little would be told.
                let rate = |_| number(count) / self.window.as_secs_f64();
                (whole.map(rate), count)
            }
            Reads::Share(count) => {
                let (part, of) = count(&seen, counting);
                ((of >= LEAST).then(|| number(part) / number(of)), of)
            }
            Reads::Times(histogram) => {
                let tally = seen.unharmed(counting);
                let histogram = histogram(&tally);
                let of = histogram.count();
                let share = self.measurement.statistic.and_then(|it| it.share);
                let value = match share {
                    Some(share) => histogram.quantile(share),
                    None => histogram.mean(),
                };
                (value.filter(|_| of >= LEAST), of)
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of calls")]
fn number(count: u64) -> f64 {
    count as f64
}
