//! A served admin API, and a client that says exactly what it is told to.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hormesis::admin::{Admin, AdminAddress, AdminThread, TokenFolders, token_entry};
use hormesis::control::Handle;
use hormesis::live::Live;
use hormesis::measure::Counting;
use hormesis::record::{CounterRegistry, DecisionLevel, DecisionLog, LogSettings};
use hormesis::rule::RuleSet;
use hormesis::snapshot::{
    AdminBind, AdminSettings, Bind, HeadPolicy, Limits, ListenerSpec, Observe, ProtocolSpec,
    Safety, Snapshot,
};
use hormesis::units::Seed;
use serde_json::Value;
use tempfile::TempDir;

/// Long enough for a machine under load; only a hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

fn snapshot() -> Arc<Snapshot> {
    Arc::new(Snapshot {
        generation: 3,
        seed: Seed(7),
        listeners: vec![ListenerSpec {
            name: "chat".into(),
            bind: Bind::Tcp("127.0.0.1:0".parse().unwrap()),
            place: "test:1".to_owned(),
            protocol: ProtocolSpec::Tcp,
            upstream: 0,
            routes: Vec::new(),
            tls: None,
            proxy_protocol: false,
            hide_origin: false,
            heads: HeadPolicy::default(),
            observe: Observe::default(),
            state: Arc::default(),
            toxics: None,
        }],
        upstreams: Vec::new(),
        rules: Arc::new(RuleSet::default()),
        safety: Safety {
            never: Vec::new(),
            max_delay_per_call: Duration::from_secs(300),
            max_faults_per_call: 8,
            dry_run: false,
            stop_when: Vec::new(),
            counting: Counting::default(),
            max_ttl: Duration::from_secs(3600),
            halt_file: None,
        },
        limits: Limits::default(),
        watched: Vec::new(),
    })
}

pub(crate) fn handle(state_dir: Option<&Path>) -> Handle {
    handle_and_log(state_dir).0
}

fn handle_and_log(state_dir: Option<&Path>) -> (Handle, DecisionLog) {
    let log = DecisionLog::start(&LogSettings {
        decisions: DecisionLevel::Off,
        ..LogSettings::default()
    })
    .unwrap();
    let live = Arc::new(Live::new(snapshot()));
    let handle = Handle::new(live, CounterRegistry::default(), log.stats(), state_dir).unwrap();
    handle.listener_bound("chat", "127.0.0.1:4242");
    (handle, log)
}

/// An admin listener as nothing but its address is configured.
pub(crate) fn settings(bind: AdminBind) -> AdminSettings {
    AdminSettings {
        bind,
        audit: None,
        token_file: None,
        access: Arc::default(),
    }
}

pub(crate) fn loopback() -> AdminSettings {
    settings(AdminBind::Tcp("127.0.0.1:0".parse().unwrap()))
}

/// A served admin API and health listener; stopped when dropped.
pub(crate) struct Served {
    pub(crate) handle: Handle,
    pub(crate) admin: SocketAddr,
    pub(crate) health: SocketAddr,
    runtime: TempDir,
    log: DecisionLog,
    thread: Option<AdminThread>,
}

impl Served {
    pub(crate) fn start(state_dir: Option<&Path>) -> Self {
        Self::with(&loopback(), state_dir)
    }

    pub(crate) fn with(settings: &AdminSettings, state_dir: Option<&Path>) -> Self {
        let health = "127.0.0.1:0".parse().unwrap();
        let admin = Admin::bind(settings, Some(health)).unwrap();
        let address = |address: Option<&AdminAddress>| match address {
            Some(AdminAddress::Tcp(address)) => *address,
            other => panic!("{other:?}"),
        };
        let (handle, log) = handle_and_log(state_dir);
        let runtime = tempfile::tempdir().unwrap();
        let folders = TokenFolders {
            state_dir: state_dir.map(Path::to_owned),
            runtime: Some(runtime.path().join("hormesis")),
        };
        Self {
            handle: handle.clone(),
            admin: address(admin.address()),
            health: address(admin.health_address()),
            thread: Some(admin.start(handle, &folders).unwrap()),
            runtime,
            log,
        }
    }

    /// Sends a request to the admin API, with our `Host` where `headers` name none.
    pub(crate) fn ask(&self, line: &str, headers: &[&str], body: &[u8]) -> Answer {
        let own = format!("Host: {}", self.admin);
        let mut all = headers.to_vec();
        if !headers.iter().any(|header| header.starts_with("Host:")) {
            all.push(&own);
        }
        exchange(connect(self.admin), line, &all, body)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), &[], b"")
    }

    /// What a worker's records go to.
    pub(crate) fn log(&self) -> &DecisionLog {
        &self.log
    }

    /// Where the command line looks for the token.
    pub(crate) fn token_entry(&self) -> PathBuf {
        let address = AdminAddress::Tcp(self.admin);
        token_entry(&self.runtime.path().join("hormesis"), &address)
    }

    /// The header that the command line would send.
    pub(crate) fn bearer(&self) -> String {
        let token = std::fs::read_to_string(self.token_entry()).unwrap();
        format!("Authorization: Bearer {}", token.trim())
    }

    pub(crate) fn stop(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.stop();
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop();
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        assert!(
            self.head.contains("content-type: application/json\r\n"),
            "{self:?}"
        );
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|it| it.split_once(": "));
        lines.find(|(it, _)| *it == name).map(|(_, value)| value)
    }

    /// Asserts an error in the form that all errors have.
    pub(crate) fn refused(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.body.ends_with("}\n"), "{self:?}");
        let body = self.json();
        for field in ["error", "help"] {
            assert!(
                body[field].as_str().is_some_and(|it| !it.is_empty()),
                "{self:?}"
            );
        }
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub(crate) fn exchange(
    mut stream: impl Read + Write,
    line: &str,
    headers: &[&str],
    body: &[u8],
) -> Answer {
    let mut request = format!("{line} HTTP/1.1\r\nConnection: close\r\n");
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    if !body.is_empty() {
        let length = format!("Content-Length: {}\r\n", body.len());
        request.push_str(&length);
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    answer(stream)
}

pub(crate) fn answer(mut stream: impl Read) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("{text:?}"));
    Answer {
        status: head[9..12].parse().unwrap(),
        head: format!("{head}\r\n"),
        body: body.to_owned(),
    }
}

/// Name, labels and value of each sample; panics on what is neither comment nor sample.
pub(crate) fn samples(text: &str) -> Vec<(String, String, f64)> {
    let sample = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?}"));
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
            None => (series, ""),
        };
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        assert!(name.chars().all(word), "{line:?}");
        (name.to_owned(), labels.to_owned(), value.parse().unwrap())
    };
    let lines = text.lines().filter(|line| !line.starts_with("# "));
    lines.map(sample).collect()
}
