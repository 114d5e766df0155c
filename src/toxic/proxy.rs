//! What all connections of one proxy of the API share: its toxics as they are now, whether it still
//! runs, what has passed. The control plane writes; the data plane reads without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};

use crate::toxic::{Direction, Toxic, ToxicKind};

/// A proxy for as long as it exists, stopped or not. Changes come one after the other: the control
/// plane sees to that, and rings the workers after each.
#[derive(Debug)]
pub struct ProxyState {
    /// As the API calls it.
    pub name: Arc<str>,
    toxics: ArcSwap<Vec<Arc<Placed>>>,
    /// Changes of its toxics so far: draws after each are other draws.
    changes: AtomicU64,
    /// How often it was stopped.
    stops: AtomicU64,
    connections: AtomicU64,
    traffic: [Traffic; 2],
}

/// One toxic in its place in the chain.
#[derive(Clone, Debug)]
pub struct Placed {
    pub toxic: Toxic,
    /// `PROXY/TOXIC`: what its draws are drawn for, and what metrics call it.
    pub rule: Arc<str>,
    /// The same for as long as it is in the chain.
    pub id: u64,
    /// Another after each update.
    pub edition: u64,
    /// Another each time that connections decide anew whether it acts on them: when it was added or
    /// updated, and when its right neighbour was added or removed.
    pub redraw: u64,
}

/// Bytes of one direction, over all connections.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Read from the sender.
    pub received: AtomicU64,
    /// Written to the receiver.
    pub sent: AtomicU64,
}

/// A proxy from one start to the next stop: what a listener of the data plane belongs to.
#[derive(Clone, Debug)]
pub struct ProxyRun {
    pub proxy: Arc<ProxyState>,
    stops: u64,
}

impl ProxyRun {
    /// Whether its connections are to be closed: the proxy was stopped since.
    pub fn is_over(&self) -> bool {
        self.proxy.stops.load(Ordering::Acquire) != self.stops
    }
}

impl ProxyState {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            toxics: ArcSwap::default(),
            changes: AtomicU64::new(0),
            stops: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            traffic: Default::default(),
        }
    }

    /// It starts.
    pub fn run(self: &Arc<Self>) -> ProxyRun {
        ProxyRun {
            proxy: Arc::clone(self),
            stops: self.stops.load(Ordering::Acquire),
        }
    }

    /// It stops: every run until now is over.
    pub fn stop(&self) {
        self.stops.fetch_add(1, Ordering::AcqRel);
    }

    /// The number of a new connection, over all its runs.
    pub fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    pub fn traffic(&self, direction: Direction) -> &Traffic {
        match direction {
            Direction::Upstream => &self.traffic[0],
            Direction::Downstream => &self.traffic[1],
        }
    }

    /// The toxics of both directions, in the order in which they were added.
    pub fn toxics(&self) -> Guard<Arc<Vec<Arc<Placed>>>> {
        self.toxics.load()
    }

    pub fn find(&self, name: &str) -> Option<Arc<Placed>> {
        let toxics = self.toxics.load();
        toxics.iter().find(|it| *it.toxic.name == *name).cloned()
    }

    /// At the end of the chain of its direction; false where there is one of its name.
    pub fn add(&self, toxic: Toxic) -> bool {
        if self.find(&toxic.name).is_some() {
            return false;
        }
        let change = self.next_change();
        let mut toxics = Vec::clone(&self.toxics.load());
        let last = toxics
            .iter()
            .rposition(|it| it.toxic.direction == toxic.direction);
        if let Some(last) = last {
            redraw(&mut toxics[last], change);
        }
        toxics.push(Arc::new(Placed {
            rule: format!("{}/{}", self.name, toxic.name).into(),
            toxic,
            id: change,
            edition: change,
            redraw: change,
        }));
        self.toxics.store(Arc::new(toxics));
        true
    }

    /// Gives it other attributes in its place; what it is now, or `None` where there is no such.
    pub fn update(&self, name: &str, kind: ToxicKind, toxicity: f32) -> Option<Toxic> {
        let mut toxics = Vec::clone(&self.toxics.load());
        let placed = toxics.iter_mut().find(|it| *it.toxic.name == *name)?;
        let change = self.next_change();
        let mut updated = Placed::clone(placed);
        (updated.toxic.kind, updated.toxic.toxicity) = (kind, toxicity);
        (updated.edition, updated.redraw) = (change, change);
        let toxic = updated.toxic.clone();
        *placed = Arc::new(updated);
        self.toxics.store(Arc::new(toxics));
        Some(toxic)
    }

    /// False where there is none of that name.
    pub fn remove(&self, name: &str) -> bool {
        let mut toxics = Vec::clone(&self.toxics.load());
        let Some(place) = toxics.iter().position(|it| *it.toxic.name == *name) else {
            return false;
        };
        let change = self.next_change();
        let gone = toxics.remove(place);
        let direction = gone.toxic.direction;
        let left = toxics[..place].iter_mut();
        if let Some(left) = left.rev().find(|it| it.toxic.direction == direction) {
            redraw(left, change);
        }
        self.toxics.store(Arc::new(toxics));
        true
    }

    /// Removes all of them.
    pub fn clear(&self) {
        self.next_change();
        self.toxics.store(Arc::default());
    }

    fn next_change(&self) -> u64 {
        self.changes.fetch_add(1, Ordering::AcqRel) + 1
    }
}

