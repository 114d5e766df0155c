//! Runs the binary in a directory of its own.

use std::fmt::Write;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A directory that a test may fill; gone at its end.
pub(crate) struct Sandbox(TempDir);

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().expect("a temporary directory"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    }

    /// The exit code and what was printed, as one text to be compared.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        told(&self.output(arguments))
    }

    /// The same as data.
    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        command.output().expect("the binary starts")
    }

    /// The same as [`Self::run`], with a file of this directory as standard input.
    pub(crate) fn run_with(&self, stdin: &str, arguments: &[&str]) -> String {
        let stdin = File::open(self.path(stdin)).expect("a file");
        let output = self.command(arguments).stdin(stdin).output();
        told(&output.expect("the binary starts"))
    }

    /// The binary in this directory, not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hormesis"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env_clear()
            .env("SET_FOR_TESTS", "127.0.0.1:0")
            // Where a sidecar leaves its token, and a command finds it.
            .env("XDG_RUNTIME_DIR", self.0.path())
            .stdin(Stdio::null());
        command
    }
}

/// Runs a command that needs no files.
pub(crate) fn hormesis(arguments: &[&str]) -> String {
    Sandbox::new().run(arguments)
}

/// Exit code and what was printed, as one text.
pub(crate) fn told(output: &Output) -> String {
    let mut text = String::new();
    let code = output
        .status
        .code()
        .map_or("none".into(), |it| it.to_string());
    writeln!(text, "exit code: {code}").expect("text");
    for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        if !bytes.is_empty() {
            let printed = String::from_utf8_lossy(bytes);
            let printed = printed.replace(env!("CARGO_PKG_VERSION"), "[VERSION]");
            writeln!(text, "----- {name} -----\n{}", printed.trim_end()).expect("text");
        }
    }
    text
}
