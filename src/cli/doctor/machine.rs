//! What the machine is: kernel, cores, quota, descriptors.

use std::fs;
use std::path::Path;
use std::thread;

use rustix::process::{Resource, getrlimit};

use super::Finding;

/// What the process opens beside connections.
const OWN_DESCRIPTORS: u64 = 64;

/// `connections` as all listeners together take at most.
pub(super) fn findings(connections: u64) -> Vec<Finding> {
    // The soft limit is raised at start, as far as this one.
    let limit = getrlimit(Resource::Nofile).maximum;
    vec![kernel(), cores(), quota(), descriptors(limit, connections)]
}

fn kernel() -> Finding {
    match fs::read_to_string("/proc/sys/kernel/osrelease") {
        Ok(release) => Finding::fine("kernel", format!("Linux {}", release.trim())),
        Err(_) => Finding::lacking(
            "kernel",
            "no Linux: meters and process trees are not to be had",
            None,
        ),
    }
}

fn cores() -> Finding {
    match thread::available_parallelism() {
        Ok(cores) => Finding::fine("cores", format!("{cores} for this process")),
        Err(error) => Finding::lacking(
            "cores",
            format!("their number is unknown ({error}); one worker will run"),
            Some("workers = 2".into()),
        ),
    }
}

fn quota() -> Finding {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let root = Path::new("/sys/fs/cgroup");
    match cpu_max(&own, |path| fs::read_to_string(root.join(path)).ok()) {
        Some(cores) => Finding::fine("quota", format!("the cgroup allows {cores:.2} cores")),
        None => Finding::fine("quota", "the cgroup sets no limit on CPU time"),
    }
}

/// Cores that the tightest of a process's cgroups allows; `own` is `/proc/self/cgroup`, `read`
/// reads below the cgroup root.
fn cpu_max(own: &str, read: impl Fn(&Path) -> Option<String>) -> Option<f64> {
    // "0::/a/b" is the entry of the unified hierarchy.
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Path::new(path)
        .ancestors()
        .filter_map(|group| {
            let text = read(&group.join("cpu.max"))?;
            let mut words = text.split_whitespace();
            let quota: f64 = words.next()?.parse().ok()?;
            let period: f64 = words.next()?.parse().ok()?;
            (period > 0.0).then_some(quota / period)
        })
        .min_by(f64::total_cmp)
}

/// A connection takes two: the client's and the upstream's.
fn descriptors(limit: Option<u64>, connections: u64) -> Finding {
    let wanted = connections
        .saturating_mul(2)
        .saturating_add(OWN_DESCRIPTORS);
    match limit {
        Some(limit) if limit < wanted => Finding::lacking(
            "files",
            format!(
                "{limit} open files at most: about {} connections, and the listeners take {connections}",
                limit.saturating_sub(OWN_DESCRIPTORS) / 2
            ),
            Some(format!(
                "ulimit -n {wanted} (systemd: LimitNOFILE={wanted}), or less [limits] connections_per_listener"
            )),
        ),
        Some(limit) => Finding::fine("files", format!("{limit} open files at most")),
        None => Finding::fine("files", "no limit on open files"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn open_files_are_measured_by_the_connections_that_are_allowed() {
        let state = |limit, connections| descriptors(limit, connections).state;
        assert_eq!(state(Some(1024), 480), State::Fine);
        assert_eq!(state(Some(1024), 481), State::Lacking);
        assert_eq!(state(None, u64::MAX), State::Fine);
        let fix = descriptors(Some(1024), 10_000).fix.unwrap();
        assert!(fix.contains("ulimit -n 20064"), "{fix}");
    }

    #[test]
    fn the_tightest_quota_of_the_hierarchy_counts() {
        let files = |path: &Path| match path.to_str()? {
            "a/b/cpu.max" => Some("max 100000\n".to_owned()),
            "a/cpu.max" => Some("150000 100000\n".to_owned()),
            "cpu.max" => Some("400000 100000\n".to_owned()),
            _ => None,
        };
        assert_eq!(cpu_max("1:name=x:/y\n0::/a/b\n", files), Some(1.5));
        assert_eq!(cpu_max("0::/c\n", |_| None), None);
        assert_eq!(cpu_max("", files), None);
    }
}
