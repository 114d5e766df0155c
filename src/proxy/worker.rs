//! One worker: a thread with a current-thread runtime, and all that its calls share.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use crate::call::{Call, Description, Field};
use crate::io::BufferPool;
use crate::live::Live;
use crate::proxy::activity::SharedSender;
use crate::proxy::endpoint::Served;
use crate::proxy::hub::Hub;
use crate::proxy::park::Parked;
use crate::proxy::timer::Timer;
use crate::record::{RecordSender, SlotCounters, WorkerCounters};
use crate::snapshot::{ListenerSpec, ListenerState, ProtocolSpec, Snapshot};
use crate::upstream::Pool;

/// What a worker's calls share. Lives on one thread.
#[derive(Debug)]
pub(super) struct Worker {
    /// Its place among the workers.
    pub(super) index: usize,
    pub(super) hub: Arc<Hub>,
    pub(super) live: Arc<Live>,
    pub(super) timer: Timer,
    pub(super) buffers: BufferPool,
    pub(super) counters: WorkerCounters,
    pub(super) records: RecordSender,
    pub(super) activity: Option<SharedSender>,
    pub(super) parked: Parked,
    pub(super) draining: Cell<bool>,
    /// Connections that are served now.
    pub(super) tasks: Cell<usize>,
    pub(super) idle: tokio::sync::Notify,
    /// Rings for connections that changes act on while they are open.
    pub(super) changed: Arc<tokio::sync::Notify>,
    /// Upstreams by their place in the energy ledger, which is that of the start.
    ledger: Vec<Arc<str>>,
    generation: RefCell<Rc<Generation>>,
    retired: RefCell<Vec<Retired>>,
    next_call: Cell<u64>,
}

/// One snapshot with what this worker keeps for it.
#[derive(Debug)]
pub(super) struct Generation {
    pub(super) snapshot: Arc<Snapshot>,
    /// An upstream that stays the same keeps its pool, calls of older generations included.
    pub(super) pools: Vec<Rc<Pool>>,
    /// By listener: the listener's own protocol, then one for each route.
    slots: Vec<Vec<SlotCounters>>,
    /// By upstream: its place in the energy ledger.
    metered: Vec<Option<u16>>,
    seen: u64,
}

/// A listener that a reload removed, with the last generation that had it.
#[derive(Debug)]
struct Retired {
    state: Arc<ListenerState>,
    generation: Rc<Generation>,
    place: usize,
}

/// Where a call goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) upstream: usize,
    pub(super) protocol: ProtocolSpec,
    /// Which of the listener's counters count it.
    pub(super) slot: usize,
}

impl Generation {
    fn new(
        snapshot: Arc<Snapshot>,
        counters: &WorkerCounters,
        ledger: &[Arc<str>],
        seen: u64,
        previous: Option<&Self>,
    ) -> Self {
        let metered = snapshot
            .upstreams
            .iter()
            .map(|spec| {
                let place = ledger.iter().position(|it| *it == spec.name);
                place.and_then(|it| u16::try_from(it).ok())
            })
            .collect();
        let pools = snapshot
            .upstreams
            .iter()
            .map(|spec| {
                let kept = previous.and_then(|it| it.pools.iter().find(|pool| pool.spec == *spec));
                kept.map_or_else(|| Rc::new(Pool::new(spec.clone())), Rc::clone)
            })
            .collect();
        let slot = |listener: &ListenerSpec, protocol: ProtocolSpec| {
            counters.slot(&listener.counted_as(), protocol.name())
        };
        let slots = snapshot
            .listeners
            .iter()
            .map(|listener| {
                let routes = listener
                    .routes
                    .iter()
                    .map(|route| route.protocol.unwrap_or(listener.protocol));
                std::iter::once(listener.protocol)
                    .chain(routes)
                    .map(|it| slot(listener, it))
                    .collect()
            })
            .collect();
        Self {
            snapshot,
            pools,
            slots,
            metered,
            seen,
        }
    }

    /// An upstream's place in the energy ledger; `None` where a reload has added it: what meters
    /// was set up before.
    pub(super) fn metered(&self, upstream: usize) -> Option<u16> {
        self.metered.get(upstream).copied().flatten()
    }

    pub(super) fn counters(&self, listener: usize, slot: usize) -> &SlotCounters {
        &self.slots[listener][slot]
    }

