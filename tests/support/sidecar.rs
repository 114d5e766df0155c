//! The data plane in this process, as `run` wires it: text to snapshot to workers.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hormesis::config::{Inputs, Problems, Resolved, Source, resolve};
use hormesis::control::{self, Handle, Reload, ReloadError, Reloaded};
use hormesis::live::Live;
use hormesis::proxy::timer::Clock;
use hormesis::proxy::{self, Drained, Parts, Proxy, WorkerEnds};
use hormesis::record::{CounterRegistry, DecisionLevel, DecisionLog, LogSettings};
use hormesis::rule::RuleCell;
use serde_json::Value;
use tempfile::TempDir;

use super::{PATIENCE, Upstream, Wire};

/// What a sidecar is started with.
#[derive(Clone, Debug)]
pub(crate) struct Sidecar {
    endpoint: String,
    protocol: &'static str,
    rules: String,
    tables: String,
    upstream: String,
    listener: String,
    first: String,
    bind: &'static str,
    workers: usize,
}

impl Sidecar {
    /// Before an upstream whose connections the test holds.
    pub(crate) fn before(upstream: &Upstream) -> Self {
        Self::to(upstream.address)
    }

    pub(crate) fn to(upstream: SocketAddr) -> Self {
        Self {
            endpoint: format!("http://{upstream}"),
            protocol: "http",
            rules: String::new(),
            tables: String::new(),
            upstream: String::new(),
            listener: String::new(),
            first: String::new(),
            bind: "127.0.0.1:0",
            workers: 1,
        }
    }

    /// Before an upstream that speaks HTTP/2 from the first byte on.
    pub(crate) fn http2(upstream: SocketAddr) -> Self {
        Self {
            endpoint: format!("h2c://{upstream}"),
            ..Self::to(upstream)
        }
    }

    /// Before an upstream by its whole endpoint, scheme and all; `bytes`: without requests.
    pub(crate) fn at(endpoint: String, bytes: bool) -> Self {
        Self {
            endpoint,
            protocol: if bytes { "tcp" } else { "http" },
            ..Self::to(Upstream::refusing())
        }
    }

    /// More lines of the upstream's table.
    pub(crate) fn upstream(mut self, lines: &str) -> Self {
        self.upstream.push_str(lines);
        self.upstream.push('\n');
        self
    }

    /// More lines of the listener's table.
    pub(crate) fn listener(mut self, lines: &str) -> Self {
        self.listener.push_str(lines);
        self.listener.push('\n');
        self
    }

    /// Before bytes without requests.
    pub(crate) fn tcp(upstream: SocketAddr) -> Self {
        Self {
            endpoint: format!("tcp://{upstream}"),
            protocol: "tcp",
            ..Self::to(upstream)
        }
    }

    pub(crate) fn protocol(self, protocol: &'static str) -> Self {
        Self { protocol, ..self }
    }

    pub(crate) fn workers(self, workers: usize) -> Self {
        Self { workers, ..self }
    }

    /// A rule named `r1`, `r2`, … with these faults, and with these lines of its own.
    pub(crate) fn rule(mut self, lines: &str, faults: &[&str]) -> Self {
        let number = self.rules.matches("[[rules]]").count() + 1;
        writeln!(self.rules, "[[rules]]\nname = \"r{number}\"\n{lines}").unwrap();
        for fault in faults {
            writeln!(self.rules, "[[rules.faults]]\n{fault}").unwrap();
        }
        self
    }

    /// A rule on every call.
    pub(crate) fn fault(self, fault: &str) -> Self {
        self.rule("", &[fault])
    }

    /// Keys that stand before all tables.
    pub(crate) fn first(mut self, keys: &str) -> Self {
        self.first.push_str(keys);
        self
    }

    /// Where the listener `front` listens.
    pub(crate) fn bind(self, bind: &'static str) -> Self {
        Self { bind, ..self }
    }

    /// More of the configuration: whole tables.
    pub(crate) fn with(mut self, tables: &str) -> Self {
        self.tables.push_str(tables);
        self.tables.push('\n');
        self
    }

    pub(crate) fn text(&self) -> String {
        format!(
            "seed = 7\n{}[upstreams.up]\nendpoints = [\"{}\"]\n{}[listeners.front]\nbind = \"{}\"\n\
             upstream = \"up\"\nprotocol = \"{}\"\n{}{}\n{}",
            self.first,
            self.endpoint,
            self.upstream,
            self.bind,
            self.protocol,
            self.listener,
            self.tables,
            self.rules
        )
    }

