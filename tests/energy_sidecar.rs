//! Energy through a real sidecar process: an upstream that knows what each answer cost turns the
//! counter of a fake powercap tree, and what `/status`, `/metrics` and the decision log tell must
//! add up to that counter.

#![expect(
    clippy::unwrap_used,
    reason = "helpers stand outside test functions; a sidecar that cannot be driven fails its test"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Long enough for a machine under load; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(15);
const TOKENS: u64 = 10;
/// What an answer costs, in µJ: the prompt and its tokens.
const PROMPT_UJ: u64 = 500_000;
const TOKEN_UJ: u64 = 50_000;
const ANSWER_UJ: u64 = PROMPT_UJ + TOKENS * TOKEN_UJ;
/// The power of the idle machine, in µJ a millisecond.
const IDLE_UW: u64 = 100;

/// The counter. What is burnt shows at once, what the idle machine draws as time passes.
struct Counter {
    file: File,
    started: Instant,
    burnt: Mutex<u64>,
}

impl Counter {
    fn burn(&self, uj: u64) {
        let mut burnt = self.burnt.lock().unwrap();
        *burnt += uj;
        let idle = u64::try_from(self.started.elapsed().as_millis()).unwrap() * IDLE_UW;
        let text = format!("{:>20}\n", *burnt + idle);
        self.file.write_all_at(text.as_bytes(), 0).unwrap();
    }
}

/// The machine, and the model server on it. Stops when dropped.
struct Bench {
    root: TempDir,
    port: u16,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Bench {
    fn start() -> Self {
        let root = TempDir::new().unwrap();
        let zone = root.path().join("sys/class/powercap/intel-rapl:0");
        fs::create_dir_all(&zone).unwrap();
        // Nothing is known of any process: all that is burnt is the calls'.
        fs::create_dir_all(root.path().join("proc")).unwrap();
        fs::write(zone.join("name"), "package-0\n").unwrap();
        fs::write(zone.join("max_energy_range_uj"), "262143328850\n").unwrap();
        let counter = Arc::new(Counter {
            file: File::create(zone.join("energy_uj")).unwrap(),
            started: Instant::now(),
            burnt: Mutex::new(0),
        });
        counter.burn(0);
        let stop = Arc::new(AtomicBool::new(false));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stopped, ticking) = (stop.clone(), counter.clone());
        let tick = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                ticking.burn(0);
                sleep(Duration::from_millis(2));
            }
        });
        let stopped = stop.clone();
        let serve = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                answer(stream.unwrap(), &counter);
            }
        });
        Self {
            root,
            port,
            stop,
            threads: vec![tick, serve],
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the listener.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        for thread in self.threads.drain(..) {
            assert!(thread.join().is_ok() || std::thread::panicking());
        }
    }
}

/// A stream of tokens, each of which costs something just before it is sent.
fn answer(mut stream: TcpStream, counter: &Counter) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap() == 0 {
            return;
        }
        head.push(byte[0]);
    }
    // What is not read would make the end of the connection a reset.
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |it| it.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    // The sampler reads a moment after it looks at its clock.
    sleep(Duration::from_millis(40));
    counter.burn(PROMPT_UJ);
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    for token in 0..TOKENS {
        sleep(Duration::from_millis(15));
        counter.burn(TOKEN_UJ);
        let event = format!(
            "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{{\"index\":0,\
             \"delta\":{{\"content\":\"{token} \"}},\"finish_reason\":null}}]}}\n\n"
        );
        stream.write_all(event.as_bytes()).unwrap();
    }
    stream.write_all(b"data: [DONE]\n\n").unwrap();
}

/// `hormesis run`; killed when dropped.
struct Sidecar(Child);

impl Sidecar {
    fn start(arguments: &[&Path]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_hormesis"))
            .arg("run")
            .args(arguments)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        Self(child.unwrap())
    }

    /// Stops it in order; what it logged.
    fn stop(mut self) -> String {
        let id = i32::try_from(self.0.id()).unwrap();
        let id = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let mut logged = String::new();
        let mut stderr = self.0.stderr.take().unwrap();
        stderr.read_to_string(&mut logged).unwrap();
        assert!(self.0.wait().unwrap().success(), "{logged}");
        logged
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// One request over a Unix socket; the whole answer. `None` where nobody listens.
fn ask(socket: &Path, line: &str, fields: &str, body: &str) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{fields}content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    Some(answer)
}

fn admin(bench: &Bench, path: &str) -> Option<String> {
    let answer = ask(&bench.path("admin.sock"), &format!("GET {path}"), "", "")?;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    Some(body.to_owned())
}

fn status(bench: &Bench) -> Option<Value> {
    admin(bench, "/status").map(|body| serde_json::from_str(&body).unwrap())
}

/// Asks until the answer is as it shall be.
fn wait_for<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain");
        sleep(Duration::from_millis(20));
    }
}

