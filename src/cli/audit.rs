//! `hormesis audit verify`: whether an audit log is what was written.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::console::Console;
use super::{Exit, UsageError};
use crate::admin::{Broken, Verified, verify};

/// Looks at the audit log of an admin listener.
#[derive(Debug, Args)]
pub(super) struct AuditArguments {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    Verify(VerifyArguments),
}

/// Tells whether a line was changed, taken out or put in. Each holds the digest of the one before;
/// what was cut off the end shows where the last hash was kept elsewhere.
#[derive(Debug, Args)]
struct VerifyArguments {
    /// The log, and before it, in their order, those that were moved aside when they were full.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// One JSON document on standard output.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &AuditArguments, console: &Console) -> anyhow::Result<Exit> {
    let AuditCommand::Verify(arguments) = &arguments.command;
    let mut text: Box<dyn Read> = Box::new(std::io::empty());
    for path in &arguments.files {
        let file = File::open(path)
            .map_err(|error| UsageError(format!("cannot read {}: {error}", path.display())))?;
        text = Box::new(text.chain(file));
    }
    let result = verify(BufReader::new(text));
    if arguments.json {
        let told = match &result {
            Ok(it) => json!({
                "intact": true, "first": it.first, "last": it.last, "hash": it.hash,
            }),
            Err(error) => json!({ "intact": false, "error": error.to_string() }),
        };
        console.json(&told)?;
    } else {
        match &result {
            Ok(verified) => console.line(whole(verified))?,
            Err(error) => console.line(format_args!("broken: {error}"))?,
        }
    }
    match result {
        Ok(_) => Ok(Exit::Fine),
        Err(Broken::Read(error)) => Err(error.into()),
        Err(_) => Ok(Exit::Deviated),
    }
}

fn whole(verified: &Verified) -> String {
    let Verified {
        first,
        last,
        hash,
        prev,
    } = verified;
    let begins = if *first == 1 {
        String::new()
    } else {
        format!("\nbegins after line {} with the hash {prev}", first - 1)
    };
    format!("unbroken: lines {first} to {last}{begins}\nlast hash {hash}")
}
