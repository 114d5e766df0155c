//! Files of a machine: `sys/class/powercap` and `proc` under a temporary root.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

pub(crate) const SERVER_PID: u32 = 4_000_001;
pub(crate) const PORT: u16 = 8000;
const TICK_NS: u64 = 10_000_000;

#[derive(Debug)]
pub(crate) struct Tree {
    root: TempDir,
}

impl Tree {
    /// A machine with an idle `/proc` and no powercap zone.
    pub(crate) fn new() -> Self {
        let tree = Self {
            root: TempDir::new().unwrap(),
        };
        fs::create_dir_all(tree.powercap()).unwrap();
        fs::create_dir_all(tree.proc().join("net")).unwrap();
        tree.busy(0);
        tree.process(std::process::id(), 1, 0);
        fs::create_dir_all(tree.proc().join("self")).unwrap();
        fs::write(tree.proc().join("self/stat"), "1 (self) S 0").unwrap();
        tree
    }

    pub(crate) fn sys(&self) -> PathBuf {
        self.root.path().join("sys")
    }

    pub(crate) fn proc(&self) -> PathBuf {
        self.root.path().join("proc")
    }

    pub(crate) fn powercap(&self) -> PathBuf {
        self.sys().join("class/powercap")
    }

    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn zone(&self, dir: &str, name: &str) -> Zone {
        let path = self.powercap().join(dir);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("name"), format!("{name}\n")).unwrap();
        fs::write(path.join("max_energy_range_uj"), "262143328850\n").unwrap();
        let counter = File::create(path.join("energy_uj")).unwrap();
        let counter = Some(counter);
        let zone = Zone { path, counter };
        zone.set(0);
        zone
    }

    /// CPU time of all CPUs, in nanoseconds.
    pub(crate) fn busy(&self, ns: u64) {
        let ticks = ns / TICK_NS;
        let text = format!("cpu  {ticks} 0 0 999 99 0 0 0 0 0\ncpu0 {ticks} 0 0 999 99 0 0\n");
        fs::write(self.proc().join("stat"), text).unwrap();
    }

    /// A process with its CPU time in nanoseconds; `started` tells two of the same id apart.
    pub(crate) fn process(&self, pid: u32, started: u64, cpu_ns: u64) {
        let dir = self.proc().join(pid.to_string());
        fs::create_dir_all(dir.join("fd")).unwrap();
        fs::create_dir_all(dir.join(format!("task/{pid}"))).unwrap();
        let ticks = cpu_ns / TICK_NS;
        let text = format!(
            "{pid} (model server) S 1 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 {started} 1 1\n"
        );
        fs::write(dir.join("stat"), text).unwrap();
    }

    pub(crate) fn children(&self, pid: u32, children: &[u32]) {
        let text: Vec<String> = children.iter().map(u32::to_string).collect();
        let path = self.proc().join(format!("{pid}/task/{pid}/children"));
        fs::write(path, text.join(" ")).unwrap();
    }

    /// A process ends: what was held open of it reads as nothing.
    pub(crate) fn kill(&self, pid: u32) {
        let dir = self.proc().join(pid.to_string());
        fs::write(dir.join("stat"), "").unwrap();
        fs::remove_dir_all(dir).unwrap();
    }

    /// The process listens on a port.
    pub(crate) fn listen(&self, pid: u32, port: u16) {
        let line = format!(
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             \x20  0: 0100007F:1F41 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 111 1\n\
             \x20  1: 0100007F:{port:04X} 0100007F:A000 01 00000000:00000000 00:00000000 00000000 0 0 776 1\n\
             \x20  2: 0100007F:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 777 1\n"
        );
        fs::write(self.proc().join("net/tcp"), line).unwrap();
        let fd = self.proc().join(format!("{pid}/fd/3"));
        std::os::unix::fs::symlink("socket:[777]", fd).unwrap();
    }
}

/// A powercap zone whose counter tests set.
#[derive(Debug)]
pub(crate) struct Zone {
    pub(crate) path: PathBuf,
    /// None once it vanished.
    counter: Option<File>,
}

impl Zone {
    /// One `pwrite`: a number of fixed width, so that a smaller one leaves no digits behind.
    pub(crate) fn set(&self, uj: u64) {
        if let Some(counter) = &self.counter {
            let text = format!("{uj:>20}\n");
            counter.write_all_at(text.as_bytes(), 0).unwrap();
        }
    }

    pub(crate) fn range(&self, uj: u64) {
        fs::write(self.path.join("max_energy_range_uj"), format!("{uj}\n")).unwrap();
    }

    /// The zone goes: what was held open reads as nothing.
    pub(crate) fn vanish(&mut self) {
        self.counter.take().unwrap().set_len(0).unwrap();
        fs::remove_dir_all(&self.path).unwrap();
    }
}