fn chat(bench: &Bench, user: &str) {
    let body = r#"{"model":"small","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let fields = format!("content-type: application/json\r\nx-kind: {user}\r\n");
    let line = "POST /v1/chat/completions";
    let answer = ask(&bench.path("chat.sock"), line, &fields, body).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("[DONE]"), "{answer}");
}

fn config(bench: &Bench) -> PathBuf {
    let root = bench.root.path().display();
    let mut text = format!(
        "workers = 1\n\
         [admin]\nbind = \"unix:{root}/admin.sock\"\n\
         [upstreams.model]\nendpoints = [\"http://127.0.0.1:{port}\"]\n\
         [listeners.chat]\nbind = \"unix:{root}/chat.sock\"\nprotocol = \"openai\"\nupstream = \"model\"\n\
         [energy]\nmeters = [{{ rapl = {{}} }}]\ninterval = \"20ms\"\nidle_watts = 0.1\n\
         sysfs_root = \"{root}/sys\"\nprocfs_root = \"{root}/proc\"\n\
         [log]\ndecisions = \"all\"\nfile = \"{root}/decisions.jsonl\"\n",
        port = bench.port,
    );
    for (name, fault) in [
        (
            "head",
            r#"delay = { at = "response-head", fixed = "500ms" }"#,
        ),
        (
            "between",
            r#"delay = { at = "between-tokens", fixed = "50ms" }"#,
        ),
        (
            "throttle",
            r#"throttle = { bytes_per_second = "2KiB", burst = "128B" }"#,
        ),
    ] {
        write!(
            text,
            "[[rules]]\nname = \"{name}\"\nselect = {{ headers = {{ x-kind = \"{name}\" }} }}\n[[rules.faults]]\n{fault}\n"
        )
        .unwrap();
    }
    let path = bench.path("hormesis.toml");
    fs::write(&path, text).unwrap();
    path
}

fn uj(energy: &Value, part: &str) -> u64 {
    energy[part]
        .as_u64()
        .unwrap_or_else(|| panic!("{part} of {energy}"))
}

const PARTS: [&str; 8] = [
    "calls_uj",
    "in_flight_uj",
    "folded_uj",
    "self_uj",
    "others_uj",
    "unattributed_uj",
    "idle_uj",
    "gap_uj",
];

fn assert_adds_up(energy: &Value) {
    let sum: u64 = PARTS.iter().map(|part| uj(energy, part)).sum();
    assert_eq!(sum, uj(energy, "meter_uj"), "{energy}");
}

/// The sum of a metric's samples, in µJ.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "some joules"
)]
fn metric(text: &str, name: &str) -> u64 {
    let samples = text.lines().filter(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
    });
    let joules = samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
    joules.map(|joules| (joules * 1e6).round() as u64).sum()
}

fn assert_metrics_add_up(text: &str) {
    let parts = [
        "hormesis_energy_joules_total",
        "hormesis_in_flight_joules",
        "hormesis_folded_joules_total",
        "hormesis_self_joules_total",
        "hormesis_others_joules_total",
        "hormesis_unattributed_joules_total",
        "hormesis_idle_joules_total",
        "hormesis_gap_joules_total",
    ];
    let sum: u64 = parts.iter().map(|name| metric(text, name)).sum();
    assert_eq!(sum, metric(text, "hormesis_meter_joules_total"), "{text}");
    assert!(metric(text, "hormesis_joules_per_success") > 0);
}

const KINDS: [&str; 4] = ["none", "head", "between", "throttle"];
const ROUNDS: usize = 2;

