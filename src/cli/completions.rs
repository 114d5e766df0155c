//! `hormesis completions`: scripts for shells.

use clap::builder::StyledStr;
use clap::{Args, Command, CommandFactory};
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
    let mut command = shown();
    clap_complete::generate(arguments.shell, &mut command, "hormesis", &mut script);
    console.text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Fine)
}

/// The grammar without what is hidden: clap would complete that too.
pub(super) fn shown() -> Command {
    let all = Arguments::command();
    let subcommands = all.get_subcommands().filter(|it| !it.is_hide_set());
    let styled = |text: Option<&StyledStr>| text.cloned().unwrap_or_default();
    Command::new("hormesis")
        .version(env!("CARGO_PKG_VERSION"))
        .about(styled(all.get_about()))
        .long_about(styled(all.get_long_about().or(all.get_about())))
        .after_help(styled(all.get_after_help()))
        .args(all.get_arguments().cloned())
        .subcommands(subcommands.cloned())
}
