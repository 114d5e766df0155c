//! `[energy]`: where joules come from.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::energy::{IdlePolicy, IdleSettings, MeterSpec, Watts};
use crate::units::Span;

/// Where joules come from.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EnergyConfig {
    /// Tried in order: for each part of the machine the first that works counts. `hormesis meters`
    /// lists the kinds and what this machine has of them. Absent: `rapl`, then `cpu-model`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub meters: Vec<MeterSpec>,
    /// Whether calls are told a share of the energy of an idle machine. It is never mixed into
    /// their own.
    pub idle: IdlePolicy,
    /// The power of the idle machine, where it is known; measured where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_watts: Option<Watts>,
    /// How often the meters are read; 100 ms where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Span>,
    /// In place of `/sys`: a container's mount of the host's, or a test's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sysfs_root: Option<PathBuf>,
    /// In place of `/proc`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub procfs_root: Option<PathBuf>,
}

impl EnergyConfig {
    pub(super) fn idle_settings(&self) -> IdleSettings {
        IdleSettings {
            policy: self.idle,
            watts: self.idle_watts,
        }
    }
}
