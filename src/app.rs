//! Wiring: from a resolved configuration to a running sidecar, and back to silence.
//!
//! The order is the story: bind everything, so that a taken port ends the start before anything
//! runs; start what listens to the workers; start the workers; tell the addresses; wait to be told
//! to stop; drain.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::admin::{Admin, AdminAddress, AdminThread, BindError as AdminBindError};
use crate::config::Resolved;
use crate::control::{Handle, StateError};
use crate::energy::ledger::{RING_PLACES, ledger};
use crate::energy::{CallEnergy, EnergyStatus, Engine, EngineHandle, MeterState, MeterStatus};
use crate::live::Live;
use crate::proxy::timer::Clock;
use crate::proxy::{self, Bound, Drained, Parts, Proxy, WorkerEnds};
use crate::record::{CounterRegistry, DecisionLog, EnergyLine, EnergyTotals};
use crate::snapshot::{SettingPlace, Settings, Snapshot};

/// Workers where none are configured; more rarely help a sidecar, and always cost memory.
const MOST_WORKERS: usize = 4;
/// The exit code where calls were still under way when the drain's grace ended.
const CUT_SHORT: u8 = 1;
/// How often rules whose time is over are disarmed.
const TICK: Duration = Duration::from_millis(200);

/// Why a sidecar could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{source}\n  {place}{}", help(source.help()))]
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
}

impl StartError {
    /// Whether the configuration asks for something that cannot be had: a usage error.
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::Admin { .. } | Self::Bind(_) | Self::Log { .. })
    }
}

/// A line of help, where there is any.
fn help(text: Option<&str>) -> String {
    text.map_or(String::new(), |it| format!("\n  help: {it}"))
}

/// Runs a sidecar until it is told to stop (SIGTERM or SIGINT; a second one ends it at once).
pub fn run(resolved: Resolved) -> Result<ExitCode, StartError> {
    let Resolved {
        snapshot, settings, ..
    } = resolved;
    let app = App::bind(snapshot, settings)?;
    app.run()
}

/// A sidecar whose addresses are bound, and of which nothing runs yet.
struct App {
    snapshot: Arc<Snapshot>,
    settings: Settings,
    bound: Vec<Bound>,
    admin: Admin,
}

impl App {
    fn bind(snapshot: Snapshot, settings: Settings) -> Result<Self, StartError> {
        raise_descriptor_limit();
        let bound = proxy::bind(&snapshot.listeners)?;
        let admin = bind_admin(&settings)?;
        open_log(&settings)?;
        Ok(Self {
            snapshot: Arc::new(snapshot),
            settings,
            bound,
            admin,
        })
    }

    fn run(self) -> Result<ExitCode, StartError> {
        let Self {
            snapshot,
            settings,
            bound,
            admin,
        } = self;
        let grace = snapshot.limits.drain_grace;
        let live = Arc::new(Live::new(snapshot.clone()));
        let counters = CounterRegistry::default();
        let log = DecisionLog::start(&settings.log)?;
        let handle = Handle::new(
            live.clone(),
            counters.clone(),
            log.stats(),
            settings.state_dir.as_deref(),
        )?;
        let count = settings.workers.unwrap_or_else(default_workers);
        let (senders, energy) = start_energy(&settings, &snapshot, count, &log)?;
        if let Some(energy) = &energy {
            let source = Arc::clone(energy);
            handle.set_energy(Box::new(move || totals(&source)));
        }
        let workers = senders
            .into_iter()
            .map(|activity| WorkerEnds {
                counters: counters.worker(),
                records: log.sender(),
                activity,
            })
            .collect();
        // Signals are caught before anything is announced: who reads the addresses may stop us.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut signals = runtime.block_on(async { Signals::new() })?;
        announce(&handle, &snapshot, &bound, &admin);
        let proxy = Proxy::start(
            bound,
            Parts {
                live,
                workers,
                clock: Clock::Timerfd,
            },
        )?;
        let admin = admin.start(handle.clone())?;
        runtime.block_on(signals.wait(&handle));
        let drained = drain(&runtime, signals, &handle, proxy, grace);
        finish(admin, energy, log);
        Ok(drained)
    }
}

fn bind_admin(settings: &Settings) -> Result<Admin, StartError> {
    Admin::bind(&settings.admin, settings.health).map_err(|source| {
        let place = match source {
            AdminBindError::Health { .. } => &settings.health_place,
            AdminBindError::Admin { .. } | AdminBindError::NotLoopback(_) => &settings.admin_place,
        };
        StartError::Admin {
            place: place.clone(),
            source,
        }
    })
}

/// Later a file may fail and come back; one that cannot be opened at first is a mistake.
fn open_log(settings: &Settings) -> Result<(), StartError> {
    DecisionLog::probe(&settings.log).map_err(|source| StartError::Log {
        path: settings.log.file.clone().unwrap_or_default(),
        place: settings.log_place.clone(),
        source,
    })
}

/// The engine is asked by the admin thread and stopped by the main one.
type SharedEngine = Arc<Mutex<Option<EngineHandle>>>;