    #[track_caller]
    pub(crate) fn start(self) -> Running {
        let resolved = read(&self.text()).unwrap_or_else(|problems| panic!("{problems:?}"));
        let text = Arc::new(Mutex::new(self.text()));
        let snapshot = Arc::new(resolved.snapshot);
        let bound = proxy::bind(&snapshot.listeners).unwrap();
        let address = bound[0].address.parse().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let log = DecisionLog::start(&LogSettings {
            decisions: DecisionLevel::All,
            file: Some(directory.path().join("decisions.jsonl")),
            ..LogSettings::default()
        })
        .unwrap();
        let live = Arc::new(Live::new(snapshot));
        let counters = CounterRegistry::default();
        let handle = Handle::new(live.clone(), counters.clone(), log.stats(), None).unwrap();
        for it in &bound {
            handle.listener_bound(&live.current().listeners[it.listener].name, &it.address);
        }
        let ends = |_| WorkerEnds {
            counters: counters.worker(),
            records: log.sender(),
            activity: None,
        };
        let parts = Parts {
            live,
            workers: (0..self.workers).map(ends).collect(),
            clock: Clock::Timerfd,
        };
        let proxy = Proxy::start(bound, parts).unwrap();
        let again = Arc::clone(&text);
        handle.set_reload(Reload {
            source: control::Source::Again(Box::new(move || read(&again.lock().unwrap()))),
            listening: proxy.listening().clone(),
            settings: resolved.settings,
            metered: Vec::new(),
        });
        Running {
            text,
            handle,
            address,
            proxy: Some(proxy),
            log: Some(log),
            directory,
        }
    }
}

fn read(text: &str) -> Result<Resolved, Problems> {
    let source = Arc::new(Source::new("test.toml", text));
    resolve(&[source], &Inputs::new(&|_| None))
}

/// A sidecar that serves; drained when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) handle: Handle,
    pub(crate) address: SocketAddr,
    /// What a reload reads.
    text: Arc<Mutex<String>>,
    proxy: Option<Proxy>,
    log: Option<DecisionLog>,
    directory: TempDir,
}

impl Running {
    pub(crate) fn connect(&self) -> Wire {
        Wire::connect(self.address)
    }

    /// Sends a request; gives both ends once it has reached a new connection of the upstream.
    #[track_caller]
    pub(crate) fn call(&self, upstream: &Upstream, request: impl AsRef<[u8]>) -> (Wire, Wire) {
        let mut client = self.connect();
        client.send(request);
        let mut server = upstream.accept();
        server.request().expect("no request");
        (client, server)
    }

    /// Puts another configuration in force.
    pub(crate) fn reload(&self, to: &Sidecar) -> Result<Reloaded, ReloadError> {
        self.reload_text(&to.text())
    }

    pub(crate) fn reload_text(&self, text: &str) -> Result<Reloaded, ReloadError> {
        text.clone_into(&mut self.text.lock().unwrap());
        self.handle.reload()
    }

    /// The same from any thread: a function that reloads.
    pub(crate) fn reloads(
        &self,
    ) -> impl Fn(&Sidecar) -> Result<Reloaded, ReloadError> + Send + use<> {
        let (handle, text) = (self.handle.clone(), Arc::clone(&self.text));
        move |to| {
            to.text().clone_into(&mut text.lock().unwrap());
            handle.reload()
        }
    }

    /// Where a listener listens.
    #[track_caller]
    pub(crate) fn address_of(&self, listener: &str) -> SocketAddr {
        let status = self.handle.status();
        let mut listeners = status.listeners.iter();
        let found = listeners.find(|it| &*it.name == listener);
        found.unwrap().bind.parse().unwrap()
    }

    /// The running state of a rule.
    pub(crate) fn rule(&self, name: &str) -> Arc<RuleCell> {
        let snapshot = self.handle.live().current();
        let cell = snapshot.rules.cells().iter().find(|it| &*it.name == name);
        cell.unwrap().clone()
    }

    /// Calls that a rule acts on right now.
    pub(crate) fn active(&self, name: &str) -> u64 {
        self.rule(name).counters.active.load(Ordering::SeqCst)
    }

    /// Begins the drain on a thread of its own.
    pub(crate) fn drain(&mut self, grace: Duration) -> std::thread::JoinHandle<Drained> {
        let proxy = self.proxy.take().unwrap();
        std::thread::spawn(move || proxy.drain(grace))
    }

    /// Waits for the calls under way and gives the decision log of all calls.
    #[track_caller]
    pub(crate) fn records(mut self) -> Vec<Value> {
        if let Some(proxy) = self.proxy.take() {
            assert_eq!(proxy.drain(PATIENCE), Drained::Whole);
        }
        self.log.take().unwrap().close();
        let text = std::fs::read_to_string(self.directory.path().join("decisions.jsonl"));
        let text = text.unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect()
    }

    /// The record of the only call.
    #[track_caller]
    pub(crate) fn record(self) -> Value {
        let mut records = self.records();
        assert_eq!(records.len(), 1, "{records:#?}");
        records.remove(0)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(proxy) = self.proxy.take() {
            proxy.drain(Duration::ZERO);
        }
    }
}

/// `outcome/origin/status` of a record.
pub(crate) fn ending(record: &Value) -> String {
    let text = |key: &str| record[key].as_str().unwrap_or("-").to_owned();
    format!(
        "{}/{}/{}",
        text("outcome"),
        text("origin"),
        record["status"]
    )
}

/// The fates of a record's effects, in order.
pub(crate) fn fates(record: &Value) -> Vec<String> {
    let effects = record["effects"].as_array().cloned().unwrap_or_default();
    let fate = |it: &Value| match it["why"].as_str() {
        Some(why) => format!("{}:{why}", it["fate"].as_str().unwrap()),
        None => it["fate"].as_str().unwrap().to_owned(),
    };
    effects.iter().map(fate).collect()
}

/// How long a record's effect waited.
pub(crate) fn waited(record: &Value, effect: usize) -> Duration {
    Duration::from_micros(record["effects"][effect]["waited_us"].as_u64().unwrap_or(0))
}
