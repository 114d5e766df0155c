//! The orderly end, and the one at once.

use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::app::notify;
use crate::app::signals::{Asked, Signals, halt_on_signal, keep_halt};
use crate::control::{END_TIME, Handle, join_within};
use crate::proxy::{Drained, Listening, Proxy};
use crate::record::logging::LogGuard;

/// The exit code where calls were still under way when the drain's grace ended.
const CUT_SHORT: u8 = 1;
/// How often it is looked whether the workers have ended.
const LOOK: Duration = Duration::from_millis(5);

/// Drains while a second signal is watched for.
pub(super) fn drain(
    runtime: &Runtime,
    mut signals: Signals,
    handle: &Handle,
    proxy: Proxy,
    log: LogGuard,
) -> ExitCode {
    let grace = handle.live().current().limits.drain_grace;
    notify::stopping();
    tracing::info!(grace = ?grace, "draining: no new connections, calls under way finish");
    // Readiness first: whoever asks is sent elsewhere before connections are refused.
    handle.drain();
    let listening = proxy.listening().clone();
    let mut log = Some(log);
    let drained = std::thread::scope(|scope| {
        let draining = scope.spawn(|| proxy.drain(grace));
        runtime.block_on(async {
            while !draining.is_finished() {
                tokio::select! {
                    asked = signals.next() => match asked {
                        Asked::Stop(code) => end_now(code, &listening, log.take()),
                        // Calls that a fault holds up are what a drain waits for.
                        Asked::Halt => halt_on_signal(handle),
                        Asked::Reload => tracing::warn!("not reloaded: draining"),
                    },
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
        });
        draining.join().unwrap_or(Drained::CutShort)
    });
    // One that was ordered a moment ago let the calls go that were waited for: it is to be on the
    // disk before the process ends.
    if handle.halted().is_some()
        && let Some(thread) = keep_halt(handle)
    {
        join_within(thread, END_TIME, "halt");
    }
    match drained {
        Drained::Whole => {
            tracing::info!("drained");
            ExitCode::SUCCESS
        }
        Drained::CutShort => {
            tracing::warn!("the grace period ended before all calls had: exit code 1");
            CUT_SHORT.into()
        }
    }
}

fn end_now(code: u8, listening: &Listening, log: Option<LogGuard>) {
    tracing::warn!("second signal: ending at once");
    listening.remove_files();
    // Flushes: nothing after this runs.
    drop(log);
    #[expect(
        clippy::exit,
        reason = "the user insists; workers hold nothing that needs an orderly end"
    )]
    std::process::exit(code.into());
}
