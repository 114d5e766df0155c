//! `hormesis meters`: where joules can come from, and what this machine has of it.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::console::Console;
use super::{Exit, UsageError, environment};
use crate::config::{self, Inputs};
use crate::energy::{
    EnergySettings, EnergyStatus, Engine, METERS, MeterInfo, MeterState, MeterStatus, SourceStatus,
};

/// Lists where joules can come from, and what this machine has of it.
#[derive(Debug, Args)]
pub(super) struct MetersArguments {
    /// One kind of meter, with all that is to know of it.
    name: Option<String>,

    /// A configuration whose meters are tried in place of the default ones.
    #[arg(long, value_name = "CONFIG")]
    config: Vec<PathBuf>,

    /// One JSON document on standard output.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &MetersArguments, console: &Console) -> anyhow::Result<Exit> {
    let infos = match &arguments.name {
        Some(name) => vec![by_name(name)?],
        None => METERS.iter().collect(),
    };
    let status = status(&arguments.config)?;
    if arguments.json {
        let kinds: Vec<_> = infos.iter().map(|it| to_json(it, &status)).collect();
        console.json(&json!({ "kinds": kinds, "programs": status.programs }))?;
    } else if arguments.name.is_some() {
        for info in infos {
            console.line(format_args!("{}\n\n{}\n", info.name, info.doc))?;
            console.line(format_args!("[energy]\nmeters = [{}]\n", info.example))?;
            for (here, what) in here(info, &status) {
                console.line(format_args!("here: {here}. {what}"))?;
            }
        }
    } else {
        let rows = infos.iter().flat_map(|info| rows(info, &status)).collect();
        console.table(&["meter", "here", "what"], rows)?;
    }
    Ok(Exit::Fine)
}

/// What the meters of a configuration, or the default ones, would do on this machine.
fn status(config: &[PathBuf]) -> anyhow::Result<EnergyStatus> {
    if config.is_empty() {
        return Ok(Engine::survey(&EnergySettings::default(), &[]));
    }
    let resolved = config::load(config, &Inputs::new(&environment))?;
    Ok(survey(&resolved))
}

/// What the meters of a configuration would do on this machine.
pub(super) fn survey(resolved: &config::Resolved) -> EnergyStatus {
    let upstreams = resolved.snapshot.upstreams.iter();
    let names: Vec<Arc<str>> = upstreams.map(|it| Arc::clone(&it.name)).collect();
    Engine::survey(&resolved.settings.energy, &names)
}

fn by_name(name: &str) -> Result<&'static MeterInfo, UsageError> {
    METERS.iter().find(|it| it.name == name).ok_or_else(|| {
        let names: Vec<_> = METERS.iter().map(|it| it.name).collect();
        UsageError(format!(
            "no meter is called {name:?}: there are {}",
            names.join(", ")
        ))
    })
}

fn to_json(info: &MeterInfo, status: &EnergyStatus) -> serde_json::Value {
    let tried: Vec<_> = tried(info, status).collect();
    json!({ "name": info.name, "doc": info.doc, "example": info.example, "here": tried })
}

fn tried<'s>(
    info: &'s MeterInfo,
    status: &'s EnergyStatus,
) -> impl Iterator<Item = &'s MeterStatus> {
    status.meters.iter().filter(|it| it.name == info.name)
}

fn rows(info: &MeterInfo, status: &EnergyStatus) -> Vec<Vec<String>> {
    here(info, status)
        .into_iter()
        .map(|(here, what)| vec![info.name.to_owned(), here, what])
        .collect()
}

/// What each entry of this kind does on this machine, in a word and in a sentence.
fn here(info: &MeterInfo, status: &EnergyStatus) -> Vec<(String, String)> {
    let described: Vec<_> = tried(info, status).map(|it| describe(&it.state)).collect();
    if described.is_empty() {
        let what = format!("not tried: it is not configured, {}", info.example);
        return vec![("-".to_owned(), what)];
    }
    described
}

/// A meter's state in a word and in a sentence.
pub(super) fn describe(state: &MeterState) -> (String, String) {
    match state {
        MeterState::Counting { sources } => ("counts".into(), list(sources)),
        MeterState::Lost => (
            "lost".into(),
            "it gives no trustworthy reading any more".into(),
        ),
        MeterState::Standby { sources } => (
            "stands by".into(),
            format!("{}; a meter before it covers the same", list(sources)),
        ),
        MeterState::Unavailable(why) => {
            let hint = why
                .hint
                .as_ref()
                .map_or(String::new(), |it| format!(" -> {it}"));
            ("no".into(), format!("{}{hint}", why.reason))
        }
    }
}

fn list(sources: &[SourceStatus]) -> String {
    let told: Vec<String> = sources
        .iter()
        .map(|it| format!("{} ({}, {})", it.id, it.domain, it.tier.as_str()))
        .collect();
    told.join(", ")
}
