//! Asking the limits of the rules that hit, and giving back what they granted.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::model::{Admission, Event, Limiter, Model};
use crate::rule::{Decision, Denied, RuleSet, VerdictKind};

/// The places that one call holds in its rules' limits; given back when dropped, on every path that
/// ends the call.
#[derive(Debug, Default)]
#[must_use = "what is not held is given back at once"]
pub struct Admissions {
    held: SmallVec<[Arc<Limiter>; 2]>,
    at: Duration,
}

impl Admissions {
    /// Tells the limits of every selecting rule of the call, and asks those of every rule that hit,
    /// at `at` since the process started. A refused rule's verdict becomes `Denied(Limit)` and its
    /// effects leave the plan. Returns the answers in the order of the verdicts, for the record.
    ///
    /// To be called for every call that a rule selects, also where none hit: shares are counted of
    /// selected calls.
    pub fn ask(
        rules: &Arc<RuleSet>,
        decision: &mut Decision,
        at: Duration,
    ) -> (Self, Vec<Admission>) {
        let mut admissions = Self {
            held: SmallVec::new(),
            at,
        };
        let mut answers = Vec::new();
        let mut refused: SmallVec<[u32; 2]> = SmallVec::new();
        for verdict in &decision.verdicts {
            let index = verdict.token.index;
            let limiter = rules
                .cells()
                .get(index as usize)
                .and_then(|it| it.limiter());
            let Some(limiter) = limiter else {
                continue;
            };
            limiter.observe(at, Event::Selected);
            if verdict.kind != VerdictKind::Hit {
                continue;
            }
            let answer = limiter.enter(at);
            answers.push(answer);
            match answer {
                Admission::Go | Admission::Wait(_) => admissions.held.push(Arc::clone(limiter)),
                Admission::Refuse => refused.push(index),
            }
        }
        for rule in refused {
            decision.deny(rule, Denied::Limit);
        }
        (admissions, answers)
    }
}

impl Drop for Admissions {
    fn drop(&mut self) {
        for limiter in &self.held {
            // A place is freed whenever that is; the time of its admission is as good as another.
            limiter.observe(self.at, Event::End);
        }
    }
}
