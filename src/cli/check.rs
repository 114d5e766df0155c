//! `hormesis check`: everything that is wrong with a configuration, at once.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::console::Console;
use super::{Exit, environment, render};
use crate::config::{self, Inputs, Problem, Problems, Resolved};

/// Reads a configuration as `run` would and tells everything that is wrong with it, at once.
#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// Files, or directories of *.toml files; together one configuration. `-`: standard input.
    #[arg(required = true, value_name = "CONFIG")]
    config: Vec<PathBuf>,

    /// One JSON document on standard output.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &CheckArguments, console: &Console) -> anyhow::Result<Exit> {
    let loaded = config::load(&arguments.config, &Inputs::new(&environment));
    let exit = if loaded.is_ok() {
        Exit::Fine
    } else {
        Exit::Usage
    };
    if arguments.json {
        let problems = match &loaded {
            Ok(resolved) => as_json(resolved.warnings.iter()),
            Err(problems) => as_json(problems.iter()),
        };
        console.json(&json!({ "ok": loaded.is_ok(), "problems": problems }))?;
        return Ok(exit);
    }
    match loaded {
        Ok(resolved) => {
            console.problems(resolved.warnings.iter());
            console.line(summary(&resolved))?;
        }
        Err(problems) => {
            console.problems(problems.iter());
            console.complain(format_args!("{}", count(&problems)));
        }
    }
    Ok(exit)
}

fn as_json<'p>(problems: impl Iterator<Item = &'p Problem>) -> Vec<serde_json::Value> {
    problems.map(render::to_json).collect()
}

fn summary(resolved: &Resolved) -> String {
    let snapshot = &resolved.snapshot;
    format!(
        "fine: {}, {}, {}, {}",
        counted(snapshot.listeners.len(), "listener"),
        counted(snapshot.upstreams.len(), "upstream"),
        counted(snapshot.rules.cells().len(), "rule"),
        counted(resolved.warnings.len(), "warning"),
    )
}

fn count(problems: &Problems) -> String {
    let errors = problems
        .iter()
        .filter(|it| it.severity == config::Severity::Error)
        .count();
    let warnings = problems.len() - errors;
    match warnings {
        0 => counted(errors, "error"),
        _ => format!(
            "{}, {}",
            counted(errors, "error"),
            counted(warnings, "warning")
        ),
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
