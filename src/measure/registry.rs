//! What can be measured: one line a measure. The parser, the evaluation, the reference on the pages
//! and the tests that loop over all are made from this list.

use std::fmt;

use crate::call::Outcome;
use crate::error::Origin;
use crate::histogram::Histogram;
use crate::measure::expression::Statistic;
use crate::measure::seen::Seen;
use crate::measure::{Counting, Unit};
use crate::record::Tally;

/// One measure.
pub struct Measure {
    pub name: &'static str,
    pub unit: Unit,
    /// What it tells, for the reference.
    pub doc: &'static str,
    /// Only listeners that observe tokens have it.
    pub needs_tokens: bool,
    pub(super) reads: Reads,
}

/// How a measure is read from what was counted.
pub(super) enum Reads {
    /// How many, by the length of the window.
    Rate(fn(&Seen) -> u64),
    /// How many of how many.
    Share(fn(&Seen, Counting) -> (u64, u64)),
    /// Of a distribution of times, that a statistic is taken of.
    Times(fn(&Tally) -> &Histogram),
}

/// All measures, by name.
pub static MEASURES: &[Measure] = &[
    Measure {
        name: "abort_rate",
        unit: Unit::Share,
        doc: "The share of calls whose client left before the answer was whole. Calls that a fault acted on are left out.",
        needs_tokens: false,
        reads: Reads::Share(|seen, counting| {
            let calls = seen.unharmed(counting).calls;
            (calls.of_outcome(Outcome::ClientAbort), calls.all())
        }),
    },
    Measure {
        name: "between_tokens",
        unit: Unit::Seconds,
        doc: "Time between two units with content of one answer. Answers that a fault acted on are left out.",
        needs_tokens: true,
        reads: Reads::Times(|tally| &tally.token_gap),
    },
    Measure {
        name: "error_rate",
        unit: Unit::Share,
        doc: "The share of calls that ended in a time-out or an error of the upstream (5xx, 429, a reset, a lie, no connection). Calls that a rule ended are left out of both sides; so are those that a fault acted on and that then ended by a time-out or a connection that broke.",
        needs_tokens: false,
        reads: Reads::Share(errors),
    },
    Measure {
        name: "first_token",
        unit: Unit::Seconds,
        doc: "Time from a request's head to the first unit with content of its answer. Calls that a fault acted on are left out.",
        needs_tokens: true,
        reads: Reads::Times(|tally| &tally.first_token),
    },
    Measure {
        name: "latency",
        unit: Unit::Seconds,
        doc: "Time from a request's head to the end of its call. Calls that a fault acted on are left out.",
        needs_tokens: false,
        reads: Reads::Times(|tally| &tally.duration),
    },
    Measure {
        name: "rate",
        unit: Unit::PerSecond,
        doc: "Calls that began, in a second. All of them: faults do not change how many there are.",
        needs_tokens: false,
        reads: Reads::Rate(|seen| seen.started),
    },
];

/// A rule's own deed must not stop it: what it ended is neither an error nor a call. Nor is what broke
/// under it, since a peer may have lost patience with what it did. Answers that say that they are
/// errors are: a real outage shows also where a fault acts on every call.
fn errors(seen: &Seen, counting: Counting) -> (u64, u64) {
    let calls = &seen.all.calls;
    let real = |outcome| calls.of_outcome(outcome) - calls.of(outcome, Origin::Injected);
    let errors = real(Outcome::Timeout) + real(Outcome::UpstreamError);
    let injected = calls.of_origin(Origin::Injected);
    match counting {
        Counting::All => (errors + injected, calls.all()),
        Counting::NotInjected => (
            errors.saturating_sub(seen.broken),
            calls.all().saturating_sub(injected + seen.broken),
        ),
    }
}

impl Measure {
    /// Whether one number of it must be named, `latency.p99`.
    pub const fn is_distribution(&self) -> bool {
        matches!(self.reads, Reads::Times(_))
    }

    /// As expressions write it: with each statistic, where it has them.
    pub fn full_names(&self) -> Vec<String> {
        if !self.is_distribution() {
            return vec![self.name.to_owned()];
        }
        let statistics = Statistic::names().into_iter();
        statistics.map(|it| format!("{}.{it}", self.name)).collect()
    }
}

impl fmt::Debug for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
