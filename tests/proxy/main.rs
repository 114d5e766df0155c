//! The data plane on real sockets, byte for byte, between scripts on both sides.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

#[path = "../support/mod.rs"]
mod support;

mod anything;
mod bodies;
mod bulk;
mod caller;
mod composition;
mod conditions;
mod corpus;
mod damage;
mod determinism;
mod drain;
mod heads;
mod http2;
mod http2_between;
mod http2_floods;
mod http2_upstream;
mod lies;
mod patience;
mod positions;
mod proxy_protocol;
mod reload;
mod retries;
mod revocation;
mod smuggling;
mod streams;
mod strictness;
mod tcp;
mod tcp_faults;
mod tls;
mod tls_settings;
mod toxic_counts;
mod toxic_proxies;
mod toxics;
mod trailers;
mod transparency;
mod workers;
