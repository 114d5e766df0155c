//! `[limits]`: against slow or greedy peers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::snapshot::Limits;
use crate::units::{ByteSize, Span};

/// Limits against slow or greedy peers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PeerLimitsConfig {
    /// The head of a request must be whole within this.
    pub header_timeout: Span,
    /// The largest head.
    pub header_size: ByteSize,
    /// The most header fields.
    #[schemars(range(min = 1))]
    pub header_fields: usize,
    /// How long a body may wait for the peer; not on streams, and never inside a fault.
    pub body_idle: Span,
    /// What stands before a client's first request must be done within this: TLS, the PROXY
    /// protocol.
    pub tls_handshake: Span,
    /// How long an idle connection of a client is kept.
    pub keep_alive: Span,
    /// Connections that one listener holds at a time.
    #[schemars(range(min = 1))]
    pub connections: usize,
    /// How long calls may take to finish once the process is told to stop.
    pub drain_grace: Span,
    /// How many bytes of a request body a rule may look into.
    pub look_size: ByteSize,
    /// How long such a look may hold a request.
    pub look_time: Span,
    /// Streams that a client may have open at a time on one HTTP/2 connection.
    #[schemars(range(min = 1))]
    pub h2_streams: u32,
    /// How much of a body a client may send ahead on one HTTP/2 stream; 1KiB to 1GiB.
    pub h2_stream_window: ByteSize,
    /// The same for all streams of one HTTP/2 connection together.
    pub h2_connection_window: ByteSize,
}

impl Default for PeerLimitsConfig {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            header_timeout: limits.header_timeout.into(),
            header_size: ByteSize::new(limits.header_bytes as u64),
            header_fields: limits.header_fields,
            body_idle: limits.body_idle.into(),
            tls_handshake: limits.tls_handshake.into(),
            keep_alive: limits.keep_alive.into(),
            connections: limits.connections_per_listener,
            drain_grace: limits.drain_grace.into(),
            look_size: ByteSize::new(limits.look_bytes as u64),
            look_time: limits.look_time.into(),
            h2_streams: limits.h2_streams,
            h2_stream_window: ByteSize::new(limits.h2_stream_window.into()),
            h2_connection_window: ByteSize::new(limits.h2_connection_window.into()),
        }
    }
}

impl From<&PeerLimitsConfig> for Limits {
    fn from(config: &PeerLimitsConfig) -> Self {
        Self {
            header_timeout: config.header_timeout.get(),
            header_bytes: bytes(config.header_size),
            header_fields: config.header_fields,
            body_idle: config.body_idle.get(),
            tls_handshake: config.tls_handshake.get(),
            keep_alive: config.keep_alive.get(),
            connections_per_listener: config.connections,
            drain_grace: config.drain_grace.get(),
            look_bytes: bytes(config.look_size),
            look_time: config.look_time.get(),
            h2_streams: config.h2_streams,
            h2_stream_window: window(config.h2_stream_window),
            h2_connection_window: window(config.h2_connection_window),
        }
    }
}

fn bytes(size: ByteSize) -> usize {
    usize::try_from(size.get()).unwrap_or(usize::MAX)
}

fn window(size: ByteSize) -> u32 {
    u32::try_from(size.get()).unwrap_or(u32::MAX)
}
