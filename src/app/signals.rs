//! What the process is told from outside.

use std::io;
use std::thread::JoinHandle;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::control::{Cause, Handle};

/// The signals that a sidecar heeds.
pub(super) struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
    user1: Signal,
    user2: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// To end all faults: SIGUSR1.
    Halt,
    /// To read the configuration again: SIGHUP.
    Reload,
    /// To end: SIGTERM or SIGINT. With the exit code of a process that it ends, as shells count: 128
    /// and its number.
    Stop(u8),
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    pub(super) async fn next(&mut self) -> Asked {
        let kind = loop {
            tokio::select! {
                biased;
                _ = self.user1.recv() => return Asked::Halt,
                _ = self.interrupt.recv() => break SignalKind::interrupt(),
                _ = self.terminate.recv() => break SignalKind::terminate(),
                _ = self.hangup.recv() => return Asked::Reload,
                // A slip of one digit must not end the process, as an unheeded signal does. Nor does it
                // resume: nothing would tell who did.
                _ = self.user2.recv() => {
                    tracing::warn!("SIGUSR2 does nothing; `hormesis resume` ends a halt");
                }
            }
        };
        Asked::Stop(u8::try_from(128 + kind.as_raw_value()).unwrap_or(u8::MAX))
    }
}

/// The deed at once; on a thread of its own what keeps it over a restart, which is a disk.
pub(super) fn halt_on_signal(handle: &Handle) {
    handle.halt_now("SIGUSR1", Cause::Signal);
    keep_halt(handle);
}

/// Writes the halt that holds, if one does; gives the thread that does it.
pub(super) fn keep_halt(handle: &Handle) -> Option<JoinHandle<()>> {
    let of_thread = handle.clone();
    let keep = move |handle: &Handle| {
        if let Err(error) = handle.keep_halt() {
            tracing::error!(%error, "the halt holds, but not over a restart");
        }
    };
    let thread = std::thread::Builder::new().name("halt".to_owned());
    let thread = thread.spawn(move || keep(&of_thread));
    if thread.is_err() {
        keep(handle);
    }
    thread.ok()
}
