//! TLS on both sides (RFC 8446, RFC 5246), by rustls: what a listener or an upstream is told by
//! its configuration, the handshake, and the carried stream that follows.
//!
//! Nothing here reads files: whoever resolves the configuration hands over what they hold.

mod client;
mod der;
mod hello;
mod material;
mod names;
mod reason;
mod server;
mod stream;
mod validity;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

pub use client::{ClientTls, Trust, server_name};
pub use hello::{Hello, HelloReader};
pub use material::{Authorities, Identity, MaterialError};
pub use names::names;
pub use reason::reason;
pub use server::{Clients, ServerTls};
pub use stream::TlsStream;
pub use validity::not_after;

/// HTTP/1.1 among the protocols that a handshake negotiates (RFC 7301 §6).
pub const ALPN_HTTP_1: &[u8] = b"http/1.1";
/// HTTP/2 (RFC 9113 §3.2).
pub const ALPN_HTTP_2: &[u8] = b"h2";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn owned(alpn: &[&[u8]]) -> Vec<Vec<u8>> {
    alpn.iter().map(|it| it.to_vec()).collect()
}
