//! What meters say, before anything is split: where joules come from and how far they are to be
//! trusted. Times are nanoseconds since the epoch of the ledger ([`super::ledger::Rings`]).

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a figure came about. Ordered from the best to the weakest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// An energy counter of the hardware.
    Measured,
    /// Power readings, integrated.
    Sampled,
    /// Computed from CPU time by published coefficients.
    Modelled,
    /// A number that somebody wrote into the configuration.
    Assumed,
}

impl Tier {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Sampled => "sampled",
            Self::Modelled => "modelled",
            Self::Assumed => "assumed",
        }
    }
}

/// The part of the machine that a meter covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Domain {
    Cpu,
    Dram,
    /// The whole machine.
    Node,
}

impl Domain {
    /// Whether the joules of one may contain those of the other: such are never added up.
    pub fn overlaps(self, other: Self) -> bool {
        self == other || self == Self::Node || other == Self::Node
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Dram => "dram",
            Self::Node => "node",
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whose work a source's joules can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// hormesis itself, and idle energy of the whole machine.
    Own,
    /// Everything that runs here; divided by CPU time.
    Machine,
    /// One upstream program (its index), and nothing else.
    Program(usize),
}

/// What a counter that does not move means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quiet {
    /// After this many nanoseconds it is not trusted: hardware always draws some power.
    Gap(u64),
    /// After this many nanoseconds it is a true zero.
    Zero(u64),
}

/// One counter of a meter.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// `METER/DEVICE`, as in `rapl/package-0`.
    pub id: String,
    pub domain: Domain,
    pub tier: Tier,
    pub reach: Reach,
    /// Idle power in µW where the meter knows it; else it is estimated.
    pub idle_uw: Option<u64>,
    /// The counter's step.
    pub quantum_uj: u64,
    /// How late the counter may be, in nanoseconds.
    pub lag_ns: u64,
    pub quiet: Quiet,
    /// By how much a model's coefficients may be off.
    pub spread: Spread,
}

/// Factors on the two ends of a range, in thousandths: `low ≤ 1000 ≤ high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    pub low: u64,
    pub high: u64,
}

impl Spread {
    /// A counter that needs no model.
    pub const NONE: Self = Self {
        low: 1000,
        high: 1000,
    };
}

/// One reading of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Energy in µJ since the meter was opened. Never decreases.
    Total(u128),
    /// Counting starts again from this total: what passed since the last reading is unknown.
    Broken(u128),
    /// This counter repeats another one: it is counted there.
    Twin,
}

/// CPU time used so far, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All CPUs of the machine, whoever used them.
    pub busy: Option<u64>,
    /// hormesis itself.
    pub own: Option<u64>,
    /// By index of the program; `None`: not running, or not to be seen.
    pub programs: Vec<Option<Seen>>,
}

/// CPU time of one program and its children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Grows whenever the program was lost and found again: differences across are unknown.
    pub epoch: u32,
    pub cpu_ns: u64,
}

/// The step in which the kernel reports CPU time: `USER_HZ` is 100 on every Linux of interest.
pub const TICK_NS: u64 = 10_000_000;
