//! Against floods of frames that cost a client nothing and are answered without end: PING, SETTINGS,
//! PRIORITY, `WINDOW_UPDATE`, `RST_STREAM`, empty DATA. What the library bounds by itself is not counted
//! here: streams, heads and their continuations, resets that we are made to send.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// So many frames of that kind in so much time are a flood, beyond those that frames of ours
/// called for.
const MOST_FRAMES: u32 = 1000;
const WITHIN: Duration = Duration::from_secs(1);
/// Each frame of an answer may bring so many: two windows are updated, and some clients measure the
/// way by PING.
const PER_FRAME: u32 = 4;
/// Answers of the past pay for no more than this.
const MOST_CREDIT: u32 = 10 * MOST_FRAMES;

const PREFACE_LEN: u8 = 24;
const FRAME_HEAD: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Why a connection is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{frames} frames that ask for nothing within {within:?}")]
pub(super) struct Flood {
    frames: u32,
    within: Duration,
}

/// A frame of ours was sent: so the client may answer.
pub(super) fn pay(credit: &Cell<u32>) {
    credit.set((credit.get() + PER_FRAME).min(MOST_CREDIT));
}

/// Counts the frames that a client sends.
#[derive(Debug)]
pub(super) struct Guard {
    frames: Frames,
    counted: u32,
    since: Instant,
}

impl Guard {
    pub(super) fn new() -> Self {
        Self {
            frames: Frames::default(),
            counted: 0,
            since: Instant::now(),
        }
    }

    /// Follows what was read. The clock is read once for very many frames.
    pub(super) fn see(&mut self, bytes: &[u8], credit: &Cell<u32>) -> Option<Flood> {
        let before = self.counted;
        let counted = &mut self.counted;
        self.frames.follow(bytes, |frame| {
            if frame.asks_for_something() {
                return;
            }
            match credit.get() {
                0 => *counted += 1,
                paid => credit.set(paid - 1),
            }
        });
        if self.counted == before || self.counted < MOST_FRAMES {
            return None;
        }
        let (now, frames) = (Instant::now(), self.counted);
        let within = now.duration_since(self.since);
        (self.counted, self.since) = (0, now);
        (within < WITHIN).then_some(Flood { frames, within })
    }

    /// Whether the client is in the middle of a head, or has sent nothing but the preface.
    pub(super) fn is_in_head(&self) -> bool {
        self.frames.is_in_head()
    }
}

/// What stands before a frame's payload (RFC 9113 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FrameHead {
    length: u32,
    kind: u8,
    flags: u8,
}

impl FrameHead {
    fn asks_for_something(self) -> bool {
        match self.kind {
            DATA => self.length > 0,
            HEADERS => true,
            // The library bounds them by the size of a head.
            CONTINUATION => self.length > 0,
            _ => false,
        }
    }
}

/// Finds the heads of frames in the bytes of a connection, however these are cut.
#[derive(Debug, Default)]
struct Frames {
    /// Bytes of the preface that have passed.
    preface: u8,
    head: [u8; FRAME_HEAD],
    /// Bytes of it that have come.
    seen: usize,
    /// Payload still to come of the frame at hand.
    left: u32,
    begun: bool,
    /// The block of fields at hand is not whole: more CONTINUATION, or more of this frame.
    open_block: bool,
    in_block: bool,
}

impl Frames {
    fn follow(&mut self, mut bytes: &[u8], mut found: impl FnMut(FrameHead)) {
        let preface = usize::from(PREFACE_LEN - self.preface).min(bytes.len());
        self.preface += u8::try_from(preface).unwrap_or(PREFACE_LEN);
        bytes = &bytes[preface..];
        while !bytes.is_empty() {
            if self.left > 0 {
                let here = usize::try_from(self.left).unwrap_or(usize::MAX);
                let count = here.min(bytes.len());
                self.left -= u32::try_from(count).unwrap_or(self.left);
                bytes = &bytes[count..];
                continue;
            }
            let count = (FRAME_HEAD - self.seen).min(bytes.len());
            self.head[self.seen..self.seen + count].copy_from_slice(&bytes[..count]);
            self.seen += count;
            bytes = &bytes[count..];
            if self.seen == FRAME_HEAD {
                let [a, b, c, kind, flags, ..] = self.head;
                let length = u32::from_be_bytes([0, a, b, c]);
                (self.seen, self.left, self.begun) = (0, length, true);
                self.in_block = matches!(kind, HEADERS | CONTINUATION);
                if self.in_block {
                    self.open_block = flags & END_HEADERS == 0;
                }
                found(FrameHead {
                    length,
                    kind,
                    flags,
                });
            }
        }
    }

