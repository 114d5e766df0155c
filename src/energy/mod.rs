//! The energy of calls, seen from outside the model server: meters, windows, the split of each
//! window among calls. It knows when work was under way upstream, never what calls carry.
//!
//! ```text
//! workers ─ ActivitySender ═ ring ═▶ Sampler ─▶ Attribution ─▶ CallEnergy, Totals
//!                        meters, /proc ─▶ Windows ─┘
//! ```
//!
//! For each source `calls + self + others + unattributed + idle + gap = meter`, exact in µJ.

pub mod attribution;
mod chain;
mod engine;
mod figure;
pub mod idle;
pub mod ledger;
pub mod meter;
pub mod process;
pub mod reading;
mod sampler;
mod settings;
pub mod split;
mod told;
mod totals;
pub mod window;

pub use self::chain::{MeterState, MeterStatus, SourceStatus};
pub use self::engine::{Engine, EngineHandle, Sink};
pub use self::figure::{CallEnergy, Flag, Flags};
pub use self::ledger::{ActivitySender, Finish, Rings};
pub use self::meter::{METERS, MeterInfo, MeterSpec, Unavailable};
pub use self::reading::{Domain, Tier};
pub use self::sampler::{EnergyStatus, Sampler};
pub use self::settings::{
    EnergySettings, IdlePolicy, IdleSettings, ProcessSource, UpstreamSource, Watts,
};
pub use self::totals::{Class, ClassTotal, EnergyOutcome, OutcomeSum, SourceTotals, Totals};
