//! The protocols that a listener can speak, by name.

use crate::protocol::{by_name, registry};
use crate::snapshot::ProtocolSpec;

/// Protocols that are carried as bytes until they are parsed.
pub(super) const CARRIED_AS_TCP: [&str; 3] = ["postgres", "postgresql", "redis"];

/// All names, for hints.
pub(super) fn names() -> Vec<&'static str> {
    registry().iter().map(|it| it.name).collect()
}

pub(super) fn find(name: &str) -> Option<ProtocolSpec> {
    let info = by_name(name)?;
    Some(match info.dialect {
        Some(dialect) => ProtocolSpec::Http(info.name, dialect),
        None => ProtocolSpec::Tcp,
    })
}
