//! A sidecar between two scripts: raw sockets on both sides whose bytes and times a test controls,
//! and the proxy in this process.
//!
//! ```ignore
//! let upstream = Upstream::scripted();
//! let sidecar = Sidecar::before(&upstream).start();
//! let (mut client, mut server) = sidecar.call(&upstream, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
//! ```

pub(crate) mod http2;
pub(crate) mod http2_client;
pub(crate) mod sidecar;
pub(crate) mod tls;
pub(crate) mod toxiproxy;
pub(crate) mod upstream;
pub(crate) mod wire;

use std::time::Duration;

pub(crate) use sidecar::{Running, Sidecar};
pub(crate) use upstream::{Serving, Upstream};
pub(crate) use wire::{End, Message, Wire};

/// Long enough for a machine under load; only a hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until something holds that no socket tells of.
#[track_caller]
pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let start = tokio::time::Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The same bytes for the same seed, of every value and without a pattern.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        // SplitMix64 (Steele, Lea, Flood 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).to_le_bytes()[0]
    };
    (0..len).map(|_| next()).collect()
}

/// A body in chunks of odd sizes, some with extensions, and with these trailers.
pub(crate) fn chunked(body: &[u8], sizes: &[usize], trailers: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut rest, mut index) = (body, 0);
    while !rest.is_empty() {
        let (chunk, later) = rest.split_at(sizes[index % sizes.len()].min(rest.len()));
        let extension = ["", ";a", ";b=\"x;y\"", " ; c=1"][index % 4];
        out.extend_from_slice(format!("{:X}{extension}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
        (rest, index) = (later, index + 1);
    }
    out.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
    out
}
