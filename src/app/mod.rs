//! Wiring: from a resolved configuration to a running sidecar, and back to silence.
//!
//! The order is the story: bind everything, so that a taken port ends the start before anything
//! runs; start what listens to the workers; start the workers; tell the addresses; wait to be told
//! to stop; drain.

mod drain;
mod energy;
mod notify;
mod signals;
mod start;
mod traces;

use std::path::PathBuf;
use std::process::ExitCode;

pub use start::StartError;

use crate::config::Resolved;
use crate::control::{Source, Watched};
use crate::record::logging::LogGuard;

/// What a sidecar runs with, beside its first configuration.
#[derive(Debug)]
pub struct Setup {
    /// Where a reload reads the configuration.
    pub source: Source,
    /// Files and directories whose change is a reload.
    pub watched: Watched,
    /// `LISTEN_FDNAMES`: names of the sockets that were passed to this process.
    pub socket_names: Option<String>,
    /// Where the command line looks for what the user runs now.
    pub runtime: PathBuf,
    /// Flushes what was logged.
    pub log: LogGuard,
}

/// Runs a sidecar until it is told to stop (SIGTERM or SIGINT; a second one ends it at once).
pub fn run(resolved: Resolved, setup: Setup) -> Result<ExitCode, StartError> {
    start::App::bind(resolved, setup)?.run()
}
