//! The thread that writes the decision log.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::{self, Thread};
use std::time::Duration;

use rtrb::{Consumer, RingBuffer};

use crate::record::correlate::Correlator;
use crate::record::follow::Follower;
use crate::record::line::render;
use crate::record::sender::{Line, Shared};
use crate::record::sink::{Flushed, Sink, probe};
use crate::record::trace::{Kept, SpanSender};
use crate::record::{
    DecisionLevel, Exemplars, Exporter, LogSettings, RecordSender, SpanFigures, Tracer,
};

/// Lines that one sender can be ahead of the writer.
pub(crate) const RING: usize = 4096;
/// How often a writer that has work looks at the rings, unless one is half full before. Every 10 ms
/// its lines took twice the time: each look begins with cold caches.
const ROUND: Duration = Duration::from_millis(50);
/// The same while somebody follows, who may only be so many lines behind.
const FOLLOWED_ROUND: Duration = Duration::from_millis(10);
/// Rounds without a line after which the writer sleeps until it is woken.
const IDLE_ROUNDS: u32 = 4;
/// How long [`DecisionLog::close`] waits for a writer that is stuck.
const CLOSE: Duration = Duration::from_secs(2);

/// The decision log. Dropping it leaves the writer to itself; [`Self::close`] flushes.
#[derive(Debug)]
pub struct DecisionLog {
    level: DecisionLevel,
    traces: Option<Traces>,
    shared: Arc<Shared>,
    /// Absent once it is closed.
    writer: Option<Handle>,
}

/// Where spans go beside the log.
#[derive(Clone, Debug)]
struct Traces {
    tracer: Tracer,
    spans: SpanSender,
    exemplars: Kept,
}

#[derive(Debug)]
struct Handle {
    attach: Sender<Consumer<Line>>,
    thread: Thread,
    done: Receiver<()>,
}

/// The figures of the decision log.
#[derive(Clone, Debug, Default)]
pub struct LogStats {
    shared: Arc<Shared>,
    traces: Option<Traces>,
}

impl LogStats {
    /// Follows the calls that the log tells of and those on which a fault acted, from now on.
    /// `None` where too many do already.
    pub fn follow(&self) -> Option<Follower> {
        Follower::new(&self.shared)
    }

    /// Lines that reached the file.
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }

    /// What became of spans; `None` where none are exported.
    pub fn spans(&self) -> Option<SpanFigures> {
        self.traces.as_ref().map(|it| it.spans.figures())
    }

    /// Traces that stand for buckets of the calls' durations; none where none are kept.
    pub fn exemplars(&self) -> Exemplars {
        self.traces
            .as_ref()
            .map_or_else(Exemplars::default, |it| it.exemplars.read())
    }

    /// Lines that were lost: a full ring, or a file that could not be written.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

impl DecisionLog {
    /// Starts the writer. A file that cannot be opened is not an error: serving goes on, lines are
    /// dropped and counted, and the file is tried again.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn start(settings: &LogSettings) -> io::Result<Self> {
        Self::begin(settings, None)
    }

    /// The same, with spans of calls for an exporter: of those that callers sample, and of those
    /// that `calls` takes.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn start_traced(
        settings: &LogSettings,
        calls: DecisionLevel,
        exporter: &Exporter,
    ) -> io::Result<Self> {
        let traces = Traces {
            tracer: Tracer::new(calls),
            spans: exporter.sender(),
            exemplars: Kept::default(),
        };
        Self::begin(settings, Some(traces))
    }

    fn begin(settings: &LogSettings, traces: Option<Traces>) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let level = settings.decisions;
        // Also where the level is `off`: somebody may follow.
        let writer = spawn(settings, traces.clone(), Arc::clone(&shared))?;
        Ok(Self {
            level,
            traces,
            shared,
            writer: Some(writer),
        })
    }

    /// Tries the file, for a start that is to fail where it cannot be opened.
    ///
    /// # Errors
    /// Where lines are wanted and the file cannot be opened.
    pub fn probe(settings: &LogSettings) -> io::Result<()> {
        match settings.decisions {
            DecisionLevel::Off => Ok(()),
            _ => probe(settings),
        }
    }

    /// An end for one more thread.
    pub fn sender(&self) -> RecordSender {
        let Some(writer) = &self.writer else {
            return RecordSender::off();
        };
        let (producer, consumer) = RingBuffer::new(RING);
        if writer.attach.send(consumer).is_err() {
            return RecordSender::off();
        }
        RecordSender::new(
            self.level,
            self.traces.as_ref().map(|it| it.tracer.clone()),
            producer,
            Arc::clone(&self.shared),
            writer.thread.clone(),
        )
    }

    pub fn stats(&self) -> LogStats {
        LogStats {
            shared: Arc::clone(&self.shared),
            traces: self.traces.clone(),
        }
    }

    /// Writes what was sent so far, and ends. Senders that are left drop their lines. Waits for
    /// two seconds at most: a reader of standard output that stands still must not hold the exit.
    pub fn close(mut self) {
        let Some(writer) = self.writer.take() else {
            return;
        };
        drop(writer.attach);
        writer.thread.unpark();
        match writer.done.recv_timeout(CLOSE) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {}
            Err(RecvTimeoutError::Timeout) => {
                tracing::warn!("the decision log could not be flushed within {CLOSE:?}");
            }
        }
    }
}

