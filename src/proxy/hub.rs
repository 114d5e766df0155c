//! The workers as one whole: how orders reach each, how many connections each serves, and that a
//! descriptor became free.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use crate::proxy::accept::Taken;
use crate::proxy::bind::BoundSocket;
use crate::proxy::endpoint::{Endpoint, Served};
use crate::snapshot::ListenerState;

/// What a worker is told from outside.
#[derive(Debug)]
pub(super) enum Order {
    /// Accept from this socket too.
    Accept(Arc<Endpoint>, BoundSocket),
    /// A connection that another worker accepted.
    Serve(Accepted),
    /// Show that it still answers.
    Answer(u64),
    /// Accept until the queues are empty, finish what was begun.
    Drain { by: Instant },
}

/// A connection that no worker serves yet.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) socket: Taken,
    pub(super) peer: Option<SocketAddr>,
    pub(super) served: Arc<Served>,
    pub(super) seat: Seat,
}

/// All workers.
#[derive(Debug)]
pub(super) struct Hub {
    workers: Vec<Post>,
    /// Accept loops that wait for a descriptor.
    waiting: AtomicUsize,
    freed: Notify,
}

/// One worker as the others see it. Aligned, so that no two share a cache line.
#[derive(Debug)]
#[repr(align(128))]
struct Post {
    orders: UnboundedSender<Order>,
    connections: AtomicUsize,
    answered: AtomicU64,
}

impl Hub {
    /// A hub for so many workers, and the end of each.
    pub(super) fn new(workers: usize) -> (Arc<Self>, Vec<UnboundedReceiver<Order>>) {
        let (workers, ends) = (0..workers)
            .map(|_| {
                let (orders, end) = unbounded_channel();
                let post = Post {
                    orders,
                    connections: AtomicUsize::new(0),
                    answered: AtomicU64::new(0),
                };
                (post, end)
            })
            .unzip();
        let hub = Self {
            workers,
            waiting: AtomicUsize::new(0),
            freed: Notify::new(),
        };
        (Arc::new(hub), ends)
    }

    pub(super) fn len(&self) -> usize {
        self.workers.len()
    }

    /// Gives the order back where the worker has ended.
    pub(super) fn send(&self, worker: usize, order: Order) -> Result<(), Order> {
        match self.workers.get(worker) {
            Some(post) => post.orders.send(order).map_err(|it| it.0),
            None => Err(order),
        }
    }

    /// The worker with the fewest connections; `own` where none has fewer.
    pub(super) fn lightest(&self, own: usize) -> usize {
        let load = |it: &Post| it.connections.load(Ordering::Relaxed);
        let mut best = (self.workers.get(own).map_or(usize::MAX, load), own);
        for (index, post) in self.workers.iter().enumerate() {
            let load = load(post);
            if load < best.0 {
                best = (load, index);
            }
        }
        best.1
    }

    /// The worker has answered this question.
    pub(super) fn answer(&self, worker: usize, question: u64) {
        if let Some(post) = self.workers.get(worker) {
            post.answered.store(question, Ordering::Release);
        }
    }

    /// Whether every worker has answered this question.
    pub(super) fn answered(&self, question: u64) -> bool {
        let mut workers = self.workers.iter();
        workers.all(|it| it.answered.load(Ordering::Acquire) >= question)
    }

    /// Waits until a connection was closed, at most so long.
    pub(super) async fn descriptor_freed(&self, at_most: Duration) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let freed = tokio::time::timeout(at_most, self.freed.notified()).await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        // Either way it is worth a try.
        crate::error::ignore(freed);
    }
}

/// A connection's place: counted for its listener and for the worker that serves it, for as long
/// as this lives.
#[derive(Debug)]
pub(super) struct Seat {
    hub: Arc<Hub>,
    worker: usize,
    pub(super) listener: Arc<ListenerState>,
}

impl Seat {
    /// `None` where the listener has no room left.
    pub(super) fn take(
        hub: &Arc<Hub>,
        worker: usize,
        listener: &Arc<ListenerState>,
        limit: usize,
    ) -> Option<Self> {
        if listener.connections.fetch_add(1, Ordering::Relaxed) >= limit {
            listener.connections.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        hub.workers[worker]
            .connections
            .fetch_add(1, Ordering::Relaxed);
        Some(Self {
            hub: Arc::clone(hub),
            worker,
            listener: Arc::clone(listener),
        })
    }

    /// Another worker serves it after all.
    pub(super) fn move_to(&mut self, worker: usize) {
        let workers = &self.hub.workers;
        workers[self.worker]
            .connections
            .fetch_sub(1, Ordering::Relaxed);
        workers[worker].connections.fetch_add(1, Ordering::Relaxed);
        self.worker = worker;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.listener.connections.fetch_sub(1, Ordering::Relaxed);
        self.hub.workers[self.worker]
            .connections
            .fetch_sub(1, Ordering::Relaxed);
        if self.hub.waiting.load(Ordering::Relaxed) > 0 {
            self.hub.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lightest_worker_is_oneself_on_a_tie() {
        let (hub, _ends) = Hub::new(3);
        let listener = Arc::default();
        let seat = |worker| Seat::take(&hub, worker, &listener, 10).unwrap();
        assert_eq!(hub.lightest(2), 2);
        let mut first = seat(2);
        assert_eq!(hub.lightest(2), 0);
        let _second = seat(0);
        assert_eq!(hub.lightest(2), 1);
        first.move_to(1);
        assert_eq!(hub.lightest(2), 2);
        drop(first);
        assert_eq!(hub.lightest(1), 1);
        assert_eq!(listener.connections.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_full_listener_has_no_seat_and_counts_none() {
        let (hub, _ends) = Hub::new(1);
        let listener = Arc::default();
        let first = Seat::take(&hub, 0, &listener, 1);
        assert!(first.is_some() && Seat::take(&hub, 0, &listener, 1).is_none());
        drop(first);
        assert!(Seat::take(&hub, 0, &listener, 1).is_some());
    }

    #[test]
    fn an_order_to_a_worker_that_has_ended_comes_back() {
        let (hub, ends) = Hub::new(1);
        assert!(hub.send(0, Order::Answer(1)).is_ok());
        drop(ends);
        assert!(matches!(
            hub.send(0, Order::Answer(7)),
            Err(Order::Answer(7))
        ));
        assert!(hub.send(1, Order::Answer(1)).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_connection_ends_the_wait_for_a_descriptor() {
        let (hub, _ends) = Hub::new(1);
        let seat = Seat::take(&hub, 0, &Arc::default(), 1);
        let start = Instant::now();
        let hour = Duration::from_secs(3600);
        tokio::join!(hub.descriptor_freed(hour), async {
            tokio::task::yield_now().await;
            drop(seat);
        });
        assert_eq!(start.elapsed(), Duration::ZERO);
        hub.descriptor_freed(hour).await;
        assert_eq!(start.elapsed(), hour);
    }
}