/// Through `/status`, `/metrics` and the log: every microjoule is somewhere, and half a second of
/// injected delay is nobody's work.
#[test]
fn a_sidecar_tells_every_microjoule_and_no_injected_delay() {
    let bench = Bench::start();
    let sidecar = Sidecar::start(&[&config(&bench)]);
    wait_for(|| status(&bench));
    for kind in KINDS.iter().cycle().take(KINDS.len() * ROUNDS) {
        chat(&bench, kind);
        assert_adds_up(&status(&bench).unwrap()["energy"]);
        // Some windows: one that two calls are in is divided by time, whoever burnt in it.
        sleep(Duration::from_millis(60));
    }
    let calls = (KINDS.len() * ROUNDS) as u64;
    let energy = wait_for(|| {
        let energy = status(&bench)?["energy"].clone();
        (energy["total"]["calls"] == calls).then_some(energy)
    });
    assert_adds_up(&energy);
    assert_metrics_add_up(&admin(&bench, "/metrics").unwrap());
    let (low, high) = (uj(&energy["total"], "lo_uj"), uj(&energy["total"], "hi_uj"));
    let value = uj(&energy["total"], "dyn_uj");
    assert!(low <= value && value <= high && high <= uj(&energy, "meter_uj"));
    assert_eq!(uj(&energy["by_outcome"]["ok"], "calls"), calls, "{energy}");
    // Each kind's calls cost what the upstream knows that they cost.
    for kind in KINDS {
        let rule = if kind == "none" { "" } else { kind };
        let told = &energy["by_rule"][rule];
        assert_eq!(uj(told, "calls"), ROUNDS as u64, "{energy}");
        let truth = ANSWER_UJ * ROUNDS as u64;
        let off = uj(told, "dyn_uj").abs_diff(truth);
        assert!(off * 50 < truth, "{kind}: {told} for {truth} in {energy}");
    }
    sidecar.stop();
    assert_log_carries_figures(&bench.path("decisions.jsonl"), value);
}

/// Every call has its `energy` line, and these add up to what `/status` told.
fn assert_log_carries_figures(path: &Path, value: u64) {
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |kind: &str| {
        let lines = lines.iter().filter(|line| line["kind"] == kind);
        lines.collect::<Vec<_>>()
    };
    let ids = |lines: &[&Value]| {
        let ids = lines.iter().map(|line| line["call"].as_u64().unwrap());
        ids.collect::<BTreeSet<u64>>()
    };
    let (calls, energies) = (of("call"), of("energy"));
    assert_eq!(calls.len(), KINDS.len() * ROUNDS, "{text}");
    assert_eq!(ids(&calls), ids(&energies), "{text}");
    assert_eq!(energies.len(), calls.len(), "{text}");
    let sum: u64 = energies.iter().map(|line| uj(line, "dyn_uj")).sum();
    assert_eq!(sum, value, "{text}");
    for line in energies {
        assert_eq!(line["tier"], "measured", "{line}");
        assert_eq!(line["meters"][0], "rapl/package-0", "{line}");
        let (low, high) = (uj(line, "lo_uj"), uj(line, "hi_uj"));
        assert!((low..=high).contains(&ANSWER_UJ), "{line}");
    }
}

/// Where nothing can be metered the status says `null`, the log says why, and calls pass.
#[test]
fn without_a_meter_there_are_no_joules_and_one_warning() {
    let bench = Bench::start();
    fs::remove_dir_all(bench.path("sys")).unwrap();
    let sidecar = Sidecar::start(&[&config(&bench)]);
    wait_for(|| status(&bench));
    chat(&bench, "none");
    assert_eq!(status(&bench).unwrap()["energy"], Value::Null);
    let logged = sidecar.stop();
    let warnings = logged.matches("no meter gives readings here").count();
    assert_eq!(warnings, 1, "{logged}");
}

/// `hormesis run --upstream http://127.0.0.1:PORT` finds the server's process by its port.
#[test]
fn an_upstream_on_this_machine_is_metered_without_a_file() {
    let bench = Bench::start();
    let url = format!("http://127.0.0.1:{}", bench.port);
    let [listen, at] =
        ["chat.sock", "admin.sock"].map(|it| format!("unix:{}", bench.path(it).display()));
    let arguments = ["--upstream", &url, "--listen", &listen, "--admin", &at];
    let sidecar = Sidecar::start(&arguments.map(Path::new));
    let meters = |it: &Value| {
        let meters = it["energy"]["meters"].as_array();
        meters.is_some_and(|meters| !meters.is_empty())
    };
    let told = wait_for(|| status(&bench).filter(meters));
    assert_adds_up(&told["energy"]);
    chat(&bench, "none");
    // This process is the server.
    let logged = sidecar.stop();
    assert!(!logged.contains("process is not found"), "{logged}");
}
