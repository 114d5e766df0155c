//! What operators and programs may change while calls run: halt, resume, arm, disarm, swap the
//! generation. Nothing here waits for a data-path task or takes a lock that one holds.

mod additions;
mod conditions;
mod halt;
mod leases;
mod notes;
mod proxies;
mod reload;
mod rules;
mod status;
mod threads;
mod toxics;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch as channel};

use crate::config;
use crate::live::Live;
use crate::proxy::Listening;
use crate::record::{AuditStats, CounterRegistry, EnergyTotals, LogStats};
use crate::snapshot::{AdminAccess, Snapshot};
use crate::upstream::OffLimits;

pub use conditions::{ConditionThread, Effect};
pub use halt::{Cause, Halt, ResumeError, StateError};
pub use leases::{LeaseError, LeaseView, NoSuchLease};
pub use notes::{Note, NoteError};
pub use reload::{ReadAgain, Reload, ReloadError, Reloaded, Source};
pub use rules::{Ended, NoSuchRule, Put, RuleError, RuleView};
pub use status::{
    CallFigures, DecisionFigures, ListenerStatus, ReloadFigures, Status, ToxicStatus,
};
pub use toxics::{ProxyConfig, ProxyError, ProxyTraffic, ProxyView};
pub use watch::{WatchThread, Watched, watch};

pub(crate) use threads::{END_TIME, join_within};

use additions::Parts;
use conditions::Watch;
use halt::HaltFile;
use leases::Leases;
use notes::Notes;
use proxies::Proxies;
use reload::History;

/// Says what energy was used so far; called on each scrape, so it must not wait.
pub type EnergySource = Box<dyn Fn() -> Option<EnergyTotals> + Send + Sync>;

/// The control plane's hold on a running sidecar. Clones are the same handle.
#[derive(Clone)]
pub struct Handle(Arc<Inner>);

struct Inner {
    live: Arc<Live>,
    counters: CounterRegistry,
    decisions: LogStats,
    energy: OnceLock<EnergySource>,
    /// Tells the states of one process from those of the next.
    stamp: u64,
    /// What generations are made of. Whoever changes it holds this lock until the new one is in
    /// force; nobody waits for it to end a fault.
    parts: Mutex<Parts>,
    /// Taken after `parts`, and for moments only.
    state: Mutex<State>,
    /// Something ends sooner than was known.
    ends: Notify,
    /// The sockets that are served.
    listening: OnceLock<Listening>,
    /// Of the Toxiproxy API. Its locks are taken before `parts`.
    proxies: Proxies,
    /// What they must not lead to.
    off_limits: OnceLock<OffLimits>,
    // A lock of its own, held while the disk works: reads of the state do not wait for it.
    halt_file: Option<Mutex<HaltFile>>,
    draining: AtomicBool,
    admin: ArcSwap<AdminAccess>,
    /// Told of each change of it.
    admin_changes: channel::Sender<()>,
    audit: OnceLock<AuditStats>,
    /// Taken by whoever reads the counters by time, for as long as that takes.
    watch: Mutex<Watch>,
    /// What a reload works with. One at a time: its lock is held as long as it takes.
    reload: OnceLock<Mutex<Reload>>,
}

#[derive(Debug, Default)]
struct State {
    halt: Option<Halt>,
    /// Orders to halt so far.
    halts: u64,
    /// By name of the listener: the address that it is bound to.
    bound: BTreeMap<String, String>,
    reloads: History,
    leases: Leases,
    notes: Notes,
    /// What the configuration was read from.
    sources: Vec<Arc<config::Source>>,
}

impl Handle {
    /// A handle on `live`. With a state directory, a halt that was kept there holds again.
    ///
    /// # Errors
    /// Where the state directory cannot be made or read: a sidecar that cannot tell whether it was
    /// halted must not start.
    pub fn new(
        live: Arc<Live>,
        counters: CounterRegistry,
        decisions: LogStats,
        state_dir: Option<&Path>,
    ) -> Result<Self, StateError> {
        let halt_file = state_dir.map(HaltFile::in_dir).transpose()?;
        let halt = match &halt_file {
            Some(file) => file.read()?,
            None => None,
        };
        live.set_halted(halt.is_some());
        let watch = Watch::new(live.elapsed());
        Ok(Self(Arc::new(Inner {
            stamp: RandomState::new().hash_one("stamp"),
            parts: Mutex::new(Parts::of_files(live.current())),
            ends: Notify::new(),
            listening: OnceLock::new(),
            proxies: Proxies::default(),
            off_limits: OnceLock::new(),
            live,
            counters,
            decisions,
            energy: OnceLock::new(),
            state: Mutex::new(State {
                halt,
                ..State::default()
            }),
            halt_file: halt_file.map(Mutex::new),
            draining: AtomicBool::new(false),
            admin: ArcSwap::default(),
            admin_changes: channel::Sender::default(),
            audit: OnceLock::new(),
            watch: Mutex::new(watch),
            reload: OnceLock::new(),
        })))
    }

    /// Where energy figures come from; the first call holds.
    pub fn set_energy(&self, source: EnergySource) {
        if self.0.energy.set(source).is_err() {
            tracing::warn!("the source of energy figures was already set");
        }
    }

    /// Who may do what on the admin listener. Nobody was named before this was called.
    pub fn set_admin_access(&self, access: Arc<AdminAccess>) {
        self.0.admin.store(access);
        self.0.admin_changes.send_replace(());
    }

    /// Tells when who may do what is another.
    pub fn admin_access_changes(&self) -> channel::Receiver<()> {
        self.0.admin_changes.subscribe()
    }

    pub fn admin_access(&self) -> Arc<AdminAccess> {
        self.0.admin.load_full()
    }

