//! How a child process of ours hears its parent: options as the first line of standard input,
//! the parent's end as its end.

use std::io::{self, BufRead};
use std::thread;

use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

/// Standard input, line by line.
#[derive(Debug)]
pub struct Lines(mpsc::UnboundedReceiver<io::Result<String>>);

impl Lines {
    /// A thread of its own reads: it does not hold up the end of the process, as a reading
    /// runtime would.
    pub fn of_stdin() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        thread::spawn(move || {
            for line in io::stdin().lock().lines() {
                let failed = line.is_err();
                if sender.send(line).is_err() || failed {
                    return;
                }
            }
        });
        Self(receiver)
    }

    /// The first line, as options.
    pub async fn options<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let line = self.0.recv().await.unwrap_or_else(|| {
            Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the options must come as one line of JSON on standard input",
            ))
        })?;
        Ok(serde_json::from_str(&line)?)
    }

    /// Resolves when the parent has closed its end, or is gone.
    pub async fn closed(&mut self) {
        while let Some(Ok(_)) = self.0.recv().await {}
    }
}

/// The runtime of a child: one thread.
pub fn current_thread() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}
