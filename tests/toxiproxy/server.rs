//! A running server, and a client that says exactly what it is told to.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

/// Long enough for a machine under load; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server on a free port; stopped when dropped.
pub(crate) struct Server {
    pub(crate) address: String,
    child: Child,
    log: Arc<Mutex<String>>,
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Server {
    /// `hormesis toxiproxy` with these flags.
    pub(crate) fn toxiproxy(flags: &[&str]) -> Self {
        let mut arguments = vec!["toxiproxy", "-host", "127.0.0.1", "-port=0"];
        arguments.extend(flags);
        Self::start(&arguments)
    }

    /// The program with these arguments, which make it serve the API.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hormesis"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let mut address = None;
        while address.is_none() {
            let line = lines.next().unwrap_or_else(|| {
                panic!("it ended before it served: {}", log.lock().unwrap());
            });
            let line = line.unwrap();
            let value = serde_json::from_str::<Value>(&line).unwrap_or_default();
            if value["message"] == "Toxiproxy API listening" {
                address = value["address"].as_str().map(str::to_owned);
            }
            log.lock().unwrap().push_str(&(line + "\n"));
        }
        let told = Arc::clone(&log);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                told.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        Self {
            address: address.unwrap(),
            child,
            log,
        }
    }

    /// Waits until its log says this. It is written beside the answers, and may come after them.
    pub(crate) fn wait_for_log(&self, said: &str) {
        let started = Instant::now();
        loop {
            let log = self.log.lock().unwrap().clone();
            if log.contains(said) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "no {said:?} in {log}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The address in the line of its log that says this.
    pub(crate) fn logged_address(&self, said: &str) -> String {
        self.wait_for_log(said);
        let log = self.log.lock().unwrap().clone();
        let lines = log
            .lines()
            .map(|it| serde_json::from_str::<Value>(it).unwrap_or_default());
        let line = lines.into_iter().find(|it| it["message"] == said);
        line.unwrap()["address"].as_str().unwrap().to_owned()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "")
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        self.ask("POST", path, &[], body)
    }

    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: any.example\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in fields {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
            .write_all(format!("{head}\r\n{body}").as_bytes())
            .unwrap();
        let mut whole = String::new();
        stream.read_to_string(&mut whole).unwrap();
        let (head, body) = whole.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// Asks it to end, and gives its exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A link to the program under the name of another.
pub(crate) fn called_as(name: &str, folder: &Path) -> Command {
    let link = folder.join(name);
    if !link.exists() {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_hormesis"), &link).unwrap();
    }
    Command::new(link)
}
