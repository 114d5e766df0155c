//! The proxies of the Toxiproxy API and their toxics, as its server sees them. A proxy that runs is
//! a listener of the generation in force; its toxics are no part of that, so that a change of one
//! costs no generation.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::control::Handle;
use crate::proxy::{BindError, ChangeError};
use crate::toxic::{Direction, ProxyState, Toxic, ToxicKind};

/// A proxy as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyConfig {
    pub name: String,
    /// Host and port. Empty: any port on loopback. Without a host: all addresses.
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

/// What has passed one direction of a proxy, over all its connections, those open included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyTraffic {
    pub proxy: String,
    pub listener: String,
    pub upstream: String,
    pub direction: Direction,
    /// Bytes read from the sender.
    pub received: u64,
    /// Bytes written to the receiver.
    pub sent: u64,
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

impl From<ChangeError> for ProxyError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Bind(BindError {
                address, source, ..
            }) => Self::Bind { address, source },
            ChangeError::Draining | ChangeError::Share(_) => Self::Refused(error.to_string()),
        }
    }
}

impl Handle {
    /// Puts a toxic at the end of its direction's chain; it acts on open connections at once.
    ///
    /// # Errors
    /// Where there is no such proxy, or a toxic of that name.
    pub fn add_toxic(&self, proxy: &str, toxic: Toxic) -> Result<Toxic, ProxyError> {
        self.change_toxics(proxy, |state| {
            let added = state.add(toxic.clone());
            added.then_some(toxic).ok_or(ProxyError::ToxicExists)
        })
    }

    /// Gives a toxic other attributes, on open connections too. It keeps its place and its direction;
    /// `kind` is of the type that it has.
    ///
    /// # Errors
    /// Where there is no such proxy or toxic.
    pub fn update_toxic(
        &self,
        proxy: &str,
        toxic: &str,
        kind: ToxicKind,
        toxicity: f32,
    ) -> Result<Toxic, ProxyError> {
        self.change_toxics(proxy, |state| {
            let updated = state.update(toxic, kind, toxicity);
            updated.ok_or(ProxyError::ToxicNotFound)
        })
    }

    /// Ends a toxic, on open connections too: what it holds passes at once. Connections from which
    /// a `timeout` has kept bytes are closed.
    ///
    /// # Errors
    /// Where there is no such proxy or toxic.
    pub fn remove_toxic(&self, proxy: &str, toxic: &str) -> Result<(), ProxyError> {
        self.change_toxics(proxy, |state| {
            let removed = state.remove(toxic);
            removed.then_some(()).ok_or(ProxyError::ToxicNotFound)
        })
    }

    fn change_toxics<T>(
        &self,
        proxy: &str,
        change: impl FnOnce(&ProxyState) -> Result<T, ProxyError>,
    ) -> Result<T, ProxyError> {
        // Under the table's lock, so that changes of one proxy come one after the other.
        let changed = {
            let table = self.0.proxies.table();
            change(&table.get(proxy).ok_or(ProxyError::NotFound)?.state)?
        };
        self.0.live.ring();
        Ok(changed)
    }

    /// What has passed until now.
    pub fn proxy_traffic(&self) -> Vec<ProxyTraffic> {
        let table = self.0.proxies.table();
        let traffic = |(name, proxy): (&String, &super::proxies::Proxy), direction| {
            let traffic = proxy.state.traffic(direction);
            ProxyTraffic {
                proxy: name.clone(),
                listener: proxy.listen.clone(),
                upstream: proxy.upstream.clone(),
                direction,
                received: traffic.received.load(Ordering::Relaxed),
                sent: traffic.sent.load(Ordering::Relaxed),
            }
        };
        let all = table.iter();
        all.flat_map(|it| Direction::ALL.map(|direction| traffic(it, direction)))
            .collect()
    }
}

/// The toxics of a proxy, as they are shown.
pub(super) fn toxics(state: &Arc<ProxyState>) -> Vec<Toxic> {
    let toxics = state.toxics();
    toxics.iter().map(|it| it.toxic.clone()).collect()
}
