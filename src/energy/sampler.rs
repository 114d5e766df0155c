//! One round of sampling: CPU times, meters, rings, then the windows of the round before, whose
//! activity is complete by now. Driven by explicit times: the engine's thread is a loop around it.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use tokio::time::Instant;

use super::attribution::{Attribution, FoldedStretch};
use super::chain::{Chain, MeterStatus};
use super::figure::CallEnergy;
use super::ledger::{FoldedWork, Rings, since};
use super::meter::{MeterSpec, Place};
use super::process::{Machine, Program, ProgramStatus};
use super::settings::EnergySettings;
use super::totals::Totals;
use super::window::{Step, Stretch};

/// Reads, divides, hands out.
#[derive(Debug)]
pub struct Sampler {
    rings: Rings,
    machine: Machine,
    place: Place,
    chain: Chain,
    attribution: Attribution,
    /// Windows that wait for the entries that workers may still be writing.
    steps: Vec<(usize, Step)>,
    folded: Vec<FoldedWork>,
    last: u64,
}

/// What the engine is doing.
#[derive(Clone, Debug, Serialize)]
pub struct EnergyStatus {
    pub meters: Vec<MeterStatus>,
    pub programs: Vec<ProgramStatus>,
    /// Calls that have no figure yet.
    pub pending: usize,
}

impl Sampler {
    /// `names`: of the upstreams, by index. `at`: now; the first windows start here.
    pub fn new(settings: &EnergySettings, names: &[Arc<str>], rings: Rings, at: Instant) -> Self {
        let (programs, of_upstream) = programs(settings, names);
        let root = |root: &Option<PathBuf>, usual: &str| {
            root.clone().unwrap_or_else(|| PathBuf::from(usual))
        };
        let vcpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let now = since(rings.epoch(), at);
        let place = Place {
            sysfs: root(&settings.sysfs_root, "/sys"),
            procfs: root(&settings.procfs_root, "/proc"),
            programs,
            vcpus: vcpus as u64,
            now,
        };
        let specs = if settings.meters.is_empty() {
            MeterSpec::defaults()
        } else {
            settings.meters.clone()
        };
        let mut sampler = Self {
            machine: Machine::new(&place.procfs, std::process::id(), &place.programs),
            chain: Chain::new(specs, &place),
            attribution: Attribution::new(of_upstream, settings.idle),
            steps: Vec::new(),
            folded: vec![FoldedWork::default(); rings.upstreams().max(1)],
            last: now,
            place,
            rings,
        };
        let usage = sampler.machine.sample(now);
        sampler
            .chain
            .choose(&sampler.place, &usage, &mut sampler.attribution);
        sampler
    }

    /// One round at `at`. Figures of calls whose last window is divided go to `sink`.
    pub fn tick(&mut self, at: Instant, sink: impl FnMut(CallEnergy)) {
        self.round(at, false, sink);
    }

    /// The last round: every window is closed and divided.
    pub fn flush(&mut self, at: Instant, sink: impl FnMut(CallEnergy)) {
        self.round(at, true, sink);
    }

    fn round(&mut self, at: Instant, flush: bool, sink: impl FnMut(CallEnergy)) {
        let now = since(self.rings.epoch(), at);
        let usage = self.machine.sample(now);
        let complete = self.steps.len();
        self.chain.read(now, &usage, flush, &mut self.steps);
        self.drain(now);
        let choose = self.chain.due(now);
        let count = if flush || choose {
            self.steps.len()
        } else {
            complete
        };
        for (book, step) in self.steps.drain(..count) {
            self.attribution.advance(book, &step);
        }
        if choose {
            self.place.now = now;
            self.chain
                .choose(&self.place, &usage, &mut self.attribution);
        }
        self.attribution.finished(sink);
        self.last = now;
    }

    fn drain(&mut self, now: u64) {
        let Self {
            rings, attribution, ..
        } = self;
        rings.drain(|activity| attribution.apply(activity));
        for (upstream, seen) in self.folded.iter_mut().enumerate() {
            let work = rings.folded(upstream, now);
            attribution.fold(FoldedStretch {
                upstream,
                stretch: Stretch {
                    from: self.last,
                    to: now,
                },
                active_ns: work.active_ns.saturating_sub(seen.active_ns),
                calls: work.calls.saturating_sub(seen.calls),
            });
            *seen = work;
        }
    }

    pub fn totals(&self) -> Totals {
        self.attribution.totals()
    }

    pub fn status(&self) -> EnergyStatus {
        EnergyStatus {
            meters: self.chain.status(),
            programs: self.machine.status(),
            pending: self.attribution.pending(),
        }
    }
}

/// The distinct programs, and which of them each upstream is.
fn programs(settings: &EnergySettings, names: &[Arc<str>]) -> (Vec<Program>, Vec<Option<usize>>) {
    let mut programs: Vec<Program> = Vec::new();
    let count = names.len().max(settings.upstreams.len());
    let of_upstream = (0..count)
        .map(|index| {
            let source = settings.upstreams.get(index)?.process.clone()?;
            let known = programs.iter().position(|it| it.source == source);
            Some(known.unwrap_or_else(|| {
                let name = names.get(index).map_or("?", |name| &**name).to_owned();
                programs.push(Program { name, source });
                programs.len() - 1
            }))
        })
        .collect();
    (programs, of_upstream)
}
