//! `[safety]`: what no rule may exceed.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::measure::Counting;
use crate::units::Span;

/// Limits that hold whatever rules say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SafetyConfig {
    /// Path globs of calls that no rule ever touches. A list given here replaces the default.
    pub never: Vec<String>,
    /// All waits of one call together end after this.
    pub max_delay_per_call: Span,
    /// So many faults act on one call at most.
    #[schemars(range(min = 1))]
    pub max_faults_per_call: usize,
    /// Rules decide and count, and touch nothing.
    pub dry_run: bool,
    /// Conditions that halt everything when one is true, until it is resumed:
    /// `error_rate(chat) > 25% for 10s`. See docs/expressions.md.
    pub stop_when: Vec<String>,
    /// What conditions and probes count: calls and times as faults made them, or without those.
    pub counting: Counting,
    /// A rule that is put by the admin API, or armed for a time, lives no longer.
    pub max_ttl: Span,
    /// While this file exists everything is halted, and cannot be resumed. Removing it alone
    /// resumes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halt_file: Option<PathBuf>,
}

impl Default for SafetyConfig {
    fn default() -> Self {
        Self {
            never: [
                "/healthz",
                "/readyz",
                "/livez",
                "/metrics",
                "/v2/health/**",
                "/grpc.health.v1.Health/**",
            ]
            .map(String::from)
            .to_vec(),
            max_delay_per_call: Span::from_secs(300),
            max_faults_per_call: 8,
            dry_run: false,
            stop_when: Vec::new(),
            counting: Counting::default(),
            max_ttl: Span::from_secs(3600),
            halt_file: None,
        }
    }
}
