//! How a start fails, and how a run ends.

use std::io::{BufRead, BufReader, Lines};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::process::{Child, ChildStderr, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::sandbox::{Sandbox, hormesis};

/// A sidecar before an upstream, with sections before it.
fn config(sections: &str) -> String {
    format!(
        "{sections}\n[upstreams.u]\nendpoints = [\"tcp://127.0.0.1:1\"]\n[listeners.l]\nbind = \"127.0.0.1:0\"\nupstream = \"u\"\n"
    )
}

fn run_with(sandbox: &Sandbox, sections: &str, flags: &[&str]) -> String {
    sandbox.write("hormesis.toml", config(sections));
    let arguments = [&["run", "hormesis.toml", "--log", "off"], flags].concat();
    let told = sandbox.run(&arguments);
    assert!(told.starts_with("exit code: 2"), "{told}");
    told
}

#[test]
fn a_taken_admin_or_health_port_is_refused_with_where_it_comes_from() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let sandbox = Sandbox::new();
    let admin = format!("[admin]\nbind = \"{address}\"");
    let told = run_with(&sandbox, &admin, &[]);
    assert!(told.contains("configured at hormesis.toml:2"), "{told}");
    assert!(told.contains("--admin 127.0.0.1:0"), "{told}");

    let told = run_with(&sandbox, "", &["--admin", &address.to_string()]);
    assert!(told.contains("given by --admin"), "{told}");

    let health = format!("admin.bind = \"off\"\n[health]\nbind = \"{address}\"");
    let told = run_with(&sandbox, &health, &[]);
    assert!(told.contains("configured at hormesis.toml:3"), "{told}");
    assert!(!told.contains("--admin"), "{told}");
}

#[test]
fn a_taken_unix_socket_is_not_spoken_of_as_a_port() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("taken.sock");
    let _taken = UnixListener::bind(&path).unwrap();
    let admin = format!("[admin]\nbind = \"unix:{}\"", path.display());
    let told = run_with(&sandbox, &admin, &[]);
    assert!(told.contains("configured at hormesis.toml:2"), "{told}");
    assert!(
        told.contains("another path") && !told.contains("port"),
        "{told}"
    );

    let listen = format!("unix:{}", path.display());
    let told = sandbox.run(&[
        "run",
        "--upstream",
        "tcp://127.0.0.1:1",
        "--listen",
        &listen,
        "--admin",
        "off",
        "--log",
        "off",
    ]);
    assert!(
        told.contains("another, or stop") && !told.contains("port"),
        "{told}"
    );
}

#[test]
fn a_decision_log_that_cannot_be_opened_ends_the_start() {
    let sandbox = Sandbox::new();
    let log = "admin.bind = \"off\"\n[log]\nfile = \"gone/decisions.jsonl\"";
    let told = run_with(&sandbox, log, &[]);
    assert!(told.contains("gone/decisions.jsonl"), "{told}");
    assert!(told.contains("configured at hormesis.toml:3"), "{told}");
    let told = sandbox.run(&["check", "hormesis.toml"]);
    assert!(told.starts_with("exit code: 0"), "{told}");
    assert!(told.contains("there is no folder gone"), "{told}");
}

#[test]
fn a_failed_start_tells_its_cause_and_leaves_no_admin_socket() {
    let sandbox = Sandbox::new();
    sandbox.write("state", "a file where a directory should be");
    let path = sandbox.path("admin.sock");
    let sections = format!(
        "state_dir = \"state\"\nadmin.bind = \"unix:{}\"",
        path.display()
    );
    sandbox.write("hormesis.toml", config(&sections));
    let told = sandbox.run(&["run", "hormesis.toml", "--log", "off"]);
    assert!(told.starts_with("exit code: 3"), "{told}");
    assert!(
        told.contains("state directory state: File exists"),
        "{told}"
    );
    assert!(!path.exists(), "the socket was left");
}

#[test]
fn a_store_is_not_read_as_http() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "hormesis.toml",
        "state_dir = \"s\"\n[upstreams.r]\nendpoints = [\"redis://127.0.0.1\"]\n[upstreams.h]\nendpoints = [\"http://127.0.0.1\"]\n[listeners.l]\nbind = \"127.0.0.1:0\"\nupstream = \"r\"\nprotocol = \"http\"\n[listeners.m]\nbind = \"127.0.0.1:0\"\nupstream = \"h\"\nroutes = [{ path = \"/r\", upstream = \"r\" }]\n",
    );
    insta::assert_snapshot!(sandbox.run(&["check", "hormesis.toml"]), @r#"
    exit code: 2
    ----- stderr -----
      × upstream `r` speaks redis, not http
        ╭─[hormesis.toml:9:12]
      8 │ upstream = "r"
      9 │ protocol = "http"
        ·            ──────
     10 │ [listeners.m]
        ╰────
      help: leave `protocol` out: it is carried as plain bytes

      × upstream `r` speaks redis: no route leads there
        ╭─[hormesis.toml:13:37]
     12 │ upstream = "h"
     13 │ routes = [{ path = "/r", upstream = "r" }]
        ·                                     ───
        ╰────
      help: give redis a listener of its own

    2 errors
    "#);
}

