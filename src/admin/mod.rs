//! The admin API on a thread and runtime of its own, so that it answers whatever the data path
//! does. `api.rs` holds what all routes share and `routes/` the routes; `keeper.rs` stands before
//! them and decides who may do what; `guard.rs` refuses what a web page could send; `audit/` tells
//! who did what.

mod answer;
mod api;
mod ask;
mod audit;
mod backoff;
pub mod client;
mod etag;
mod guard;
mod keeper;
mod made;
mod peer;
mod places;
mod progress;
#[cfg(test)]
mod reference;
mod routes;
mod serve;
mod socket;
mod watch;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::watch as channel;

use crate::control::{END_TIME, Handle, join_within};
use crate::snapshot::{AdminSettings, Scopes, Token};

pub use answer::{Refusal, Told};
pub use audit::{Broken, Verified, verify};
pub use made::{TokenFolders, check_runtime_folder, runtime_folder, token_entry};
pub use routes::{
    ArmOrder, Condition, DecisionFilter, EffectAnswer, EffectFigures, EffectQuery, EnergyAnswer,
    Grouping, HaltAnswer, HaltOrder, Health, Lease, LeaseOrder, Leases, NoteOrder, Notes, Nothing,
    Probe, ProbeQuery, ProbeStatus, ProbeValue, ReloadAnswer, Rule, RuleSource, Rules, ShownConfig,
};
pub use socket::{AdminAddress, BindError};

// What other servers on a thread of their own have in common with this one.
pub(crate) use guard::check_site;
pub(crate) use serve::serve;
pub(crate) use socket::Socket;

use audit::{Audit, AuditThread, Entry};
use keeper::Keeper;
use serve::{GRACE, Serving};
use socket::SocketFile;

/// The name in the audit log of a token that nobody configured.
const MADE: &str = "admin";

/// The admin and health listeners, bound and not served yet.
#[derive(Debug)]
pub struct Admin {
    settings: AdminSettings,
    api: Option<Socket>,
    health: Option<Socket>,
    /// A start that fails leaves no socket behind.
    file: Option<SocketFile>,
}

/// The thread that serves them.
#[derive(Debug)]
pub struct AdminThread {
    stop: channel::Sender<bool>,
    thread: JoinHandle<()>,
    audit: Option<AuditThread>,
    file: Option<SocketFile>,
    token: Option<made::Entry>,
}

impl Admin {
    /// Binds what is configured.
    ///
    /// # Errors
    /// Where other machines could reach the admin listener without TLS or a proof of who asks, or
    /// an address cannot be bound.
    pub fn bind(settings: &AdminSettings, health: Option<SocketAddr>) -> Result<Self, BindError> {
        settings.check_exposure()?;
        let api = Socket::admin(&settings.bind)?;
        Ok(Self {
            settings: settings.clone(),
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
    pub fn start(mut self, handle: Handle, folders: &TokenFolders) -> io::Result<AdminThread> {
        let file = self.file.take();
        handle.set_admin_access(Arc::clone(&self.settings.access));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("admin-blocking")
            .build()?;
        let (audit, audit_thread) = self.audit(folders)?;
        handle.set_audit(audit.stats().clone());
        let (keeper, token) = match self.address() {
            Some(address) => {
                let (keeper, token) = self.keeper(address, &handle, folders, audit.clone());
                (Some(Arc::new(keeper)), token)
            }
            None => (None, None),
        };
        let (stop, stopped) = channel::channel(false);
        let thread = thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || {
                runtime.block_on(self.serve(handle, keeper, audit, stopped));
                // What waits for a disk may do so for ever.
                runtime.shutdown_timeout(END_TIME);
            })?;
        Ok(AdminThread {
            stop,
            thread,
            audit: audit_thread,
            file,
            token,
        })
    }

    fn audit(&self, folders: &TokenFolders) -> io::Result<(Audit, Option<AuditThread>)> {
        let beside = || folders.state_dir.as_ref().map(|it| it.join("audit.jsonl"));
        match self.settings.audit.clone().or_else(beside) {
            Some(path) => Audit::start(path).map(|(audit, thread)| (audit, Some(thread))),
            None => Ok((Audit::default(), None)),
        }
    }

    /// With the entry by which the command line finds a token.
    fn keeper(
        &self,
        address: &AdminAddress,
        handle: &Handle,
        folders: &TokenFolders,
        audit: Audit,
    ) -> (Keeper, Option<made::Entry>) {
        let (token, help, entry) = match self.token(address, folders) {
            Found::Made(made) => {
                let token = Token::new(MADE, made.secret.as_bytes(), Scopes::ALL);
                (Some(token), help_with(&made.file), made.entry)
            }
            Found::Configured(file, entry) => (None, help_with(&file), entry),
            Found::Elsewhere => (
                None,
                "send a token of `[admin] tokens`, or show a certificate of `[admin] clients`"
                    .to_owned(),
                None,
            ),
        };
        let keeper = Keeper::new(handle.clone(), address.clone(), token, help, audit);
        (keeper, entry)
    }

    fn token(&self, address: &AdminAddress, folders: &TokenFolders) -> Found {
        let local =
            matches!(address, AdminAddress::Tcp(_)) && self.settings.bind.exposed().is_none();
        if !local {
            // A unix socket needs none; beyond this machine nobody is told where one stands.
            return Found::Elsewhere;
        }
        if let Some(file) = &self.settings.token_file {
            let entry = made::point(folders, address, file);
            return Found::Configured(file.clone(), entry);
        }
        match made::make(folders, address) {
            Ok(made) => {
                tracing::info!(file = %made.file.display(), "made a token for changes by the admin API");
                Found::Made(made)
            }
            Err(error) => {
                tracing::warn!(%error, "there is no place for an admin token: reads and halt are open, changes refused; set `state_dir` or `[admin] tokens`");
                Found::Elsewhere
            }
        }
    }

    async fn serve(
        self,
        handle: Handle,
        keeper: Option<Arc<Keeper>>,
        audit: Audit,
        stop: channel::Receiver<bool>,
    ) {
        audit.tell(Entry::started());
        let admin = async {
            if let (Some(socket), Some(keeper)) = (self.api, keeper) {
                let router = routes::admin(handle.clone(), Arc::clone(&keeper));
                let serving = Serving::new(router, Some(keeper), stop.clone());
                serving.serve(socket).await;
            }
        };
        let health = async {
            if let Some(socket) = self.health {
                let router = routes::health(handle.clone());
                Serving::new(router, None, stop.clone()).serve(socket).await;
            }
        };
        let halts = watch::halts(&handle, &audit, stop.clone());
        tokio::join!(admin, health, halts);
        audit.tell(Entry::new("stopped"));
    }
}

/// Where the token is that a caller needs.
enum Found {
    Made(made::Made),
    Configured(PathBuf, Option<made::Entry>),
    Elsewhere,
}

fn help_with(file: &std::path::Path) -> String {
    format!(
        "the token is in {}: send it as `Authorization: Bearer TOKEN`",
        file.display()
    )
}

impl AdminThread {
    /// Stops accepting, lets answers under way finish for a moment, and ends.
    pub fn stop(self) {
        // An error says that the thread has ended already.
        if self.stop.send(true).is_err() {
            tracing::debug!("the admin thread had ended before it was stopped");
        }
        join_within(self.thread, GRACE + 2 * END_TIME, "admin");
        if let Some(audit) = self.audit {
            audit.stop();
        }
        drop((self.file, self.token));
    }
}