    /// Of a connection that carries bytes: as the host of its TLS handshake says.
    pub(super) fn route_bytes(&self, listener: usize, sni: Option<&str>) -> Target {
        let spec = &self.snapshot.listeners[listener];
        let mut routes = spec.routes.iter().enumerate();
        let route = routes.find(|(_, route)| route.takes_sni(sni));
        Target {
            upstream: route.map_or(spec.upstream, |(_, route)| route.upstream),
            protocol: spec.protocol,
            slot: route.map_or(0, |(index, _)| index + 1),
        }
    }

    /// The first route that matches, else the listener's own upstream.
    pub(super) fn route(&self, listener: usize, call: &RouteFacts<'_>) -> Target {
        let spec = &self.snapshot.listeners[listener];
        for (index, route) in spec.routes.iter().enumerate() {
            let host = route
                .host
                .as_deref()
                .is_none_or(|host| call.host.is_some_and(|it| same_host(it, host)));
            let path = route
                .path
                .as_ref()
                .is_none_or(|path| path.is_match(call.path));
            let headers = route.headers.iter().all(|(name, value)| {
                call.fields().any(|field| {
                    field.name.eq_ignore_ascii_case(name) && field.value == value.as_bytes()
                })
            });
            if host && path && headers && route.takes_sni(call.sni) {
                let protocol = route.protocol.unwrap_or(spec.protocol);
                return Target {
                    upstream: route.upstream,
                    protocol,
                    slot: index + 1,
                };
            }
        }
        Target {
            upstream: spec.upstream,
            protocol: spec.protocol,
            slot: 0,
        }
    }
}

/// What routes look at.
pub(super) struct RouteFacts<'a> {
    pub(super) sni: Option<&'a str>,
    pub(super) host: Option<&'a str>,
    pub(super) path: &'a str,
    pub(super) head: &'a [u8],
    pub(super) request: &'a crate::http1::Request,
}

impl<'a> RouteFacts<'a> {
    fn fields(&self) -> impl Iterator<Item = Field<'a>> {
        self.request.fields(self.head)
    }
}

/// Host names compare without case, and without the port where the route names none.
fn same_host(host: &str, wanted: &str) -> bool {
    let bare = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) {
            name
        } else {
            host
        }
    });
    host.eq_ignore_ascii_case(wanted) || bare.eq_ignore_ascii_case(wanted)
}

/// What a worker is made of.
#[derive(Debug)]
pub(super) struct WorkerParts {
    pub(super) index: usize,
    pub(super) live: Arc<Live>,
    pub(super) hub: Arc<Hub>,
    pub(super) timer: Timer,
    pub(super) counters: WorkerCounters,
    pub(super) records: RecordSender,
    pub(super) activity: Option<SharedSender>,
}

impl Worker {
    pub(super) fn new(parts: WorkerParts) -> Self {
        let seen = parts.live.changes();
        let snapshot = parts.live.current();
        let upstreams = snapshot.upstreams.iter();
        let ledger: Vec<_> = upstreams.map(|it| Arc::clone(&it.name)).collect();
        let generation = Generation::new(snapshot, &parts.counters, &ledger, seen, None);
        Self {
            index: parts.index,
            hub: parts.hub,
            ledger,
            live: parts.live,
            timer: parts.timer,
            buffers: BufferPool::default(),
            counters: parts.counters,
            records: parts.records,
            activity: parts.activity,
            parked: Parked::default(),
            draining: Cell::new(false),
            tasks: Cell::new(0),
            idle: tokio::sync::Notify::new(),
            changed: Arc::default(),
            generation: RefCell::new(Rc::new(generation)),
            retired: RefCell::default(),
            // Ids are unique in the process: the worker in the high bits, a count below.
            next_call: Cell::new((parts.index as u64) << 48),
        }
    }

    /// The generation in force; one atomic load where nothing changed.
    pub(super) fn generation(&self) -> Rc<Generation> {
        let changes = self.live.changes();
        let known = self.generation.borrow().clone();
        if known.seen == changes {
            return known;
        }
        let snapshot = self.live.current();
        let fresh = Rc::new(Generation::new(
            snapshot,
            &self.counters,
            &self.ledger,
            changes,
            Some(&known),
        ));
        self.retire(&known, &fresh);
        self.generation.replace(fresh.clone());
        fresh
    }

