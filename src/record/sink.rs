//! Where lines end: a file that is rotated by size, or standard output.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::record::LogSettings;

/// Lines are handed to the system in batches of this size, and at the end of each round.
const BATCH: usize = 64 * 1024;
/// How long a file that could not be opened or written is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// How many lines a write to the system took along or lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flushed {
    pub(crate) written: u64,
    pub(crate) lost: u64,
}

/// Takes whole lines and never fails: what cannot be written is lost and counted.
#[derive(Debug)]
pub(crate) struct Sink {
    target: Target,
    buffer: Vec<u8>,
    batch: usize,
    lines: u64,
    /// Since when it fails, and when it is tried again.
    broken: Option<Instant>,
}

#[derive(Debug)]
enum Target {
    File(Rotating),
    Stdout,
}

impl Sink {
    pub(crate) fn new(settings: &LogSettings) -> Self {
        let target = match &settings.file {
            None => Target::Stdout,
            Some(path) => Target::File(Rotating {
                path: path.clone(),
                max_bytes: settings.max_bytes.max(1),
                keep: settings.keep,
                open: None,
            }),
        };
        Self {
            target,
            buffer: Vec::with_capacity(BATCH),
            // A batch is never split, so that a small file asks for small batches.
            batch: usize::try_from(settings.max_bytes).map_or(BATCH, |max| max.min(BATCH)),
            lines: 0,
            broken: None,
        }
    }

    /// Takes one line, its end included.
    pub(crate) fn write(&mut self, line: &[u8]) -> Flushed {
        let before = if self.buffer.len() + line.len() > self.batch {
            self.flush()
        } else {
            Flushed::default()
        };
        self.buffer.extend_from_slice(line);
        self.lines += 1;
        before
    }

    /// Hands to the system what was taken.
    pub(crate) fn flush(&mut self) -> Flushed {
        let lines = std::mem::take(&mut self.lines);
        if lines == 0 {
            return Flushed::default();
        }
        let lost = Flushed {
            written: 0,
            lost: lines,
        };
        if self.broken.is_some_and(|since| since.elapsed() < RETRY) {
            self.buffer.clear();
            return lost;
        }
        let result = match &mut self.target {
            Target::File(file) => file.write(&self.buffer),
            Target::Stdout => write_stdout(&self.buffer),
        };
        self.buffer.clear();
        match result {
            Ok(()) => {
                if self.broken.take().is_some() {
                    tracing::info!("the decision log is written again");
                }
                Flushed {
                    written: lines,
                    lost: 0,
                }
            }
            Err(error) => {
                // Once per trouble, not once per batch.
                if self.broken.replace(Instant::now()).is_none() {
                    tracing::warn!(%error, target_file = %self.target, "the decision log cannot be written: lines are dropped");
                }
                lost
            }
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(file) => write!(f, "{}", file.path.display()),
            Self::Stdout => f.write_str("stdout"),
        }
    }
}

fn write_stdout(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// Opens the log's file once, as the writer will, where it has one.
pub(crate) fn probe(settings: &LogSettings) -> io::Result<()> {
    match &settings.file {
        Some(path) => open(path).map(drop),
        None => Ok(()),
    }
}

/// `NAME`, and its predecessors `NAME.1` (the latest) to `NAME.<keep>`.
#[derive(Debug)]
struct Rotating {
    path: PathBuf,
    max_bytes: u64,
    keep: usize,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Absent for what is no regular file: a device or a pipe is never rotated.
    size: Option<u64>,
}

impl Rotating {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let result = self.try_write(bytes);
        if result.is_err() {
            // The next try opens the file anew: it may have been moved, or its disk be back.
            self.open = None;
        }
        result
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let added = bytes.len() as u64;
        let current = match self.open.take() {
            Some(current) => current,
            None => open(&self.path)?,
        };
        let full = current
            .size
            .is_some_and(|size| size > 0 && size + added > self.max_bytes);
        let current = if full {
            self.rotate()?;
            open(&self.path)?
        } else {
            current
        };
        let current = self.open.insert(current);
        current.file.write_all(bytes)?;
        if let Some(size) = &mut current.size {
            *size += added;
        }
        Ok(())
    }

    fn rotate(&self) -> io::Result<()> {
        if self.keep == 0 {
            return fs::remove_file(&self.path);
        }
        for number in (1..self.keep).rev() {
            match fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, self.numbered(1))
    }

    fn numbered(&self, number: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

/// Opens at the end, on a line of its own: a full disk or a crash may have left half a line.
fn open(path: &Path) -> io::Result<Open> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    let is_file = fs::metadata(path).map_or(true, |meta| meta.is_file());
    let mut file = options.read(is_file).open(path)?;
    if !is_file {
        return Ok(Open { file, size: None });
    }
    let mut size = file.metadata()?.len();
    let mut last = [0];
    if size > 0 && file.read_at(&mut last, size - 1)? == 1 && last != *b"\n" {
        file.write_all(b"\n")?;
        size += 1;
    }
    Ok(Open {
        file,
        size: Some(size),
    })
}

#[cfg(test)]
#[path = "sink_tests.rs"]
mod tests;
