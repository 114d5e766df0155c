//! Finds the process of a model server: by the port that it listens on, or by its pid file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::stat::{Stat, StatFile};
use super::tree::Root;
use crate::energy::settings::ProcessSource;

/// Why no process was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotFound {
    #[error("its process ended")]
    Gone,
    #[error("nothing listens on TCP port {0}")]
    NoListener(u16),
    #[error(
        "something listens on TCP port {0}, but its process is not to be seen (another user's, \
         or in another pid namespace): run as its user, or give a pid_file"
    )]
    NoOwner(u16),
    #[error("hormesis itself listens on TCP port {0}")]
    Own(u16),
    #[error("{path}: {error}", path = .path.display())]
    PidFile { path: PathBuf, error: String },
    #[error("{path} names process {pid}, which does not run", path = .path.display())]
    Stale { path: PathBuf, pid: u32 },
}

/// The processes that a source names, the oldest first.
pub(super) fn roots(
    procfs: &Path,
    own_pid: u32,
    source: &ProcessSource,
) -> Result<Vec<Root>, NotFound> {
    match source {
        ProcessSource::PidFile(path) => by_pid_file(procfs, path).map(|root| vec![root]),
        ProcessSource::Port(port) => by_port(procfs, own_pid, *port),
    }
}

fn by_pid_file(procfs: &Path, path: &Path) -> Result<Root, NotFound> {
    let failed = |error: String| NotFound::PidFile {
        path: path.to_owned(),
        error,
    };
    let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let first = text.lines().next().unwrap_or_default().trim();
    let pid = first
        .parse::<u32>()
        .map_err(|_| failed(format!("{first:?} is no process id")))?;
    match stat(procfs, pid) {
        Some(stat) => Ok(Root {
            pid,
            started: stat.started,
        }),
        None => Err(NotFound::Stale {
            path: path.to_owned(),
            pid,
        }),
    }
}

/// A socket that forked workers share has many owners: all are roots, their trees are one.
fn by_port(procfs: &Path, own_pid: u32, port: u16) -> Result<Vec<Root>, NotFound> {
    let mut inodes = Vec::new();
    for table in ["net/tcp", "net/tcp6"] {
        let text = fs::read_to_string(procfs.join(table)).unwrap_or_default();
        inodes.extend(text.lines().filter_map(|line| listening(line, port)));
    }
    if inodes.is_empty() {
        return Err(NotFound::NoListener(port));
    }
    let wanted: Vec<PathBuf> = inodes
        .iter()
        .map(|inode| PathBuf::from(format!("socket:[{inode}]")))
        .collect();
    let mut roots: Vec<Root> = pids(procfs)
        .into_iter()
        .filter(|pid| owns(procfs, *pid, &wanted).unwrap_or(false))
        .filter_map(|pid| {
            let started = stat(procfs, pid)?.started;
            Some(Root { pid, started })
        })
        .collect();
    if roots.iter().any(|root| root.pid == own_pid) {
        return Err(NotFound::Own(port));
    }
    if roots.is_empty() {
        return Err(NotFound::NoOwner(port));
    }
    roots.sort_unstable_by_key(|root| (root.started, root.pid));
    Ok(roots)
}

/// The inode of a line of `/proc/net/tcp`, if it is a listening socket on this port.
fn listening(line: &str, port: u16) -> Option<u64> {
    let mut fields = line.split_ascii_whitespace();
    let local = fields.nth(1)?;
    let state = fields.nth(1)?;
    let (_, at) = local.rsplit_once(':')?;
    if state != "0A" || u16::from_str_radix(at, 16).ok()? != port {
        return None;
    }
    fields.nth(5)?.parse().ok()
}

fn owns(procfs: &Path, pid: u32, wanted: &[PathBuf]) -> io::Result<bool> {
    for entry in fs::read_dir(procfs.join(format!("{pid}/fd")))? {
        if fs::read_link(entry?.path()).is_ok_and(|target| wanted.contains(&target)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn pids(procfs: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(procfs) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

fn stat(procfs: &Path, pid: u32) -> Option<Stat> {
    StatFile::open(procfs, pid)?
        .read()
        .filter(|stat| !stat.ended)
}
