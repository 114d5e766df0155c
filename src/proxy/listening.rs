//! The sockets that are served, as the control plane changes them: a new generation keeps those that
//! it still wants, adds and removes others, and no waiting connection is lost.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::proxy::bind::{BindError, Bound, BoundSocket, SocketFile, bind_beside, bind_listener};
use crate::proxy::endpoint::{Accepting, Endpoint, Served};
use crate::proxy::hub::{Hub, Order};
use crate::proxy::inherit::Inherited;
use crate::snapshot::{Bind, ListenerSpec, Snapshot};

/// How long a socket is waited for that the workers are about to close.
const CLOSING: Duration = Duration::from_secs(2);

/// The sockets that are served. Clones are the same.
#[derive(Clone, Debug)]
pub struct Listening(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    hub: Arc<Hub>,
    // Taken by the control plane only.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: Vec<Open>,
    /// Removed, and perhaps not closed by all workers yet.
    closing: Vec<(Bind, Weak<Endpoint>)>,
    draining: bool,
}

#[derive(Debug)]
struct Open {
    endpoint: Arc<Endpoint>,
    listener: Arc<str>,
    bind: Bind,
    address: String,
    file: Option<SocketFile>,
    /// The workers hold it too, and close it last.
    socket: BoundSocket,
}

/// Why the sockets could not be changed; all are as before.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("the sidecar is draining")]
    Draining,
    #[error("a socket could not be shared among the workers: {0}")]
    Share(#[from] io::Error),
}

/// What became of the sockets, by listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Every listener, with the address that it is bound to.
    pub addresses: Vec<(Arc<str>, String)>,
    pub opened: Vec<Arc<str>>,
    pub closed: Vec<Arc<str>>,
}

/// Where a listener of the new generation gets its socket from.
enum Source {
    /// The place of an open one.
    Kept(usize),
    New(Bound, Shares),
}

/// A descriptor of one socket for each worker.
type Shares = Vec<BoundSocket>;

impl Listening {
    pub(super) fn new(hub: Arc<Hub>) -> Self {
        Self(Arc::new(Shared {
            hub,
            state: Mutex::default(),
        }))
    }

    /// Serves the first sockets.
    pub(super) fn start(&self, bound: Vec<Bound>, snapshot: &Arc<Snapshot>) -> io::Result<()> {
        let mut state = self.state();
        for it in bound {
            let shares = self.share(&it)?;
            let spec = &snapshot.listeners[it.listener];
            let open = self.open(spec, snapshot, it, shares);
            state.open.push(open);
        }
        Ok(())
    }

    /// Changes to the sockets that `snapshot` wants. New ones are bound first: where one cannot be,
    /// nothing changes. Then `swap` puts the snapshot in force, and only then is anything accepted
    /// for it. A socket whose bind is the same stays, whatever else changed of its listener.
    ///
    /// # Errors
    /// Where a socket cannot be bound, and once everything drains.
    pub fn change(
        &self,
        snapshot: &Arc<Snapshot>,
        swap: impl FnOnce(&Changed),
    ) -> Result<Changed, ChangeError> {
        let mut state = self.state();
        if state.draining {
            return Err(ChangeError::Draining);
        }
        let sources = self.sources(&mut state, &snapshot.listeners)?;
        let changed = state.changed(&sources, &snapshot.listeners);
        swap(&changed);
        let before = std::mem::take(&mut state.open);
        let mut before: Vec<_> = before.into_iter().map(Some).collect();
        for (spec, source) in snapshot.listeners.iter().zip(sources) {
            let kept = match source {
                Source::Kept(at) => before[at].take().map(|open| open.keep(spec, snapshot)),
                Source::New(bound, shares) => Some(self.open(spec, snapshot, bound, shares)),
            };
            state.open.extend(kept);
        }
        for gone in before.into_iter().flatten() {
            gone.end(Accepting::Closing);
            let endpoint = Arc::downgrade(&gone.endpoint);
            // With the port that the system chose: another listener may ask for it by its number.
            let bind = gone.address.parse().map_or(gone.bind, Bind::Tcp);
            state.closing.push((bind, endpoint));
        }
        Ok(changed)
    }

    /// Whether a socket that was bound to this address is still about to be closed by a worker.
    pub fn is_closing(&self, address: &str) -> bool {
        let mut state = self.state();
        state.closing.retain(|(_, it)| it.strong_count() > 0);
        let bind = address.parse().map(Bind::Tcp);
        bind.is_ok_and(|bind| state.closes(&bind))
    }

    /// No socket is served from now on but for what waits in its queue, and none is added.
    pub(super) fn drain(&self) {
        let mut state = self.state();
        state.draining = true;
        for open in state.open.drain(..) {
            open.end(Accepting::Draining);
        }
    }

    /// Removes the files of unix sockets at once: the process ends without a drain.
    pub fn remove_files(&self) {
        for open in &self.state().open {
            open.file.as_ref().inspect(|it| it.remove());
        }
    }

