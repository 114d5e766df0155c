//! Watches the configuration's files. What they look like is polled: that sees a mounted `ConfigMap`
//! swap its links, an editor rename over a file and a network disk change, none of which one
//! notification of the kernel tells of alike.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::control::{Handle, ReloadError, Reloaded};

/// How often files are looked at. A change acts when they look the same a second time, so that no
/// half-written file is read.
const INTERVAL: Duration = Duration::from_millis(250);

/// What a path looks like: where it leads, and what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    path: PathBuf,
    target: Option<PathBuf>,
    /// Device, inode, size, seconds and nanoseconds of the last change; absent of a directory, which
    /// changes with files that are not read.
    file: Option<(u64, u64, u64, i64, i64)>,
}

impl Look {
    fn at(path: &Path) -> Self {
        let metadata = fs::metadata(path).ok().filter(|it| !it.is_dir());
        let file = metadata.map(|it| {
            let (device, inode, size) = (it.dev(), it.ino(), it.size());
            (device, inode, size, it.mtime(), it.mtime_nsec())
        });
        Self {
            target: fs::canonicalize(path).ok(),
            path: path.to_owned(),
            file,
        }
    }
}

/// All files of these paths; of a directory those that would be read.
fn look(paths: &[PathBuf]) -> Vec<Look> {
    let mut looks = Vec::new();
    for path in paths {
        looks.push(Look::at(path));
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries.map(|it| it.path()).collect();
        files.retain(|it| it.extension().is_some_and(|it| it == "toml"));
        files.sort();
        looks.extend(files.iter().map(|it| Look::at(it)));
    }
    looks
}

/// Tells when files have changed and stay as they are.
#[derive(Debug)]
struct Changes {
    acted: Vec<Look>,
    seen: Vec<Look>,
}

impl Changes {
    fn since(paths: &[PathBuf]) -> Self {
        let acted = look(paths);
        Self {
            seen: acted.clone(),
            acted,
        }
    }

    /// Whether to act on what is there now.
    fn poll(&mut self, paths: &[PathBuf]) -> bool {
        let now = look(paths);
        let settled = now == self.seen;
        self.seen = now;
        if !settled || self.seen == self.acted {
            return false;
        }
        self.acted.clone_from(&self.seen);
        true
    }
}

/// The thread that reloads, when it is asked to and when files have changed.
#[derive(Debug)]
pub struct WatchThread {
    ask: SyncSender<()>,
    thread: JoinHandle<()>,
}

/// Starts the thread. `paths`: what is watched, and with it the files that the configuration names;
/// empty where nothing is. `told`: called before each reload with `None`, and after it with what
/// came of it.
///
/// # Errors
/// No thread can be started.
pub fn watch(
    handle: Handle,
    paths: Vec<PathBuf>,
    told: impl Fn(Option<&Result<Reloaded, ReloadError>>) + Send + 'static,
) -> io::Result<WatchThread> {
    let (ask, asked) = sync_channel(1);
    let thread = std::thread::Builder::new()
        .name("reload".to_owned())
        .spawn(move || run(&handle, &paths, &asked, &told))?;
    Ok(WatchThread { ask, thread })
}

impl WatchThread {
    /// Reloads soon. Orders that wait already are one.
    pub fn reload(&self) {
        match self.ask.try_send(()) {
            Ok(()) | Err(TrySendError::Full(())) => {}
            Err(TrySendError::Disconnected(())) => {
                tracing::error!("the thread that reloads has ended");
            }
        }
    }

    /// Waits for a reload under way and ends the thread.
    pub fn stop(self) {
        drop(self.ask);
        if self.thread.join().is_err() {
            tracing::error!("the thread that reloads had panicked");
        }
    }
}

fn run(
    handle: &Handle,
    paths: &[PathBuf],
    asked: &Receiver<()>,
    told: &impl Fn(Option<&Result<Reloaded, ReloadError>>),
) {
    let all = |handle: &Handle| {
        let named = (!paths.is_empty()).then(|| handle.named_files());
        [paths, &named.unwrap_or_default()].concat()
    };
    let mut changes = Changes::since(&all(handle));
    loop {
        let asked = if paths.is_empty() {
            asked.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            asked.recv_timeout(INTERVAL)
        };
        match asked {
            // Looked at before they are read: what changes meanwhile is seen at the next look.
            Ok(()) => changes = Changes::since(&all(handle)),
            Err(RecvTimeoutError::Timeout) if changes.poll(&all(handle)) => {}
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        }
        told(None);
        let result = handle.reload();
        told(Some(&result));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_change_acts_once_and_only_when_it_has_settled() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.toml");
        fs::write(&file, "1").unwrap();
        let paths = [file.clone()];
        let mut changes = Changes::since(&paths);
        assert!(!changes.poll(&paths));
        fs::write(&file, "12").unwrap();
        assert!(!changes.poll(&paths));
        // Still being written.
        fs::write(&file, "123").unwrap();
        assert!(!changes.poll(&paths));
        assert!(changes.poll(&paths) && !changes.poll(&paths));
    }

    #[test]
    fn a_file_that_is_gone_for_a_moment_acts_when_it_is_there_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.toml");
        fs::write(&file, "1").unwrap();
        let paths = [file.clone()];
        let mut changes = Changes::since(&paths);
        fs::remove_file(&file).unwrap();
        assert!(!changes.poll(&paths));
        fs::write(&file, "12").unwrap();
        assert!(!changes.poll(&paths) && changes.poll(&paths));
    }

    #[test]
    fn files_that_come_and_go_in_a_directory_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let paths = [dir.path().to_owned()];
        let mut changes = Changes::since(&paths);
        for (name, acts) in [("a.toml", true), ("b.txt", false)] {
            fs::write(dir.path().join(name), "1").unwrap();
            assert!(!changes.poll(&paths), "{name}");
            assert_eq!(changes.poll(&paths), acts, "{name}");
        }
        fs::write(dir.path().join("a.toml"), "12").unwrap();
        assert!(!changes.poll(&paths) && changes.poll(&paths));
    }

    /// As Kubernetes mounts a `ConfigMap`: `a.toml` → `..data/a.toml`, `..data` → a directory.
    #[test]
    fn a_swapped_link_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["..1", "..2"] {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("a.toml"), "1").unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/a.toml", at("a.toml")).unwrap();
        let paths = [at("a.toml")];
        let mut changes = Changes::since(&paths);
        symlink("..2", at("..new")).unwrap();
        fs::rename(at("..new"), at("..data")).unwrap();
        assert!(!changes.poll(&paths) && changes.poll(&paths));
    }
}
