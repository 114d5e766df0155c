//! Everything with memory: state machines with explicit time. A model knows no clock, socket or
//! protocol; the driver asks it and writes the answer into the record, so that replay can feed
//! recorded answers and never run a model again.

mod limits;
mod share;

use std::fmt::Debug;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::draw::Draws;
use crate::units::micros;

pub use limits::{Limiter, Limits};

/// What a model answers to a call that asks to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Admission {
    Go,
    Refuse,
    #[serde(rename = "wait_us", with = "micros")]
    Wait(Duration),
}

/// What a model is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The rule was disarmed: nothing is held any longer.
    Disarmed,
    /// A call that was admitted has ended.
    End,
    /// The rule selected a call, whether or not it hits: what shares are counted of.
    Selected,
    /// A unit of its answer passed.
    Unit,
    /// Its answer reported usage.
    Usage {
        prompt_tokens: u64,
        output_tokens: u64,
    },
}

/// A state machine shared by all workers. `at` is time since the process started.
pub trait Model: Debug + Send + Sync {
    fn admit(&self, at: Duration, draws: &mut Draws) -> Admission;
    fn observe(&self, at: Duration, event: Event);
}
