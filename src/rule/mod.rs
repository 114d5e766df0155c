//! Which calls are hurt, when, and how much at most. `select` and `decide` are pure functions of
//! call, moment, rules and seed; what changes while running lives in each rule's [`RuleCell`].

mod admit;
mod caller;
mod cell;
mod cidr;
mod compose;
mod decide;
mod index;
mod list;
mod listener;
mod matcher;
mod path_glob;
mod schedule;
mod select;
mod set;
mod spec;
#[cfg(test)]
mod tests;
mod trigger;

pub use admit::Admissions;
pub use caller::{Caller, FAULT_HEADER, SECRET_HEADER, asks_for_faults};
pub(crate) use cell::micros;
pub use cell::{Counters, Denied, RuleCell, TreatedTotals};
pub use cidr::Cidr;
pub use compose::{Course, Step, WaitBudget};
pub use decide::{Decision, Selected, Verdict, VerdictKind, decide};
pub use list::OneOrMany;
pub use listener::{Candidates, ListenerRules};
pub use matcher::{HostMatcher, Matcher, PathMatcher, Pattern, Range, Subject, TextMatcher};
pub use path_glob::{PathGlob, is_never};
pub use schedule::Schedule;
pub use select::Select;
pub(crate) use select::parameters;
pub use set::{RuleSet, Setting};
pub use spec::{FaultSpec, RuleSource, RuleSpec};
pub use trigger::{Nth, Pull, Trigger};
