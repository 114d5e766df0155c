//! Open-loop load: calls arrive on a schedule that does not wait for answers, and every latency
//! counts from the *intended* arrival, so a stalled server cannot hide its stall (Tene,
//! "coordinated omission"; Schroeder et al., "Open versus closed", NSDI 2006).
//!
//! It knows flows (address, path, bodies, rate), not models: any HTTP/1.1 server can be loaded.

mod child;
pub mod child_io;
mod client;
mod event_stream;
mod options;
mod outcome;
mod runner;
mod schedule;
mod tally;

pub use self::child::run_child;
pub use self::options::{Arrivals, Flow, LoadOptions, OptionsError, PhaseSpec};
pub use self::outcome::{ErrorCounts, Failure, FailureKind};
pub use self::runner::{LoadError, run};
pub use self::schedule::{Arrival, Schedule};
pub use self::tally::{Line, LoadReport, PhaseFigures, Quantiles, Second, Slice};
