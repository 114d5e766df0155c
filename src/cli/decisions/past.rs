//! The last calls in a decision log. It is a file on this machine or it is not to be had: the
//! sidecar keeps no calls.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use super::filter::Filter;
use crate::cli::remote::{self, AdminArguments};

/// The file that the sidecar writes.
pub(super) fn log_file(admin: &AdminArguments) -> anyhow::Result<PathBuf> {
    let client = admin.client()?;
    let answer: Value = remote::wait(async { Ok(client.get("/config").await?) })?;
    let file = answer["config"]["log"]["file"].as_str();
    match file {
        Some(file) => Ok(PathBuf::from(file)),
        None => anyhow::bail!(
            "this sidecar keeps no decision log (`log.file` is not set): `{}` shows the calls to come",
            admin.typed("decisions --follow")
        ),
    }
}

/// The last calls that are wanted, oldest first. A line that is cut or no JSON is passed over: the
/// log may be written to at this moment.
pub(super) fn last(file: &Path, filter: &Filter, most: usize) -> anyhow::Result<Vec<Value>> {
    let opened = File::open(file).with_context(|| {
        format!(
            "cannot read the decision log {}: is it on this machine, and seen from this folder?",
            file.display()
        )
    })?;
    let mut kept = VecDeque::new();
    let mut lines = BufReader::new(opened);
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(kept.into());
        }
        let Ok(value) = serde_json::from_slice::<Value>(&line) else {
            continue;
        };
        if value["kind"] == "call" && filter.holds(&value) {
            if kept.len() == most {
                kept.pop_front();
            }
            kept.push_back(value);
        }
        kept.truncate(most);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_last_calls_are_read_and_torn_lines_passed_over() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for number in 0..5 {
            writeln!(file, "{{\"kind\":\"call\",\"number\":{number}}}").unwrap();
            writeln!(file, "{{\"kind\":\"energy\",\"call\":{number}}}").unwrap();
        }
        write!(file, "{{\"kind\":\"ca").unwrap();
        let all = Filter::of(&[]).unwrap();
        let numbers = |most| {
            let lines = last(file.path(), &all, most).unwrap();
            let numbers = lines.iter().map(|it| it["number"].as_u64().unwrap());
            numbers.collect::<Vec<_>>()
        };
        assert_eq!(numbers(2), [3, 4]);
        assert_eq!(numbers(9), [0, 1, 2, 3, 4]);
        assert!(numbers(0).is_empty());
        assert!(last(Path::new("/nowhere/log"), &all, 1).is_err());
    }
}
