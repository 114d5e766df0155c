//! `hormesis rules`: the rules of a running sidecar.

use clap::Args;
use owo_colors::Style;
use serde_json::Value;

use super::Exit;
use super::console::Console;
use super::figures::{time_of_day, whole_seconds};
use super::remote::{self, AdminArguments, listeners, read, rule_path, with_suggestion};
use crate::admin::client::told::{Halt, Rule, Rules, Toxic};

/// Lists the rules of a running sidecar: those of its files, and those that were added.
#[derive(Debug, Args)]
pub(super) struct RulesArguments {
    /// One rule, with all that is to know of it.
    name: Option<String>,

    #[command(flatten)]
    admin: AdminArguments,
}

pub(super) fn run(arguments: &RulesArguments, console: &Console) -> anyhow::Result<Exit> {
    let client = arguments.admin.client()?;
    let name = arguments.name.as_deref();
    let path = name.map_or_else(|| "/rules".to_owned(), |name| rule_path(name, ""));
    let (answer, halted, toxics) = remote::wait(async {
        let answer = match client.get::<Value>(&path).await {
            Ok(answer) => answer,
            Err(error) => {
                return Err(with_suggestion(&client, name.unwrap_or_default(), error)
                    .await
                    .into());
            }
        };
        let status: Value = client.get("/status").await?;
        let halted = status.get("halted").filter(|it| !it.is_null());
        let toxics = status.get("toxics").map(read::<Vec<Toxic>>);
        let toxics = toxics.transpose()?.unwrap_or_default();
        Ok((answer, halted.map(read::<Halt>).transpose()?, toxics))
    })?;
    if arguments.admin.json {
        console.json(&answer)?;
        return Ok(Exit::Fine);
    }
    if name.is_some() {
        one(&read(&answer)?, console)?;
    } else {
        let Rules { rules } = read(&answer)?;
        if rules.is_empty() {
            let typed = arguments.admin.typed("add delay --on LISTENER");
            console.line(format_args!("no rules; `{typed}` adds one for a while"))?;
            super::status::toxics(&toxics, console)?;
            return Ok(Exit::Fine);
        }
        list(&rules, console)?;
        super::status::toxics(&toxics, console)?;
    }
    if let Some(halt) = halted {
        let told = format!("{}: no rule acts", super::status::halted(&halt));
        console.line(console.styled(&told, Style::new().red().bold()))?;
    }
    Ok(Exit::Fine)
}

fn list(rules: &[Rule], console: &Console) -> std::io::Result<()> {
    let row = |rule: &Rule| {
        let figures = &rule.figures;
        vec![
            rule.name.clone(),
            rule.source.clone(),
            listeners(rule),
            rule.faults.join(", "),
            state(rule).to_owned(),
            rule.expires_in_s.map_or_else(String::new, whole_seconds),
            figures.selected.to_string(),
            figures.hit.to_string(),
            figures.applied.to_string(),
            figures.active.to_string(),
        ]
    };
    let headings = [
        "rule", "from", "on", "faults", "state", "ends in", "selected", "hit", "applied", "active",
    ];
    console.table(&headings, rules.iter().map(row).collect())
}

pub(super) fn state(rule: &Rule) -> &'static str {
    match (rule.armed, rule.dry_run) {
        (true, false) => "armed",
        (true, true) => "dry run",
        (false, _) => "off",
    }
}

fn one(rule: &Rule, console: &Console) -> anyhow::Result<()> {
    let figures = &rule.figures;
    let ends = match (rule.expires_in_s, &rule.expires_at) {
        (Some(left), Some(at)) => {
            format!(
                ", ends in {} at {} UTC",
                whole_seconds(left),
                time_of_day(at)
            )
        }
        _ => String::new(),
    };
    let lease = rule.lease.as_ref();
    let lease = lease.map_or(String::new(), |it| format!(", on lease {it}"));
    console.line(format_args!(
        "{}: {} on {}, from {}{ends}{lease}",
        rule.name,
        state(rule),
        listeners(rule),
        if rule.source == "api" {
            "the admin API"
        } else {
            "a file"
        },
    ))?;
    console.line(format_args!(
        "selected {}, hit {}, acting now on {}",
        figures.selected, figures.hit, figures.active
    ))?;
    console.line(format_args!(
        "applied {}, superseded {}, not applicable {}, revoked {}",
        figures.applied, figures.superseded, figures.not_applicable, figures.revoked
    ))?;
    let denied: Vec<_> = figures
        .denied
        .iter()
        .filter(|(_, count)| **count > 0)
        .collect();
    if !denied.is_empty() {
        let denied: Vec<_> = denied
            .iter()
            .map(|(why, count)| format!("{why} {count}"))
            .collect();
        console.line(format_args!("left alone: {}", denied.join(", ")))?;
    }
    console.line("")?;
    console.text(&toml::to_string_pretty(&without_nulls(&rule.config))?)?;
    Ok(())
}

/// TOML has no null: what is absent is left out.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(_, value)| !value.is_null());
            kept.map(|(key, value)| (key.clone(), without_nulls(value)))
                .collect()
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}
