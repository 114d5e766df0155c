//! From a configuration to workers that serve.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::MissedTickBehavior;

use crate::admin::{Admin, AdminAddress, AdminThread, BindError as AdminBindError, TokenFolders};
use crate::app::Setup;
use crate::app::drain::drain;
use crate::app::energy::{self, SharedEngine};
use crate::app::notify;
use crate::app::signals::{Asked, Signals, halt_on_signal};
use crate::app::traces::Traces;
use crate::config::{Resolved, Source};
use crate::control::{ConditionThread, Handle, Reload, StateError, WatchThread, Watched, watch};
use crate::energy::ledger::ActivitySender;
use crate::live::Live;
use crate::proxy::timer::Clock;
use crate::proxy::{self, Bound, Inherited, Parts, Proxy, WorkerEnds};
use crate::record::{CounterRegistry, DecisionLog};
use crate::snapshot::{SettingPlace, Settings, Snapshot};
use crate::toxiproxy::{self, Toxiproxy, ToxiproxyThread};
use crate::upstream::OffLimits;

/// Workers where none are configured; more rarely help a sidecar, and always cost memory.
const MOST_WORKERS: usize = 4;

/// Why a sidecar could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{source}\n  {place}{}", help(source.help().as_deref()))]
    Admin {
        place: SettingPlace,
        source: AdminBindError,
    },
    #[error("{0}\n  configured at {place}{help}", place = .0.place, help = help(.0.help()))]
    Bind(#[from] proxy::BindError),
    #[error("cannot open the decision log {}: {source}\n  {place}", path.display())]
    Log {
        path: PathBuf,
        place: SettingPlace,
        source: io::Error,
    },
    #[error("could not start: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("{source}\n  {place}{}", help(source.help()))]
    Toxiproxy {
        place: SettingPlace,
        source: toxiproxy::BindError,
    },
}

impl StartError {
    /// Whether the configuration asks for something that cannot be had: a usage error.
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Admin { .. } | Self::Bind(_) | Self::Log { .. } | Self::Toxiproxy { .. }
        )
    }
}

/// A line of help, where there is any.
fn help(text: Option<&str>) -> String {
    text.map_or(String::new(), |it| format!("\n  help: {it}"))
}

/// A sidecar whose addresses are bound, and of which nothing runs yet.
pub(super) struct App {
    snapshot: Arc<Snapshot>,
    settings: Settings,
    setup: Setup,
    bound: Vec<Bound>,
    admin: Admin,
    sources: Vec<Arc<Source>>,
    toxiproxy: Option<Toxiproxy>,
}

impl App {
    pub(super) fn bind(resolved: Resolved, setup: Setup) -> Result<Self, StartError> {
        raise_descriptor_limit();
        let Resolved {
            snapshot,
            settings,
            sources,
            ..
        } = resolved;
        let mut inherited = Inherited::of_process(setup.socket_names.as_deref());
        let bound = proxy::bind_with(&snapshot.listeners, &mut inherited)?;
        inherited.close_unused();
        let admin = bind_admin(&settings)?;
        let toxiproxy = bind_toxiproxy(&settings)?;
        open_log(&settings)?;
        Ok(Self {
            snapshot: Arc::new(snapshot),
            settings,
            setup,
            bound,
            admin,
            sources,
            toxiproxy,
        })
    }

    pub(super) fn run(self) -> Result<ExitCode, StartError> {
        let Self {
            snapshot,
            settings,
            setup,
            bound,
            admin,
            sources,
            toxiproxy,
        } = self;
        let live = Arc::new(Live::new(snapshot.clone()));
        let counters = CounterRegistry::default();
        let traces = Traces::start(settings.traces.as_ref())?;
        let log = traces.log(&settings.log)?;
        let state_dir = settings.state_dir.as_deref();
        let handle = Handle::new(live.clone(), counters.clone(), log.stats(), state_dir)?;
        handle.set_log(log.sender());
        handle.set_sources(sources);
        handle.heed_halt_file();
        let count = settings.workers.unwrap_or_else(default_workers);
        let metering = energy::start(&settings, &snapshot, count, &log)?;
        let engine = metering.engine;
        if let Some(engine) = engine.clone() {
            handle.set_energy(Box::new(move || engine.totals()));
        }
        let workers = worker_ends(metering.senders, &counters, &log);
        // Signals are caught before anything is announced: who reads the addresses may stop us.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut signals = runtime.block_on(async { Signals::new() })?;
        announce(&handle, &snapshot, &bound);
        let proxy = Proxy::start(bound, parts(live, workers))?;
        let folders = TokenFolders {
            state_dir: settings.state_dir.clone(),
            runtime: Some(setup.runtime),
        };
        handle.set_reload(Reload {
            source: setup.source,
            listening: proxy.listening().clone(),
            settings,
            metered: metering.upstreams,
        });
        handle.set_off_limits(off_limits(&admin, toxiproxy.as_ref()));
        let admin = start_admin(admin, &handle, &folders)?;
        let toxiproxy = toxiproxy.map(|it| it.start(handle.clone())).transpose()?;
        let reloads = start_reloads(&handle, setup.watched)?;
        handle.watch_halt_file()?;
        let conditions = ConditionThread::start(handle.clone())?;
        notify::ready(&handle);
        serve(&runtime, &mut signals, &handle, &proxy, &reloads);
        // The reload thread is not waited for: a change of the sockets is refused from now on.
        let drained = drain(&runtime, signals, &handle, proxy, setup.log);
        reloads.stop();
        conditions.stop();
        toxiproxy.into_iter().for_each(ToxiproxyThread::stop);
        finish(admin, engine, log, traces);
        Ok(drained)
    }
}

