//! A sidecar that runs, before a server that answers every request at once.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::sandbox::{Sandbox, told};

const PATIENCE: Duration = Duration::from_secs(30);

/// A sidecar with one listener, `chat`, and one rule in its file, `overloaded`, which is off.
pub(crate) struct Live {
    pub(crate) sandbox: Sandbox,
    pub(crate) admin: String,
    pub(crate) chat: String,
    child: Child,
}

fn upstream() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("a connection");
            thread::spawn(move || answer_all(stream));
        }
    });
    address
}

/// Until the client leaves.
fn answer_all(mut stream: TcpStream) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    loop {
        while !lines.next()?.ok()?.is_empty() {}
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").ok()?;
    }
}

impl Live {
    pub(crate) fn start() -> Self {
        let live = Self::start_in(Sandbox::new(), "bind = \"127.0.0.1:0\"");
        // The address is told before the API is served, and its token stands from then on.
        let ready = format!("http://{}/readyz", live.admin);
        let served = live.output(&["health", &ready, "--timeout", "20s"]);
        assert!(served.status.success(), "{served:?}");
        live
    }

    /// The same with these lines of `[admin]`, which may name files of the sandbox.
    pub(crate) fn start_in(sandbox: Sandbox, admin: &str) -> Self {
        sandbox.write(
            "hormesis.toml",
            format!(
                "seed = 7\nstate_dir = \"state\"\n[admin]\n{admin}\n\
                 [log]\nfile = \"decisions.jsonl\"\ndecisions = \"all\"\n\
                 [upstreams.llm]\nendpoints = [\"http://{}\"]\n\
                 [listeners.chat]\nbind = \"127.0.0.1:0\"\nupstream = \"llm\"\n\
                 [[rules]]\nname = \"overloaded\"\narmed = false\n\
                 faults = [{{ abort = {{ status = 503 }} }}]\n",
                upstream()
            ),
        );
        let mut command = sandbox.command(&["run", "hormesis.toml", "--log", "info"]);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stderr.take().expect("its pipe")).lines();
        let mut address = |text: &str| {
            let found = lines.by_ref().map(|it| it.expect("text"));
            let line = { found }.find(|it| it.contains(text)).expect("it tells");
            let (_, rest) = line.split_once("address=").expect("an address");
            rest.split_whitespace().next().expect("one").to_owned()
        };
        let chat = address(" listening listener=chat");
        let admin = address(" admin listening");
        // Read on, so that it never waits for us.
        thread::spawn(move || lines.for_each(drop));
        Self {
            sandbox,
            admin,
            chat,
            child,
        }
    }

    /// A command that asks this sidecar, not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.command(arguments);
        command.env("HORMESIS_ADMIN", &self.admin);
        command
    }

    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("it starts")
    }

    /// Exit code and what was printed; addresses, times and versions by name.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let text = told(&self.output(arguments));
        let text = text.replace(&self.admin, "[ADMIN]");
        let text = text.replace(&self.chat, "[CHAT]");
        without_times(&text)
    }

    /// What a command tells programs.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.output(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// The names of the rules there are.
    pub(crate) fn rules(&self) -> Vec<String> {
        let rules = self.json(&["rules"]);
        let rules = rules["rules"].as_array().expect("a list").iter();
        rules
            .map(|it| it["name"].as_str().expect("a name").to_owned())
            .collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self::signal(&self.child, signal);
    }

    /// Whether the sidecar has ended.
    pub(crate) fn ended(&mut self) -> bool {
        self.child.try_wait().expect("its state").is_some()
    }

    /// The head of the answer to one call.
    pub(crate) fn call(&self) -> String {
        let mut stream = TcpStream::connect(&self.chat).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        write!(
            stream,
            "GET /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
        )
        .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if !self.ended() {
            signal(&self.child, Signal::KILL);
            self.child.wait().expect("its end");
        }
    }
}

pub(crate) fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("it runs");
}

/// `11:05:12` and `2026-11-27T11:05:12.123456Z` as `[TIME]`.
fn without_times(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_inclusive([' ', '\n', ',']) {
        let letters = word.trim_end();
        let core = letters.trim_end_matches([',', ':']);
        let is_time =
            |it: &str| it.len() >= 8 && it.as_bytes()[2] == b':' && it.as_bytes()[5] == b':';
        let is_moment = core.ends_with('Z') && core.as_bytes().get(10) == Some(&b'T');
        if is_moment || (core.len() == 8 && is_time(core)) {
            out.push_str(&word.replace(core, "[TIME]"));
        } else {
            out.push_str(word);
        }
    }
    out
}

/// Looks again until it holds.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    // Generous: other tests run beside it.
    for _ in 0..600 {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("it never came: {what}");
}
