//! A rule as its configuration resolves to: valid by construction.

use std::sync::Arc;
use std::time::Duration;

use crate::fault::Fault;
use crate::model::Limits;
use crate::rule::{Schedule, Select, Trigger};

/// One rule, not yet bound to listeners.
#[derive(Clone, Debug)]
pub struct RuleSpec {
    pub name: Arc<str>,
    /// All that the configuration says of the rule, in one form: while it stays the same, a reload
    /// keeps the rule's state.
    pub text: String,
    /// Names of the listeners it watches; absent: all.
    pub listeners: Option<Vec<String>>,
    pub select: Arc<Select>,
    pub trigger: Trigger,
    pub schedule: Schedule,
    pub limits: Limits,
    pub armed: bool,
    pub dry_run: bool,
    /// How long after its arming it ends by itself.
    pub ttl: Option<Duration>,
    pub faults: Vec<FaultSpec>,
}

/// One fault of a rule, with the name of its kind.
#[derive(Clone, Debug)]
pub struct FaultSpec {
    pub name: &'static str,
    pub fault: Arc<dyn Fault>,
}
