//! One toxic on one direction of one connection.

use std::sync::Arc;

use tokio::time::Instant;

use crate::draw::Draws;
use crate::proxy::toxic::bandwidth::Bandwidth;
use crate::proxy::toxic::chain::{Chunk, Inbox, pass};
use crate::proxy::toxic::ends::{LimitData, ResetPeer, SlowClose, Timeout};
use crate::proxy::toxic::latency::Latency;
use crate::proxy::toxic::slicer::Slicer;
use crate::toxic::{Placed, ToxicKind};

/// Pieces that a latency holds, so that it costs no throughput.
const LATENCY_ROOM: usize = 1024;

/// A toxic with what it knows of the connection.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) placed: Arc<Placed>,
    /// Its draw has fallen on this direction of the connection.
    pub(super) acts: bool,
    pub(super) came: Came,
    pub(super) inbox: Inbox,
    /// It has ended the stream.
    pub(super) closed: bool,
    /// That it acted is counted.
    pub(super) told: bool,
    /// What it held when it was interrupted: leaves before all else.
    flushed: Option<Chunk>,
    draws: Draws,
    work: Work,
}

/// When a toxic came to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// It was there when the connection began.
    First,
    Later,
}

/// What each kind keeps while it works.
#[derive(Debug)]
enum Work {
    Noop,
    Latency(Latency),
    Bandwidth(Bandwidth),
    SlowClose(SlowClose),
    Timeout(Timeout),
    ResetPeer(ResetPeer),
    Slicer(Slicer),
    LimitData(LimitData),
}

/// One look at a stage: what it works on, and what came of it.
#[derive(Debug)]
pub(super) struct Turn<'t> {
    pub(super) now: Instant,
    pub(super) inbox: &'t mut Inbox,
    pub(super) out: &'t mut Inbox,
    pub(super) draws: &'t mut Draws,
    pub(super) done: Done,
}

/// What came of a look at a stage.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    /// Something passed, was taken or was dropped.
    pub(super) moved: bool,
    /// The toxic did something that no bare connection would.
    pub(super) acted: bool,
    pub(super) harm: Harm,
    /// Look again then.
    pub(super) wake: Option<Instant>,
}

/// What the receiver does not get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Harm {
    #[default]
    None,
    /// Bytes in the middle.
    Dropped,
    /// Whatever comes from here on: the toxic ends the stream.
    Closed,
}

impl Turn<'_> {
    pub(super) fn send(&mut self, chunk: Chunk) {
        self.out.push(chunk);
        self.done.moved = true;
    }

    pub(super) fn take(&mut self) -> Option<Chunk> {
        let taken = self.inbox.pop();
        self.done.moved |= taken.is_some();
        taken
    }

    /// Passes the source's end on where nothing is before it.
    pub(super) fn pass_end(&mut self) {
        if self.inbox.is_over() && !self.out.is_ended() {
            self.out.end();
            self.done.moved = true;
        }
    }

    /// Whether a time has come; the stage is looked at again when it does. No time: never.
    pub(super) fn is_due(&mut self, due: Option<Instant>) -> bool {
        match due {
            Some(due) if due <= self.now => true,
            due => {
                self.done.wake = due;
                false
            }
        }
    }

    /// The toxic ends the stream here.
    pub(super) fn close(&mut self) {
        self.out.end();
        self.inbox.clear();
        self.done.moved = true;
        self.done.acted = true;
        self.done.harm = Harm::Closed;
    }
}

impl Stage {
    pub(super) fn new(
        placed: &Arc<Placed>,
        acts: bool,
        came: Came,
        draws: Draws,
        now: Instant,
    ) -> Self {
        let room = match placed.toxic.kind {
            ToxicKind::Latency { .. } => LATENCY_ROOM,
            _ => 1,
        };
        Self {
            placed: Arc::clone(placed),
            acts,
            came,
            inbox: Inbox::new(room),
            closed: false,
            told: false,
            flushed: None,
            draws,
            work: Work::new(placed.toxic.kind, now),
        }
    }

    /// It was updated, or its draw is another.
    pub(super) fn restart(&mut self, placed: &Arc<Placed>, acts: bool, draws: Draws, now: Instant) {
        let updated = placed.edition != self.placed.edition;
        self.placed = Arc::clone(placed);
        self.draws = draws;
        let held = if acts && self.acts {
            self.work.interrupt(&mut self.inbox)
        } else {
            self.work.let_go(&mut self.inbox)
        };
        self.flush(held);
        if updated || acts != self.acts {
            self.work.renew(placed.toxic.kind, now);
        }
        self.acts = acts;
    }

