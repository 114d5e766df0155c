//! Everything about a running sidecar at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;
use utoipa::ToSchema;

use crate::call::Outcome;
use crate::control::{Halt, Handle, ProxyView};
use crate::error::Origin;
use crate::record::{
    AuditStats, CallCount, ConditionFigures, EnergyTotals, RuleFigures, Scrape, SlotTotals, Totals,
};
use crate::snapshot::{Bind, ListenerSpec, Snapshot};

/// What `GET /status` answers.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Status {
    pub version: &'static str,
    pub uptime_s: f64,
    pub ready: bool,
    pub draining: bool,
    pub generation: u64,
    pub reloads: ReloadFigures,
    pub seed: u64,
    pub halted: Option<Halt>,
    pub listeners: Vec<ListenerStatus>,
    pub rules: Vec<RuleFigures>,
    /// Those of the Toxiproxy API, which alone changes them.
    pub toxics: Vec<ToxicStatus>,
    /// Those that halt everything when one is true, with their present values.
    pub conditions: Vec<ConditionFigures>,
    pub calls: Vec<CallFigures>,
    pub decisions: DecisionFigures,
    pub energy: Option<EnergyTotals>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ListenerStatus {
    pub name: Arc<str>,
    /// As bound, the port that the system chose included; as configured before that.
    pub bind: String,
    pub protocol: &'static str,
    pub upstream: Option<Arc<str>>,
    /// Connections that are open.
    pub connections: u64,
    /// Calls under way.
    pub active: u64,
}

/// A toxic of a proxy of the Toxiproxy API.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ToxicStatus {
    pub proxy: String,
    pub name: Arc<str>,
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// `upstream` or `downstream`.
    pub stream: &'static str,
    /// The chance that it acts on a connection.
    pub toxicity: f32,
}

/// Calls that ended, by their labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CallFigures {
    pub listener: String,
    pub protocol: &'static str,
    pub outcome: Outcome,
    pub origin: Origin,
    pub count: u64,
}

/// How often the configuration was read again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReloadFigures {
    pub ok: u64,
    /// The configuration before stayed in force.
    pub failed: u64,
    /// When the last one was, RFC 3339, UTC.
    pub last: Option<String>,
    /// Why it failed; absent where it did not.
    pub last_error: Option<String>,
}

/// The lines of the decision log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DecisionFigures {
    pub written: u64,
    pub dropped: u64,
}

impl Handle {
    /// All figures, for [`crate::record::expose`].
    pub fn scrape(&self) -> Scrape {
        let inner = &self.0;
        let snapshot = inner.live.current();
        let rules = snapshot.rules.cells().iter();
        let reloads = self.reloads();
        Scrape {
            version: env!("CARGO_PKG_VERSION"),
            totals: inner.counters.totals(),
            rules: rules.map(|cell| RuleFigures::read(cell)).collect(),
            conditions: self.conditions(),
            halted: inner.live.halted(),
            generation: snapshot.generation,
            reloads_ok: reloads.ok,
            reloads_failed: reloads.failed,
            audit_written: inner.audit.get().map_or(0, AuditStats::written),
            audit_unwritten: inner.audit.get().map_or(0, AuditStats::unwritten),
            decisions_written: inner.decisions.written(),
            decisions_dropped: inner.decisions.dropped(),
            spans: inner.decisions.spans(),
            exemplars: inner.decisions.exemplars(),
            energy: self.energy(),
            without_faults: false,
        }
    }

    pub fn status(&self) -> Status {
        let snapshot = self.0.live.current();
        let scrape = self.scrape();
        let (halted, bound) = {
            let state = self.state();
            (state.halt.clone(), state.bound.clone())
        };
        Status {
            version: scrape.version,
            uptime_s: self.uptime().as_secs_f64(),
            ready: self.ready(),
            draining: self.draining(),
            generation: snapshot.generation,
            reloads: self.reloads(),
            seed: snapshot.seed.0,
            halted,
            listeners: listeners(&snapshot, &bound, &scrape.totals),
            rules: scrape.rules,
            toxics: self.proxies().into_iter().flat_map(toxics).collect(),
            conditions: scrape.conditions,
            calls: scrape.totals.calls().map(CallFigures::from).collect(),
            decisions: DecisionFigures {
                written: scrape.decisions_written,
                dropped: scrape.decisions_dropped,
            },
            energy: scrape.energy,
        }
    }
}

fn listeners(
    snapshot: &Snapshot,
    bound: &BTreeMap<String, String>,
    totals: &Totals,
) -> Vec<ListenerStatus> {
    let status = |listener: &ListenerSpec| {
        let slots = || {
            let slots = totals.slots.iter();
            slots.filter(|slot| slot.listener == listener.name)
        };
        // Those of the Toxiproxy API are counted together: each connection is a call there.
        let open = listener.toxics.as_ref().map(|_| {
            let open = listener.state.connections.load(Ordering::Relaxed);
            u64::try_from(open).unwrap_or(u64::MAX)
        });
        ListenerStatus {
            name: Arc::clone(&listener.name),
            bind: bound
                .get(&*listener.name)
                .cloned()
                .unwrap_or_else(|| match &listener.bind {
                    Bind::Tcp(address) => address.to_string(),
                    Bind::Unix(path) => format!("unix:{}", path.display()),
                }),
            protocol: listener.protocol.name(),
            upstream: snapshot
                .upstreams
                .get(listener.upstream)
                .map(|upstream| Arc::clone(&upstream.name)),
            connections: open.unwrap_or_else(|| slots().map(SlotTotals::connections).sum()),
            active: open.unwrap_or_else(|| slots().map(SlotTotals::active).sum()),
        }
    };
    snapshot.listeners.iter().map(status).collect()
}

fn toxics(proxy: ProxyView) -> impl Iterator<Item = ToxicStatus> {
    let name = proxy.name;
    proxy.toxics.into_iter().map(move |toxic| ToxicStatus {
        proxy: name.clone(),
        name: toxic.name,
        kind: toxic.kind.name(),
        stream: toxic.direction.as_str(),
        toxicity: toxic.toxicity,
    })
}

impl From<CallCount<'_>> for CallFigures {
    fn from(call: CallCount<'_>) -> Self {
        Self {
            listener: call.listener.to_owned(),
            protocol: call.protocol,
            outcome: call.outcome,
            origin: call.origin,
            count: call.count,
        }
    }
}
