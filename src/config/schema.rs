//! The JSON Schema of a configuration file: editors complete and check from it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, schema_for};

use super::{
    AdminConfig, EnergyConfig, HealthConfig, ListenerConfig, LogConfig, PeerLimitsConfig,
    RuleConfig, SafetyConfig, ToxiproxyConfig, TracesConfig, UpstreamConfig,
};
use crate::units::Seed;

/// A configuration file of hormesis.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "the shape of a file; its sections are read one by one"
)]
pub struct Config {
    /// Where all draws start: the same seed gives the same hits. Drawn at start, and logged, where
    /// absent.
    #[schemars(default)]
    seed: Option<Seed>,
    /// Holds what outlives the process: whether it was halted. Absent: nothing does.
    #[schemars(default)]
    state_dir: Option<PathBuf>,
    /// Threads that serve calls. Absent: as many as cores or the cgroup's quota allow, at most 4.
    #[schemars(default, range(min = 1, max = 256))]
    workers: Option<usize>,
    #[schemars(default)]
    admin: AdminConfig,
    #[schemars(default)]
    health: Option<HealthConfig>,
    /// Model servers and feature stores by name.
    #[schemars(default)]
    upstreams: BTreeMap<String, UpstreamConfig>,
    /// Bound addresses by name.
    #[schemars(default)]
    listeners: BTreeMap<String, ListenerConfig>,
    /// Which calls are hurt, when, how, and how much at most; in order.
    #[schemars(default)]
    rules: Vec<RuleConfig>,
    #[schemars(default)]
    safety: SafetyConfig,
    #[schemars(default)]
    limits: PeerLimitsConfig,
    #[schemars(default)]
    log: LogConfig,
    #[schemars(default)]
    traces: Option<TracesConfig>,
    #[schemars(default)]
    energy: EnergyConfig,
    #[schemars(default)]
    toxiproxy: Option<ToxiproxyConfig>,
}

/// The JSON Schema (2020-12) of a file.
pub fn schema() -> Schema {
    schema_for!(Config)
}

#[cfg(test)]
mod tests {
    use super::super::document::SECTIONS;
    use super::*;

    #[test]
    fn the_schema_and_the_reader_know_the_same_sections() {
        let schema = schema();
        let properties = schema.get("properties").unwrap().as_object().unwrap();
        let mut names: Vec<&str> = properties.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, SECTIONS);
    }
}
