//! `hormesis add`: one more rule, for a while, in a running sidecar.

mod hold;
mod rule;

use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;
use owo_colors::Style;
use serde_json::Value;

use self::rule::{Pair, RuleText};
use super::console::Console;
use super::figures::{time_of_day, whole_seconds};
use super::remote::{self, AdminArguments, read, rule_path};
use super::{Exit, UsageError};
use crate::admin::client::told::{Rule, Status};
use crate::admin::client::{Client, ClientError, Refused};
use crate::error::nearest;
use crate::units::{Probability, Span};

/// Adds a rule to a running sidecar, for a while; says when it ends and how to undo it.
#[derive(Debug, Args)]
#[command(
    override_usage = "hormesis add <FAULT> [KEY=VALUE]... --on <LISTENER> [OPTIONS]",
    after_help = "Examples:\n  \
        hormesis add delay --on chat --for 30s\n  \
        hormesis add delay fixed=2s --at first-token --on chat --select model='llama-*'\n  \
        hormesis add abort error=overloaded --on chat --probability 5%\n  \
        hormesis add 'delay = { lognormal = { median = \"400ms\", p99 = \"3s\" } }' --on chat\n\n\
        `hormesis faults NAME` tells a fault's parameters, and what it takes where none is given."
)]
pub(super) struct AddArguments {
    /// A kind of `hormesis faults`, or faults as the configuration writes them.
    fault: String,

    /// The fault's parameters: `fixed=2s`, `status=503`, `lognormal.median=400ms`.
    #[arg(value_name = "KEY=VALUE")]
    parameters: Vec<Pair>,

    /// The listeners whose calls it may touch.
    #[arg(
        long,
        required = true,
        value_name = "LISTENER",
        value_delimiter = ',',
        num_args = 1
    )]
    on: Vec<String>,

    /// Which of those calls: `model=llama-*`, `headers.x-tenant=canary`, `stream=true`.
    #[arg(long, value_name = "KEY=VALUE")]
    select: Vec<Pair>,

    /// How many of those it hits: `5%`, `0.05`. All where absent.
    #[arg(long, value_name = "SHARE")]
    probability: Option<Probability>,

    /// Where in the call: `first-token`, `response-head`, `token=20`.
    #[arg(long, value_name = "PLACE")]
    at: Option<String>,

    /// After this it is gone. Absent: what the sidecar gives, 10 minutes.
    #[arg(long = "for", value_name = "TIME")]
    time: Option<Span>,

    /// How much it hurts at most: `concurrent=8`, `total=100`, `share=25%`.
    #[arg(long, value_name = "KEY=VALUE")]
    limit: Vec<Pair>,

    /// Decide and count, but touch nothing.
    #[arg(long)]
    dry_run: bool,

    /// What it is called; absent: the fault and the listener, `delay-chat`.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Take the place of a rule of that name which was added before.
    #[arg(long)]
    replace: bool,

    /// Stay, and take it back at Ctrl-C. Whatever ends this command ends the rule, within a second.
    #[arg(long)]
    hold: bool,

    #[command(flatten)]
    admin: AdminArguments,
}

pub(super) fn run(arguments: &AddArguments, console: &Console) -> anyhow::Result<ExitCode> {
    let rule = RuleText::of(arguments)?;
    let client = arguments.admin.client()?;
    remote::wait(async {
        let halted = look(&client, &arguments.on).await?;
        if arguments.hold {
            return hold::hold(arguments, &client, rule, console).await;
        }
        let answer = put(&client, &rule, arguments).await?;
        tell(arguments, &answer, console)?;
        if let Some(reason) = halted {
            console.complain(format_args!(
                "warning: the sidecar is halted ({reason}): the rule touches nothing until `{}`",
                arguments.admin.typed("resume")
            ));
        }
        Ok(Exit::Fine.into())
    })
}

/// Looks whether the listeners are there; gives the reason of a halt that holds.
async fn look(client: &Client, on: &[String]) -> anyhow::Result<Option<String>> {
    let status: Status = match client.get("/status").await {
        Ok(status) => status,
        // Whoever may write but not read is told by the answer to the rule itself.
        Err(ClientError::Refused(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let known: Vec<&str> = status.listeners.iter().map(|it| it.name.as_str()).collect();
    for name in on {
        if !known.contains(&name.as_str()) {
            let help = match nearest(name, &known) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("there are {}", known.join(", ")),
            };
            return Err(UsageError(format!("there is no listener {name:?}: {help}")).into());
        }
    }
    Ok(status.halted.map(|it| it.reason))
}

async fn put(client: &Client, rule: &RuleText, arguments: &AddArguments) -> anyhow::Result<Value> {
    let path = rule_path(&rule.name, "");
    let answer = client.put(&path, &rule.body, !arguments.replace).await;
    answer.map_err(|error| taken(error, &rule.name, &arguments.admin).into())
}

/// That a rule of the name is there already is told with what can be done.
fn taken(error: ClientError, name: &str, admin: &AdminArguments) -> ClientError {
    match error {
        ClientError::Refused(refused)
            if refused.status == http::StatusCode::PRECONDITION_FAILED =>
        {
            ClientError::Refused(Refused {
                error: format!("there is a rule {name:?} already"),
                help: Some(format!(
                    "give another --name, or --replace, or `{}` first",
                    admin.typed(&format!("stop {name}"))
                )),
                ..refused
            })
        }
        other => other,
    }
}

/// Says what was added, until when, and how to undo it.
fn tell(arguments: &AddArguments, answer: &Value, console: &Console) -> anyhow::Result<()> {
    if arguments.admin.json {
        console.json(answer)?;
        return Ok(());
    }
    let rule: Rule = read(answer)?;
    for warning in &rule.warnings {
        console.complain(format_args!("warning: {}", warning.message));
    }
    let name = console.styled(&rule.name, Style::new().bold());
    console.line(format_args!("armed {name}: {}", summary(&rule)))?;
    if let (Some(left), Some(at)) = (rule.expires_in_s, &rule.expires_at) {
        let (left, at) = (whole_seconds(left), time_of_day(at));
        console.line(format_args!("ends   in {left}, at {at} UTC"))?;
    }
    if arguments.hold {
        return Ok(console.line("undo   Ctrl-C")?);
    }
    let typed = |command: &str| arguments.admin.typed(&format!("{command} {}", rule.name));
    console.line(format_args!("undo   {}", typed("stop")))?;
    console.line(format_args!("watch  {}", typed("watch")))?;
    Ok(())
}

/// What a rule does to whom, as one line.
fn summary(rule: &Rule) -> String {
    let config = |key: &str| rule.config.get(key).filter(|it| !it.is_null());
    let faults = config("faults").and_then(Value::as_array);
    let faults: Vec<String> = faults.into_iter().flatten().map(rule::in_toml).collect();
    let mut text = format!("{} on {}", faults.join(", "), remote::listeners(rule));
    let select = config("select").and_then(Value::as_object);
    if let Some(select) = select.filter(|it| !it.is_empty()) {
        let conditions = rule::entries(select).join(", ");
        write!(text, ", where {conditions}").unwrap_or_default();
    }
    if let Some(probability) = config("probability").and_then(Value::as_str) {
        write!(text, ", {probability} of the calls").unwrap_or_default();
    }
    if rule.dry_run {
        text.push_str(", dry run: it touches nothing");
    }
    text
}
