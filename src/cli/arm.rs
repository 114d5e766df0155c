//! `hormesis arm` and `hormesis disarm`: a rule of a running sidecar acts, or does not.

use clap::Args;
use serde_json::{Value, json};

use super::Exit;
use super::console::Console;
use super::figures::{time_of_day, whole_seconds};
use super::remote::{self, AdminArguments, read, rule_path, with_suggestion};
use crate::admin::client::told::Rule;
use crate::units::Span;

/// Makes a rule of a running sidecar act.
#[derive(Debug, Args)]
pub(super) struct ArmArguments {
    /// The rule.
    name: String,

    /// After this it is off again. Absent: as the rule itself says.
    #[arg(long = "for", value_name = "TIME")]
    time: Option<Span>,

    #[command(flatten)]
    admin: AdminArguments,
}

/// Keeps a rule of a running sidecar from acting; calls that wait under it go on.
#[derive(Debug, Args)]
pub(super) struct DisarmArguments {
    /// The rule.
    name: String,

    #[command(flatten)]
    admin: AdminArguments,
}

pub(super) fn arm(arguments: &ArmArguments, console: &Console) -> anyhow::Result<Exit> {
    let body = arguments
        .time
        .map(|time| json!({ "ttl": time.to_string() }));
    let answer = post(&arguments.admin, &arguments.name, "/arm", body.as_ref())?;
    if arguments.admin.json {
        console.json(&answer)?;
        return Ok(Exit::Fine);
    }
    let rule: Rule = read(&answer)?;
    console.line(format_args!("armed {}", rule.name))?;
    if let (Some(left), Some(at)) = (rule.expires_in_s, &rule.expires_at) {
        let (left, at) = (whole_seconds(left), time_of_day(at));
        console.line(format_args!("ends   in {left}, at {at} UTC"))?;
    }
    let undo = arguments.admin.typed(&format!("disarm {}", rule.name));
    console.line(format_args!("undo   {undo}"))?;
    Ok(Exit::Fine)
}

pub(super) fn disarm(arguments: &DisarmArguments, console: &Console) -> anyhow::Result<Exit> {
    let answer = post(&arguments.admin, &arguments.name, "/disarm", None)?;
    if arguments.admin.json {
        console.json(&answer)?;
        return Ok(Exit::Fine);
    }
    let rule: Rule = read(&answer)?;
    console.line(format_args!("disarmed {}", rule.name))?;
    let undo = arguments.admin.typed(&format!("arm {}", rule.name));
    console.line(format_args!("undo      {undo}"))?;
    Ok(Exit::Fine)
}

fn post(
    admin: &AdminArguments,
    name: &str,
    verb: &str,
    body: Option<&Value>,
) -> anyhow::Result<Value> {
    let client = admin.client()?;
    remote::wait(async {
        match client.post(&rule_path(name, verb), body).await {
            Ok(answer) => Ok(answer),
            Err(error) => Err(with_suggestion(&client, name, error).await.into()),
        }
    })
}
