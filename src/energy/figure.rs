//! The figure of one call (`docs/energy.md`).

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::ledger::Finish;
use super::reading::Tier;

/// What a call cost. `None`, never 0, where nothing resolves.
#[derive(Clone, Debug, Serialize)]
pub struct CallEnergy {
    pub call: u64,
    /// Energy above idle, in µJ.
    pub dyn_uj: Option<u64>,
    /// The part of it that the upstream spent after the call was cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zombie_uj: Option<u64>,
    /// A share of the idle energy, where the policy gives calls one. Not within `dyn_uj`.
    pub idle_uj: Option<u64>,
    /// The range that holds the truth, as far as the meters can tell.
    pub lo_uj: Option<u64>,
    pub hi_uj: Option<u64>,
    /// The weakest of the meters that counted.
    pub tier: Option<Tier>,
    /// How the energy of a window was divided over calls.
    pub rule: &'static str,
    /// Windows that the call was in flight in, over all meters.
    pub windows: u32,
    /// Time in flight without a trustworthy reading, of the meter that lacked most.
    pub gap_ms: u64,
    /// `METER/DEVICE` of those that counted.
    pub meters: Vec<Arc<str>>,
    /// Calls at work on the same program at a time, on average over this call's work.
    pub concurrency: Option<f64>,
    pub flags: Flags,
    /// How the call ended, for those who count by outcome.
    #[serde(skip)]
    pub finish: Finish,
}

/// What is to be known before a figure is compared with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// Part of its time has no trustworthy reading.
    Gap,
    /// It shares the machine with programs that are not known: its figure holds their work too.
    HostShared,
    /// No idle window was seen yet: the figure holds idle energy.
    IdleUnknown,
    /// Shorter than a window: compare totals of many such calls, not single ones.
    SubWindow,
    /// The upstream worked on after the call was cut.
    Zombie,
    /// Whether it worked on cannot be told from the calls that came after.
    ZombieUnknown,
}

impl Flag {
    pub const ALL: [Self; 6] = [
        Self::Gap,
        Self::HostShared,
        Self::IdleUnknown,
        Self::SubWindow,
        Self::Zombie,
        Self::ZombieUnknown,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::HostShared => "host_shared",
            Self::IdleUnknown => "idle_unknown",
            Self::SubWindow => "sub_window",
            Self::Zombie => "zombie",
            Self::ZombieUnknown => "zombie_unknown",
        }
    }
}

/// A set of flags; written as a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    pub fn add(&mut self, flag: Flag) {
        self.0 |= 1 << flag as u8;
    }

    pub fn contains(self, flag: Flag) -> bool {
        self.0 & (1 << flag as u8) != 0
    }

    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL.into_iter().filter(move |it| self.contains(*it))
    }
}

impl Serialize for Flags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}
