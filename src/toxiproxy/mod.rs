//! The HTTP API of Toxiproxy, as its clients know it, on a thread of its own. What it is asked for
//! is done by [`Handle`]; here are the words: routes, Go's JSON, and the answers that clients have
//! learned to expect, down to those that look wrong.
//!
//! Where Toxiproxy would crash, hang or open a port to everybody, this does not: see
//! `docs/toxiproxy.md`.

mod answer;
mod api;
mod ids;
mod json;
mod kinds;
mod listen;
mod metrics;
mod populate;
mod proxies;
mod route;
mod toxics;

use std::io;
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};

use tokio::sync::watch;

use crate::admin::{Socket, serve};
use crate::control::{END_TIME, Handle, join_within};
use crate::snapshot::ToxiproxySettings;

use api::Api;

pub use api::VERSION;

/// The API's listener, bound and not served yet.
#[derive(Debug)]
pub struct Toxiproxy {
    settings: ToxiproxySettings,
    socket: Socket,
    address: SocketAddr,
}

/// The thread that serves it.
#[derive(Debug)]
pub struct ToxiproxyThread {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

/// The API could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot bind the Toxiproxy API to {address}: {source}")]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

impl BindError {
    /// What would make it succeed, where that can be told.
    pub fn help(&self) -> Option<&'static str> {
        (self.source.kind() == io::ErrorKind::AddrInUse).then_some(
            "another process listens there, a Toxiproxy perhaps; choose another port, or stop it",
        )
    }
}

impl Toxiproxy {
    /// # Errors
    /// Where the address cannot be bound.
    pub fn bind(settings: ToxiproxySettings) -> Result<Self, BindError> {
        let address = settings.bind;
        let fail = |source| BindError { address, source };
        let (socket, address) = Socket::tcp(address).map_err(fail)?;
        Ok(Self {
            settings,
            socket,
            address,
        })
    }

    /// Where it answers: with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes the proxies of the file that the settings name, then serves until
    /// [`ToxiproxyThread::stop`].
    ///
    /// # Errors
    /// Where no thread or runtime can be made.
    pub fn start(self, handle: Handle) -> io::Result<ToxiproxyThread> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("toxiproxy-blocking")
            .build()?;
        let (stop, stopped) = watch::channel(false);
        let api = Api::new(handle, self.settings);
        let socket = self.socket;
        let thread = thread::Builder::new()
            .name("toxiproxy".to_owned())
            .spawn(move || {
                if let Some(file) = &api.settings().populate {
                    api.populate_from(file);
                }
                runtime.block_on(serve(socket, api.router(), stopped));
                // What is still being looked up is not waited for.
                runtime.shutdown_background();
            })?;
        Ok(ToxiproxyThread { stop, thread })
    }
}

impl ToxiproxyThread {
    /// Stops accepting, lets answers under way finish for a moment, and ends.
    pub fn stop(self) {
        // An error says that the thread has ended already.
        if self.stop.send(true).is_err() {
            tracing::debug!("the thread of the Toxiproxy API had ended before it was stopped");
        }
        join_within(self.thread, END_TIME * 2, "toxiproxy");
    }
}
