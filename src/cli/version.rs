//! `hormesis version`.

use clap::Args;
use serde_json::json;

use super::Exit;
use super::console::Console;

/// Tells which hormesis this is.
#[derive(Debug, Args)]
pub(super) struct VersionArguments {
    /// One JSON document on standard output.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &VersionArguments, console: &Console) -> anyhow::Result<Exit> {
    let version = env!("CARGO_PKG_VERSION");
    let (os, architecture) = (std::env::consts::OS, std::env::consts::ARCH);
    if arguments.json {
        console.json(&json!({ "version": version, "os": os, "architecture": architecture }))?;
    } else {
        console.line(format_args!("hormesis {version} ({os}, {architecture})"))?;
    }
    Ok(Exit::Fine)
}
