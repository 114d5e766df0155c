//! `hormesis faults`: the kinds of harm.

use clap::Args;
use schemars::SchemaGenerator;
use serde_json::{Value, json};

use super::console::Console;
use super::{Exit, UsageError};
use crate::fault::{FaultInfo, registry, render_markdown};

/// Lists the kinds of faults: what each does, where it acts, what it takes.
#[derive(Debug, Args)]
pub(super) struct FaultsArguments {
    /// One kind, with all that is to know of it.
    name: Option<String>,

    /// One JSON document on standard output.
    #[arg(long)]
    json: bool,

    /// The reference of all kinds, docs/faults.md.
    #[arg(long, conflicts_with_all = ["name", "json"])]
    markdown: bool,
}

pub(super) fn run(arguments: &FaultsArguments, console: &Console) -> anyhow::Result<Exit> {
    if arguments.markdown {
        console.text(&render_markdown())?;
        return Ok(Exit::Fine);
    }
    let Some(name) = &arguments.name else {
        list(arguments.json, console)?;
        return Ok(Exit::Fine);
    };
    let info = registry()
        .iter()
        .find(|it| it.name == name)
        .ok_or_else(|| {
            let names: Vec<_> = registry().iter().map(|it| it.name).collect();
            UsageError(format!(
                "no fault is called {name:?}: there are {}",
                names.join(", ")
            ))
        })?;
    if arguments.json {
        console.json(&to_json(info))?;
    } else {
        console.line(info)?;
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
        .map(|info| {
            let parameters: Vec<String> = info.parameters().into_iter().map(|it| it.name).collect();
            vec![
                info.name.to_owned(),
                info.doc.summary.to_owned(),
                parameters.join(", "),
            ]
        })
        .collect();
    console.table(&["fault", "the call or its connection", "parameters"], rows)
}

fn to_json(info: &FaultInfo) -> Value {
    json!({
        "name": info.name,
        "scope": info.scope.as_str(),
        "summary": info.doc.summary,
        "does": info.doc.does,
        "stands_for": info.doc.stands_for,
        "examples": info.doc.examples,
        "phases": info.doc.phases,
        "views": info.doc.views,
        "cost": info.doc.cost,
        "schema": info.schema(&mut SchemaGenerator::default()),
    })
}
