//! Why the demo could not be played.

use std::io;
use std::path::PathBuf;

use crate::report::RenderError;

#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("cannot start {name}")]
    Start {
        name: &'static str,
        source: io::Error,
    },
    #[error("{name} ended before its time ({status}); the last lines of {log}:\n{tail}", log = .log.display())]
    Died {
        name: &'static str,
        status: String,
        log: PathBuf,
        tail: String,
    },
    #[error("{name} said nothing for {seconds} s; its log is {log}", log = .log.display())]
    Silent {
        name: &'static str,
        seconds: u64,
        log: PathBuf,
    },
    #[error("cannot understand what {name} says: {line:?}")]
    Garbled { name: &'static str, line: String },
    #[error("cannot find a free port on 127.0.0.1")]
    Port(#[source] io::Error),
    #[error("cannot write {path}", path = .path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot ask the sidecar for its status: {0}")]
    Status(String),
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error("cannot print")]
    Print(#[source] io::Error),
    #[error("cannot run")]
    Runtime(#[source] io::Error),
}
