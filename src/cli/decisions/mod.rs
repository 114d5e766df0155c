//! `hormesis decisions`: what was decided for calls, from the log or as it happens.

mod filter;
mod past;
mod shown;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use self::filter::{Condition, Filter};
use super::Exit;
use super::console::Console;
use super::interrupt::Interrupts;
use super::remote::{self, AdminArguments};
use crate::admin::client::{Client, Event};

/// Shows what was decided for calls and what came of it: the last ones in the decision log, or with
/// `--follow` those that end from now on.
#[derive(Debug, Args)]
#[command(
    after_help = "Filters: rule=NAME, listener=NAME, fault=KIND, outcome=WORD, origin=WORD; all must hold.\n\
                  Example: hormesis decisions --follow rule=delay-chat outcome=injected_fault"
)]
pub(super) struct DecisionsArguments {
    /// Only calls like this.
    #[arg(value_name = "KEY=VALUE")]
    filter: Vec<Condition>,

    /// As they happen, until Ctrl-C.
    #[arg(long, short)]
    follow: bool,

    /// So many of the log's last ones.
    #[arg(
        long,
        short,
        value_name = "NUMBER",
        default_value_t = 20,
        conflicts_with = "follow"
    )]
    number: usize,

    /// The log to read; absent: the one that the sidecar writes.
    #[arg(long, value_name = "FILE", conflicts_with = "follow")]
    file: Option<PathBuf>,

    #[command(flatten)]
    admin: AdminArguments,
}

pub(super) fn run(arguments: &DecisionsArguments, console: &Console) -> anyhow::Result<ExitCode> {
    let filter = Filter::of(&arguments.filter)?;
    if !arguments.follow {
        let file = match &arguments.file {
            Some(file) => file.clone(),
            None => past::log_file(&arguments.admin)?,
        };
        let lines = past::last(&file, &filter, arguments.number)?;
        if lines.is_empty() && !arguments.admin.json {
            let which = if arguments.filter.is_empty() {
                ""
            } else {
                " like this"
            };
            console.complain(format_args!("no call{which} stands in {}", file.display()));
        }
        for line in &lines {
            tell(line, arguments, console)?;
        }
        return Ok(Exit::Fine.into());
    }
    let client = arguments.admin.client()?;
    remote::wait(follow(arguments, &client, &filter, console))
}

async fn follow(
    arguments: &DecisionsArguments,
    client: &Client,
    filter: &Filter,
    console: &Console,
) -> anyhow::Result<ExitCode> {
    let mut interrupts = Interrupts::new()?;
    let mut events = client
        .events(&format!("/decisions{}", filter.query()))
        .await?;
    loop {
        let event = tokio::select! {
            code = interrupts.next() => return Ok(code.into()),
            event = events.next() => event,
        };
        let Ok(Some(event)) = event else {
            // A sidecar that goes away ends the stream, in order or not.
            console.complain(format_args!("{} ended the stream", client.address()));
            return Ok(Exit::CannotRun.into());
        };
        heard(&event, arguments, console)?;
    }
}

fn heard(event: &Event, arguments: &DecisionsArguments, console: &Console) -> anyhow::Result<()> {
    match event.name.as_str() {
        "decision" => {
            let line = serde_json::from_str(&event.data).context("a decision is not understood")?;
            tell(&line, arguments, console)
        }
        "dropped" => {
            let told: Value = serde_json::from_str(&event.data).unwrap_or_default();
            let count = told["count"].as_u64().unwrap_or_default();
            console.complain(format_args!(
                "{count} more were left out: they came faster than they were read"
            ));
            Ok(())
        }
        // What a later version says besides.
        _ => Ok(()),
    }
}

fn tell(line: &Value, arguments: &DecisionsArguments, console: &Console) -> anyhow::Result<()> {
    if arguments.admin.json {
        console.line(line)?;
    } else if let Some(text) = shown::shown(line, console) {
        console.line(text)?;
    }
    Ok(())
}
