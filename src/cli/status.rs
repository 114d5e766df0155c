//! `hormesis status`: a running sidecar at one moment.

use std::io;

use clap::Args;
use owo_colors::Style;
use serde_json::Value;

use super::Exit;
use super::console::Console;
use super::figures::{counted, joules, microjoules, whole_seconds};
use super::remote::{self, AdminArguments, read};
use crate::admin::client::told::{Halt, Listener, Status, Toxic};

/// Tells what a running sidecar does at this moment: its listeners, their calls, its rules.
#[derive(Debug, Args)]
pub(super) struct StatusArguments {
    #[command(flatten)]
    admin: AdminArguments,
}

pub(super) fn run(arguments: &StatusArguments, console: &Console) -> anyhow::Result<Exit> {
    let client = arguments.admin.client()?;
    let answer: Value = remote::wait(async { Ok(client.get("/status").await?) })?;
    if arguments.admin.json {
        console.json(&answer)?;
        return Ok(Exit::Fine);
    }
    let status: Status = read(&answer)?;
    console.line(format_args!(
        "hormesis {} at {}: {}, up {}, configuration {}, seed {}",
        status.version,
        client.address(),
        state(&status),
        whole_seconds(status.uptime_s.floor()),
        status.generation,
        status.seed,
    ))?;
    if let Some(halt) = &status.halted {
        let told = format!("{}: no fault acts", halted(halt));
        console.line(console.styled(&told, Style::new().red().bold()))?;
    }
    if !status.listeners.is_empty() {
        console.line("")?;
        let rows = status.listeners.iter().map(|it| row(it, &status)).collect();
        let headings = [
            "listener", "bind", "protocol", "upstream", "open", "active", "calls", "errors",
            "injected",
        ];
        console.table(&headings, rows)?;
    }
    console.line("")?;
    let armed = status.rules.iter().filter(|it| it.armed).count() as u64;
    console.line(format_args!(
        "{}, {armed} armed; decisions: {} written, {} dropped",
        counted(status.rules.len() as u64, "rule"),
        status.decisions.written,
        status.decisions.dropped,
    ))?;
    toxics(&status.toxics, console)?;
    if let Some(energy) = &status.energy {
        let tier = energy.tier.as_deref().unwrap_or("no reading");
        let each = energy.joules_per_success.map_or_else(
            || "no success yet".to_owned(),
            |it| format!("{} a success", joules(it)),
        );
        let calls = microjoules(energy.total.dyn_uj);
        console.line(format_args!("energy: {calls} in calls ({tier}), {each}"))?;
    }
    Ok(Exit::Fine)
}

/// The toxics of the Toxiproxy API, where there are any: no rules, and faults all the same.
pub(super) fn toxics(toxics: &[Toxic], console: &Console) -> io::Result<()> {
    if toxics.is_empty() {
        return Ok(());
    }
    let row = |it: &Toxic| {
        vec![
            format!("{}/{}", it.proxy, it.name),
            it.kind.clone(),
            it.stream.clone(),
            it.toxicity.to_string(),
        ]
    };
    console.line("")?;
    let headings = ["toxic", "type", "stream", "toxicity"];
    console.table(&headings, toxics.iter().map(row).collect())
}

pub(super) fn state(status: &Status) -> &'static str {
    if status.draining {
        "draining"
    } else if status.ready {
        "ready"
    } else {
        "starting"
    }
}

/// A halt in words.
pub(super) fn halted(halt: &Halt) -> String {
    let cause = halt.cause.as_deref();
    let cause = cause.map_or(String::new(), |it| format!(" by {it}"));
    format!("halted{cause} since {}: {}", halt.since, halt.reason)
}

fn row(listener: &Listener, status: &Status) -> Vec<String> {
    // Connections of all proxies of the Toxiproxy API are counted together, by no name of theirs.
    let is_shared = listener.name.starts_with("toxiproxy:");
    let count = |counts: &dyn Fn(&str, &str) -> bool| {
        if is_shared {
            return "–".to_owned();
        }
        let calls = status.calls.iter();
        let calls = calls.filter(|it| it.listener == listener.name);
        let calls = calls.filter(|it| counts(&it.outcome, &it.origin));
        calls.map(|it| it.count).sum::<u64>().to_string()
    };
    vec![
        listener.name.clone(),
        listener.bind.clone(),
        listener.protocol.clone(),
        listener.upstream.clone().unwrap_or_default(),
        listener.connections.to_string(),
        listener.active.to_string(),
        count(&|_, _| true),
        count(&|outcome, origin| outcome != "ok" && origin != "injected"),
        count(&|_, origin| origin == "injected"),
    ]
}