fn redraw(placed: &mut Arc<Placed>, change: u64) {
    *placed = Arc::new(Placed {
        redraw: change,
        ..Placed::clone(placed)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toxic(name: &str, direction: Direction) -> Toxic {
        Toxic {
            name: name.into(),
            kind: ToxicKind::Noop,
            direction,
            toxicity: 1.0,
        }
    }

    /// `name redraw` of each, in order.
    fn draws(proxy: &ProxyState) -> Vec<String> {
        let toxics = proxy.toxics();
        let told = |it: &Arc<Placed>| format!("{} {}", it.toxic.name, it.redraw);
        toxics.iter().map(told).collect()
    }

    #[test]
    fn a_toxic_is_drawn_anew_with_itself_and_with_its_right_neighbour() {
        use Direction::{Downstream, Upstream};
        let proxy = ProxyState::new("redis");
        assert!(proxy.add(toxic("a", Downstream)) && proxy.add(toxic("x", Upstream)));
        assert_eq!(draws(&proxy), ["a 1", "x 2"]);
        // The one before it in its direction is interrupted, as Toxiproxy does; the other's is not.
        assert!(proxy.add(toxic("b", Downstream)) && proxy.add(toxic("c", Downstream)));
        assert_eq!(draws(&proxy), ["a 3", "x 2", "b 4", "c 4"]);
        assert!(!proxy.add(toxic("x", Downstream)));
        let changed = proxy.update("b", ToxicKind::LimitData { bytes: 1 }, 0.5);
        assert_eq!(changed.unwrap().toxicity.to_bits(), 0.5f32.to_bits());
        assert_eq!(draws(&proxy), ["a 3", "x 2", "b 5", "c 4"]);
        assert!(proxy.remove("b") && !proxy.remove("b"));
        assert_eq!(draws(&proxy), ["a 6", "x 2", "c 4"]);
        assert!(proxy.update("b", ToxicKind::Noop, 1.0).is_none());
        proxy.clear();
        assert!(proxy.add(toxic("a", Downstream)));
        assert_eq!(draws(&proxy), ["a 8"]);
    }

    #[test]
    fn a_stop_ends_every_run_before_it() {
        let proxy = Arc::new(ProxyState::new("redis"));
        let first = proxy.run();
        assert!(!first.is_over());
        proxy.stop();
        let second = proxy.run();
        assert!(first.is_over() && !second.is_over());
    }
}