/// `None` where nothing was metered yet.
fn totals(engine: &SharedEngine) -> Option<EnergyTotals> {
    let engine = engine.lock().unwrap_or_else(PoisonError::into_inner);
    let totals = engine.as_ref()?.totals();
    (!totals.sources.is_empty()).then(|| EnergyTotals::from(&totals))
}

/// Says once what keeps joules from being told: it is no reason not to run.
fn warn_unmetered(status: &EnergyStatus) {
    let counts = |it: &MeterStatus| matches!(it.state, MeterState::Counting { .. });
    if !status.meters.iter().any(counts) {
        let why_not = status.meters.iter().filter_map(|it| match &it.state {
            MeterState::Unavailable(why) => Some(format!("{}: {}", it.name, why.reason)),
            _ => None,
        });
        let why_not = why_not.collect::<Vec<_>>().join("; ");
        tracing::warn!(
            why_not,
            "no meter gives readings here: nothing is told of joules"
        );
        return;
    }
    for it in &status.programs {
        if let Some(why_not) = &it.why_not {
            tracing::warn!(
                upstream = it.name,
                why_not,
                "the upstream's process is not found: until it is, the joules of its calls are null, or shared with other programs"
            );
        }
    }
}

/// Starts the sampler where anything is to be metered; gives each worker its end of the ledger.
fn start_energy(
    settings: &Settings,
    snapshot: &Snapshot,
    workers: usize,
    log: &DecisionLog,
) -> io::Result<(
    Vec<Option<crate::energy::ActivitySender>>,
    Option<SharedEngine>,
)> {
    let energy = &settings.energy;
    let wanted =
        !energy.meters.is_empty() || energy.upstreams.iter().any(|it| it.process.is_some());
    if !wanted {
        return Ok(((0..workers).map(|_| None).collect(), None));
    }
    let names: Vec<Arc<str>> = snapshot
        .upstreams
        .iter()
        .map(|it| it.name.clone())
        .collect();
    let (senders, rings) = ledger(workers, names.len(), RING_PLACES);
    let records = log.sender();
    let sink = move |figure: CallEnergy| records.send_energy(EnergyLine::from(&figure));
    let engine = Engine::start(energy, &names, rings, Box::new(sink))?;
    warn_unmetered(&engine.status());
    let senders = senders.into_iter().map(Some).collect();
    Ok((senders, Some(Arc::new(Mutex::new(Some(engine))))))
}

fn announce(handle: &Handle, snapshot: &Snapshot, bound: &[Bound], admin: &Admin) {
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
    for (what, address) in [
        ("admin", admin.address()),
        ("health", admin.health_address()),
    ] {
        if let Some(address) = address {
            tracing::info!(address = %shown(address), "{what} listening");
        }
    }
    if let Some(halt) = handle.halted() {
        tracing::warn!(reason = %halt.reason, "halted before this start: no fault acts until it is resumed");
    }
}

fn shown(address: &AdminAddress) -> String {
    match address {
        AdminAddress::Tcp(address) => address.to_string(),
        AdminAddress::Unix(path) => path.display().to_string(),
    }
}

/// The signals that end a sidecar.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for one; gives the exit code of a process that it ends, as shells count: 128 and its
    /// number.
    async fn next(&mut self) -> u8 {
        let kind = tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
        };
        u8::try_from(128 + kind.as_raw_value()).unwrap_or(u8::MAX)
    }

    /// Waits for the first, while rules whose time is over are disarmed.
    async fn wait(&mut self, handle: &Handle) {
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                _ = self.next() => return,
                _ = tick.tick() => handle.expire(),
            }
        }
    }
}

/// Drains while a second signal is watched for.
fn drain(
    runtime: &tokio::runtime::Runtime,
    mut signals: Signals,
    handle: &Handle,
    proxy: Proxy,
    grace: Duration,
) -> ExitCode {
    tracing::info!(grace = ?grace, "draining: no new connections, calls under way finish");
    handle.drain();
    let drained = std::thread::scope(|scope| {
        let draining = scope.spawn(|| proxy.drain(grace));
        runtime.block_on(async {
            while !draining.is_finished() {
                tokio::select! {
                    code = signals.next() => {
                        tracing::warn!("second signal: ending at once");
                        #[expect(clippy::exit, reason = "the user insists; workers hold nothing that needs an orderly end")]
                        std::process::exit(code.into());
                    }
                    () = tokio::time::sleep(Duration::from_millis(5)) => {}
                }
            }
        });
        draining.join().unwrap_or(Drained::CutShort)
    });
    match drained {
        Drained::Whole => {
            tracing::info!("drained");
            ExitCode::SUCCESS
        }
        Drained::CutShort => {
            tracing::warn!("the grace period ended before all calls had: exit code 1");
            CUT_SHORT.into()
        }
    }
}

fn finish(admin: AdminThread, energy: Option<SharedEngine>, log: DecisionLog) {
    admin.stop();
    if let Some(energy) = energy {
        let engine = energy.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(engine) = engine {
            engine.stop();
        }
    }
    log.close();
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
