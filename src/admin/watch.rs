//! Tells the audit log of halts, whoever ordered them: the API, a signal, a file, a condition.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::interval;

use crate::admin::audit::{Audit, Entry};
use crate::control::Handle;

/// How often is looked. What ends sooner than it is seen is in the log by who ordered it.
const LOOK: Duration = Duration::from_millis(200);

pub(super) async fn halts(handle: &Handle, audit: &Audit, mut stop: watch::Receiver<bool>) {
    let mut looks = interval(LOOK);
    let mut told = None;
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let halt = handle.halted();
        if halt == told {
            continue;
        }
        let event = if halt.is_some() { "halted" } else { "resumed" };
        let mut entry = Entry::new(event);
        entry.detail = halt.as_ref().and_then(|it| serde_json::to_value(it).ok());
        audit.tell(entry);
        told = halt;
    }
}
