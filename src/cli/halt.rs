//! `hormesis halt` and `hormesis resume`: every fault ends, or may act again.

use clap::Args;
use owo_colors::Style;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Exit;
use super::console::Console;
use super::remote::{self, AdminArguments, read};
use crate::admin::client::told::Halt;

/// Ends every fault of a running sidecar at once, waiting ones included, and lets none begin until
/// `hormesis resume`. It needs no token on this machine.
#[derive(Debug, Args)]
pub(super) struct HaltArguments {
    /// Why; shown to whoever looks.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    admin: AdminArguments,
}

/// Lets faults act again after a halt.
#[derive(Debug, Args)]
pub(super) struct ResumeArguments {
    #[command(flatten)]
    admin: AdminArguments,
}

#[derive(Deserialize)]
struct Told {
    halted: Option<Halt>,
    warning: Option<String>,
}

pub(super) fn halt(arguments: &HaltArguments, console: &Console) -> anyhow::Result<Exit> {
    let reason = arguments.reason.as_deref().unwrap_or("hormesis halt");
    let body = json!({ "reason": reason });
    let told = order(&arguments.admin, "/halt", Some(&body), console)?;
    let Some(Told { halted, .. }) = told else {
        return Ok(Exit::Fine);
    };
    let told = halted.map_or_else(|| "halted".to_owned(), |it| super::status::halted(&it));
    console.line(console.styled(&told, Style::new().red().bold()))?;
    console.line(format_args!("undo   {}", arguments.admin.typed("resume")))?;
    Ok(Exit::Fine)
}

pub(super) fn resume(arguments: &ResumeArguments, console: &Console) -> anyhow::Result<Exit> {
    let told = order(&arguments.admin, "/resume", None, console)?;
    match told {
        None => Ok(Exit::Fine),
        Some(Told { halted: None, .. }) => {
            console.line("resumed: armed rules act again")?;
            Ok(Exit::Fine)
        }
        // Another halt came in between.
        Some(Told {
            halted: Some(halt), ..
        }) => {
            console.line(super::status::halted(&halt))?;
            Ok(Exit::Halted)
        }
    }
}

/// The answer for people; `None` where it was printed for programs.
fn order(
    admin: &AdminArguments,
    path: &str,
    body: Option<&Value>,
    console: &Console,
) -> anyhow::Result<Option<Told>> {
    let client = admin.client()?;
    let answer: Value = remote::wait(async { Ok(client.post(path, body).await?) })?;
    if let Some(from) = client.left_token_out() {
        console.complain(format_args!(
            "note: the token in {from} is not a right one; halted without it"
        ));
    }
    if admin.json {
        console.json(&answer)?;
        return Ok(None);
    }
    let told: Told = read(&answer)?;
    if let Some(warning) = &told.warning {
        console.complain(format_args!("warning: {warning}"));
    }
    Ok(Some(told))
}
