//! `hormesis energy`: what the calls of a running sidecar cost so far.

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::Exit;
use super::console::Console;
use super::figures::{joules, microjoules};
use super::remote::{self, AdminArguments, read};
use crate::admin::client::told::{EnergyAnswer, EnergyPart};

/// Tells what the calls of a running sidecar cost so far, in joules above idle.
#[derive(Debug, Args)]
pub(super) struct EnergyArguments {
    /// What calls are put together by.
    #[arg(long, value_enum, default_value_t)]
    by: By,

    #[command(flatten)]
    admin: AdminArguments,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum By {
    #[default]
    Outcome,
    Rule,
    Model,
    Listener,
}

impl By {
    const fn name(self) -> &'static str {
        match self {
            Self::Outcome => "outcome",
            Self::Rule => "rule",
            Self::Model => "model",
            Self::Listener => "listener",
        }
    }
}

pub(super) fn run(arguments: &EnergyArguments, console: &Console) -> anyhow::Result<Exit> {
    let client = arguments.admin.client()?;
    let by = arguments.by.name();
    let path = format!("/energy?by={by}");
    let answer: Value = remote::wait(async { Ok(client.get(&path).await?) })?;
    if arguments.admin.json {
        console.json(&answer)?;
        return Ok(Exit::Fine);
    }
    let EnergyAnswer { groups, totals } = read(&answer)?;
    let energy = totals.unwrap_or_default();
    let Some(tier) = &energy.tier else {
        console
            .line("nothing is known: no meter gives readings (`hormesis doctor` tells why not)")?;
        return Ok(Exit::Fine);
    };
    let groups = groups.unwrap_or_default();
    let mut rows: Vec<_> = groups.iter().map(|(name, part)| row(name, *part)).collect();
    rows.push(row("all", energy.total));
    console.table(&[by, "calls", "energy", "range", "a call"], rows)?;
    console.line("")?;
    console.line(format_args!(
        "{tier} by {}: {} in all; self {}, others {}, unattributed {}, idle {}",
        energy.meters.join(", "),
        microjoules(energy.meter_uj),
        microjoules(energy.self_uj),
        microjoules(energy.others_uj),
        microjoules(energy.unattributed_uj),
        microjoules(energy.idle_uj),
    ))?;
    if energy.gap_s > 0.0 {
        console.line(format_args!("{:.1} s without a reading", energy.gap_s))?;
    }
    if let Some(each) = energy.joules_per_success {
        console.line(format_args!(
            "{} a success, failures included",
            joules(each)
        ))?;
    }
    Ok(Exit::Fine)
}

fn row(name: &str, part: EnergyPart) -> Vec<String> {
    let range = match (part.lo_uj, part.hi_uj) {
        (Some(low), Some(high)) => {
            format!("{} to {}", microjoules(Some(low)), microjoules(Some(high)))
        }
        _ => "–".to_owned(),
    };
    let each = part
        .dyn_uj
        .filter(|_| part.calls > 0)
        .map(|it| it / part.calls);
    vec![
        name.to_owned(),
        part.calls.to_string(),
        microjoules(part.dyn_uj),
        range,
        microjoules(each),
    ]
}
