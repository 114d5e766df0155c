//! `hormesis protocols`: what a listener can speak.

use clap::Args;
use serde_json::{Value, json};

use super::console::Console;
use super::{Exit, UsageError};
use crate::fault::wrap;
use crate::protocol::{ProtocolInfo, by_name, registry};

/// So many operations of a protocol are listed.
const SHOWN: usize = 5;

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
        console.line(plain(info).trim_end())?;
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
                some(it.operations),
            ]
        })
        .collect();
    console.table(&["protocol", "what", "operations"], rows)
}

/// The first few of a list.
fn some(names: &[&str]) -> String {
    let mut told = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        told.push_str(", …");
    }
    told
}

/// The page in plain text, as `hormesis faults NAME` tells of a fault.
fn plain(info: &ProtocolInfo) -> String {
    let mut out = format!("{}: {}\n", info.name, info.summary);
    let mut in_code = false;
    let sections = info.doc.lines().skip_while(|it| !it.starts_with("## "));
    for line in sections {
        if line.starts_with("```") {
            in_code = !in_code;
        } else if let Some(heading) = line.strip_prefix("## ").filter(|_| !in_code) {
            out.extend(["\n", heading, "\n"]);
        } else if line.is_empty() {
            // Paragraphs of a section stand together, as there; an example keeps its gaps.
            if in_code {
                out.push('\n');
            }
        } else if in_code {
            out.extend(["  ", line, "\n"]);
        } else {
            out.extend([&wrap(line), "\n"]);
        }
    }
    out
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
