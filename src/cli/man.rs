//! `hormesis man`: manual pages, and the reference of commands, both from the grammar of arguments.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command};

use super::console::Console;
use super::{Exit, UsageError, completions};

/// Writes a manual page to standard output, or all of them into a folder.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        hormesis man add | man -l -\n  \
        hormesis man --into ~/.local/share/man/man1")]
pub(super) struct ManArguments {
    /// The command whose page it is; absent: hormesis itself.
    #[arg(conflicts_with_all = ["into", "markdown"])]
    command: Option<String>,

    /// The folder to write all pages into; it is made where it is not there.
    #[arg(long, value_name = "FOLDER", conflicts_with = "markdown")]
    into: Option<PathBuf>,

    /// The reference of all commands, docs/commands.md.
    #[arg(long)]
    markdown: bool,
}

pub(super) fn run(arguments: &ManArguments, console: &Console) -> anyhow::Result<Exit> {
    let grammar = completions::shown();
    if arguments.markdown {
        console.text(&reference(grammar))?;
        return Ok(Exit::Fine);
    }
    if let Some(folder) = &arguments.into {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        for (name, page) in pages(grammar)? {
            let path = folder.join(name);
            fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
            console.line(path.display())?;
        }
        return Ok(Exit::Fine);
    }
    let wanted = match &arguments.command {
        Some(command) => format!("hormesis-{command}.1"),
        None => "hormesis.1".to_owned(),
    };
    let page = pages(grammar)?
        .into_iter()
        .find(|(name, _)| *name == wanted);
    let (_, page) = page.ok_or_else(|| {
        UsageError(format!(
            "no command is called {:?}: `hormesis --help` lists them",
            arguments.command.as_deref().unwrap_or_default()
        ))
    })?;
    console.text(&page)?;
    Ok(Exit::Fine)
}

/// Each page by the name of its file.
fn pages(mut grammar: Command) -> anyhow::Result<Vec<(String, String)>> {
    grammar.build();
    let mut pages = vec![("hormesis.1".to_owned(), page(grammar.clone())?)];
    for command in grammar.get_subcommands() {
        if command.get_name() == "help" {
            continue;
        }
        // Built, a command knows its full name: hormesis-add.
        let name = command.get_display_name().unwrap_or(command.get_name());
        pages.push((format!("{name}.1"), page(command.clone())?));
    }
    Ok(pages)
}

fn page(command: Command) -> anyhow::Result<String> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command)
        .source(concat!("hormesis ", env!("CARGO_PKG_VERSION")))
        .manual("hormesis")
        .render(&mut text)?;
    Ok(String::from_utf8(text)?)
}

const INTRODUCTION: &str = "\
# Commands

<!-- Written by `hormesis man --markdown`. -->

`hormesis COMMAND --help` says the same. For people by default, `--json` for programs.
";

/// The reference of all commands as Markdown.
fn reference(mut grammar: Command) -> String {
    grammar.build();
    let mut page = INTRODUCTION.to_owned();
    if let Some(after) = grammar.get_after_help() {
        write!(page, "\n```text\n{after}\n```\n").unwrap_or_default();
    }
    for command in grammar.get_subcommands_mut() {
        if command.get_name() == "help" {
            continue;
        }
        // Wide enough to fold nothing: who reads it has a window of their own.
        let help = command.clone().term_width(100).render_long_help();
        let (name, help) = (command.get_name(), help.to_string());
        // A string takes all that is written.
        write!(
            page,
            "\n## `hormesis {name}`\n\n```text\n{}\n```\n",
            trimmed(&help)
        )
        .unwrap_or_default();
    }
    page
}

/// Without blanks at the ends of lines.
fn trimmed(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
    lines.join("\n")
}
