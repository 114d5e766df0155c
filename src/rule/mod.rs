//! Which calls are hurt, when, and how much at most. `select` and `decide` are pure functions of
//! call, moment, rules and seed; what changes while running lives in each rule's [`RuleCell`].

mod cell;
mod decide;
mod set;

pub use cell::{Counters, Denied, RuleCell};
pub use decide::{Admissions, Decision, Selected, Verdict, VerdictKind, decide};
pub use set::{Candidates, ListenerRules, RuleSet};
