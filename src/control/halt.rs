//! A halt, its file in the state directory (a halted sidecar starts halted), and the file whose
//! being there halts.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::control::Handle;
use crate::record::rfc3339;

/// Reasons longer than this are cut.
const REASON: usize = 1000;

/// Why and since when no fault acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Halt {
    pub reason: String,
    /// RFC 3339, UTC.
    pub since: String,
    /// What it came from. Earlier versions kept only orders.
    #[serde(default)]
    pub cause: Cause,
}

/// What a halt came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Somebody asked for it by the admin API.
    #[default]
    Order,
    /// The process was sent SIGUSR1.
    Signal,
    /// `[safety] halt_file` is there.
    File,
    /// A stop condition held.
    Condition,
}

/// Why a halt still holds.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error("`[safety] halt_file` {} is there", .0.display())]
    HaltFile(PathBuf),
}

impl Halt {
    pub(super) fn now(reason: &str, cause: Cause) -> Self {
        Self {
            reason: reason.chars().take(REASON).collect(),
            since: rfc3339(SystemTime::now()),
            cause,
        }
    }
}

/// How often it is looked whether the halt file is there.
const LOOK: Duration = Duration::from_millis(250);

/// Why faults must not act because of a file, if they must not. One of which it cannot be told
/// whether it is there counts as there: nobody can look whether somebody wants a halt.
fn forbids(file: &Path) -> Option<String> {
    match fs::symlink_metadata(file) {
        Ok(_) => Some(format!("the file {} is there", file.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(format!(
            "it cannot be told whether the file {} is there: {error}",
            file.display()
        )),
    }
}

impl Handle {
    /// Halts where `[safety] halt_file` is there.
    pub fn heed_halt_file(&self) {
        let file = self.0.live.snapshot().safety.halt_file.clone();
        let Some(reason) = file.as_deref().and_then(forbids) else {
            return;
        };
        // Once: a halt that holds is not written again and again.
        if self.halted().is_none()
            && let Err(error) = self.halt_for(&reason, Cause::File)
        {
            tracing::warn!(%error, "the halt holds, but not over a restart");
        }
    }

    /// Starts a thread that does so, several times a second, as long as the process lives: nobody
    /// waits for it, since a disk may hang.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn watch_halt_file(&self) -> io::Result<()> {
        let handle = self.clone();
        let thread = thread::Builder::new().name("halt-file".to_owned());
        thread.spawn(move || {
            loop {
                handle.heed_halt_file();
                thread::sleep(LOOK);
            }
        })?;
        Ok(())
    }

    /// What keeps a halt from being resumed.
    pub(super) fn check_halt_file(&self) -> Result<(), ResumeError> {
        let file = self.0.live.snapshot().safety.halt_file.clone();
        match file {
            Some(file) if forbids(&file).is_some() => Err(ResumeError::HaltFile(file)),
            _ => Ok(()),
        }
    }
}

/// The state directory could not be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {}: {source}", path.display())]
pub struct StateError {
    verb: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// `halt.json` in the state directory.
#[derive(Debug)]
pub(super) struct HaltFile {
    dir: PathBuf,
    path: PathBuf,
}

impl HaltFile {
    pub(super) fn in_dir(dir: &Path) -> Result<Self, StateError> {
        fs::create_dir_all(dir).map_err(|source| StateError {
            verb: "make the state directory",
            path: dir.to_owned(),
            source,
        })?;
        Ok(Self {
            dir: dir.to_owned(),
            path: dir.join("halt.json"),
        })
    }

    /// The halt that was kept. A file that cannot be understood is a halt too: whoever wrote it
    /// wanted no faults.
    pub(super) fn read(&self) -> Result<Option<Halt>, StateError> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.error("read", source)),
        };
        Ok(Some(serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::warn!(path = %self.path.display(), %error, "the kept halt cannot be understood: halted all the same");
            Halt::now(&format!("{} cannot be understood", self.path.display()), Cause::Order)
        })))
    }

    /// Writes whole or not at all, and returns once it is on the disk.
    pub(super) fn write(&self, halt: &Halt) -> Result<(), StateError> {
        self.try_write(halt)
            .map_err(|source| self.error("write", source))
    }

    pub(super) fn remove(&self) -> Result<(), StateError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result
                .and_then(|()| self.sync_dir())
                .map_err(|source| self.error("remove", source)),
        }
    }

    fn try_write(&self, halt: &Halt) -> io::Result<()> {
        let fresh = self.dir.join("halt.json.new");
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(true).mode(0o600);
        let mut file = options.open(&fresh)?;
        file.write_all(&serde_json::to_vec(halt)?)?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        self.sync_dir()
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }

    fn error(&self, verb: &'static str, source: io::Error) -> StateError {
        StateError {
            verb,
            path: self.path.clone(),
            source,
        }
    }
}
