//! Places for connections: so many in all, and no peer may have all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::admin::peer::{End, PeerKey};

/// Connections at once.
pub(super) const CONNECTIONS: usize = 512;
/// Of them, those that one peer beyond this machine may have.
const OF_A_PEER: usize = CONNECTIONS / 4;
/// Of them, those that are kept from the peers on this machine. Those are one for this limit, since
/// nothing tells an operator from another program here: a smaller share would be the easier to use
/// up, and who may run programs here can do worse.
const FOR_OTHERS: usize = 16;

/// Who has how many.
#[derive(Clone, Debug, Default)]
pub(super) struct Shares(Arc<Mutex<HashMap<Sharing, usize>>>);

/// Peers that share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sharing {
    Here,
    Of(PeerKey),
}

/// One place; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    shares: Shares,
    of: Sharing,
}

impl Shares {
    /// A place for a peer; `None` where it has its share.
    pub(super) fn take(&self, end: End) -> Option<Share> {
        let of = match end {
            End::Tcp(address) if address.ip().to_canonical().is_loopback() => Sharing::Here,
            // Of its user: else one that another may open too could keep root out.
            End::Tcp(_) | End::Unix { .. } => Sharing::Of(end.key()),
        };
        let most = match end {
            End::Tcp(_) if of != Sharing::Here => OF_A_PEER,
            End::Tcp(_) | End::Unix { .. } => CONNECTIONS - FOR_OTHERS,
        };
        let mut taken = self.lock();
        let count = taken.entry(of).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        drop(taken);
        Some(Share {
            shares: self.clone(),
            of,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Sharing, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.lock();
        if let Some(count) = taken.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(address: &str) -> End {
        End::Tcp(address.parse().unwrap())
    }

    #[test]
    fn no_peer_has_all_and_places_come_back() {
        let shares = Shares::default();
        let mut held = Vec::new();
        while let Some(share) = shares.take(tcp("192.0.2.1:1")) {
            held.push(share);
        }
        assert_eq!(held.len(), OF_A_PEER);
        let other = shares.take(tcp("192.0.2.2:1"));
        assert!(other.is_some());
        // Every port of it and every address of its network is the same peer.
        assert!(shares.take(tcp("192.0.2.1:2")).is_none());
        held.pop();
        assert!(shares.take(tcp("[::ffff:192.0.2.1]:3")).is_some());
        drop((held, other));
        assert!(shares.lock().is_empty());
    }

    #[test]
    fn peers_on_this_machine_share_nearly_all() {
        let shares = Shares::default();
        let mut held = Vec::new();
        for address in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1"].iter().cycle() {
            let Some(share) = shares.take(tcp(address)) else {
                break;
            };
            held.push(share);
        }
        assert_eq!(held.len(), CONNECTIONS - FOR_OTHERS);
        assert!(shares.take(tcp("192.0.2.1:1")).is_some());
        let user = |uid| shares.take(End::Unix { uid, pid: None });
        let theirs: Vec<_> = std::iter::from_fn(|| user(1000)).collect();
        assert_eq!(theirs.len(), CONNECTIONS - FOR_OTHERS);
        assert!(user(0).is_some());
    }
}
