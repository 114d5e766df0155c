//! `trigger` of a rule: what makes it hit, other than chance and order.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Complaint;
use crate::units::{ByteSize, Span};

/// Exactly one of its keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TriggerConfig {
    /// calls hit themselves: their headers say with what
    pub caller: CallerConfig,
}

/// Who may ask for faults, and for how much: with the header `x-hormesis-fault` or Envoy's
/// `x-envoy-fault-…`, which no upstream sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallerConfig {
    /// a file with what `x-hormesis-fault-secret` must say, 16 bytes or more
    pub secret_file: PathBuf,
    /// no call waits longer for its own asking; 5s where absent
    #[serde(default = "five_seconds")]
    pub max_delay: Span,
    /// no call is slower for its own asking, in bytes a second; 1KiB where absent
    #[serde(default = "one_kibibyte")]
    pub min_throughput: ByteSize,
}

const fn one_kibibyte() -> ByteSize {
    ByteSize::new(1024)
}

const fn five_seconds() -> Span {
    Span::from_secs(5)
}

/// Shorter ones can be guessed.
const LEAST: usize = 16;
/// No header is longer.
const MOST: usize = 4096;

impl CallerConfig {
    /// The secret, without the end of its line.
    pub(super) fn secret(&self) -> Result<Arc<[u8]>, Complaint> {
        let path = &self.secret_file;
        let complain = |message: String, help: &str| {
            Complaint::new("trigger.caller.secret_file", message, help)
        };
        let text = read(path).map_err(|error| {
            let help = "for example: head -c 24 /dev/urandom | base64 > FILE; chmod 600 FILE";
            complain(format!("cannot read {}: {error}", path.display()), help)
        })?;
        let secret = text.trim_ascii();
        let printable = secret.iter().all(u8::is_ascii_graphic);
        if (LEAST..=MOST).contains(&secret.len()) && printable {
            return Ok(secret.into());
        }
        let message = format!(
            "the secret in {} is not one of {LEAST} to {MOST} letters, digits and signs",
            path.display()
        );
        Err(complain(
            message,
            "a header carries it: base64 or hex of random bytes",
        ))
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?
        .take(MOST as u64 + 3)
        .read_to_end(&mut text)?;
    Ok(text)
}
