//! A program's processes: its roots and all their children.

use std::collections::BTreeMap;
use std::path::Path;

use super::stat::StatFile;
use crate::energy::reading::TICK_NS;

#[derive(Debug)]
pub(super) struct Tree {
    roots: Vec<Root>,
    members: BTreeMap<u32, Member>,
    /// Sum of all members at the last reading. It never counts backwards: a child that ended
    /// without being waited for takes its time with it, but not ours.
    last: Option<u64>,
    total: u64,
}

/// A process by id and start: ids are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) pid: u32,
    pub(super) started: u64,
}

#[derive(Debug)]
struct Member {
    file: StatFile,
    started: u64,
}

impl Tree {
    pub(super) fn new(roots: &[Root]) -> Self {
        Self {
            roots: roots.to_owned(),
            members: BTreeMap::new(),
            last: None,
            total: 0,
        }
    }

    pub(super) fn pids(&self) -> Vec<u32> {
        self.members.keys().copied().collect()
    }

    /// Finds new children. Those that ended fall out when they are next read.
    pub(super) fn walk(&mut self, procfs: &Path, own_pid: u32) {
        let mut pending: Vec<u32> = self.roots.iter().map(|root| root.pid).collect();
        let mut seen = Vec::new();
        while let Some(pid) = pending.pop() {
            if pid == own_pid || seen.contains(&pid) {
                continue;
            }
            seen.push(pid);
            self.adopt(procfs, pid);
            pending.extend(children(procfs, pid));
        }
    }

    fn adopt(&mut self, procfs: &Path, pid: u32) {
        if self.members.contains_key(&pid) {
            return;
        }
        let Some(file) = StatFile::open(procfs, pid) else {
            return;
        };
        let Some(stat) = file.read() else { return };
        let root = self.roots.iter().find(|root| root.pid == pid);
        if root.is_none_or(|root| root.started == stat.started) {
            let started = stat.started;
            self.members.insert(pid, Member { file, started });
        }
    }

    /// CPU time since the tree was found; `None` once all roots are gone.
    pub(super) fn cpu_ns(&mut self) -> Option<u64> {
        let roots = &self.roots;
        let mut sum = 0_u64;
        let mut rooted = false;
        self.members.retain(|pid, member| {
            let stat = member.file.read();
            let Some(stat) = stat.filter(|stat| stat.started == member.started) else {
                return false;
            };
            rooted |= !stat.ended && roots.iter().any(|root| root.pid == *pid);
            // A zombie counts on: its time moves to its parent when that waits for it.
            sum = sum.saturating_add(stat.cpu_ticks);
            true
        });
        if !rooted {
            return None;
        }
        let ns = sum.saturating_mul(TICK_NS);
        if let Some(last) = self.last {
            self.total += ns.saturating_sub(last);
        }
        self.last = Some(ns);
        Some(self.total)
    }
}

/// The children of all threads of a process (`proc_tid_children(5)`).
fn children(procfs: &Path, pid: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(procfs.join(format!("{pid}/task"))) else {
        return Vec::new();
    };
    let mut pids = Vec::new();
    for task in tasks.flatten() {
        let Ok(text) = std::fs::read_to_string(task.path().join("children")) else {
            continue;
        };
        pids.extend(
            text.split_ascii_whitespace()
                .filter_map(|it| it.parse::<u32>().ok()),
        );
    }
    pids.sort_unstable();
    pids
}
