//! `hormesis stop`: ends rules of a running sidecar.

use clap::Args;
use serde_json::{Value, json};

use super::Exit;
use super::console::Console;
use super::remote::{self, AdminArguments, rule_path, with_suggestion};
use crate::admin::client::told::Rule;
use crate::admin::client::{Client, ClientError};

/// Ends rules of a running sidecar: one that was added is removed, one of a file is disarmed.
/// Calls that wait under it go on.
#[derive(Debug, Args)]
pub(super) struct StopArguments {
    /// The rules.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,

    #[command(flatten)]
    admin: AdminArguments,
}

pub(super) fn run(arguments: &StopArguments, console: &Console) -> anyhow::Result<Exit> {
    let client = arguments.admin.client()?;
    remote::wait(async {
        let (mut ended, mut failed) = (Vec::new(), Vec::new());
        let mut exit = Exit::Fine;
        for name in &arguments.names {
            let removed = match stop(&client, name).await {
                Ok(removed) => removed,
                // Nobody is there for the others either.
                Err(error @ ClientError::Unreachable { .. }) => return Err(error.into()),
                // One that is misspelt must not leave the others armed.
                Err(error) => {
                    let error = with_suggestion(&client, name, error).await;
                    exit = exit.worse(remote::explain(&error, console));
                    failed.push(json!({ "name": name, "error": error.to_string() }));
                    continue;
                }
            };
            if !arguments.admin.json {
                if removed {
                    console.line(format_args!("removed {name}"))?;
                } else {
                    let undo = arguments.admin.typed(&format!("arm {name}"));
                    console.line(format_args!("disarmed {name}, a rule of a file"))?;
                    console.line(format_args!("undo     {undo}"))?;
                }
            }
            let how = if removed { "removed" } else { "disarmed" };
            ended.push(json!({ "name": name, "how": how }));
        }
        if arguments.admin.json {
            console.json(&json!({ "stopped": ended, "failed": failed }))?;
        }
        Ok(exit)
    })
}

/// Whether it was removed, or else disarmed.
async fn stop(client: &Client, name: &str) -> Result<bool, ClientError> {
    let rule: Rule = client.get(&rule_path(name, "")).await?;
    if rule.source == "api" {
        client.delete(&rule_path(name, "")).await?;
        return Ok(true);
    }
    let _: Value = client.post(&rule_path(name, "/disarm"), None).await?;
    Ok(false)
}