#[test]
fn a_configuration_is_read_from_standard_input() {
    let sandbox = Sandbox::new();
    sandbox.write("text", config("state_dir = \"s\""));
    let told = sandbox.run_with("text", &["check", "-"]);
    assert!(told.starts_with("exit code: 0"), "{told}");
    let told = sandbox.run_with(
        "text",
        &["explain", "-", "--curl", "curl http://127.0.0.1/"],
    );
    assert!(told.starts_with("exit code: 0"), "{told}");
    sandbox.write("text", "sed = 1");
    for command in ["check", "run"] {
        let told = sandbox.run_with("text", &[command, "-"]);
        assert!(told.starts_with("exit code: 2"), "{told}");
        assert!(told.contains("<stdin>:1:1"), "{told}");
    }
}

#[test]
fn completions_know_nothing_of_what_is_hidden() {
    for shell in ["bash", "fish", "zsh"] {
        let script = hormesis(&["completions", shell]);
        assert!(
            script.contains("doctor") && script.contains("color"),
            "{shell}"
        );
        assert!(!script.contains("model-server"), "{shell}");
    }
}

#[test]
fn a_protocol_is_told_as_a_fault_is() {
    let told = hormesis(&["protocols", "http"]);
    assert!(told.contains("\nUnits\n  In answers of type"), "{told}");
    assert!(told.contains("\nExample\n  [upstreams.api]\n"), "{told}");
    assert!(!told.contains("```") && !told.contains('#'), "{told}");
    let list = hormesis(&["protocols"]);
    assert!(list.contains("OPERATIONS") && list.contains('…'), "{list}");
    assert!(!list.contains("detokenize"), "{list}");
}

#[test]
fn the_doctor_tells_of_every_meter() {
    let output = Sandbox::new().output(&["doctor", "--json"]);
    let findings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for meter in hormesis::energy::METERS {
        let of_it = |it: &&serde_json::Value| {
            let what = it["what"].as_str().unwrap();
            it["topic"] == "meter" && what.starts_with(meter.name)
        };
        let found = findings.as_array().unwrap().iter().find(of_it);
        assert!(found.is_some(), "{}: {findings:#}", meter.name);
    }
}

/// A sidecar with a call under way that never ends by itself.
struct Busy {
    child: Child,
    told: Lines<BufReader<ChildStderr>>,
    _call: TcpStream,
    _upstream: TcpStream,
}

impl Busy {
    fn start(sandbox: &Sandbox, grace: &str) -> Self {
        let upstream = TcpListener::bind("127.0.0.1:0").expect("a port");
        let text = config(&format!(
            "admin.bind = \"off\"\nstate_dir = \"state\"\nlimits.drain_grace = \"{grace}\""
        ));
        let address = upstream.local_addr().expect("its address").to_string();
        sandbox.write("hormesis.toml", text.replace("127.0.0.1:1", &address));
        let mut command = sandbox.command(&["run", "hormesis.toml"]);
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut told = BufReader::new(child.stderr.take().expect("its pipe")).lines();
        let line = wait_for(&mut told, " listening");
        let (_, rest) = line.split_once("address=").expect("an address");
        let call = TcpStream::connect(rest.split_whitespace().next().expect("an address"))
            .expect("a connection");
        let (upstream, _) = upstream.accept().expect("a connection");
        Self {
            child,
            told,
            _call: call,
            _upstream: upstream,
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it runs");
    }

    fn code(mut self) -> Option<i32> {
        self.child.wait().expect("its end").code()
    }
}

/// The next line with this text.
fn wait_for(told: &mut Lines<BufReader<ChildStderr>>, text: &str) -> String {
    let found = told.map(Result::unwrap).find(|it| it.contains(text));
    found.unwrap_or_else(|| panic!("it ended without {text:?}"))
}

#[test]
fn a_second_signal_ends_a_drain_with_its_own_code() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let sandbox = Sandbox::new();
        let mut busy = Busy::start(&sandbox, "1h");
        busy.signal(Signal::TERM);
        wait_for(&mut busy.told, "draining");
        busy.signal(signal);
        // Said last, and read all the same.
        wait_for(&mut busy.told, "second signal");
        assert_eq!(busy.code(), Some(code));
    }
}

#[test]
fn a_drain_that_was_cut_short_is_told_by_the_exit_code() {
    let sandbox = Sandbox::new();
    let mut busy = Busy::start(&sandbox, "20ms");
    busy.signal(Signal::TERM);
    wait_for(&mut busy.told, "grace period ended");
    assert_eq!(busy.code(), Some(1));
}

#[test]
fn a_halt_that_is_ordered_while_it_drains_is_kept() {
    let sandbox = Sandbox::new();
    let mut busy = Busy::start(&sandbox, "1h");
    busy.signal(Signal::TERM);
    wait_for(&mut busy.told, "draining");
    busy.signal(Signal::USR1);
    wait_for(&mut busy.told, "halted: no fault acts");
    let kept = sandbox.path("state/halt.json");
    for _ in 0..4000 {
        if kept.exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(kept.exists());
    // And it is no second order to end.
    busy.signal(Signal::TERM);
    assert_eq!(busy.code(), Some(143));
}