    /// Remembers the listeners that a new generation no longer has, for their open connections,
    /// and ends those that are idle.
    fn retire(&self, known: &Rc<Generation>, fresh: &Generation) {
        let mut gone = false;
        for (place, listener) in known.snapshot.listeners.iter().enumerate() {
            if fresh.snapshot.place_of(&listener.state).is_none() {
                self.retired.borrow_mut().push(Retired {
                    state: Arc::clone(&listener.state),
                    generation: Rc::clone(known),
                    place,
                });
                gone = true;
            }
        }
        if gone {
            self.parked.look_again();
        }
    }

    /// Closes kept connections that nobody is to use again, and forgets retired listeners without
    /// connections.
    pub(super) fn sweep_pools(&self, now: Instant) {
        let mut retired = self.retired.borrow_mut();
        retired.retain(|it| it.state.connections.load(Ordering::Relaxed) > 0);
        let retired = retired.iter().map(|it| &it.generation);
        for generation in retired.chain([&self.generation()]) {
            for pool in &generation.pools {
                pool.sweep(now);
                if let Some(looking_up) = pool.refresh(now) {
                    tokio::task::spawn_local(looking_up);
                }
            }
        }
    }

    /// Where a call of a listener's connection finds its settings: in the generation in force, or
    /// in the last that had the listener.
    pub(super) fn place_of(&self, state: &Arc<ListenerState>) -> Option<(Rc<Generation>, usize)> {
        let generation = self.generation();
        if let Some(place) = generation.snapshot.place_of(state) {
            return Some((generation, place));
        }
        let retired = self.retired.borrow();
        let mut known = retired.iter();
        known
            .find(|it| Arc::ptr_eq(&it.state, state))
            .map(|it| (Rc::clone(&it.generation), it.place))
    }

    /// The same for a connection that comes in. A listener that this worker never heard of, since
    /// a reload added it and another has removed it, is settled by its last generation.
    pub(super) fn place_for(&self, served: &Served) -> (Rc<Generation>, usize) {
        if let Some(known) = self.place_of(&served.listener) {
            return known;
        }
        let generation = Rc::new(Generation::new(
            Arc::clone(&served.snapshot),
            &self.counters,
            &self.ledger,
            self.live.changes(),
            Some(&self.generation()),
        ));
        // A socket stands for a listener of its snapshot.
        let place = served.snapshot.place_of(&served.listener).unwrap_or(0);
        self.retired.borrow_mut().push(Retired {
            state: Arc::clone(&served.listener),
            generation: Rc::clone(&generation),
            place,
        });
        (generation, place)
    }

    /// Whether connections of this listener take no further call: all drains, or the listener is
    /// gone from the configuration.
    pub(super) fn is_ending(&self, listener: &ListenerState) -> bool {
        self.draining.get() || listener.is_retired()
    }

    pub(super) fn next_call_id(&self) -> u64 {
        let id = self.next_call.get();
        self.next_call.set(id + 1);
        id
    }

    /// Fires waits that are due, so that on a busy worker they do not queue behind the calls.
    pub(super) fn fire_due(&self, now: Instant) {
        if self.timer.has_waits() {
            self.timer.fire_due(now);
        }
    }

    /// Ends waits whose rule was disarmed or halted.
    pub(super) fn revoke(&self) {
        let current = self.generation();
        // A token of an older generation names its rule by a place in an older list: names tell.
        let standing: BTreeMap<&str, u32> = current
            .snapshot
            .rules
            .cells()
            .iter()
            .filter(|cell| cell.is_armed())
            .map(|cell| (&*cell.name, cell.epoch()))
            .collect();
        self.timer
            .revoke(|token| standing.get(&*token.rule) == Some(&token.epoch));
    }

    /// Waits until no connection is served.
    pub(super) async fn all_done(&self) {
        while self.tasks.get() > 0 {
            self.idle.notified().await;
        }
    }

    pub(super) fn task_ended(&self) {
        self.tasks.set(self.tasks.get() - 1);
        if self.tasks.get() == 0 {
            self.idle.notify_one();
        }
    }
}

/// A call as rules see it, of owned facts: for errors that are written after its head is gone.
pub(super) fn bare_call<'a>(
    listener: &'a str,
    protocol: &'static str,
    peer: Option<SocketAddr>,
    description: Description,
) -> Call<'a> {
    Call {
        listener,
        protocol,
        peer,
        description,
        ..Call::default()
    }
}
