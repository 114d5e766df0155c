//! Idle connections of a worker: a waker and a time each, so that a drain or the keep-alive limit
//! reaches them and nothing else is kept for them.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slab::Slab;
use tokio::time::Instant;

use crate::io::Stream;
use crate::snapshot::ListenerState;

/// The idle connections of one worker.
#[derive(Debug, Default)]
pub(super) struct Parked(RefCell<State>);

#[derive(Debug, Default)]
struct State {
    entries: Slab<Entry>,
    closed: bool,
}

#[derive(Debug)]
struct Entry {
    waker: Option<Waker>,
    /// Set by the first sweep that finds it idle: parking itself reads no clock.
    since: Option<Instant>,
    expired: bool,
    /// Calls are under way on it.
    busy: bool,
}

/// A connection's place among the parked.
#[derive(Debug)]
pub(super) struct Place<'p> {
    parked: &'p Parked,
    listener: &'p ListenerState,
    key: usize,
}

impl Parked {
    pub(super) fn place<'p>(&'p self, listener: &'p ListenerState) -> Place<'p> {
        let entry = Entry {
            waker: None,
            since: None,
            expired: false,
            busy: false,
        };
        Place {
            parked: self,
            listener,
            key: self.0.borrow_mut().entries.insert(entry),
        }
    }

    /// Ends the wait of those that have been idle too long.
    pub(super) fn sweep(&self, now: Instant, limit: Duration) {
        let mut state = self.0.borrow_mut();
        for (_, entry) in &mut state.entries {
            match (entry.since, &entry.waker) {
                (Some(since), Some(_)) if now.duration_since(since) >= limit => {
                    entry.expired = true;
                    entry.waker.take().inspect(Waker::wake_by_ref);
                }
                (None, Some(_)) if !entry.busy => entry.since = Some(now),
                _ => {}
            }
        }
    }

    /// Ends all waits, those to come included.
    pub(super) fn close(&self) {
        let mut state = self.0.borrow_mut();
        state.closed = true;
        state.wake();
    }

    /// Ends the waits of connections whose listener is gone.
    pub(super) fn look_again(&self) {
        self.0.borrow_mut().wake();
    }
}

impl State {
    fn wake(&mut self) {
        for (_, entry) in &mut self.entries {
            entry.waker.take().inspect(Waker::wake_by_ref);
        }
    }
}

impl Place<'_> {
    /// Waits until all waits are ended.
    pub(super) async fn closed(&self) {
        poll_fn(|context| {
            let mut state = self.parked.0.borrow_mut();
            if state.closed || self.listener.is_retired() {
                return Poll::Ready(());
            }
            state.entries[self.key].waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Waits until there is something to read. False where the connection is to be closed.
    pub(super) async fn wait(&self, stream: &Stream) -> bool {
        poll_fn(|context| {
            let mut state = self.parked.0.borrow_mut();
            let closed = state.closed || self.listener.is_retired();
            let entry = &mut state.entries[self.key];
            match stream.poll_readable(context) {
                // What has come in already is served, drain or not.
                Poll::Ready(Ok(())) => {
                    (entry.waker, entry.since) = (None, None);
                    Poll::Ready(true)
                }
                Poll::Ready(Err(_)) => Poll::Ready(false),
                // What the runtime has not heard of yet has come in, too.
                Poll::Pending if (closed || entry.expired) && !stream.has_unseen_input() => {
                    Poll::Ready(false)
                }
                Poll::Pending => {
                    match &mut entry.waker {
                        Some(waker) => waker.clone_from(context.waker()),
                        none => *none = Some(context.waker().clone()),
                    }
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Place<'_> {
    /// For a connection of many calls at once, whose bytes somebody else waits for: whether it is to
    /// be closed. The time that it may be idle begins anew after each look at it in use.
    pub(super) fn poll_leave(&self, context: &mut Context<'_>, idle: bool) -> bool {
        let mut state = self.parked.0.borrow_mut();
        let closed = state.closed || self.listener.is_retired();
        let entry = &mut state.entries[self.key];
        entry.busy = !idle;
        if !idle {
            (entry.since, entry.expired) = (None, false);
        }
        if closed || entry.expired {
            return true;
        }
        match &mut entry.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        false
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.parked.0.borrow_mut().entries.try_remove(self.key);
    }
}
