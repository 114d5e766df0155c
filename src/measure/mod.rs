//! What can be measured of the calls, and the one small language that asks for it: conditions that
//! stop all faults, probes, and later what experiments expect.
//!
//! A measure is a line of the registry. Windows are told from the counters alone: what all workers
//! counted is read ten times a second and kept as differences, so that a call pays nothing for it.

mod evaluate;
mod expression;
pub mod fuzz;
mod history;
mod mistake;
mod parse;
mod quantity;
#[cfg(test)]
mod reference;
mod registry;
mod seen;
#[cfg(test)]
mod tests;

pub use evaluate::{Counting, Evaluation, LEAST};
pub use expression::{Comparison, Expression, ListenerName, Measurement, Statistic, Test};
pub use history::{History, LONGEST, SAMPLE};
pub use mistake::Mistake;
pub use quantity::{Quantity, Unit};
pub use registry::{MEASURES, Measure};
pub use seen::{Population, Seen};