/// What each worker writes to, one for each sender of the energy engine.
fn worker_ends(
    senders: Vec<Option<ActivitySender>>,
    counters: &CounterRegistry,
    log: &DecisionLog,
) -> Vec<WorkerEnds> {
    let ends = senders.into_iter().map(|activity| WorkerEnds {
        counters: counters.worker(),
        records: log.sender(),
        activity,
    });
    ends.collect()
}

const fn parts(live: Arc<Live>, workers: Vec<WorkerEnds>) -> Parts {
    Parts {
        live,
        workers,
        clock: Clock::Timerfd,
    }
}

fn start_reloads(handle: &Handle, watched: Watched) -> io::Result<WatchThread> {
    let told = handle.clone();
    watch(handle.clone(), watched, move |result| {
        notify::reloading(&told, result);
    })
}

/// Waits for a signal that ends it, while rules whose time is over are disarmed, reloads are
/// ordered and the service manager hears that the workers answer.
fn serve(
    runtime: &Runtime,
    signals: &mut Signals,
    handle: &Handle,
    proxy: &Proxy,
    reloads: &WatchThread,
) {
    runtime.block_on(async {
        let watchdog = notify::watchdog();
        let mut alive = tokio::time::interval(watchdog.unwrap_or(Duration::MAX / 4));
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                asked = signals.next() => match asked {
                    Asked::Stop(_) => return,
                    Asked::Reload => reloads.reload(),
                    Asked::Halt => halt_on_signal(handle),
                },
                () = handle.keep_time() => {}
                _ = alive.tick(), if watchdog.is_some() => {
                    if proxy.answers() {
                        notify::alive();
                    } else {
                        tracing::error!("a worker does not answer");
                    }
                }
            }
        }
    });
}

fn bind_admin(settings: &Settings) -> Result<Admin, StartError> {
    Admin::bind(&settings.admin, settings.health).map_err(|source| {
        let place = match source {
            AdminBindError::Health { .. } => &settings.health_place,
            AdminBindError::Admin { .. } | AdminBindError::Exposed(_) => &settings.admin_place,
        };
        StartError::Admin {
            place: place.clone(),
            source,
        }
    })
}

fn bind_toxiproxy(settings: &Settings) -> Result<Option<Toxiproxy>, StartError> {
    let Some(wanted) = settings.toxiproxy.clone() else {
        return Ok(None);
    };
    let bound = Toxiproxy::bind(wanted).map_err(|source| StartError::Toxiproxy {
        place: settings.toxiproxy_place.clone(),
        source,
    })?;
    tracing::info!(address = %bound.address(), "Toxiproxy API listening");
    Ok(Some(bound))
}

/// Later a file may fail and come back; one that cannot be opened at first is a mistake.
fn open_log(settings: &Settings) -> Result<(), StartError> {
    DecisionLog::probe(&settings.log).map_err(|source| StartError::Log {
        path: settings.log.file.clone().unwrap_or_default(),
        place: settings.log_place.clone(),
        source,
    })
}

fn announce(handle: &Handle, snapshot: &Snapshot, bound: &[Bound]) {
    for it in bound {
        let listener = &snapshot.listeners[it.listener];
        handle.listener_bound(&listener.name, &it.address);
        tracing::info!(
            listener = %listener.name,
            address = %it.address,
            protocol = listener.protocol.name(),
            upstream = %snapshot.upstreams[listener.upstream].name,
            "listening"
        );
    }
    if let Some(halt) = handle.halted() {
        tracing::warn!(reason = %halt.reason, "halted from the start: no fault acts until it is resumed");
    }
}

/// Where this process takes orders by TCP.
fn off_limits(admin: &Admin, toxiproxy: Option<&Toxiproxy>) -> OffLimits {
    let addresses = [admin.address(), admin.health_address()];
    let by_tcp = addresses.into_iter().flatten().filter_map(|it| match it {
        AdminAddress::Tcp(address) => Some(*address),
        AdminAddress::Unix(_) => None,
    });
    by_tcp.chain(toxiproxy.map(Toxiproxy::address)).collect()
}

/// Its addresses are told once it can be asked: by then its token lies where the command line looks.
fn start_admin(admin: Admin, handle: &Handle, folders: &TokenFolders) -> io::Result<AdminThread> {
    let told = [
        ("admin", admin.address().map(shown)),
        ("health", admin.health_address().map(shown)),
    ];
    let thread = admin.start(handle.clone(), folders)?;
    for (what, address) in told {
        if let Some(address) = address {
            tracing::info!(%address, "{what} listening");
        }
    }
    Ok(thread)
}

fn shown(address: &AdminAddress) -> String {
    match address {
        AdminAddress::Tcp(address) => address.to_string(),
        AdminAddress::Unix(path) => path.display().to_string(),
    }
}

fn finish(admin: AdminThread, engine: Option<SharedEngine>, log: DecisionLog, traces: Traces) {
    admin.stop();
    if let Some(engine) = engine {
        engine.stop();
    }
    log.close();
    traces.close();
}

/// One worker a core that this process may use (its cgroup's quota counts), at most four.
fn default_workers() -> usize {
    std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(MOST_WORKERS)
}

/// Every connection takes two descriptors; the usual soft limit of 1,024 is a login shell's.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it is refused the old limit holds, and accepting pauses when it is reached.
    crate::error::ignore(setrlimit(Resource::Nofile, limit));
}
