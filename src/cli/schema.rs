//! `hormesis schema`: the JSON Schema of a configuration file, or its reference.

use clap::Args;

use super::Exit;
use super::console::Console;
use crate::config;

/// Writes the JSON Schema of a configuration file: editors complete and check from it.
#[derive(Debug, Args)]
#[command(
    after_help = "In a TOML file, `#:schema ./hormesis.schema.json` on the first line names it."
)]
pub(super) struct SchemaArguments {
    /// The reference of all keys, docs/configuration.md, in its place.
    #[arg(long)]
    markdown: bool,
}

pub(super) fn run(arguments: &SchemaArguments, console: &Console) -> anyhow::Result<Exit> {
    if arguments.markdown {
        console.text(&config::reference())?;
    } else {
        console.json(&config::schema())?;
    }
    Ok(Exit::Fine)
}
