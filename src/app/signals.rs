//! What the process is told from outside.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

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

    /// The exit code of the next signal that asks to end.
    pub(super) async fn stop(&mut self) -> u8 {
        loop {
            if let Asked::Stop(code) = self.next().await {
                return code;
            }
        }
    }
}
