//! How one call's upstream work shows in the energy ledger. Where nothing is metered, each of these
//! is one branch.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::time::Instant;

use crate::energy::ledger::{ActivitySender, Finish};

/// A worker's ledger, shared by its calls.
pub(super) type SharedSender = Rc<RefCell<ActivitySender>>;

/// The upstream work of one call.
#[derive(Debug)]
pub(super) struct Activity {
    sender: Option<SharedSender>,
    call: u64,
    begun: Cell<bool>,
    held: Cell<bool>,
    done: Cell<bool>,
}

impl Activity {
    pub(super) fn new(sender: Option<&SharedSender>, call: u64) -> Self {
        Self {
            sender: sender.cloned(),
            call,
            begun: Cell::new(false),
            held: Cell::new(false),
            done: Cell::new(false),
        }
    }

    pub(super) fn is_metered(&self) -> bool {
        self.sender.is_some()
    }

    /// Whether the ledger counts upstream work for it now.
    pub(super) fn is_open(&self) -> bool {
        self.is_metered() && self.begun.get() && !self.done.get()
    }

    /// The first byte goes upstream. A second try goes on with the same work.
    pub(super) fn begin(&self, upstream: u16) {
        if let Some(sender) = &self.sender
            && !self.begun.replace(true)
        {
            sender
                .borrow_mut()
                .begin(self.call, upstream, Instant::now());
        }
    }

    /// We, or a slow client, do not read what the upstream has ready.
    pub(super) fn hold(&self) {
        if let Some(sender) = &self.sender
            && self.begun.get()
            && !self.done.get()
            && !self.held.replace(true)
        {
            sender.borrow_mut().hold(self.call, Instant::now());
        }
    }

    pub(super) fn release(&self) {
        if let Some(sender) = &self.sender
            && self.held.replace(false)
        {
            sender.borrow_mut().release(self.call, Instant::now());
        }
    }

    /// The upstream's last byte was received: however long the answer waits here, or the client
    /// takes for it, nothing of it is the upstream's work.
    pub(super) fn done(&self) {
        if let Some(sender) = &self.sender
            && self.begun.get()
            && !self.done.replace(true)
        {
            self.held.set(false);
            sender.borrow_mut().done(self.call, Instant::now());
        }
    }

    /// The call is over.
    pub(super) fn end(&self, finish: impl FnOnce() -> Finish) {
        if let Some(sender) = &self.sender
            && self.begun.get()
        {
            sender.borrow_mut().end(self.call, Instant::now(), finish());
        }
    }
}
