//! `hormesis protocols`: what a listener can speak.

use clap::Args;
use serde_json::{Value, json};

use super::console::Console;
use super::{Exit, UsageError};
use crate::protocol::{ProtocolInfo, by_name, registry};

/// Lists the protocols that a listener can speak: their operations, units and errors.
#[derive(Debug, Args)]
pub(super) struct ProtocolsArguments {
    /// One protocol, with all that is to know of it.
    name: Option<String>,

    /// One JSON document on standard output.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &ProtocolsArguments, console: &Console) -> anyhow::Result<Exit> {
    let Some(name) = &arguments.name else {
        list(arguments.json, console)?;
        return Ok(Exit::Fine);
    };
    let info = by_name(name).ok_or_else(|| {
        let names: Vec<_> = registry().iter().map(|it| it.name).collect();
        UsageError(format!(
            "no protocol is called {name:?}: there are {}",
            names.join(", ")
        ))
    })?;
    if arguments.json {
        console.json(&to_json(info))?;
    } else {
        console.line(info.doc.trim_end())?;
    }
    Ok(Exit::Fine)
}

fn list(json: bool, console: &Console) -> std::io::Result<()> {
    if json {
        let all: Vec<Value> = registry().iter().map(to_json).collect();
        return console.json(&all);
    }
    let rows = registry()
        .iter()
        .map(|it| {
            vec![
                it.name.to_owned(),
                it.summary.to_owned(),
                it.operations.join(", "),
            ]
        })
        .collect();
    console.table(&["protocol", "what", "units"], rows)
}

fn to_json(info: &ProtocolInfo) -> Value {
    json!({
        "name": info.name,
        "summary": info.summary,
        "operations": info.operations,
        "units": info.units,
        "doc": info.doc,
    })
}
