//! How one call's upstream work shows in the energy ledger. Where nothing is metered, each of these
//! is one branch.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::time::Instant;

use crate::energy::ledger::{ActivitySender, Finish};

/// A worker's ledger, shared by its calls.
pub(super) type SharedSender = Rc<RefCell<ActivitySender>>;

/// The upstream work of one call. Clones tell of the same work.
#[derive(Clone, Debug)]
pub(super) struct Activity(Option<Rc<Work>>);

#[derive(Debug)]
struct Work {
    sender: SharedSender,
    call: u64,
    begun: Cell<bool>,
    held: Cell<bool>,
    done: Cell<bool>,
    over: Cell<bool>,
}

impl Activity {
    pub(super) fn new(sender: Option<&SharedSender>, call: u64) -> Self {
        Self(sender.map(|sender| {
            Rc::new(Work {
                sender: Rc::clone(sender),
                call,
                begun: Cell::new(false),
                held: Cell::new(false),
                done: Cell::new(false),
                over: Cell::new(false),
            })
        }))
    }

    pub(super) fn is_metered(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the ledger counts upstream work for it now.
    pub(super) fn is_open(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|work| work.begun.get() && !work.done.get())
    }

    /// The first byte goes upstream. A second try goes on with the same work.
    pub(super) fn begin(&self, upstream: u16) {
        if let Some(work) = &self.0
            && !work.begun.replace(true)
        {
            work.sender
                .borrow_mut()
                .begin(work.call, upstream, Instant::now());
        }
    }

    /// We, or a slow client, do not read what the upstream has ready; or it waits for us.
    pub(super) fn hold(&self) {
        if let Some(work) = &self.0
            && work.begun.get()
            && !work.done.get()
            && !work.held.replace(true)
        {
            work.sender.borrow_mut().hold(work.call, Instant::now());
        }
    }

    pub(super) fn release(&self) {
        if let Some(work) = &self.0
            && work.held.replace(false)
        {
            work.sender.borrow_mut().release(work.call, Instant::now());
        }
    }

    /// The upstream's last byte was received, and the call's end follows at once: that tells it.
    /// Where anything may be awaited before, [`Self::done`] is to be called.
    pub(super) fn over(&self) {
        if let Some(work) = &self.0 {
            work.over.set(true);
        }
    }

    /// The upstream's last byte was received: however long the answer waits here, or the client
    /// takes for it, nothing of it is the upstream's work.
    pub(super) fn done(&self) {
        if let Some(work) = &self.0
            && work.begun.get()
            && !work.done.replace(true)
        {
            work.held.set(false);
            work.sender.borrow_mut().done(work.call, Instant::now());
        }
    }

    /// The call is over.
    pub(super) fn end(&self, finish: impl FnOnce() -> Finish) {
        if let Some(work) = &self.0
            && work.begun.replace(false)
        {
            let finish = Finish {
                whole: work.over.get() || work.done.get(),
                ..finish()
            };
            work.sender
                .borrow_mut()
                .end(work.call, Instant::now(), finish);
        }
    }
}
