//! What the process is told from outside.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that a sidecar heeds.
pub(super) struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
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
        })
    }

    pub(super) async fn next(&mut self) -> Asked {
        let kind = tokio::select! {
            biased;
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.hangup.recv() => return Asked::Reload,
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
