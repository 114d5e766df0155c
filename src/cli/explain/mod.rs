//! `hormesis explain`: what the rules of a configuration would do to one request, and why not.
//! Pure: nothing is sent, counted or drawn that a running sidecar would miss.

mod curl;
mod decision;
mod request;
mod show;
mod unmet;

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use self::decision::Explanation;
use self::request::Request;
use super::console::Console;
use super::{Exit, UsageError, environment};
use crate::config::{self, Inputs};
use crate::snapshot::{Bind, ListenerSpec, Snapshot};
use crate::units::{Seed, Span};

/// Tells what the rules of a configuration would do to one request, and why not.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true))]
pub(super) struct ExplainArguments {
    /// A file, a directory of *.toml files, or `-` for standard input.
    #[arg(value_name = "CONFIG")]
    config: PathBuf,

    /// A file with an HTTP/1.1 request: a line, headers, an empty line, a body.
    #[arg(long, value_name = "FILE", group = "what")]
    request: Option<PathBuf>,

    /// A curl command, as documentation gives it.
    #[arg(long, value_name = "COMMAND", group = "what")]
    curl: Option<String>,

    /// A line of the decision log. It holds no headers and no body.
    #[arg(long, value_name = "LINE", group = "what")]
    record: Option<String>,

    /// The call's number on its listener, from 0: draws depend on it.
    #[arg(long, value_name = "N")]
    number: Option<u64>,

    /// Which of a rule's selected calls this is, from 0: `nth` depends on it. The number of the
    /// call where absent.
    #[arg(long, value_name = "N")]
    ordinal: Option<u64>,

    /// How long the rules have been armed: schedules depend on it.
    #[arg(long, value_name = "TIME", default_value = "0")]
    armed_for: Span,

    /// In place of the configuration's.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// Where the request comes in; absent: by the port of its address, or the only one.
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,

    /// One JSON document on standard output.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &ExplainArguments, console: &Console) -> anyhow::Result<Exit> {
    let inputs = Inputs {
        seed: arguments.seed.map(Seed),
        ..Inputs::new(&environment)
    };
    let request = match (&arguments.request, &arguments.curl, &arguments.record) {
        (Some(path), ..) => Request::from_file(path)?,
        (_, Some(command), _) => Request::from_curl(command)?,
        (.., Some(line)) => Request::from_record(line)?,
        _ => Request::default(),
    };
    let resolved = config::load(std::slice::from_ref(&arguments.config), &inputs)?;
    let snapshot = &resolved.snapshot;
    let listener = listener(arguments, &request, snapshot)?;
    let recorded = request.recorded.as_ref().map(|it| it.number);
    let number = arguments.number.or(recorded).unwrap_or(0);
    let moment = crate::call::Moment {
        number,
        ordinal: arguments.ordinal.unwrap_or(number),
        since_armed: arguments.armed_for.get(),
    };
    let explanation = Explanation::new(snapshot, listener, &request, moment);
    if arguments.json {
        console.json(&show::to_json(&explanation))?;
    } else {
        if resolved.seed_drawn {
            console.complain(format_args!(
                "the configuration has no seed: draws differ each time (--seed)"
            ));
        }
        show::print(&explanation, console)?;
    }
    Ok(Exit::Fine)
}

/// The index of the listener that the request comes in at.
fn listener(
    arguments: &ExplainArguments,
    request: &Request,
    snapshot: &Snapshot,
) -> Result<usize, UsageError> {
    let listeners = &snapshot.listeners;
    let find = |is: &dyn Fn(&ListenerSpec) -> bool| listeners.iter().position(is);
    let recorded = request.recorded.as_ref().map(|it| it.listener.as_str());
    if let Some(name) = arguments.listener.as_deref().or(recorded) {
        return find(&|it| &*it.name == name)
            .ok_or_else(|| UsageError(format!("no listener is called {name:?}")));
    }
    let by_port = request.port.and_then(|port| {
        find(&|it| matches!(it.bind, Bind::Tcp(address) if address.port() == port))
    });
    match by_port {
        Some(index) => Ok(index),
        None if listeners.len() == 1 => Ok(0),
        None => {
            let names: Vec<&str> = listeners.iter().map(|it| &*it.name).collect();
            Err(UsageError(format!(
                "the request names no listener's port: say --listener, one of {}",
                names.join(", ")
            )))
        }
    }
}
