//! The protocols that a listener can speak, by name.

use crate::snapshot::ProtocolSpec;

/// All names, for hints.
pub(super) fn names() -> Vec<&'static str> {
    vec!["tcp"]
}

pub(super) fn find(name: &str) -> Option<ProtocolSpec> {
    (name == "tcp").then_some(ProtocolSpec::Tcp)
}

/// Protocols that are carried as bytes until they are parsed.
pub(super) const CARRIED_AS_TCP: [&str; 3] = ["postgres", "postgresql", "redis"];
