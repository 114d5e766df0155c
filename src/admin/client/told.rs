//! The parts of answers that this program reads itself. What they do not name is passed over, and
//! what may be missing is optional: a command of one version asks a sidecar of the next.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::RefusedProblem;

/// Of `GET /status`.
#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    pub version: String,
    pub uptime_s: f64,
    pub ready: bool,
    pub draining: bool,
    pub generation: u64,
    pub seed: u64,
    pub halted: Option<Halt>,
    pub listeners: Vec<Listener>,
    pub rules: Vec<RuleFigures>,
    /// Those that halt everything. Earlier versions did not tell them.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    #[serde(default)]
    pub toxics: Vec<Toxic>,
    pub calls: Vec<CallFigures>,
    pub decisions: Decisions,
    pub energy: Option<Energy>,
}

/// A condition of `[safety] stop_when`, as it is now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Condition {
    pub expr: String,
    /// Of the value: `share` (0 to 1), `seconds` or `per_second`.
    pub unit: String,
    /// Absent where too little was seen to tell.
    pub value: Option<f64>,
    /// So many calls were looked at.
    pub of: u64,
    pub breached: Option<bool>,
}

/// A toxic of a proxy of the Toxiproxy API.
#[derive(Clone, Debug, Deserialize)]
pub struct Toxic {
    pub proxy: String,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub stream: String,
    pub toxicity: f32,
}

/// Why and since when no fault acts.
#[derive(Clone, Debug, Deserialize)]
pub struct Halt {
    pub reason: String,
    /// RFC 3339, UTC.
    pub since: String,
    /// Who halted it: an order, a signal, a file, a condition.
    #[serde(default)]
    pub cause: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Listener {
    pub name: String,
    pub bind: String,
    pub protocol: String,
    pub upstream: Option<String>,
    pub connections: u64,
    pub active: u64,
}

/// The counters of a rule; the name where they stand in a list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RuleFigures {
    pub name: String,
    pub armed: bool,
    pub selected: u64,
    pub hit: u64,
    pub denied: BTreeMap<String, u64>,
    pub applied: u64,
    pub superseded: u64,
    pub not_applicable: u64,
    pub revoked: u64,
    /// Calls that it acts on now.
    pub active: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct CallFigures {
    pub listener: String,
    pub outcome: String,
    pub origin: String,
    pub count: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Decisions {
    pub written: u64,
    pub dropped: u64,
}

/// Of `GET /energy`; absent where nothing measures energy.
#[derive(Clone, Debug, Deserialize)]
pub struct EnergyAnswer {
    pub groups: Option<BTreeMap<String, EnergyPart>>,
    pub totals: Option<Energy>,
}

/// Of `GET /energy` and of the status. Absent figures are not known, which is not 0.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Energy {
    pub tier: Option<String>,
    pub meters: Vec<String>,
    pub by_outcome: BTreeMap<String, EnergyPart>,
    pub total: EnergyPart,
    pub self_uj: Option<u64>,
    pub others_uj: Option<u64>,
    pub unattributed_uj: Option<u64>,
    pub idle_uj: Option<u64>,
    pub meter_uj: Option<u64>,
    pub gap_s: f64,
    pub joules_per_success: Option<f64>,
}

/// The energy of calls that have something in common, in microjoules.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct EnergyPart {
    pub dyn_uj: Option<u64>,
    pub lo_uj: Option<u64>,
    pub hi_uj: Option<u64>,
    pub calls: u64,
}

/// Of `GET /rules`.
#[derive(Clone, Debug, Deserialize)]
pub struct Rules {
    pub rules: Vec<Rule>,
}

/// A rule as it stands.
#[derive(Clone, Debug, Deserialize)]
pub struct Rule {
    pub name: String,
    /// `file` or `api`.
    pub source: String,
    /// `None`: all.
    pub listener: Option<Vec<String>>,
    pub armed: bool,
    pub dry_run: bool,
    pub expires_in_s: Option<f64>,
    /// RFC 3339, UTC.
    pub expires_at: Option<String>,
    pub lease: Option<String>,
    /// The kinds.
    pub faults: Vec<String>,
    pub figures: RuleFigures,
    /// The same keys as in TOML.
    pub config: serde_json::Value,
    /// What is worth saying of a rule that was put.
    #[serde(default)]
    pub warnings: Vec<RefusedProblem>,
}

/// Of `GET /rules/{name}/effect`.
#[derive(Clone, Debug, Deserialize)]
pub struct Effect {
    pub treated: Group,
    pub untouched: Group,
    pub over_s: f64,
}

/// Calls of the last seconds. A figure that too few calls give is absent.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Group {
    pub calls: u64,
    pub errors: u64,
    pub error_rate: Option<f64>,
    pub p50_s: Option<f64>,
    pub p90_s: Option<f64>,
    pub p99_s: Option<f64>,
}
