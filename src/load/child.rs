//! The load as a child process.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

use super::child_io::{Lines, current_thread};
use super::options::LoadOptions;
use super::runner::{LoadError, run};

/// Reads its options from standard input and writes figures to standard output; ends with the
/// load, when standard input closes, or on SIGTERM.
pub fn run_child() -> Result<(), LoadError> {
    current_thread()?.block_on(child())
}

async fn child() -> Result<(), LoadError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut lines = Lines::of_stdin();
    let options: LoadOptions = lines.options().await?;
    let mut stdout = io::stdout();
    tokio::select! {
        result = run(options, &mut stdout) => result.map(drop),
        () = lines.closed() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}
