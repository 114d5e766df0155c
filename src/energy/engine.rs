//! The sampler's thread. It shares nothing with the workers but their rings.

use std::fmt;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::time::Instant;

use super::figure::CallEnergy;
use super::ledger::{Rings, ledger};
use super::sampler::{EnergyStatus, Sampler};
use super::settings::EnergySettings;
use super::totals::Totals;

/// Counts energy in a thread of its own.
#[derive(Debug)]
pub struct Engine;

/// Takes each call's figure once it is known, on the sampler's thread: it must not block for long.
pub type Sink = Box<dyn FnMut(CallEnergy) + Send>;

/// A running engine. Dropping it stops it.
pub struct EngineHandle {
    sampler: Arc<Mutex<Sampler>>,
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts sampling. `names`: of the upstreams, by index.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(
        settings: &EnergySettings,
        names: &[Arc<str>],
        rings: Rings,
        sink: Sink,
    ) -> io::Result<EngineHandle> {
        let interval = settings.interval.unwrap_or(EnergySettings::INTERVAL);
        let sampler = Sampler::new(settings, names, rings, Instant::now());
        let sampler = Arc::new(Mutex::new(sampler));
        let (stop, stopped) = sync_channel(0);
        let shared = Arc::clone(&sampler);
        let thread = std::thread::Builder::new()
            .name("energy".to_owned())
            .spawn(move || sample(&shared, interval, &stopped, sink))?;
        Ok(EngineHandle {
            sampler,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// What the meters would do here, without counting: for `hormesis doctor`.
    pub fn survey(settings: &EnergySettings, names: &[Arc<str>]) -> EnergyStatus {
        let (_, rings) = ledger(0, names.len(), 0);
        Sampler::new(settings, names, rings, Instant::now()).status()
    }
}

/// Rounds at fixed times: one that is late shortens the pause after it, and no more than that.
fn sample(sampler: &Mutex<Sampler>, interval: Duration, stopped: &Receiver<()>, mut sink: Sink) {
    let interval = interval.max(Duration::from_millis(1));
    let mut next = Instant::now() + interval;
    loop {
        let pause = next.saturating_duration_since(Instant::now());
        let run = matches!(stopped.recv_timeout(pause), Err(RecvTimeoutError::Timeout));
        let mut sampler = lock(sampler);
        let now = Instant::now();
        if !run {
            sampler.flush(now, &mut sink);
            return;
        }
        sampler.tick(now, &mut sink);
        next = (next + interval).max(now);
    }
}

/// A panic in a sink leaves sums as they were after the last whole step: they are still told.
fn lock(sampler: &Mutex<Sampler>) -> MutexGuard<'_, Sampler> {
    sampler.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EngineHandle {
    pub fn totals(&self) -> Totals {
        lock(&self.sampler).totals()
    }

    pub fn status(&self) -> EnergyStatus {
        lock(&self.sampler).status()
    }

    /// Divides the last windows, hands out the last figures, and tells the sums. Calls that have
    /// not ended stay `in_flight`.
    pub fn stop(mut self) -> Totals {
        self.halt();
        self.totals()
    }

    fn halt(&mut self) {
        self.stop = None;
        let thread = self.thread.take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the energy sampler panicked; its sums end where it did");
        }
    }
}

impl Drop for EngineHandle {
    fn drop(&mut self) {
        self.halt();
    }
}

impl fmt::Debug for EngineHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineHandle").finish_non_exhaustive()
    }
}