    fn is_in_head(&self) -> bool {
        !self.begun || self.open_block || self.in_block && self.left > 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let size = u32::try_from(length).unwrap().to_be_bytes();
        let mut bytes = vec![size[1], size[2], size[3], kind, flags, 0, 0, 0, 1];
        bytes.resize(FRAME_HEAD + length, 0xff);
        bytes
    }

    fn guard() -> Guard {
        let mut guard = Guard::new();
        assert!(guard.is_in_head());
        assert_eq!(guard.see(&[0; 24], &Cell::new(0)), None);
        guard
    }

    const PING: u8 = 6;

    #[test]
    fn frames_that_ask_for_nothing_are_a_flood_and_others_are_not() {
        let mut guard = guard();
        let many = |kind, length| frame(kind, END_HEADERS, length).repeat(2000);
        assert_eq!(guard.see(&many(DATA, 1), &Cell::new(0)), None);
        assert_eq!(guard.see(&many(HEADERS, 5), &Cell::new(0)), None);
        for kind in [DATA, 2, 3, 4, 8, 77] {
            let mut guard = self::guard();
            let flood = guard.see(&many(kind, 0), &Cell::new(0));
            assert_eq!(flood.unwrap().frames, 2000, "{kind}");
        }
    }

    #[test]
    fn what_our_own_frames_called_for_is_no_flood() {
        let mut guard = guard();
        let credit = Cell::new(0);
        for _ in 0..5000 {
            pay(&credit);
            assert_eq!(guard.see(&frame(8, 0, 4).repeat(4), &credit), None);
        }
        assert_eq!((guard.counted, credit.get()), (0, 0));
    }

    #[test]
    fn the_same_frames_over_a_longer_time_are_no_flood() {
        let mut guard = guard();
        guard.since -= 2 * WITHIN;
        let many = frame(PING, 0, 8).repeat(MOST_FRAMES as usize);
        assert_eq!(guard.see(&many, &Cell::new(0)), None);
        assert!(guard.see(&many, &Cell::new(0)).is_some());
    }

    #[test]
    fn a_head_is_open_until_its_last_byte() {
        let mut guard = guard();
        let credit = Cell::new(0);
        guard.see(&frame(4, 0, 0), &credit);
        assert!(!guard.is_in_head());
        let headers = frame(HEADERS, END_HEADERS, 10);
        guard.see(&headers[..15], &credit);
        assert!(guard.is_in_head());
        guard.see(&headers[15..], &credit);
        assert!(!guard.is_in_head());
        guard.see(&frame(HEADERS, 0, 3), &credit);
        assert!(guard.is_in_head());
        guard.see(&frame(CONTINUATION, END_HEADERS, 3), &credit);
        assert!(!guard.is_in_head());
        guard.see(&frame(DATA, 0, 300)[..100], &credit);
        assert!(!guard.is_in_head());
    }

    proptest! {
        #[test]
        fn any_split_finds_the_same_frames(
            frames in prop::collection::vec((any::<u8>(), any::<u8>(), 0usize..60), 0..20),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
        ) {
            let mut wire = vec![0; usize::from(PREFACE_LEN)];
            for (kind, flags, length) in &frames {
                wire.extend(frame(*kind, *flags, *length));
            }
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len())).collect();
            ends.extend([0, wire.len()]);
            ends.sort_unstable();
            let (mut scanner, mut found) = (Frames::default(), Vec::new());
            for pair in ends.windows(2) {
                scanner.follow(&wire[pair[0]..pair[1]], |frame| {
                    found.push((frame.kind, frame.flags, frame.length as usize));
                });
            }
            prop_assert_eq!(found, frames);
            prop_assert_eq!((scanner.seen, scanner.left), (0, 0));
        }
    }
}
