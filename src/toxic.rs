//! Toxics: what the proxies of the Toxiproxy API are told to do to the bytes of their connections. Names and units are Toxiproxy's; a value that it would crash on does no harm here.

mod proxy;

use std::fmt;
use std::sync::Arc;

pub use proxy::{Placed, ProxyRun, ProxyState, Traffic};

/// The way of bytes that a toxic acts on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client towards the server.
    Upstream,
    /// From the server towards the client.
    #[default]
    Downstream,
}

impl Direction {
    pub const ALL: [Self; 2] = [Self::Upstream, Self::Downstream];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Downstream => "downstream",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a toxic does, with its attributes. All of them are signed, since the API takes what its
/// clients send: a negative time or size is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToxicKind {
    /// Nothing.
    Noop,
    /// Each piece leaves so long after it was read, plus or minus up to `jitter_ms`.
    Latency { latency_ms: i64, jitter_ms: i64 },
    /// So many kilobytes (1,000 bytes) a second. 0: none pass.
    Bandwidth { rate_kb: i64 },
    /// The end of the stream is passed on so much later.
    SlowClose { delay_ms: i64 },
    /// Nothing passes; the connection is closed after this time. 0: never.
    Timeout { timeout_ms: i64 },
    /// The connection is reset so long after its first bytes.
    ResetPeer { timeout_ms: i64 },
    /// Bytes leave in pieces of about `average_size` bytes, give or take `size_variation`, with a
    /// pause of `delay_us` microseconds after each.
    Slicer {
        average_size: i64,
        size_variation: i64,
        delay_us: i64,
    },
    /// The connection is closed after this many bytes.
    LimitData { bytes: i64 },
}

impl ToxicKind {
    /// Of all types.
    pub const NAMES: [&str; 8] = [
        "noop",
        "latency",
        "bandwidth",
        "slow_close",
        "timeout",
        "reset_peer",
        "slicer",
        "limit_data",
    ];

    /// The API's name of the type.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Noop => "noop",
            Self::Latency { .. } => "latency",
            Self::Bandwidth { .. } => "bandwidth",
            Self::SlowClose { .. } => "slow_close",
            Self::Timeout { .. } => "timeout",
            Self::ResetPeer { .. } => "reset_peer",
            Self::Slicer { .. } => "slicer",
            Self::LimitData { .. } => "limit_data",
        }
    }
}

/// One toxic of a proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct Toxic {
    /// Unique in its proxy, over both directions.
    pub name: Arc<str>,
    pub kind: ToxicKind,
    pub direction: Direction,
    /// The chance that it acts on a connection; any number: from 1 on always, up to 0 never.
    pub toxicity: f32,
}
