//! `hormesis completions`: scripts for shells.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::console::Console;
use super::{Arguments, Exit};

/// Writes a shell's completion script to standard output.
#[derive(Debug, Args)]
pub(super) struct CompletionsArguments {
    shell: Shell,
}

pub(super) fn run(arguments: &CompletionsArguments, console: &Console) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    let mut command = Arguments::command();
    clap_complete::generate(arguments.shell, &mut command, "hormesis", &mut script);
    console.text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Fine)
}
