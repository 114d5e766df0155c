//! placeholder until the branch `rules` is merged
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    pub name: String,
}

#[derive(Debug)]
pub struct Complaint {
    pub field: String,
    pub message: String,
    pub help: String,
}

impl RuleConfig {
    pub fn check(&self) -> Vec<Complaint> {
        Vec::new()
    }
}
