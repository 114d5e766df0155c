//! Where an error came from: an injected error must never look like a real one. And which word was
//! meant where one was mistyped.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Lets a failure pass that changes nothing where it happens; the comment at the call says why.
pub fn ignore<T, E>(result: Result<T, E>) {
    drop(result);
}

/// The known name that a mistyped one is nearest to, where one is near enough.
pub fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let allowed = match name.chars().count() {
        0..=2 => 1,
        3..=5 => 2,
        _ => 3,
    };
    let lower = name.to_lowercase().replace('_', "-");
    known
        .iter()
        .map(|&it| {
            let other = it.to_lowercase().replace('_', "-");
            (strsim::damerau_levenshtein(&lower, &other), it)
        })
        // A name with every letter replaced is no typing error.
        .filter(|(distance, it)| *distance <= allowed && *distance < it.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, it)| it)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_not_near_everything() {
        assert_eq!(nearest("xy", &["at", "rst"]), None);
        assert_eq!(nearest("rts", &["fin", "rst"]), Some("rst"));
    }
}
