//! What a configuration says of energy.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::meter::MeterSpec;

/// What the engine is built from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EnergySettings {
    /// The chain: for each domain the first usable meter counts. Empty: [`MeterSpec::defaults`].
    pub meters: Vec<MeterSpec>,
    /// How often counters are read; 100 ms where absent.
    pub interval: Option<Duration>,
    /// By index of the upstream.
    pub upstreams: Vec<UpstreamSource>,
    /// Roots in place of `/sys` and `/proc`.
    pub sysfs_root: Option<PathBuf>,
    pub procfs_root: Option<PathBuf>,
    pub idle: IdleSettings,
}

impl EnergySettings {
    pub const INTERVAL: Duration = Duration::from_millis(100);
}

/// How the energy of an idle machine is told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct IdleSettings {
    pub policy: IdlePolicy,
    /// Idle power of each counter; measured where absent.
    pub watts: Option<Watts>,
}

/// Whether calls are told a share of the idle energy. It is never mixed into their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IdlePolicy {
    /// By the weights that divide the rest.
    ProRata,
    /// Idle energy stands by itself; calls have no `idle_uj`.
    #[default]
    Separate,
}

/// Where an upstream's work shows on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamSource {
    pub process: Option<ProcessSource>,
}

/// How the process of a model server is found; its whole tree counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ProcessSource {
    /// A file that holds its process id.
    PidFile(PathBuf),
    /// The TCP port that it listens on.
    Port(u16),
}

/// Electric power: finite, not negative, at most a megawatt.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "f64", into = "f64")]
#[schemars(with = "f64")]
pub struct Watts(f64);

impl Watts {
    const MAX: f64 = 1e6;

    pub fn new(watts: f64) -> Result<Self, String> {
        if (0.0..=Self::MAX).contains(&watts) {
            Ok(Self(watts))
        } else {
            Err(format!(
                "{watts} is no power: give watts from 0 to {}",
                Self::MAX
            ))
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0..=1e12 by construction"
    )]
    pub fn microwatts(self) -> u64 {
        (self.0 * 1e6).round() as u64
    }
}

impl TryFrom<f64> for Watts {
    type Error = String;

    fn try_from(watts: f64) -> Result<Self, String> {
        Self::new(watts)
    }
}

impl From<Watts> for f64 {
    fn from(watts: Watts) -> Self {
        watts.0
    }
}
