//! A halt, and its file in the state directory: a halted sidecar starts halted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::record::rfc3339;

/// Reasons longer than this are cut.
const REASON: usize = 1000;

/// Why and since when no fault acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Halt {
    pub reason: String,
    /// RFC 3339, UTC.
    pub since: String,
}

impl Halt {
    pub(super) fn now(reason: &str) -> Self {
        Self {
            reason: reason.chars().take(REASON).collect(),
            since: rfc3339(SystemTime::now()),
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
            Halt::now(&format!("{} cannot be understood", self.path.display()))
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
