//! `[energy]`: where joules come from.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::energy::MeterSpec;
use crate::units::Span;

/// Where joules come from.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EnergyConfig {
    /// `hormesis meters` lists the kinds and what this machine has of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub meters: Vec<MeterSpec>,
    /// How often the meters are read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Span>,
    /// In place of `/sys`: a container's mount of the host's, or a test's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sysfs_root: Option<PathBuf>,
    /// In place of `/proc`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub procfs_root: Option<PathBuf>,
}
