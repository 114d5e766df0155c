//! The proxies of the Toxiproxy API and their toxics, as its server sees them.

use std::io;

use crate::toxic::Toxic;

/// A proxy as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyConfig {
    pub name: String,
    /// Host and port. Empty: any port on loopback.
    pub listen: String,
    /// Host and port; the name is resolved by the workers.
    pub upstream: String,
    pub enabled: bool,
}

/// A proxy as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct ProxyView {
    pub name: String,
    /// The address that it is bound to, once it was started; before that the text it was given.
    pub listen: String,
    pub upstream: String,
    pub enabled: bool,
    /// Of both directions, in the order in which they were added.
    pub toxics: Vec<Toxic>,
}

/// Why a proxy or a toxic could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    #[error("proxy not found")]
    NotFound,
    #[error("proxy already exists")]
    Exists,
    #[error("toxic not found")]
    ToxicNotFound,
    #[error("toxic already exists")]
    ToxicExists,
    /// A listen address that is none, or whose name has no address.
    #[error("{what:?} is no address to listen on: {source}")]
    Resolve { what: String, source: io::Error },
    #[error("cannot listen on {address}: {source}")]
    Bind { address: String, source: io::Error },
    /// Not now, or not here: what it says.
    #[error("{0}")]
    Refused(String),
}
