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
    pub source: RuleSource,
}

/// Where a rule comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RuleSource {
    /// The configuration: it stays, armed or not, until a reload takes it away.
    #[default]
    File,
    /// The admin API: it is gone when its time is over, and with its lease if it hangs on one.
    Api { lease: Option<Arc<str>> },
}

impl RuleSource {
    pub const fn is_api(&self) -> bool {
        matches!(self, Self::Api { .. })
    }

    pub const fn lease(&self) -> Option<&Arc<str>> {
        match self {
            Self::File => None,
            Self::Api { lease } => lease.as_ref(),
        }
    }

    /// Whether both hang on the very same lease, or on none.
    pub fn same_lease(&self, other: &Self) -> bool {
        match (self.lease(), other.lease()) {
            (Some(one), Some(two)) => Arc::ptr_eq(one, two),
            (one, two) => one.is_none() && two.is_none(),
        }
    }
}

/// One fault of a rule, with the name of its kind.
#[derive(Clone, Debug)]
pub struct FaultSpec {
    pub name: &'static str,
    pub fault: Arc<dyn Fault>,
}