    /// The figures of the audit log; the first call holds.
    pub fn set_audit(&self, stats: AuditStats) {
        if self.0.audit.set(stats).is_err() {
            tracing::warn!("the figures of the audit log were already set");
        }
    }

    /// The energy used so far; absent where nothing measures it.
    pub fn energy(&self) -> Option<EnergyTotals> {
        self.0.energy.get().and_then(|source| source())
    }

    /// The decisions, as they are made.
    pub fn decisions(&self) -> &LogStats {
        &self.0.decisions
    }

    pub fn live(&self) -> &Arc<Live> {
        &self.0.live
    }

    pub fn counters(&self) -> &CounterRegistry {
        &self.0.counters
    }

    /// Ends every fault, waiting ones included, and lets no other begin until [`Self::resume`].
    /// Latched: a halt that holds keeps its reason.
    ///
    /// # Errors
    /// Where it could not be written to the state directory. It holds all the same, but not over
    /// a restart.
    pub fn halt(&self, reason: &str) -> Result<Halt, StateError> {
        self.halt_for(reason, Cause::Order)
    }

    /// The same for another cause than an order.
    ///
    /// # Errors
    /// As above.
    pub fn halt_for(&self, reason: &str, cause: Cause) -> Result<Halt, StateError> {
        // First the deed, then the paper: a full or slow disk must not keep faults going.
        let halt = self.halt_now(reason, cause);
        self.keep_halt().map(|()| halt)
    }

    /// The deed alone, which waits for nothing; [`Self::keep_halt`] is to follow.
    pub fn halt_now(&self, reason: &str, cause: Cause) -> Halt {
        let mut state = self.state();
        if state.halt.is_none() {
            tracing::warn!(%reason, ?cause, "halted: no fault acts until it is resumed");
        }
        state.halts += 1;
        let kept = state.halt.get_or_insert_with(|| Halt::now(reason, cause));
        let halt = kept.clone();
        self.0.live.set_halted(true);
        self.revoke_all();
        halt
    }

    /// Writes the halt that holds to the state directory, where there is one.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn keep_halt(&self) -> Result<(), StateError> {
        let Some(file) = &self.0.halt_file else {
            return Ok(());
        };
        let file = lock(file);
        // Read under the lock of the file: a resume that came first has ended that halt, and a file
        // that outlived it would halt the next start.
        self.halted().map_or(Ok(()), |halt| file.write(&halt))
    }

    /// Whether a halt outlives this process: there is a state directory.
    pub fn keeps_halts(&self) -> bool {
        self.0.halt_file.is_some()
    }

    /// Lets faults act again on calls to come; `false` where nothing was halted, or where a new
    /// halt came in between.
    ///
    /// # Errors
    /// Where the halt file is there, or the kept halt could not be removed: then it still holds.
    pub fn resume(&self) -> Result<bool, ResumeError> {
        self.check_halt_file()?;
        // The lock of the file comes first: who waits for it with a halt of before would take away
        // what a later one has written meanwhile.
        let file = self.0.halt_file.as_ref().map(lock);
        let Some(halts) = self.halts() else {
            return Ok(false);
        };
        // The other way round than a halt: what cannot be kept is not done.
        if let Some(file) = &file {
            file.remove()?;
        }
        self.forget_breaches();
        let mut state = self.state();
        if state.halts != halts {
            // That halt waits for the file and writes it again.
            return Ok(false);
        }
        state.halt = None;
        self.0.live.set_halted(false);
        self.0.live.ring();
        tracing::warn!("resumed: armed rules act again");
        Ok(true)
    }

    fn halts(&self) -> Option<u64> {
        let state = self.state();
        state.halt.as_ref().map(|_| state.halts)
    }

    /// The halt that holds.
    pub fn halted(&self) -> Option<Halt> {
        self.state().halt.clone()
    }

    /// Puts another generation in force. Rules whose cell it does not take over are disarmed,
    /// listeners whose state it does not take over are retired.
    fn swap(&self, snapshot: &Arc<Snapshot>) {
        let before = self.0.live.swap(Arc::clone(snapshot));
        let kept: BTreeSet<_> = snapshot.rules.cells().iter().map(Arc::as_ptr).collect();
        let now = self.0.live.elapsed_micros();
        for cell in snapshot.rules.cells() {
            cell.bound(now, snapshot.safety.max_ttl);
        }
        for cell in before.rules.cells() {
            if !kept.contains(&Arc::as_ptr(cell)) {
                cell.disarm();
            }
        }
        for listener in &before.listeners {
            if snapshot.place_of(&listener.state).is_none() {
                listener.state.retire();
            }
        }
        self.0.live.ring();
        self.0.ends.notify_one();
    }

    /// A listener is bound and accepts.
    pub fn listener_bound(&self, listener: &str, address: impl fmt::Display) {
        let address = address.to_string();
        self.state().bound.insert(listener.to_owned(), address);
    }

    /// From now on this sidecar is not ready: it finishes what it has.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    pub fn draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }

    /// Whether new calls are welcome: every listener is bound and nothing drains.
    pub fn ready(&self) -> bool {
        if self.draining() {
            return false;
        }
        let snapshot = self.0.live.current();
        let state = self.state();
        snapshot
            .listeners
            .iter()
            .all(|listener| state.bound.contains_key(&*listener.name))
    }

    /// Time since the process started.
    pub fn uptime(&self) -> Duration {
        self.0.live.elapsed()
    }

    fn revoke_all(&self) {
        for cell in self.0.live.current().rules.cells() {
            cell.revoke();
        }
        self.0.live.ring();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }
}

/// Nothing panics between two changes of what these locks guard, so that it is whole even then.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("live", &self.0.live)
            .field("draining", &self.0.draining)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
