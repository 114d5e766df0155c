//! Tells the service manager how things stand (`sd_notify(3)`). Where none listens, each of these does
//! nothing.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::control::{Handle, ReloadError, Reloaded};

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager was not told");
    }
}

/// Every listener accepts.
pub(super) fn ready(handle: &Handle) {
    let status = status(handle);
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// Before a reload (`None`), and after it.
pub(super) fn reloading(handle: &Handle, result: Option<&Result<Reloaded, ReloadError>>) {
    match result {
        // The time tells the service manager which reload this one is.
        None => match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(_) => tell(&[NotifyState::Reloading]),
        },
        Some(Ok(_)) => ready(handle),
        Some(Err(_)) => {
            let status = format!("{}; the last reload failed", status(handle));
            tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
        }
    }
}

pub(super) fn stopping() {
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("draining: calls under way finish"),
    ]);
}

/// The workers answer.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often [`alive`] is to be said; `None` where nobody waits for it.
pub(super) fn watchdog() -> Option<Duration> {
    // Half of the time after which the service manager gives up, as its manual advises.
    let interval = sd_notify::watchdog_enabled()? / 2;
    (!interval.is_zero()).then_some(interval)
}

fn status(handle: &Handle) -> String {
    let snapshot = handle.live().current();
    let listeners = snapshot.listeners.len();
    let rules = snapshot.rules.cells().len();
    let generation = snapshot.generation;
    format!("generation {generation}: {listeners} listeners, {rules} rules")
}