    fn sources(
        &self,
        state: &mut State,
        listeners: &[ListenerSpec],
    ) -> Result<Vec<Source>, ChangeError> {
        let mut free: Vec<bool> = state.open.iter().map(|_| true).collect();
        let kept: Vec<Option<usize>> = listeners
            .iter()
            .map(|spec| {
                let fits = |it: &(usize, &Open)| free[it.0] && it.1.fits(spec);
                let place = state.open.iter().enumerate().find(fits).map(|it| it.0);
                place.inspect(|&it| free[it] = false)
            })
            .collect();
        let mut source = |(index, (spec, kept)): (usize, (&ListenerSpec, Option<usize>))| {
            if let Some(place) = kept {
                return Ok(Source::Kept(place));
            }
            let bound = state.bind(index, spec, &free)?;
            let shares = self.share(&bound).inspect_err(|_| bound.discard())?;
            Ok(Source::New(bound, shares))
        };
        let all = listeners.iter().zip(kept).enumerate();
        let (mut sources, mut failed) = (Vec::new(), None);
        for it in all {
            match source(it) {
                Ok(it) => sources.push(it),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let Some(error) = failed else {
            return Ok(sources);
        };
        for it in &sources {
            if let Source::New(bound, _) = it {
                bound.discard();
            }
        }
        Err(error)
    }

    fn share(&self, bound: &Bound) -> io::Result<Shares> {
        (0..self.0.hub.len())
            .map(|_| bound.socket.share())
            .collect()
    }

    fn open(
        &self,
        spec: &ListenerSpec,
        snapshot: &Arc<Snapshot>,
        bound: Bound,
        shares: Shares,
    ) -> Open {
        let endpoint = Endpoint::new(Served::of(spec, snapshot));
        for (worker, socket) in shares.into_iter().enumerate() {
            let order = Order::Accept(Arc::clone(&endpoint), socket);
            if self.0.hub.send(worker, order).is_err() {
                tracing::error!(worker, "a worker has ended");
            }
        }
        // When the last worker closes the socket, nobody is left in its queue.
        Open {
            endpoint,
            listener: Arc::clone(&spec.name),
            bind: spec.bind.clone(),
            address: bound.address,
            file: bound.file,
            socket: bound.socket,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn changed(&self, sources: &[Source], listeners: &[ListenerSpec]) -> Changed {
        let mut changed = Changed::default();
        let mut kept = Vec::new();
        for (spec, source) in listeners.iter().zip(sources) {
            let address = match source {
                Source::Kept(place) => {
                    kept.push(*place);
                    &self.open[*place].address
                }
                Source::New(bound, _) => {
                    changed.opened.push(Arc::clone(&spec.name));
                    &bound.address
                }
            };
            let address = (Arc::clone(&spec.name), address.clone());
            changed.addresses.push(address);
        }
        let gone = self.open.iter().enumerate();
        let gone = gone.filter(|(place, _)| !kept.contains(place));
        changed.closed = gone.map(|(_, it)| Arc::clone(&it.listener)).collect();
        changed
    }

    /// Binds a new listener's socket. `goes`: which of the open ones the new generation does not want;
    /// those are not in its way.
    fn bind(
        &mut self,
        index: usize,
        spec: &ListenerSpec,
        goes: &[bool],
    ) -> Result<Bound, BindError> {
        self.await_closed(&spec.bind);
        let refused = match bind_listener(index, spec, &mut Inherited::default()) {
            Err(error) if error.source.kind() == io::ErrorKind::AddrInUse => error,
            bound => return bound,
        };
        let open = self.open.iter().zip(goes);
        let in_the_way = open.filter(|(it, goes)| **goes && it.shares_port(&spec.bind));
        let closing: Vec<_> = in_the_way.map(|(it, _)| &it.socket).collect();
        if closing.is_empty() {
            return Err(refused);
        }
        bind_beside(index, spec, &closing)
    }

    fn closes(&self, bind: &Bind) -> bool {
        self.closing.iter().any(|(it, _)| match (it, bind) {
            // One of all addresses is in the way of each of them, and the other way round.
            (Bind::Tcp(one), Bind::Tcp(other)) => one.port() == other.port(),
            (one, other) => one == other,
        })
    }

    /// Waits until the workers have closed a socket of this bind, as a reload before this one has
    /// told them to: it can be bound again only then.
    fn await_closed(&mut self, bind: &Bind) {
        let end = Instant::now() + CLOSING;
        loop {
            self.closing.retain(|(_, it)| it.strong_count() > 0);
            if !self.closes(bind) || Instant::now() >= end {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Open {
    /// Whether a listener's socket is this one. A port that the system chose is its listener's own.
    fn fits(&self, spec: &ListenerSpec) -> bool {
        let any_port = matches!(spec.bind, Bind::Tcp(address) if address.port() == 0);
        self.bind == spec.bind && (!any_port || self.listener == spec.name)
    }

    fn shares_port(&self, bind: &Bind) -> bool {
        let own = self
            .address
            .parse()
            .map(|it: std::net::SocketAddr| it.port());
        matches!(bind, Bind::Tcp(address) if own == Ok(address.port()))
    }

    fn keep(self, spec: &ListenerSpec, snapshot: &Arc<Snapshot>) -> Self {
        self.endpoint.serve(Served::of(spec, snapshot));
        Self {
            listener: Arc::clone(&spec.name),
            ..self
        }
    }

    fn end(&self, how: Accepting) {
        self.file.as_ref().inspect(|it| it.remove());
        self.endpoint.stop(how);
    }
}
