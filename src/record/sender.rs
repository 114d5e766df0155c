//! A worker's end of the decision log: a bounded ring that is never waited for.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::thread::Thread;

use rtrb::Producer;

use crate::record::follow::Following;
use crate::record::writer::RING;
use crate::record::{DecisionLevel, EnergyLine, NoteLine, Record, Tracer};

/// What decides whether a call is told of; known without building its [`Record`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The call's id.
    pub call: u64,
    /// A rule selected it.
    pub selected: bool,
    /// An effect acted on it, or would have but for a dry run.
    pub fired: bool,
}

/// One thing to be told.
#[derive(Debug)]
pub(crate) enum Line {
    /// A call, and whether the log tells of it; else its span is wanted, or somebody follows.
    Call(Box<Record>, bool),
    Energy(Box<EnergyLine>),
    Note(Box<NoteLine>),
}

/// One thread's end of the decision log. Sending never blocks: a full ring drops the line and
/// counts it.
#[derive(Debug)]
pub struct RecordSender {
    level: DecisionLevel,
    tracer: Option<Tracer>,
    /// Absent where nobody can ever be told.
    ring: Option<Ring>,
}

#[derive(Debug)]
struct Ring {
    // A worker is one thread, so that the cell is never contended; it lets callers share a sender.
    producer: RefCell<Producer<Line>>,
    shared: Arc<Shared>,
    writer: Thread,
}

/// What senders, writer and readers of the figures share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) written: AtomicU64,
    pub(crate) dropped: AtomicU64,
    /// The writer found nothing for a while and waits to be woken.
    pub(crate) asleep: AtomicBool,
    pub(crate) follow: Following,
}

impl RecordSender {
    /// A sender to nowhere: it wants nothing.
    pub const fn off() -> Self {
        Self {
            level: DecisionLevel::Off,
            tracer: None,
            ring: None,
        }
    }

    pub(crate) const fn new(
        level: DecisionLevel,
        tracer: Option<Tracer>,
        producer: Producer<Line>,
        shared: Arc<Shared>,
        writer: Thread,
    ) -> Self {
        let producer = RefCell::new(producer);
        Self {
            level,
            tracer,
            ring: Some(Ring {
                producer,
                shared,
                writer,
            }),
        }
    }

    /// Whether any call can be told of.
    pub const fn is_on(&self) -> bool {
        self.ring.is_some()
    }

    /// What chooses the calls that have a span; absent where none have.
    pub const fn tracer(&self) -> Option<&Tracer> {
        self.tracer.as_ref()
    }

    /// Whether the log tells of a call. Build a [`Record`] only then, or where the call has a span
    /// or is followed.
    pub fn wants(&self, facts: Facts) -> bool {
        self.level.wants(facts)
    }

    /// Whether somebody follows the calls on which a fault acts, and this is one.
    pub fn is_followed(&self, facts: Facts) -> bool {
        let ring = self.ring.as_ref();
        facts.fired && ring.is_some_and(|it| it.shared.follow.any())
    }

    /// Hands a call to the writer, or drops it and counts the drop where the ring is full. Without
    /// `log` only its span is told, and who follows.
    pub fn send(&self, record: Record, log: bool) {
        if let Some(ring) = &self.ring {
            ring.push(Line::Call(Box::new(record), log));
        }
    }

    /// Hands over figures of a call. They are written after the call's own line, and only if
    /// that is written.
    pub fn send_energy(&self, line: EnergyLine) {
        if let Some(ring) = &self.ring
            && self.level != DecisionLevel::Off
        {
            ring.push(Line::Energy(Box::new(line)));
        }
    }

    /// Hands over a note, which is written whatever calls are told of.
    pub fn send_note(&self, line: NoteLine) {
        if let Some(ring) = &self.ring
            && self.level != DecisionLevel::Off
        {
            ring.push(Line::Note(Box::new(line)));
        }
    }
}

impl Ring {
    fn push(&self, line: Line) {
        let Ok(mut producer) = self.producer.try_borrow_mut() else {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if producer.push(line).is_err() {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
        // Once on the way to full: the writer's next look may come too late.
        if producer.slots() == RING / 2 {
            self.writer.unpark();
        }
        // Pairs with the fence of the writer between its going to sleep and its last look: one of
        // the two sees the other, so that a line is never left behind a sleeping writer. A busy
        // writer looks by itself, and the worker makes no system call.
        fence(Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::Relaxed)
            && self.shared.asleep.swap(false, Ordering::Relaxed)
        {
            self.writer.unpark();
        }
    }
}