impl Drop for DecisionLog {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            drop(writer.attach);
            writer.thread.unpark();
        }
    }
}

fn spawn(
    settings: &LogSettings,
    traces: Option<Traces>,
    shared: Arc<Shared>,
) -> io::Result<Handle> {
    let level = settings.decisions;
    let (attach, attached) = channel();
    let (finished, done) = channel();
    let sink = Sink::new(settings);
    let thread = thread::Builder::new()
        .name("decision-log".to_owned())
        .spawn(move || {
            let mut writer = Writer {
                rings: Vec::new(),
                correlator: Correlator::new(level),
                sink,
                traces,
                shared,
                text: Vec::with_capacity(4096),
            };
            writer.run(&attached);
            // Tells whoever waits for the end.
            drop(finished);
        })?
        .thread()
        .clone();
    Ok(Handle {
        attach,
        thread,
        done,
    })
}

struct Writer {
    rings: Vec<Consumer<Line>>,
    correlator: Correlator,
    sink: Sink,
    traces: Option<Traces>,
    shared: Arc<Shared>,
    text: Vec<u8>,
}

impl Writer {
    fn run(&mut self, attached: &Receiver<Consumer<Line>>) {
        let mut idle = 0;
        loop {
            let open = self.attach(attached);
            if self.drain() {
                idle = 0;
            } else {
                idle += 1;
            }
            self.account_flush();
            if !open {
                // The last look came after the order to end: all that was sent before is written.
                return;
            }
            if idle < IDLE_ROUNDS {
                self.rest();
                continue;
            }
            self.shared.asleep.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            if self.rings.iter().all(Consumer::is_empty) {
                thread::park();
            }
            self.shared.asleep.store(false, Ordering::Relaxed);
        }
    }

    /// Until the next round, unless a ring is half full already: only on its way there it wakes.
    fn rest(&self) {
        if self.rings.iter().any(|it| it.slots() >= RING / 2) {
            return;
        }
        thread::park_timeout(if self.shared.follow.any() {
            FOLLOWED_ROUND
        } else {
            ROUND
        });
    }

    /// Takes in new rings; `false` once the log is closed.
    fn attach(&mut self, attached: &Receiver<Consumer<Line>>) -> bool {
        loop {
            match attached.try_recv() {
                Ok(ring) => self.rings.push(ring),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
        // What a worker that has ended still sent stays readable until the ring is empty.
        self.rings
            .retain(|ring| !(ring.is_abandoned() && ring.is_empty()));
        true
    }

    /// Writes one ring's worth of each ring; `true` where there was anything.
    fn drain(&mut self) -> bool {
        let mut any = false;
        let mut rings = std::mem::take(&mut self.rings);
        for ring in &mut rings {
            // Bounded, so that one busy worker does not starve the others.
            for _ in 0..RING {
                let Ok(line) = ring.pop() else { break };
                any = true;
                self.take(line);
            }
        }
        self.rings = rings;
        any
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Call(record, log) => {
                if let (Some(traces), Some(context)) = (&self.traces, &record.trace) {
                    traces.spans.send(&record, context);
                    traces.exemplars.note(&record, context);
                }
                let id = record.id;
                let follows = self.shared.follow.any() && (log || record.is_fired());
                if !log && !follows {
                    return;
                }
                render(&mut self.text, &*record);
                if follows {
                    self.shared.follow.tell(*record, &self.text);
                }
                if !log {
                    return;
                }
                self.write();
                if let Some(energy) = self.correlator.call(id) {
                    render(&mut self.text, &*energy);
                    self.write();
                }
            }
            Line::Energy(energy) => {
                if let Some(energy) = self.correlator.energy(energy) {
                    render(&mut self.text, &*energy);
                    self.write();
                }
            }
            Line::Note(note) => {
                render(&mut self.text, &*note);
                self.write();
            }
        }
    }

    fn write(&mut self) {
        let lost = self.sink.write(&self.text);
        self.account(lost);
    }

    fn account_flush(&mut self) {
        let lost = self.sink.flush();
        self.account(lost);
    }

    fn account(&self, fate: Flushed) {
        self.shared
            .written
            .fetch_add(fate.written, Ordering::Relaxed);
        self.shared.dropped.fetch_add(fate.lost, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
