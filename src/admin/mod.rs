//! The admin API: status, metrics, halt and resume, on a thread and runtime of its own, so that
//! it answers whatever the data path does. It binds loopback or a unix socket only, and every
//! route refuses what a web page could send (`guard.rs`).

mod answer;
mod api;
mod ask;
pub mod client;
mod etag;
mod guard;
mod routes;
mod serve;
mod socket;

use std::io;
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};

use tokio::sync::watch;

use crate::control::Handle;
use crate::snapshot::AdminBind;

pub use answer::{Refusal, Told};
pub use routes::{
    ArmOrder, Condition, EffectAnswer, EffectFigures, EffectQuery, HaltAnswer, HaltOrder, Health,
    Lease, LeaseOrder, Leases, NoteOrder, Notes, Nothing, Probe, ProbeQuery, ProbeStatus,
    ProbeValue, ReloadAnswer, Rule, RuleSource, Rules, ShownConfig,
};
pub use socket::{AdminAddress, BindError};

// What other servers on a thread of their own have in common with this one.
pub(crate) use guard::check_site;
pub(crate) use serve::serve;
pub(crate) use socket::Socket;

use guard::Access;
use socket::SocketFile;

/// The admin and health listeners, bound and not served yet.
#[derive(Debug)]
pub struct Admin {
    api: Option<Socket>,
    health: Option<Socket>,
    /// A start that fails leaves no socket behind.
    file: Option<SocketFile>,
}

/// The thread that serves them.
#[derive(Debug)]
pub struct AdminThread {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
    file: Option<SocketFile>,
}

impl Admin {
    /// Binds what is configured.
    ///
    /// # Errors
    /// Where the admin address is neither loopback nor a unix socket, or an address cannot be
    /// bound.
    pub fn bind(admin: &AdminBind, health: Option<SocketAddr>) -> Result<Self, BindError> {
        let api = Socket::admin(admin)?;
        Ok(Self {
            file: api.as_ref().and_then(Socket::file),
            api,
            health: health.map(Socket::health).transpose()?,
        })
    }

    /// Where the admin API answers: with the port that the system chose.
    pub fn address(&self) -> Option<&AdminAddress> {
        self.api.as_ref().map(Socket::address)
    }

    pub fn health_address(&self) -> Option<&AdminAddress> {
        self.health.as_ref().map(Socket::address)
    }

    /// Serves until [`AdminThread::stop`].
    ///
    /// # Errors
    /// Where no thread or runtime can be made.
    pub fn start(mut self, handle: Handle) -> io::Result<AdminThread> {
        let file = self.file.take();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("admin-blocking")
            .build()?;
        let (stop, stopped) = watch::channel(false);
        let thread = thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || runtime.block_on(self.serve(handle, stopped)))?;
        Ok(AdminThread { stop, thread, file })
    }

    async fn serve(self, handle: Handle, stop: watch::Receiver<bool>) {
        let admin = async {
            if let Some(socket) = self.api {
                let access = Access::of_admin(socket.address());
                let router = routes::admin(handle.clone(), access);
                serve(socket, router, stop.clone()).await;
            }
        };
        let health = async {
            if let Some(socket) = self.health {
                let router = routes::health(handle.clone());
                serve(socket, router, stop.clone()).await;
            }
        };
        tokio::join!(admin, health);
    }
}

impl AdminThread {
    /// Stops accepting, lets answers under way finish for a moment, and ends.
    pub fn stop(self) {
        // An error says that the thread has ended already.
        if self.stop.send(true).is_err() {
            tracing::debug!("the admin thread had ended before it was stopped");
        }
        if self.thread.join().is_err() {
            tracing::error!("the admin thread panicked");
        }
        drop(self.file);
    }
}
