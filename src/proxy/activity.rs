//! How one call's upstream work shows in the energy ledger. Where nothing is metered, each of these
//! is one branch.

use std::cell::{Cell, OnceCell, RefCell};
use std::ops::Deref;
use std::rc::Rc;

use tokio::time::Instant;

use crate::energy::ledger::{ActivitySender, Finish};

/// A worker's ledger, shared by its calls.
pub(super) type SharedSender = Rc<RefCell<ActivitySender>>;

/// The upstream work of one call.
#[derive(Debug)]
pub(super) struct Activity(Option<Work>);

#[derive(Debug)]
struct Work {
    sender: SharedSender,
    call: u64,
    own: State,
    /// In place of `own` once somebody else tells of it too, which few calls have.
    shared: OnceCell<Rc<State>>,
}

#[derive(Clone, Debug, Default)]
struct State {
    begun: Cell<bool>,
    held: Cell<bool>,
    done: Cell<bool>,
    over: Cell<bool>,
}

impl Deref for Work {
    type Target = State;

    fn deref(&self) -> &State {
        self.shared.get().map_or(&self.own, |it| it)
    }
}

impl Activity {
    pub(super) fn new(sender: Option<&SharedSender>, call: u64) -> Self {
        Self(sender.map(|sender| Work {
            sender: Rc::clone(sender),
            call,
            own: State::default(),
            shared: OnceCell::new(),
        }))
    }

    /// Another that tells of the same work.
    pub(super) fn share(&self) -> Self {
        Self(self.0.as_ref().map(|work| {
            let state = work.shared.get_or_init(|| Rc::new(work.own.clone()));
            Work {
                sender: Rc::clone(&work.sender),
                call: work.call,
                own: State::default(),
                shared: OnceCell::from(Rc::clone(state)),
            }
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
    pub(super) fn begin(&self, upstream: u16, at: Instant) {
        if let Some(work) = &self.0
            && !work.begun.replace(true)
        {
            work.sender.borrow_mut().begin(work.call, upstream, at);
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
    pub(super) fn end(&self, at: Instant, finish: impl FnOnce() -> Finish) {
        if let Some(work) = &self.0
            && work.begun.replace(false)
        {
            let finish = Finish {
                whole: work.over.get() || work.done.get(),
                ..finish()
            };
            work.sender.borrow_mut().end(work.call, at, finish);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::energy::ledger::{Event, ledger};

    #[test]
    fn two_that_share_a_work_tell_of_it_once() {
        let (mut senders, mut rings) = ledger(1, 1, 16);
        let sender = Rc::new(RefCell::new(senders.remove(0)));
        let one = Activity::new(Some(&sender), 7);
        one.begin(0, Instant::now());
        let (other, third) = (one.share(), one.share());
        other.hold();
        // Held already.
        one.hold();
        third.release();
        one.done();
        other.done();
        assert!(!one.is_open() && !other.is_open() && third.is_metered());
        let mut told = Vec::new();
        rings.drain(|it| {
            told.push(match it.event {
                Event::Begin { .. } => "begin",
                Event::Hold => "hold",
                Event::Release => "release",
                Event::Done => "done",
                Event::End(_) => "end",
            });
        });
        assert_eq!(told, ["begin", "hold", "release", "done"]);
        assert!(!Activity::new(None, 8).share().is_metered());
    }
}
