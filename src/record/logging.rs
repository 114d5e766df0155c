//! The log of hormesis itself: structured lines on standard error. Lines are handed to a thread,
//! so that a reader of standard error that stands still never holds a worker.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait for standard error.
const QUEUE: usize = 1024;
/// How long the end of the process waits for standard error.
const FLUSH: Duration = Duration::from_secs(1);

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    #[default]
    Text,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    #[error(
        "{filter:?} is no log filter: write a level (\"info\") or levels by module (\"info,hormesis::proxy=debug\")"
    )]
    Filter {
        filter: String,
        source: tracing_subscriber::filter::ParseError,
    },
    #[error("the log of this process is already set up")]
    Installed(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the thread of the log could not be started")]
    Thread(#[source] io::Error),
}

/// Keeps the log going; dropping it flushes.
#[derive(Debug)]
pub struct LogGuard {
    lines: SyncSender<Message>,
    flushed: Receiver<()>,
}

/// Sends this process's log to standard error, from the levels that `filter` says.
pub fn init(format: LogFormat, filter: &str, colour: bool) -> Result<LogGuard, LoggingError> {
    let filter = EnvFilter::try_new(filter).map_err(|source| LoggingError::Filter {
        filter: filter.to_owned(),
        source,
    })?;
    let (writer, guard) = spawn(io::stderr()).map_err(LoggingError::Thread)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(colour && format == LogFormat::Text);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.try_init(),
    }
    .map_err(LoggingError::Installed)?;
    Ok(guard)
}

enum Message {
    Line(Vec<u8>),
    End,
}

#[derive(Clone, Debug)]
struct LineWriter {
    lines: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

/// One event's text; sent as a whole when dropped.
#[derive(Debug)]
struct Event<'a> {
    text: Vec<u8>,
    writer: &'a LineWriter,
}

fn spawn(target: impl Write + Send + 'static) -> io::Result<(LineWriter, LogGuard)> {
    let (lines, queue) = sync_channel(QUEUE);
    let (finished, flushed) = sync_channel(1);
    let lost = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&lost);
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || {
            write_lines(&queue, target, &counted);
            // Tells whoever waits for the end.
            drop(finished);
        })?;
    let writer = LineWriter {
        lines: lines.clone(),
        lost,
    };
    Ok((writer, LogGuard { lines, flushed }))
}

fn write_lines(queue: &Receiver<Message>, mut target: impl Write, lost: &AtomicU64) {
    while let Ok(Message::Line(line)) = queue.recv() {
        let missed = lost.swap(0, Ordering::Relaxed);
        if missed > 0 {
            // Where even this cannot be written, there is nobody left to tell.
            drop(writeln!(target, "{missed} log lines were lost"));
        }
        drop(target.write_all(&line));
    }
    drop(target.flush());
}

impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = Event<'a>;

    fn make_writer(&'a self) -> Event<'a> {
        Event {
            text: Vec::new(),
            writer: self,
        }
    }
}

impl Write for Event<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Event<'_> {
    fn drop(&mut self) {
        let text = std::mem::take(&mut self.text);
        if !text.is_empty() && self.writer.lines.try_send(Message::Line(text)).is_err() {
            self.writer.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        if self.lines.try_send(Message::End).is_ok() {
            match self.flushed.recv_timeout(FLUSH) {
                // All written; or a reader stands still, and does not hold the exit.
                Ok(()) | Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Standard error whose reader stands still until `open` is dropped.
    struct Stuck(Receiver<()>, Shared);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Nothing is ever sent: this waits until the other end is dropped.
            assert!(self.0.recv().is_err());
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_whole_and_all_there_after_the_guard() {
        let target = Shared::default();
        let (writer, guard) = spawn(target.clone()).unwrap();
        for number in 0..100 {
            let mut event = writer.make_writer();
            write!(event, "line ").unwrap();
            writeln!(event, "{number}").unwrap();
        }
        drop(guard);
        let text = String::from_utf8(target.0.lock().unwrap().clone()).unwrap();
        let expected: Vec<_> = (0..100).map(|number| format!("line {number}")).collect();
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_reader_that_stands_still_holds_nobody() {
        let target = Shared::default();
        let (open, stuck) = sync_channel::<()>(0);
        let (writer, guard) = spawn(Stuck(stuck, target.clone())).unwrap();
        // More than the queue holds, and more than the writer can have taken before it stood still:
        // this returns only because nothing waits.
        let lost = || writer.lost.load(Ordering::Relaxed);
        let written = (0..QUEUE * 100).take_while(|number| {
            writeln!(writer.make_writer(), "{number}").unwrap();
            lost() == 0
        });
        assert!((QUEUE..QUEUE * 100).contains(&written.count()));
        drop(open);
        drop((writer, guard));
    }
}
