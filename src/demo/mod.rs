//! `hormesis demo`: a model server, the sidecar before it and open-loop load, each a process of
//! this same binary, in three phases: baseline, fault, recovery. Offline, and over in 40 seconds.

mod children;
mod error;
mod gather;
mod keep;
pub mod model_server;
mod scenario;
mod screen;
mod shell;
mod status;
mod story;

use std::io;
use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};

use crate::load::child_io::current_thread;

pub use self::error::DemoError;

use self::children::Stage;

/// What a user can choose.
#[derive(Clone, Debug, Default)]
pub struct DemoOptions {
    /// The program as it was called, for the command that repeats the run.
    pub program: PathBuf,
    /// Drawn where absent.
    pub seed: Option<u64>,
    /// Where reports and logs go; a new folder among the system's temporary files where absent.
    pub out: Option<PathBuf>,
    /// Stay up after the report, with commands to try.
    pub keep: bool,
    /// The report as JSON on standard output, in place of the summary.
    pub json: bool,
}

/// How the demo ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Finished,
    /// By Ctrl-C or SIGTERM; the exit code is 130.
    Interrupted,
}

/// Plays the demo. Whatever happens, every process it started is stopped when this returns.
pub fn run(options: &DemoOptions) -> Result<Ending, DemoError> {
    current_thread()
        .map_err(DemoError::Runtime)?
        .block_on(perform(options))
}

async fn perform(options: &DemoOptions) -> Result<Ending, DemoError> {
    let mut stage = Stage::default();
    let result = tokio::select! {
        result = story::tell(options, &mut stage) => result.map(|()| Ending::Finished),
        result = interrupted() => result.map(|()| Ending::Interrupted).map_err(DemoError::Runtime),
    };
    stage.strike().await;
    result
}

async fn interrupted() -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => (),
        _ = terminate.recv() => (),
    }
    Ok(())
}
