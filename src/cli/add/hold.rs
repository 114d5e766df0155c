//! `hormesis add --hold`: the rule hangs on a lease that this command renews. Killed, it renews no
//! more, and the rule is gone.

use std::process::ExitCode;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use super::rule::RuleText;
use super::{AddArguments, put, tell};
use crate::admin::client::told::{Rule, Status};
use crate::admin::client::{Client, ClientError};
use crate::cli::Exit;
use crate::cli::console::Console;
use crate::cli::interrupt::Interrupts;
use crate::cli::remote::rule_path;
use crate::units::Span;

/// Longer than a busy machine holds a process up; short enough that a rule is gone within a second.
const LEASE: Duration = Duration::from_millis(900);
const RENEW: Duration = Duration::from_millis(200);

/// How it ended.
enum Ending {
    /// The rule is over: its time, a condition, or somebody's order.
    Over(&'static str),
    Halted(String),
    Interrupted(u8),
}

pub(super) async fn hold(
    arguments: &AddArguments,
    client: &Client,
    rule: RuleText,
    console: &Console,
) -> anyhow::Result<ExitCode> {
    // Before anything is added: a signal must find it taken back.
    let mut interrupts = Interrupts::new()?;
    let lease = format!("add-{:016x}", getrandom::u64()?);
    let path = format!("/leases/{lease}");
    let mut rule = rule;
    if let Some(body) = rule.body.as_object_mut() {
        body.insert("lease".to_owned(), lease.into());
    }
    let body = json!({ "ttl": Span::from(LEASE).to_string() });
    let _: Value = client.put(&path, &body, false).await?;
    let held = async {
        let answer = put(client, &rule, arguments).await?;
        tell(arguments, &answer, console)?;
        keep(client, &path, &body, &rule.name, &mut interrupts).await
    };
    let ending = held.await;
    // On every way out; where it is gone already there is nothing to take back.
    let taken_back = client.delete(&path).await;
    let ending = ending?;
    match taken_back {
        Err(error) if error.status() != Some(StatusCode::NOT_FOUND) => return Err(error.into()),
        _ => {}
    }
    let (why, exit) = match ending {
        Ending::Over(why) => (why.to_owned(), Exit::Fine.into()),
        Ending::Halted(reason) => (format!("halted: {reason}"), Exit::Halted.into()),
        Ending::Interrupted(code) => ("removed".to_owned(), ExitCode::from(code)),
    };
    if !arguments.admin.json {
        console.line(format_args!("ended  {} ({why})", rule.name))?;
    }
    Ok(exit)
}

/// Renews the lease until the rule is over or a signal comes.
async fn keep(
    client: &Client,
    path: &str,
    body: &Value,
    rule: &str,
    interrupts: &mut Interrupts,
) -> anyhow::Result<Ending> {
    let mut ticks = interval(RENEW);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for tick in 1_u64.. {
        tokio::select! {
            code = interrupts.next() => return Ok(Ending::Interrupted(code)),
            _ = ticks.tick() => {}
        }
        let _: Value = client.put(path, body, false).await?;
        if tick % 5 != 0 {
            continue;
        }
        match client.get::<Rule>(&rule_path(rule, "")).await {
            Ok(rule) if !rule.armed => return Ok(Ending::Over("it was disarmed")),
            Ok(_) => {}
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => {
                return Ok(Ending::Over("it is over"));
            }
            Err(error) => return Err(error.into()),
        }
        if let Some(halt) = halted(client).await? {
            return Ok(Ending::Halted(halt));
        }
    }
    Ok(Ending::Over("it is over"))
}

async fn halted(client: &Client) -> Result<Option<String>, ClientError> {
    match client.get::<Status>("/status").await {
        Ok(status) => Ok(status.halted.map(|it| it.reason)),
        // Not everybody who may write may read.
        Err(ClientError::Refused(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
