//! CPU time of programs: the upstreams' process trees, hormesis itself, the whole machine.

mod find;
mod stat;
mod tree;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use self::find::NotFound;
use self::stat::StatFile;
use self::tree::Tree;
use super::reading::{Seen, TICK_NS, Usage};
use super::settings::ProcessSource;

/// How often a program that is not there is looked for, and a tree is walked for new children.
const LOOK_NS: u64 = 1_000_000_000;

/// A program whose CPU time divides energy: a distinct process source of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The name of the first upstream that names it.
    pub name: String,
    pub source: ProcessSource,
}

/// What is known of a program now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProgramStatus {
    pub name: String,
    /// Its processes; empty where none was found.
    pub pids: Vec<u32>,
    pub why_not: Option<String>,
}

/// Reads CPU time from `/proc`. Files that are read in each round stay open.
#[derive(Debug)]
pub struct Machine {
    procfs: PathBuf,
    busy: Option<File>,
    own: Option<StatFile>,
    own_pid: u32,
    programs: Vec<Tracked>,
}

#[derive(Debug)]
struct Tracked {
    program: Program,
    tree: Option<Tree>,
    epoch: u32,
    looked: Option<u64>,
    why_not: Option<NotFound>,
}

impl Machine {
    /// `own_pid`: the process that is `self`, never part of a program.
    pub fn new(procfs: &Path, own_pid: u32, programs: &[Program]) -> Self {
        Self {
            busy: File::open(procfs.join("stat")).ok(),
            own: StatFile::open(procfs, own_pid),
            own_pid,
            programs: programs
                .iter()
                .map(|program| Tracked {
                    program: program.clone(),
                    tree: None,
                    epoch: 0,
                    looked: None,
                    why_not: None,
                })
                .collect(),
            procfs: procfs.to_owned(),
        }
    }

    /// CPU times now, at `at` nanoseconds since the epoch.
    pub fn sample(&mut self, at: u64) -> Usage {
        let mut usage = Usage {
            busy: self.busy.as_ref().and_then(busy),
            own: self
                .own
                .as_ref()
                .and_then(|file| Some(file.read()?.cpu_ticks * TICK_NS)),
            programs: Vec::with_capacity(self.programs.len()),
        };
        for tracked in &mut self.programs {
            let seen = tracked.sample(&self.procfs, self.own_pid, at);
            usage.programs.push(seen);
        }
        usage
    }

    pub fn status(&self) -> Vec<ProgramStatus> {
        self.programs
            .iter()
            .map(|tracked| ProgramStatus {
                name: tracked.program.name.clone(),
                pids: tracked.tree.as_ref().map(Tree::pids).unwrap_or_default(),
                why_not: tracked.why_not.as_ref().map(ToString::to_string),
            })
            .collect()
    }
}

impl Tracked {
    fn sample(&mut self, procfs: &Path, own_pid: u32, at: u64) -> Option<Seen> {
        let due = self
            .looked
            .is_none_or(|looked| at.saturating_sub(looked) >= LOOK_NS);
        if due {
            self.looked = Some(at);
            match &mut self.tree {
                Some(tree) => tree.walk(procfs, own_pid),
                None => self.look(procfs, own_pid),
            }
        }
        let cpu_ns = self.tree.as_mut()?.cpu_ns();
        if cpu_ns.is_none() {
            self.tree = None;
            self.looked = None;
            self.why_not = Some(NotFound::Gone);
        }
        Some(Seen {
            epoch: self.epoch,
            cpu_ns: cpu_ns?,
        })
    }

    fn look(&mut self, procfs: &Path, own_pid: u32) {
        match find::roots(procfs, own_pid, &self.program.source) {
            Ok(roots) => {
                let mut tree = Tree::new(&roots);
                tree.walk(procfs, own_pid);
                self.tree = Some(tree);
                self.epoch += 1;
                self.why_not = None;
            }
            Err(why) => self.why_not = Some(why),
        }
    }
}

/// CPU time of all CPUs, from the first line of `/proc/stat`: all but `idle` and `iowait`. Guest
/// time is within `user`.
fn busy(file: &File) -> Option<u64> {
    let mut buffer = [0; 512];
    let length = file.read_at(&mut buffer, 0).ok()?;
    let text = std::str::from_utf8(&buffer[..length]).ok()?;
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let fields = line
        .split_ascii_whitespace()
        .map(|it| it.parse::<u64>().ok());
    let mut ticks = 0_u64;
    for (index, field) in fields.enumerate().take(8) {
        if index != 3 && index != 4 {
            ticks = ticks.checked_add(field?)?;
        }
    }
    ticks.checked_mul(TICK_NS)
}
