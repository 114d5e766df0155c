//! `cpu-model`: joules of CPU time, by published coefficients.

mod coefficients;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::coefficients::Coefficients;
use super::{Meter, MeterError, MeterKind, Place, Unavailable};
use crate::energy::reading::{Domain, Quiet, Reach, Reading, Source, Spread, TICK_NS, Tier, Usage};

/// A model of the CPU: each vCPU draws `Wmin` idle and `Wmax` busy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CpuModel {}

impl MeterKind for CpuModel {
    const NAME: &'static str = "cpu-model";
    const DOC: &'static str = "CPU time of each upstream's process tree times the watts per vCPU \
        that SPECpower gives for this CPU (after Cloud Carbon Footprint). Needs to know the \
        process: `[upstreams.NAME.energy] process = { port = 8000 }`. A model: the range of each \
        figure spans the idle and the full power of a vCPU.";
    const EXAMPLE: &'static str = "{ cpu-model = {} }";

    fn open(&self, place: &Place) -> Result<Box<dyn Meter>, Unavailable> {
        if place.programs.is_empty() {
            return Err(Unavailable {
                reason: "no upstream says which process it is".to_owned(),
                hint: Some("[upstreams.NAME.energy] process = { port = 8000 }".to_owned()),
            });
        }
        let stat = place.procfs.join("self/stat");
        if let Err(error) = std::fs::read(&stat) {
            return Err(Unavailable {
                reason: format!("{}: {error}", stat.display()),
                hint: Some("[energy] procfs_root = \"/proc\"".to_owned()),
            });
        }
        Ok(Box::new(OpenCpuModel::new(
            Coefficients::of(&place.procfs),
            place,
        )))
    }
}

/// One source for the machine (its idle power, and hormesis itself), then one a program.
#[derive(Debug)]
struct OpenCpuModel {
    idle_uw: u64,
    busy_uw: u64,
    opened: u64,
    names: Vec<String>,
    own: Counted,
    programs: Vec<Counted>,
    sources: Vec<Source>,
}

impl OpenCpuModel {
    fn new(coefficients: Coefficients, place: &Place) -> Self {
        let idle_uw = coefficients.min_uw * place.vcpus;
        let busy_uw = coefficients.max_uw - coefficients.min_uw;
        let source = |device: &str, reach, idle_uw| Source {
            id: format!("cpu-model/{device}"),
            domain: Domain::Cpu,
            tier: Tier::Modelled,
            reach,
            idle_uw: Some(idle_uw),
            quantum_uj: busy_uw * TICK_NS / 1_000_000_000,
            lag_ns: 0,
            quiet: Quiet::Zero(1_000_000_000),
            spread: coefficients.spread(),
        };
        let mut sources = vec![source("machine", Reach::Own, idle_uw)];
        for (index, program) in place.programs.iter().enumerate() {
            sources.push(source(&program.name, Reach::Program(index), 0));
        }
        Self {
            idle_uw,
            busy_uw,
            opened: place.now,
            names: place.programs.iter().map(|it| it.name.clone()).collect(),
            own: Counted::default(),
            programs: vec![Counted::default(); place.programs.len()],
            sources,
        }
    }

    fn energy(&self, cpu_ns: u64) -> u128 {
        u128::from(self.busy_uw) * u128::from(cpu_ns) / 1_000_000_000
    }
}

impl Meter for OpenCpuModel {
    fn sources(&self) -> &[Source] {
        &self.sources
    }

    fn read(&mut self, source: usize, at: u64, usage: &Usage) -> Result<Reading, MeterError> {
        let Some(program) = source.checked_sub(1) else {
            let (cpu_ns, _) = self.own.add(0, usage.own.unwrap_or(self.own.last));
            let elapsed = u128::from(at.saturating_sub(self.opened));
            let idle = u128::from(self.idle_uw) * elapsed / 1_000_000_000;
            return Ok(Reading::Total(idle + self.energy(cpu_ns)));
        };
        let seen = usage.programs.get(program).copied().flatten();
        let Some(seen) = seen else {
            return Err(MeterError::NoProcess {
                program: self.names.get(program).cloned().unwrap_or_default(),
            });
        };
        let (cpu_ns, broken) = self.programs[program].add(seen.epoch, seen.cpu_ns);
        let total = self.energy(cpu_ns);
        Ok(if broken {
            Reading::Broken(total)
        } else {
            Reading::Total(total)
        })
    }
}

/// CPU time since the meter was opened.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    started: bool,
    epoch: u32,
    last: u64,
    total: u64,
}

impl Counted {
    /// The total, and whether what passed since the last reading is unknown.
    fn add(&mut self, epoch: u32, cpu_ns: u64) -> (u64, bool) {
        let broken = self.started && self.epoch != epoch;
        if self.started && !broken {
            self.total += cpu_ns.saturating_sub(self.last);
        }
        self.started = true;
        self.epoch = epoch;
        self.last = cpu_ns;
        (self.total, broken)
    }
}

impl Coefficients {
    /// Between a vCPU that draws only its idle power and one that is charged all of it.
    fn spread(self) -> Spread {
        let busy = self.max_uw - self.min_uw;
        Spread {
            low: (self.min_uw * 1000 / busy).min(1000),
            high: self.max_uw * 1000 / busy,
        }
    }
}
