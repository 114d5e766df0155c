//! Configuration files: serde structs, one file a section; all problems at once.

mod rule;

pub use rule::{KeyConfig, LimitsConfig, NthConfig, RuleConfig, ScheduleConfig};
