//! Virtual time: each millisecond programs use CPU, CPU use burns joules, and the counters of the
//! fake machine move. The sampler is called at its interval; nothing sleeps.

use std::collections::BTreeMap;
use std::time::Duration;

use hormesis::energy::ledger::{RING_PLACES, ledger};
use hormesis::energy::{
    ActivitySender, CallEnergy, EnergySettings, IdleSettings, MeterSpec, ProcessSource, Sampler,
    Totals, UpstreamSource,
};
use tokio::time::Instant;

use super::job::{Course, Job, Sign};
use super::tree::{PORT, SERVER_PID, Tree, Zone};
use super::{finish, names};

/// Idle power of the machine in mW: µJ a millisecond.
pub(crate) const IDLE_MW: u64 = 10_000;
/// Power of one busy CPU above idle, in mW.
pub(crate) const CPU_MW: u64 = 20_000;

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) tree: Tree,
    pub(crate) package: Zone,
    pub(crate) sampler: Sampler,
    sender: ActivitySender,
    epoch: Instant,
    /// In ms.
    pub(crate) now: u64,
    interval: u64,
    /// All that the machine used, in µJ.
    pub(crate) burnt: u64,
    /// CPU time in µs: the server, hormesis, all others.
    cpu: [u64; 3],
    /// CPU use of hormesis and of others, in thousandths of a CPU.
    pub(crate) own: u64,
    pub(crate) others: u64,
    courses: Vec<Course>,
    pub(crate) past: Vec<Course>,
    pub(crate) figures: BTreeMap<u64, CallEnergy>,
    /// How the counter shows what was burnt.
    pub(crate) dial: fn(u64) -> u64,
    /// The counter at each sample: (ms, what was burnt).
    pub(crate) series: Vec<(u64, u64)>,
}

/// What differs between worlds.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) meters: Vec<MeterSpec>,
    pub(crate) interval: u64,
    /// Whether the upstream's process is configured.
    pub(crate) process: bool,
    pub(crate) idle: IdleSettings,
    pub(crate) ring: usize,
    pub(crate) upstreams: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            meters: MeterSpec::defaults(),
            interval: 100,
            process: true,
            idle: IdleSettings::default(),
            ring: RING_PLACES,
            upstreams: 1,
        }
    }
}

impl World {
    pub(crate) fn new(setup: &Setup) -> Self {
        let tree = Tree::new();
        let package = tree.zone("intel-rapl:0", "package-0");
        Self::on(tree, package, setup)
    }

    pub(crate) fn on(tree: Tree, package: Zone, setup: &Setup) -> Self {
        tree.process(SERVER_PID, 7, 0);
        tree.listen(SERVER_PID, PORT);
        let (mut senders, rings) = ledger(1, setup.upstreams, setup.ring);
        let epoch = rings.epoch();
        let process = setup.process.then_some(ProcessSource::Port(PORT));
        let settings = EnergySettings {
            meters: setup.meters.clone(),
            interval: Some(Duration::from_millis(setup.interval)),
            upstreams: vec![UpstreamSource { process }; setup.upstreams],
            sysfs_root: Some(tree.sys()),
            procfs_root: Some(tree.proc()),
            idle: setup.idle,
        };
        let names = names(&["llm", "other"][..setup.upstreams]);
        let sampler = Sampler::new(&settings, &names, rings, epoch);
        Self {
            tree,
            package,
            sampler,
            sender: senders.remove(0),
            epoch,
            now: 0,
            interval: setup.interval,
            burnt: 0,
            cpu: [0; 3],
            own: 0,
            others: 0,
            courses: Vec::new(),
            past: Vec::new(),
            figures: BTreeMap::new(),
            dial: |burnt| burnt,
            series: vec![(0, 0)],
        }
    }

    pub(crate) fn add(&mut self, job: Job) {
        self.courses.push(job.course());
    }

    /// Lets time pass until `until` ms.
    pub(crate) fn run(&mut self, until: u64) {
        while self.now < until {
            self.tell();
            self.burn();
            self.now += 1;
            if self.now.is_multiple_of(self.interval) {
                self.show();
                let Self {
                    sampler, figures, ..
                } = self;
                let at = self.epoch + Duration::from_millis(self.now);
                sampler.tick(at, |it| keep(figures, it));
            }
        }
    }

    /// Runs until all jobs are over, and a second more; then flushes.
    pub(crate) fn finish(&mut self) -> Totals {
        let over = self.courses.iter().map(Course::over).max();
        self.run(over.unwrap_or(self.now).max(self.now) + 1003);
        self.flush()
    }

    pub(crate) fn flush(&mut self) -> Totals {
        self.tell();
        self.show();
        let Self {
            sampler, figures, ..
        } = self;
        let at = self.epoch + Duration::from_millis(self.now);
        sampler.flush(at, |it| keep(figures, it));
        self.sampler.totals()
    }

    /// The joules that a call truly cost, in µJ.
    pub(crate) fn truth(course: &Course) -> u64 {
        course.cpu_sum() * CPU_MW / 1000
    }

    fn tell(&mut self) {
        let at = self.epoch + Duration::from_millis(self.now);
        for course in &self.courses {
            for (_, sign) in course.signs.iter().filter(|(when, _)| *when == self.now) {
                let call = course.job.call;
                match sign {
                    Sign::Begin => self.sender.begin(call, course.job.upstream, at),
                    Sign::End => self.sender.end(call, at, finish(course.job.outcome)),
                    Sign::Hold => self.sender.hold(call, at),
                    Sign::Release => self.sender.release(call, at),
                }
            }
        }
        let now = self.now;
        let (past, courses) = std::mem::take(&mut self.courses)
            .into_iter()
            .partition(|it: &Course| it.over() < now);
        self.courses = courses;
        self.past.extend::<Vec<Course>>(past);
    }

    fn burn(&mut self) {
        let server: u64 = self.courses.iter().map(|it| it.cpu(self.now)).sum();
        let used = [server, self.own, self.others];
        for (sum, used) in self.cpu.iter_mut().zip(used) {
            *sum += used;
        }
        self.burnt += IDLE_MW + used.iter().sum::<u64>() * CPU_MW / 1000;
    }

    fn show(&mut self) {
        let ns = self.cpu.map(|us| us * 1000);
        self.tree.busy(ns.iter().sum());
        if self.tree.proc().join(SERVER_PID.to_string()).exists() {
            self.tree.process(SERVER_PID, 7, ns[0]);
        }
        self.tree.process(std::process::id(), 1, ns[1]);
        self.package.set((self.dial)(self.burnt));
        self.series.push((self.now, self.burnt));
    }
}

fn keep(figures: &mut BTreeMap<u64, CallEnergy>, it: CallEnergy) {
    let call = it.call;
    assert!(figures.insert(call, it).is_none(), "call {call} told twice");
}
