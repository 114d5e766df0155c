//! Wiring: from settings and a snapshot to a running sidecar.

use std::process::ExitCode;

use crate::config::Resolved;

/// Runs the sidecar until it is told to stop.
pub fn run(resolved: Resolved) -> anyhow::Result<ExitCode> {
    let listeners = resolved.snapshot.listeners.len();
    anyhow::bail!("{listeners} listeners, and no driver is wired in yet")
}
