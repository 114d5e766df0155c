//! Addresses that two parts of a configuration both want.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::{Place, Problems};
use crate::snapshot::Bind;

/// Addresses that are taken by a part of this configuration.
#[derive(Debug, Default)]
pub(super) struct Binds(BTreeMap<Key, Vec<(Bind, String, Place)>>);

/// Only addresses under the same key can clash.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Port(u16),
    Unix(PathBuf),
}

impl From<&Bind> for Key {
    fn from(bind: &Bind) -> Self {
        match bind {
            Bind::Tcp(address) => Self::Port(address.port()),
            Bind::Unix(path) => Self::Unix(path.clone()),
        }
    }
}

impl Binds {
    /// Adds an address; refuses one that another part has.
    pub(super) fn add(&mut self, bind: Bind, what: String, place: Place, problems: &mut Problems) {
        // Port 0 is any free port: it never clashes.
        if matches!(bind, Bind::Tcp(address) if address.port() == 0) {
            return;
        }
        let taken = self.0.entry(Key::from(&bind)).or_default();
        if let Some((_, other, at)) = taken.iter().find(|(taken, ..)| clash(taken, &bind)) {
            let message = format!("{what} and {other} have the same address");
            let help = format!("{other} has it at {}", at.source.place(&at.span));
            problems.error(&place.source, place.span.clone(), message, help);
        }
        taken.push((bind, what, place));
    }

    /// The default of a part that the configuration does not name: refuses what has it already.
    pub(super) fn add_default(&self, bind: &Bind, what: &str, help: &str, problems: &mut Problems) {
        let mut taken = self.0.get(&Key::from(bind)).into_iter().flatten();
        if let Some((_, other, place)) = taken.find(|(taken, ..)| clash(taken, bind)) {
            let message = format!("{other} has the address of {what}");
            problems.error(&place.source, place.span.clone(), message, help.to_owned());
        }
    }
}

fn clash(one: &Bind, other: &Bind) -> bool {
    match (one, other) {
        (Bind::Unix(one), Bind::Unix(other)) => one == other,
        (Bind::Tcp(one), Bind::Tcp(other)) => tcp_clash(one, other),
        _ => false,
    }
}

/// An unspecified address covers all others.
fn tcp_clash(one: &SocketAddr, other: &SocketAddr) -> bool {
    one.port() == other.port()
        && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_port_clashes_where_addresses_overlap() {
        let clashes = |a: &str, b: &str| tcp_clash(&a.parse().unwrap(), &b.parse().unwrap());
        assert!(clashes("127.0.0.1:9", "127.0.0.1:9"));
        assert!(clashes("0.0.0.0:9", "127.0.0.1:9"));
        assert!(!clashes("127.0.0.1:9", "127.0.0.2:9"));
        assert!(!clashes("127.0.0.1:9", "127.0.0.1:8"));
    }
}
