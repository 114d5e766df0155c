//! The energy of calls, seen from outside the model server: meters, windows, the split of each
//! window among calls. It knows when work was under way upstream, never what calls carry.

pub mod ledger;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A meter as configured.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum MeterSpec {
    /// Watts that somebody assumes.
    Constant { watts: f64 },
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
    PidFile(PathBuf),
    Port(u16),
}
