//! A proxy of the Toxiproxy API before a scripted upstream, changed by the handle that its server
//! uses.

use hormesis::control::{ProxyConfig, ProxyError, ProxyView};
use hormesis::toxic::{Direction, Toxic, ToxicKind};

use super::{Running, Sidecar, Upstream, Wire};

/// The proxy `redis`, with its upstream.
#[derive(Debug)]
pub(crate) struct Proxied {
    pub(crate) sidecar: Running,
    pub(crate) upstream: Upstream,
}

/// A toxic towards the client that acts on every connection.
pub(crate) fn toxic(name: &str, kind: ToxicKind) -> Toxic {
    Toxic {
        name: name.into(),
        kind,
        direction: Direction::Downstream,
        toxicity: 1.0,
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "an address or a text, as it is at hand"
)]
pub(crate) fn config(name: &str, listen: &str, upstream: impl ToString) -> ProxyConfig {
    ProxyConfig {
        name: name.to_owned(),
        listen: listen.to_owned(),
        upstream: upstream.to_string(),
        enabled: true,
    }
}

impl Proxied {
    pub(crate) fn start() -> Self {
        Self::of_workers(1)
    }

    pub(crate) fn of_workers(workers: usize) -> Self {
        Self::of(Sidecar::tcp(Upstream::refusing()).workers(workers))
    }

    pub(crate) fn of(sidecar: Sidecar) -> Self {
        let upstream = Upstream::scripted();
        let sidecar = sidecar.start();
        let proxy = config("redis", "", upstream.address);
        sidecar.handle.create_proxy(proxy).unwrap();
        Self { sidecar, upstream }
    }

    pub(crate) fn view(&self) -> ProxyView {
        self.sidecar.handle.proxy("redis").unwrap()
    }

    /// A connection through the proxy: the client's end and the server's.
    #[track_caller]
    pub(crate) fn connect(&self) -> (Wire, Wire) {
        let client = Wire::connect(self.view().listen.parse().unwrap());
        (client, self.upstream.accept())
    }

    pub(crate) fn add(&self, toxic: Toxic) {
        self.sidecar.handle.add_toxic("redis", toxic).unwrap();
    }

    /// Adds one towards the client, named after its kind.
    pub(crate) fn down(&self, kind: ToxicKind) {
        self.add(toxic(kind.name(), kind));
    }

    /// The same towards the server, with `_up` behind its name.
    pub(crate) fn up(&self, kind: ToxicKind) {
        self.add(Toxic {
            direction: Direction::Upstream,
            ..toxic(&format!("{}_up", kind.name()), kind)
        });
    }

    pub(crate) fn update(&self, name: &str, kind: ToxicKind) {
        let handle = &self.sidecar.handle;
        handle.update_toxic("redis", name, kind, 1.0).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        self.sidecar.handle.remove_toxic("redis", name).unwrap();
    }

    pub(crate) fn enable(&self, enabled: bool) -> Result<ProxyView, ProxyError> {
        let handle = &self.sidecar.handle;
        handle.update_proxy("redis", None, None, Some(enabled))
    }

    /// What was counted of the toxics of a kind.
    pub(crate) fn applied(&self, kind: &str) -> u64 {
        let totals = self.sidecar.handle.counters().totals();
        let faults = totals.faults.iter();
        let found = faults.filter(|it| &*it.rule == "toxiproxy" && it.fault == kind);
        found
            .flat_map(|it| it.results().collect::<Vec<_>>())
            .filter(|(result, _)| *result == "applied")
            .map(|(_, count)| count)
            .sum()
    }
}
