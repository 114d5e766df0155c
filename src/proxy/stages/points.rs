//! Effects at one position of a body.

use std::rc::Rc;
use std::time::Duration;

use crate::call::Phase;
use crate::effect::{Answer, Effect, Planned, WaitTime};

/// Where in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// After this many bytes.
    Byte(u64),
    End,
    /// Before the n-th unit with content, from 1.
    Token(u64),
    /// Before the n-th unit, from 1.
    Unit(u64),
}

impl Position {
    pub(super) fn of(phase: Phase) -> Option<Self> {
        match phase {
            Phase::FirstUnit => Some(Self::Unit(1)),
            Phase::FirstToken => Some(Self::Token(1)),
            Phase::Unit(n) => Some(Self::Unit(n)),
            Phase::Token(n) => Some(Self::Token(n)),
            Phase::Byte(n) => Some(Self::Byte(n)),
            Phase::End => Some(Self::End),
            _ => None,
        }
    }
}

/// What happens there.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Blackhole(Option<Duration>),
    Close,
    Cut { fix: bool },
    Error(Answer),
    Reset,
    Wait(Duration),
}

impl Act {
    pub(super) fn of(effect: &Effect) -> Option<Self> {
        match effect {
            Effect::Answer { answer, .. } => Some(Self::Error(answer.clone())),
            Effect::Blackhole { time, .. } => Some(Self::Blackhole(*time)),
            Effect::Close { .. } => Some(Self::Close),
            Effect::Reset { .. } => Some(Self::Reset),
            Effect::Wait {
                time: WaitTime::Once(time),
                ..
            } => Some(Self::Wait(*time)),
            _ => None,
        }
    }

    /// Waits first, then what ends the body.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Wait(_) => 0,
            Self::Blackhole(_) => 1,
            Self::Close | Self::Cut { .. } | Self::Error(_) | Self::Reset => 2,
        }
    }
}

/// One effect at one position.
#[derive(Debug)]
pub(super) struct Point {
    pub(super) step: usize,
    pub(super) planned: Rc<Planned>,
    pub(super) position: Position,
    pub(super) act: Act,
    /// Given to a piece already.
    pub(super) taken: bool,
}

impl Point {
    pub(super) fn new(step: usize, planned: Rc<Planned>, position: Position, act: Act) -> Self {
        Self {
            step,
            planned,
            position,
            act,
            taken: false,
        }
    }
}
