//! Whether an audit log is what was written.

use std::io::{self, BufRead};

use crate::admin::audit::chain::read_line;

/// A chain without a break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub first: u64,
    pub last: u64,
    /// Of the last line. Kept elsewhere, it tells later whether lines were cut off the end.
    pub hash: String,
    /// What the first line says of the one before it: zeros where it is the chain's first.
    pub prev: String,
}

/// Where a chain is broken.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error("line {line} was changed: {why}")]
    Changed { line: u64, why: String },
    #[error("before line {line}, lines {from} to {to} are missing")]
    Missing { line: u64, from: u64, to: u64 },
    #[error("line {line} does not follow the one before it")]
    NotNext { line: u64 },
    #[error("the last line is cut off after {0} bytes")]
    Torn(usize),
    #[error("it holds no line")]
    Empty,
    #[error("{0}")]
    Read(#[from] io::Error),
}

/// Reads files in their order as one chain.
///
/// # Errors
/// Where a line was changed, taken out or put in, with its number over all files.
pub fn verify(mut text: impl BufRead) -> Result<Verified, Broken> {
    let mut verified: Option<Verified> = None;
    let mut bytes = Vec::new();
    let mut line = 0;
    loop {
        bytes.clear();
        if text.read_until(b'\n', &mut bytes)? == 0 {
            return verified.ok_or(Broken::Empty);
        }
        line += 1;
        let Some(said) = bytes.strip_suffix(b"\n") else {
            return Err(Broken::Torn(bytes.len()));
        };
        let (link, hash) = read_line(said).map_err(|error| Broken::Changed {
            line,
            why: error.to_string(),
        })?;
        let before = verified.get_or_insert_with(|| Verified {
            first: link.seq,
            last: link.seq.saturating_sub(1),
            hash: link.prev.clone(),
            prev: link.prev.clone(),
        });
        if link.seq > before.last + 1 {
            return Err(Broken::Missing {
                line,
                from: before.last + 1,
                to: link.seq - 1,
            });
        }
        if link.seq != before.last + 1 || link.prev != before.hash {
            return Err(Broken::NotNext { line });
        }
        before.last = link.seq;
        before.hash = hash;
    }
}