    fn flush(&mut self, held: Option<Chunk>) {
        let Some(held) = held else { return };
        match &mut self.flushed {
            None => self.flushed = Some(held),
            // Interrupted twice before the first could leave.
            Some(before) => {
                let both = [&before.bytes[..], &held.bytes[..]].concat();
                before.bytes = both.into();
            }
        }
    }

    /// Does what is to be done at this time.
    pub(super) fn step(&mut self, now: Instant, out: &mut Inbox) -> Done {
        let mut turn = Turn {
            now,
            inbox: &mut self.inbox,
            out,
            draws: &mut self.draws,
            done: Done::default(),
        };
        if self.closed {
            return turn.done;
        }
        if turn.out.has_room()
            && let Some(chunk) = self.flushed.take()
        {
            turn.send(chunk);
        }
        if self.flushed.is_none() {
            match (&mut self.work, self.acts) {
                (_, false) | (Work::Noop, _) => pass(&mut turn),
                (Work::Latency(it), _) => it.step(&mut turn),
                (Work::Bandwidth(it), _) => it.step(&mut turn),
                (Work::SlowClose(it), _) => it.step(&mut turn),
                (Work::Timeout(it), _) => it.step(&mut turn),
                (Work::ResetPeer(it), _) => it.step(&mut turn),
                (Work::Slicer(it), _) => it.step(&mut turn),
                (Work::LimitData(it), _) => it.step(&mut turn),
            }
        }
        self.closed = turn.done.harm == Harm::Closed;
        turn.done
    }

    /// Gives all that it holds to the one behind it.
    pub(super) fn spill(mut self, next: &mut Inbox) {
        if self.closed {
            return;
        }
        let held = self.work.let_go(&mut self.inbox);
        for chunk in self.flushed.into_iter().chain(held) {
            next.push(chunk);
        }
        while let Some(chunk) = self.inbox.pop() {
            next.push(chunk);
        }
        if self.inbox.is_over() {
            next.end();
        }
    }
}

impl Work {
    fn new(kind: ToxicKind, now: Instant) -> Self {
        match kind {
            ToxicKind::Noop => Self::Noop,
            ToxicKind::Latency {
                latency_ms,
                jitter_ms,
            } => Self::Latency(Latency::new(latency_ms, jitter_ms)),
            ToxicKind::Bandwidth { rate_kb } => Self::Bandwidth(Bandwidth::new(rate_kb)),
            ToxicKind::SlowClose { delay_ms } => Self::SlowClose(SlowClose::new(delay_ms)),
            ToxicKind::Timeout { timeout_ms } => Self::Timeout(Timeout::new(timeout_ms, now)),
            ToxicKind::ResetPeer { timeout_ms } => Self::ResetPeer(ResetPeer::new(timeout_ms)),
            ToxicKind::Slicer {
                average_size,
                size_variation,
                delay_us,
            } => Self::Slicer(Slicer::new(average_size, size_variation, delay_us)),
            ToxicKind::LimitData { bytes } => Self::LimitData(LimitData::new(bytes)),
        }
    }

    /// It starts anew, perhaps with other attributes. What was counted or has begun goes on.
    fn renew(&mut self, kind: ToxicKind, now: Instant) {
        match (&mut *self, kind) {
            (Self::LimitData(it), ToxicKind::LimitData { bytes }) => it.limit = bytes,
            (Self::ResetPeer(it), ToxicKind::ResetPeer { timeout_ms }) => {
                it.timeout = millis(timeout_ms);
            }
            (work, kind) => *work = Self::new(kind, now),
        }
    }

    /// What it holds back at this moment leaves at once; it goes on with what comes next.
    fn interrupt(&mut self, inbox: &mut Inbox) -> Option<Chunk> {
        match self {
            Self::Latency(it) => it.interrupt(inbox),
            Self::Bandwidth(it) => it.interrupt(),
            Self::Slicer(it) => it.interrupt(),
            Self::Noop
            | Self::SlowClose(_)
            | Self::Timeout(_)
            | Self::ResetPeer(_)
            | Self::LimitData(_) => None,
        }
    }

    /// The same where it does not go on.
    fn let_go(&mut self, inbox: &mut Inbox) -> Option<Chunk> {
        match self {
            Self::ResetPeer(it) => it.let_go(),
            work => work.interrupt(inbox),
        }
    }
}

/// A time of the API; a negative one is none.
pub(super) fn millis(millis: i64) -> std::time::Duration {
    std::time::Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
