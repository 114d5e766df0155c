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

use crate::control::{END_TIME, Handle, ReloadError, Reloaded, join_within};

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

/// All files at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Looks {
    configuration: Vec<Look>,
    /// Those that the configuration names.
    named: Vec<Look>,
}

/// Files that are watched, and what they looked like when they were last read: tells when they have
/// changed and stay as they are.
#[derive(Debug, Default)]
pub struct Watched {
    paths: Vec<PathBuf>,
    acted: Looks,
    seen: Looks,
}

impl Watched {
    /// Files and directories that are about to be read. None: nothing is watched.
    pub fn about_to_read(paths: Vec<PathBuf>) -> Self {
        let mut watched = Self {
            paths,
            ..Self::default()
        };
        watched.mark();
        watched
    }

    fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    fn look(&self) -> Looks {
        let named = self.seen.named.iter().map(|it| Look::at(&it.path));
        Looks {
            configuration: look(&self.paths),
            named: named.collect(),
        }
    }

    /// All is about to be read as it is now.
    fn mark(&mut self) {
        self.seen = self.look();
        self.acted.clone_from(&self.seen);
    }

    /// These files are the ones that the configuration names now.
    fn name(&mut self, files: &[PathBuf]) {
        for looks in [&mut self.acted, &mut self.seen] {
            let known = std::mem::take(&mut looks.named);
            let of = |file: &PathBuf| {
                let known = known.iter().find(|it| it.path == *file);
                known.cloned().unwrap_or_else(|| Look::at(file))
            };
            looks.named = files.iter().map(of).collect();
        }
    }

    /// Whether to act on what is there now.
    fn poll(&mut self) -> bool {
        let now = self.look();
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

/// Starts the thread, which watches the files that the configuration names, too. `told`: called
/// before each reload with `None`, and after it with what came of it.
///
/// # Errors
/// No thread can be started.
pub fn watch(
    handle: Handle,
    watched: Watched,
    told: impl Fn(Option<&Result<Reloaded, ReloadError>>) + Send + 'static,
) -> io::Result<WatchThread> {
    let (ask, asked) = sync_channel(1);
    let thread = std::thread::Builder::new()
        .name("reload".to_owned())
        .spawn(move || run(&handle, watched, &asked, &told))?;
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

    /// Ends the thread. A reload under way is waited for, but not for ever: its disk may be stuck.
    pub fn stop(self) {
        drop(self.ask);
        join_within(self.thread, END_TIME, "reload");
    }
}

fn run(
    handle: &Handle,
    mut watched: Watched,
    asked: &Receiver<()>,
    told: &impl Fn(Option<&Result<Reloaded, ReloadError>>),
) {
    loop {
        let asked = if watched.is_empty() {
            asked.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            watched.name(&handle.live().current().watched);
            asked.recv_timeout(INTERVAL)
        };
        match asked {
            // Looked at before they are read: what changes meanwhile is seen at the next look.
            Ok(()) => watched.mark(),
            Err(RecvTimeoutError::Timeout) if watched.poll() => {}
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
        let paths = vec![file.clone()];
        let mut changes = Watched::about_to_read(paths);
        assert!(!changes.poll());
        fs::write(&file, "12").unwrap();
        assert!(!changes.poll());
        // Still being written.
        fs::write(&file, "123").unwrap();
        assert!(!changes.poll());
        assert!(changes.poll() && !changes.poll());
    }

    #[test]
    fn a_file_that_is_gone_for_a_moment_acts_when_it_is_there_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.toml");
        fs::write(&file, "1").unwrap();
        let paths = vec![file.clone()];
        let mut changes = Watched::about_to_read(paths);
        fs::remove_file(&file).unwrap();
        assert!(!changes.poll());
        fs::write(&file, "12").unwrap();
        assert!(!changes.poll() && changes.poll());
    }

    #[test]
    fn files_that_come_and_go_in_a_directory_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let paths = vec![dir.path().to_owned()];
        let mut changes = Watched::about_to_read(paths);
        for (name, acts) in [("a.toml", true), ("b.txt", false)] {
            fs::write(dir.path().join(name), "1").unwrap();
            assert!(!changes.poll(), "{name}");
            assert_eq!(changes.poll(), acts, "{name}");
        }
        fs::write(dir.path().join("a.toml"), "12").unwrap();
        assert!(!changes.poll() && changes.poll());
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
        let paths = vec![at("a.toml")];
        let mut changes = Watched::about_to_read(paths);
        symlink("..2", at("..new")).unwrap();
        fs::rename(at("..new"), at("..data")).unwrap();
        assert!(!changes.poll() && changes.poll());
    }

    #[test]
    fn files_that_the_configuration_names_are_watched_as_long_as_it_does() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other) = (dir.path().join("a.pem"), dir.path().join("b.pem"));
        fs::write(&file, "1").unwrap();
        fs::write(&other, "1").unwrap();
        let mut changes = Watched::about_to_read(vec![dir.path().join("a.toml")]);
        changes.name(std::slice::from_ref(&file));
        // To be named is no change.
        assert!(!changes.poll() && !changes.poll());
        fs::write(&file, "12").unwrap();
        assert!(!changes.poll() && changes.poll());
        changes.name(std::slice::from_ref(&other));
        fs::write(&file, "123").unwrap();
        assert!(!changes.poll() && !changes.poll());
    }
}
