//! How an open connection hears that something was changed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use crate::proxy::worker::Worker;

/// A connection's ear at its worker's bell.
#[derive(Debug)]
pub(super) struct Bell {
    bell: Arc<Notify>,
    rings: Pin<Box<OwnedNotified>>,
}

impl Bell {
    pub(super) fn new(worker: &Worker) -> Self {
        let bell = Arc::clone(&worker.changed);
        let rings = Box::pin(Arc::clone(&bell).notified_owned());
        Self { bell, rings }
    }

    /// Whether it rang since this was last asked; wakes the task when it rings next.
    pub(super) fn rang(&mut self, context: &mut Context<'_>) -> bool {
        let mut rang = false;
        while self.rings.as_mut().poll(context).is_ready() {
            rang = true;
            self.rings.set(Arc::clone(&self.bell).notified_owned());
        }
        rang
    }
}
