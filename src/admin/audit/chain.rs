//! The file of the audit log, and the chain that goes on over restarts.
//!
//! A line is an object whose last member is `"hash"`: SHA-256 of the line without that member,
//! `prev` included, which is the hash of the line before.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::admin::audit::Entry;
use crate::record::rfc3339;
use crate::units::hex;

/// A larger file is moved aside, and the chain goes on in another.
const MOST_BYTES: u64 = 64 << 20;
/// No line is longer: what a caller sends is cut before.
const LONGEST: u64 = 64 << 10;
/// How the member that ends a line begins.
const HASH: &str = ",\"hash\":\"";
/// The member, the quote and the brace behind it.
const TAIL: usize = HASH.len() + 64 + 2;

/// Where a line stands in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Link {
    pub(super) seq: u64,
    /// RFC 3339, UTC.
    pub(super) time: String,
    /// The hash of the line before, in hexadecimal digits; zeros of the first.
    pub(super) prev: String,
}

/// A line as it is written, without its hash.
#[derive(Serialize)]
struct Line<'e> {
    #[serde(flatten)]
    link: &'e Link,
    #[serde(flatten)]
    entry: &'e Entry,
    /// Lines that were not written since the last one: the disk was full, or they came too fast.
    #[serde(skip_serializing_if = "is_zero")]
    unwritten: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The end of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) seq: u64,
    pub(super) hash: String,
}

impl End {
    /// Of a chain without a line.
    pub(super) fn none() -> Self {
        Self {
            seq: 0,
            hash: "0".repeat(64),
        }
    }
}

/// A line that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("it has no hash at its end")]
    NoHash,
    #[error("its hash is not that of what it says")]
    OtherHash,
    #[error("it has no place in a chain: {0}")]
    NoLink(String),
}

/// Reads a line, its end excluded: its place in the chain, and its hash.
pub(super) fn read_line(line: &[u8]) -> Result<(Link, String), Unreadable> {
    let at = line.len().checked_sub(TAIL).ok_or(Unreadable::NoHash)?;
    let (said, tail) = line.split_at(at);
    let tail = std::str::from_utf8(tail).map_err(|_| Unreadable::NoHash)?;
    let hash = tail
        .strip_prefix(HASH)
        .and_then(|it| it.strip_suffix("\"}"))
        .ok_or(Unreadable::NoHash)?;
    let mut said = said.to_vec();
    said.push(b'}');
    if digest(&said) != hash {
        return Err(Unreadable::OtherHash);
    }
    let link = serde_json::from_slice(&said);
    let link: Link = link.map_err(|error| Unreadable::NoLink(error.to_string()))?;
    Ok((link, hash.to_owned()))
}

fn digest(text: &[u8]) -> String {
    hex(&Sha256::digest(text))
}

/// The chain in its file. The file is opened when there is something to write, and again after it
/// has failed.
#[derive(Debug)]
pub(super) struct Chain {
    path: PathBuf,
    open: Option<Open>,
    most_bytes: u64,
}

#[derive(Debug)]
struct Open {
    file: File,
    length: u64,
    end: End,
}

impl Chain {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            open: None,
            most_bytes: MOST_BYTES,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line, or leaves the file as it was.
    pub(super) fn append(&mut self, entry: &Entry, unwritten: u64) -> io::Result<End> {
        let mut open = match self.open.take() {
            Some(open) if open.length < self.most_bytes => open,
            Some(full) => self.roll(full)?,
            None => self.open()?,
        };
        let end = open.append(entry, unwritten)?;
        self.open = Some(open);
        Ok(end)
    }

    /// Waits until what was appended is on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.open.as_ref().map_or(Ok(()), |it| it.file.sync_data())
    }

    fn open(&self) -> io::Result<Open> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let mut file = options.open(&self.path)?;
        // Two writers would each go on from the same line.
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
            let told = io::Error::from(error);
            match told.kind() {
                io::ErrorKind::WouldBlock => io::Error::other("another process writes it"),
                _ => told,
            }
        })?;
        let (end, length, torn) = last(&mut file)?;
        let Ok(end) = end else {
            return self.set_aside(file, length);
        };
        let mut open = Open { file, length, end };
        if torn > 0 {
            // A line that a crash cut off was never whole: nothing is lost with it.
            open.file.set_len(length)?;
            open.append(&Entry::new("repaired"), 0)?;
        }
        Ok(open)
    }

    /// What does not end as a chain does is kept for whoever finds out why, and another is begun.
    fn set_aside(&self, file: File, length: u64) -> io::Result<Open> {
        tracing::error!(
            path = %self.path.display(),
            "the audit log does not end as it was written: it is set aside, and another is begun"
        );
        let end = End::none();
        self.roll_to("broken", Open { file, length, end })
    }

    fn roll(&self, full: Open) -> io::Result<Open> {
        let name = format!("{:012}", full.end.seq);
        self.roll_to(&name, full)
    }

    /// Moves the file aside, to a name that is not taken, and goes on in another.
    fn roll_to(&self, name: &str, full: Open) -> io::Result<Open> {
        let mut aside = self.path.as_os_str().to_owned();
        aside.push(format!(".{name}"));
        let mut aside = PathBuf::from(aside);
        if aside.exists() {
            let now = rfc3339(SystemTime::now());
            aside.as_mut_os_string().push(format!(".{now}"));
        }
        std::fs::rename(&self.path, &aside)?;
        let mut options = OpenOptions::new();
        options.read(true).append(true).create_new(true).mode(0o600);
        let file = options.open(&self.path)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Open {
            file,
            length: 0,
            end: full.end,
        })
    }
}

impl Open {
    fn append(&mut self, entry: &Entry, unwritten: u64) -> io::Result<End> {
        let link = Link {
            seq: self.end.seq + 1,
            time: rfc3339(SystemTime::now()),
            prev: self.end.hash.clone(),
        };
        let mut text = serde_json::to_vec(&Line {
            link: &link,
            entry,
            unwritten,
        })?;
        let hash = digest(&text);
        text.pop();
        text.extend_from_slice(HASH.as_bytes());
        text.extend_from_slice(hash.as_bytes());
        text.extend_from_slice(b"\"}\n");
        if let Err(error) = self.file.write_all(&text) {
            // Half a line would break the chain. Where even this fails, it is opened again, which
            // cuts the half line off.
            crate::error::ignore(self.file.set_len(self.length));
            return Err(error);
        }
        self.length += text.len() as u64;
        self.end = End {
            seq: link.seq,
            hash,
        };
        Ok(self.end.clone())
    }
}

/// The end of the chain in a file, its length up to there, and how much of a torn line follows.
fn last(file: &mut File) -> io::Result<(Result<End, Unreadable>, u64, u64)> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(2 * LONGEST);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    // No further: a device may have no end.
    file.take(length - from).read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n');
    let whole = whole.map_or(0, |at| at + 1);
    let torn = (tail.len() - whole) as u64;
    let length = from + whole as u64;
    if length == 0 {
        return Ok((Ok(End::none()), 0, torn));
    }
    let lines = tail[..whole].strip_suffix(b"\n").unwrap_or_default();
    let line = lines.rsplit(|byte| *byte == b'\n').next();
    let read = read_line(line.unwrap_or_default());
    let end = read.map(|(link, hash)| End {
        seq: link.seq,
        hash,
    });
    Ok((end, length, torn))
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
