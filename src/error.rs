//! Where an error came from. An injected error must never look like a real one.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Lets a failure pass that changes nothing where it happens; the comment at the call says why.
pub fn ignore<T, E>(result: Result<T, E>) {
    drop(result);
}

/// The party that made an answer or ended a call.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The client: it sent something malformed, or left.
    Downstream,
    /// A rule of ours.
    Injected,
    /// hormesis itself: a limit, a drain, no such route.
    Proxy,
    /// The model server or feature store.
    Upstream,
}

impl Origin {
    pub const ALL: [Self; 4] = [
        Self::Downstream,
        Self::Injected,
        Self::Proxy,
        Self::Upstream,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Downstream => "downstream",
            Self::Injected => "injected",
            Self::Proxy => "proxy",
            Self::Upstream => "upstream",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
