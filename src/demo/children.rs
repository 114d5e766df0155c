//! The processes of the demo: started, listened to, stopped in order.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::error::DemoError;

/// How long a process may take to end by itself.
const GRACE: Duration = Duration::from_secs(5);
/// How much of a log is shown when its process died.
const TAIL_LINES: usize = 12;

/// All that was started. Processes end before those that they call.
#[derive(Default)]
pub(super) struct Stage {
    pub(super) load: Option<Child>,
    pub(super) sidecar: Option<Child>,
    pub(super) model_server: Option<Child>,
}

impl Stage {
    pub(super) async fn strike(&mut self) {
        for child in [&mut self.load, &mut self.sidecar, &mut self.model_server] {
            if let Some(child) = child {
                child.stop().await;
            }
            *child = None;
        }
    }
}

/// One process of this binary.
pub(super) struct Child {
    name: &'static str,
    process: tokio::process::Child,
    /// Closed to say that it shall end.
    stdin: Option<ChildStdin>,
    lines: Option<tokio::io::Lines<BufReader<ChildStdout>>>,
    log: PathBuf,
}

impl Child {
    /// Starts this binary with `arguments`; its standard error goes to a log file in `folder`.
    pub(super) fn start(
        name: &'static str,
        arguments: &[&std::ffi::OsStr],
        folder: &Path,
    ) -> Result<Self, DemoError> {
        let failed = |source| DemoError::Start { name, source };
        let log = folder.join(format!("{}.log", name.replace(' ', "-")));
        let stderr = File::create(&log).map_err(failed)?;
        let program = std::env::current_exe().map_err(failed)?;
        let mut process = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            // A group of its own: Ctrl-C reaches the demo alone, which then stops them in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let lines = process.stdout.take().map(|it| BufReader::new(it).lines());
        Ok(Self {
            name,
            stdin: process.stdin.take(),
            process,
            lines,
            log,
        })
    }

    /// Hands a child its options.
    pub(super) async fn tell(&mut self, options: &impl Serialize) -> Result<(), DemoError> {
        let name = self.name;
        let failed = |source| DemoError::Start { name, source };
        let mut line = serde_json::to_vec(options).map_err(|it| failed(it.into()))?;
        line.push(b'\n');
        match &mut self.stdin {
            Some(stdin) => stdin.write_all(&line).await.map_err(failed),
            None => Err(failed(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// The next line that it prints; an error when it ends first.
    pub(super) async fn line(&mut self) -> Result<String, DemoError> {
        if let Some(lines) = &mut self.lines
            && let Ok(Some(line)) = lines.next_line().await
        {
            return Ok(line);
        }
        Err(self.death().await)
    }

    /// As [`Child::line`], within a time.
    pub(super) async fn line_within(&mut self, limit: Duration) -> Result<String, DemoError> {
        match timeout(limit, self.line()).await {
            Ok(result) => result,
            Err(_) => Err(self.silence(limit)),
        }
    }

    pub(super) fn silence(&self, limit: Duration) -> DemoError {
        DemoError::Silent {
            name: self.name,
            seconds: limit.as_secs(),
            log: self.log.clone(),
        }
    }

    /// What it said cannot be understood.
    pub(super) fn garbled(&self, line: String) -> DemoError {
        DemoError::Garbled {
            name: self.name,
            line,
        }
    }

    /// Resolves when it ends, with the reason as far as its log tells.
    pub(super) async fn death(&mut self) -> DemoError {
        let status = match self.process.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        DemoError::Died {
            name: self.name,
            status,
            log: self.log.clone(),
            tail: lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n"),
        }
    }

    async fn stop(&mut self) {
        self.stdin = None;
        let id = self.process.id().and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id.and_then(Pid::from_raw) {
            // It may have ended by itself just now, and that is fine.
            kill_process(id, Signal::TERM).ok();
        }
        if timeout(GRACE, self.process.wait()).await.is_err() {
            self.process.kill().await.ok();
        }
    }
}
