//! The energy engine beside the workers.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::energy::ledger::{ActivitySender, RING_PLACES, ledger};
use crate::energy::{CallEnergy, EnergyStatus, Engine, EngineHandle, MeterState, MeterStatus};
use crate::record::{DecisionLog, EnergyLine, EnergyTotals};
use crate::snapshot::{Settings, Snapshot};

/// What is asked by the admin thread and stopped by the main one.
#[derive(Clone)]
pub(super) struct SharedEngine(Arc<Mutex<Option<EngineHandle>>>);

/// Each worker's end of the ledger, and the engine where anything is metered.
pub(super) struct Metering {
    pub(super) senders: Vec<Option<ActivitySender>>,
    pub(super) engine: Option<SharedEngine>,
    /// The upstreams of the ledger; none where nothing is metered.
    pub(super) upstreams: Vec<Arc<str>>,
}

impl SharedEngine {
    /// `None` where nothing was metered yet.
    pub(super) fn totals(&self) -> Option<EnergyTotals> {
        let engine = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let totals = engine.as_ref()?.totals();
        (!totals.sources.is_empty()).then(|| EnergyTotals::from(&totals))
    }

    pub(super) fn stop(&self) {
        let engine = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(engine) = engine {
            engine.stop();
        }
    }
}

/// Starts the sampler where anything is to be metered; gives each worker its end of the ledger.
pub(super) fn start(
    settings: &Settings,
    snapshot: &Snapshot,
    workers: usize,
    log: &DecisionLog,
) -> io::Result<Metering> {
    let energy = &settings.energy;
    let wanted =
        !energy.meters.is_empty() || energy.upstreams.iter().any(|it| it.process.is_some());
    if !wanted {
        return Ok(Metering {
            senders: (0..workers).map(|_| None).collect(),
            engine: None,
            upstreams: Vec::new(),
        });
    }
    let upstreams = snapshot.upstreams.iter();
    let upstreams: Vec<Arc<str>> = upstreams.map(|it| it.name.clone()).collect();
    let (senders, rings) = ledger(workers, upstreams.len(), RING_PLACES);
    let records = log.sender();
    let sink = move |figure: CallEnergy| records.send_energy(EnergyLine::from(&figure));
    let engine = Engine::start(energy, &upstreams, rings, Box::new(sink))?;
    warn_unmetered(&engine.status());
    Ok(Metering {
        senders: senders.into_iter().map(Some).collect(),
        engine: Some(SharedEngine(Arc::new(Mutex::new(Some(engine))))),
        upstreams,
    })
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
