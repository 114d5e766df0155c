//! `hormesis demo`, and the processes it is made of.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Exit;
use crate::demo::{self, DemoOptions, Ending};
use crate::load;

/// After Ctrl-C: 128 and the number of the signal, as shells have it.
const INTERRUPTED: u8 = 130;

/// Plays a chaos experiment on this machine, offline, in 40 seconds: a model server, the sidecar
/// before it, load, faults, and a report of what broke and what it cost.
#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// The same seed gives the same arrivals and the same hits; drawn where absent.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// Where the reports and logs go; a new folder among the temporary files where absent.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,

    /// Stay up after the report, with commands to try, until Ctrl-C.
    #[arg(long)]
    keep: bool,

    /// Print the report as JSON in place of the summary.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: DemoArguments) -> anyhow::Result<ExitCode> {
    let ending = demo::run(&DemoOptions {
        program: program(),
        seed: arguments.seed,
        out: arguments.out,
        keep: arguments.keep,
        json: arguments.json,
    })?;
    Ok(match ending {
        Ending::Finished => Exit::Fine.into(),
        Ending::Interrupted => INTERRUPTED.into(),
    })
}

/// As it was called, so that the same word calls it again: seen from the current folder.
fn program() -> PathBuf {
    let called = std::env::args_os().next().filter(|it| !it.is_empty());
    let called = called.map_or_else(|| PathBuf::from("hormesis"), PathBuf::from);
    let below = std::env::current_dir()
        .ok()
        .and_then(|folder| Some(called.strip_prefix(folder).ok()?.to_owned()));
    match below {
        // A bare name would be looked for in the PATH.
        Some(below) => PathBuf::from(".").join(below),
        None => called,
    }
}

/// The model server of the demo: options as a line of JSON on standard input, its end as its end.
pub(super) fn model_server() -> anyhow::Result<Exit> {
    demo::model_server::run_child()?;
    Ok(Exit::Fine)
}

/// The load of the demo, likewise.
pub(super) fn load() -> anyhow::Result<Exit> {
    load::run_child()?;
    Ok(Exit::Fine)
}
