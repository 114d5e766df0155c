//! Who is at the other end of a connection, as far as the connection itself tells.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

/// The other end of one connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) end: End,
    /// What its certificate says whom it is.
    pub(super) names: Vec<String>,
    /// It is answered without an end, so that the connection's age does not end it.
    follows: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Tcp(SocketAddr),
    /// The user and process, as the kernel knows them.
    Unix {
        uid: u32,
        pid: Option<i32>,
    },
}

/// Peers that are one for every limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum PeerKey {
    V4([u8; 4]),
    /// Whoever has an address has its whole /64.
    V6([u8; 8]),
    User(u32),
}

impl Peer {
    pub(super) fn new(end: End, names: Vec<String>) -> Self {
        Self {
            end,
            names,
            follows: AtomicBool::new(false),
        }
    }

    pub(super) fn follow(&self) {
        self.follows.store(true, Ordering::Relaxed);
    }

    pub(super) fn follows(&self) -> bool {
        self.follows.load(Ordering::Relaxed)
    }
}

impl End {
    pub(super) fn key(self) -> PeerKey {
        match self {
            Self::Unix { uid, .. } => PeerKey::User(uid),
            Self::Tcp(address) => match address.ip().to_canonical() {
                IpAddr::V4(ip) => PeerKey::V4(ip.octets()),
                IpAddr::V6(ip) => PeerKey::V6(network(ip)),
            },
        }
    }
}

fn network(ip: Ipv6Addr) -> [u8; 8] {
    let whole = u128::from(ip) >> 64;
    u64::try_from(whole).unwrap_or(0).to_be_bytes()
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { uid, pid: None } => write!(f, "unix uid {uid}"),
            Self::Unix {
                uid,
                pid: Some(pid),
            } => write!(f, "unix uid {uid} pid {pid}"),
        }
    }
}
