//! The effects that act while a body passes, for one direction of one call: bytes come in as they
//! arrive, pieces go out with what must happen before each. Where nothing acts on a body, none of
//! this exists.

mod between;
mod damage;
mod pace;
mod points;
mod pump;
mod waits;

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use crate::call::{Phase, Side};
use crate::effect::{Cut, CutLength, Effect, Fate, NotApplicable, Planned, Rate, Stage, WaitTime};
use crate::protocol::{Framer, UNIT_CAP, UnitEnd, UnitKind};
use crate::proxy::execution::{Execution, acts_on_body};
use crate::view::Usage;

use between::Between;
use damage::Damager;
use pace::Bucket;
use points::{Act, Point, Position};
pub(super) use pump::{BodyEnd, Outlet, Pump, READ_AHEAD, Source};

/// What is known of a body before it passes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BodyFacts {
    pub(super) length: Option<u64>,
    /// Whether the peer can be told a new length (HTTP), or bytes are all there is (TCP).
    pub(super) can_fix_length: bool,
    /// The body is encoded in a way that hides its units.
    pub(super) encoded: bool,
}

/// A piece on its way out.
#[derive(Debug)]
struct Segment {
    bytes: Vec<u8>,
    arrival: Instant,
    /// Set on the first piece of a unit.
    unit: Option<UnitKind>,
    /// Points to carry out before these bytes, by index into [`Stages::points`].
    before: Vec<usize>,
}

/// A least gap between units.
#[derive(Debug)]
struct Gap {
    step: usize,
    planned: Rc<Planned>,
    tokens_only: bool,
    least: Duration,
    last_leave: Option<Instant>,
}

/// All that acts on one body.
#[derive(Debug)]
pub(super) struct Stages {
    framer: Option<Box<dyn Framer>>,
    /// Bytes of a unit whose end has not come.
    unfinished: Vec<u8>,
    /// The unfinished unit outgrew its cap: it passes as it comes.
    overlong: bool,
    ends: Vec<UnitEnd>,
    damagers: Vec<Damager>,
    points: Vec<Point>,
    between: Vec<Between>,
    gaps: Vec<Gap>,
    buckets: Vec<Bucket>,
    queue: VecDeque<Segment>,
    queued: usize,
    bytes_in: u64,
    units_in: u64,
    tokens_in: u64,
    pub(super) units_out: u64,
    pub(super) tokens_out: u64,
    pub(super) first_token: Option<Instant>,
    reframing: Option<Reframing>,
    /// A stage panicked: its rule is disarmed, and what passes now can no longer be trusted.
    broken: bool,
}

/// How the client must be told of the body's end, other than by the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reframing {
    /// The new length is known at the head.
    Length(u64),
    /// Only when it has come is it known what the body will hold.
    Unknown,
}

impl Stages {
    /// The stages of one direction; `None` where nothing of the plan acts on this body. Effects
    /// that this body cannot carry are settled as not applicable.
    pub(super) fn build(
        execution: &Execution,
        side: Side,
        facts: BodyFacts,
        framer: Option<Box<dyn Framer>>,
    ) -> Option<Self> {
        let mut stages = Self::new(framer);
        let has_units = stages.framer.is_some();
        for (step, planned) in
            execution.pending(|effect| effect.side() == side && acts_on_body(effect))
        {
            if planned.effect.needs_units() && !has_units {
                let why = if facts.encoded {
                    NotApplicable::Encoding
                } else {
                    NotApplicable::NoUnits
                };
                execution.settle(step, Fate::NotApplicable(why));
            } else if let Err(why) = stages.add(step, &planned, facts) {
                execution.settle(step, Fate::NotApplicable(why));
            }
        }
        stages.is_needed().then_some(stages)
    }

    /// Stages that do nothing: the body is only framed anew.
    pub(super) fn plain() -> Self {
        Self::new(None)
    }

    fn new(framer: Option<Box<dyn Framer>>) -> Self {
        Self {
            framer,
            unfinished: Vec::new(),
            overlong: false,
            ends: Vec::new(),
            damagers: Vec::new(),
            points: Vec::new(),
            between: Vec::new(),
            gaps: Vec::new(),
            buckets: Vec::new(),
            queue: VecDeque::new(),
            queued: 0,
            bytes_in: 0,
            units_in: 0,
            tokens_in: 0,
            units_out: 0,
            tokens_out: 0,
            first_token: None,
            reframing: None,
            broken: false,
        }
    }

    fn is_needed(&self) -> bool {
        !(self.damagers.is_empty()
            && self.points.is_empty()
            && self.between.is_empty()
            && self.gaps.is_empty()
            && self.buckets.is_empty())
    }

    fn add(
        &mut self,
        step: usize,
        planned: &Rc<Planned>,
        facts: BodyFacts,
    ) -> Result<(), NotApplicable> {
        let effect = &planned.effect;
        match effect {
            Effect::Pace { rate, .. } => self.add_pace(step, *rate, planned.clone()),
            Effect::Transform {
                stage: Stage::Corrupt { how, skip },
                sub_seed,
                ..
            } => {
                let damager =
                    Damager::new(step, planned.clone(), *how, *skip, *sub_seed, facts.length)?;
                self.damagers.push(damager);
            }
            Effect::Transform {
                stage: Stage::Truncate { at, length },
                ..
            } => {
                let position = cut_position(*at, facts.length)?;
                let fix = *length == CutLength::Fix && facts.can_fix_length;
                if fix {
                    self.reframe(match (position, facts.length) {
                        (Position::Byte(at), Some(whole)) => Reframing::Length(at.min(whole)),
                        _ => Reframing::Unknown,
                    });
                }
                self.points.push(Point::new(
                    step,
                    planned.clone(),
                    position,
                    Act::Cut { fix },
                ));
            }
            Effect::Wait {
                time: WaitTime::Each { law, sub_seed },
                at,
                ..
            } => {
                let tokens_only = *at == Phase::BetweenTokens;
                let between =
                    Between::new(step, planned.clone(), tokens_only, law.clone(), *sub_seed);
                self.between.push(between);
            }
            effect => {
                let position = match (Position::of(effect.phase()), facts.length) {
                    (None, _) => return Err(NotApplicable::Phase),
                    // Its last byte is the end mark of a body whose length was announced.
                    (Some(Position::End), Some(length)) => Position::Byte(length.saturating_sub(1)),
                    (Some(position), _) => position,
                };
                let act = Act::of(effect).ok_or(NotApplicable::Phase)?;
                if matches!(act, Act::Error(_)) && facts.can_fix_length {
                    // A body of announced length has no place for an event more.
                    self.reframe(Reframing::Unknown);
                }
                self.points
                    .push(Point::new(step, planned.clone(), position, act));
            }
        }
        Ok(())
    }

    /// The first of several cuts ends the body, wherever the others stand.
    fn reframe(&mut self, to: Reframing) {
        self.reframing = Some(match (self.reframing, to) {
            (Some(Reframing::Length(one)), Reframing::Length(other)) => {
                Reframing::Length(one.min(other))
            }
            (None, to) => to,
            _ => Reframing::Unknown,
        });
    }

    pub(super) fn reframing(&self) -> Option<Reframing> {
        self.reframing
    }

    fn add_pace(&mut self, step: usize, rate: Rate, planned: Rc<Planned>) {
        match rate {
            Rate::Bytes { per_second, burst } => {
                self.buckets
                    .push(Bucket::new(step, planned, per_second, burst));
            }
            Rate::Tokens { gap } => {
                self.gaps.push(Gap {
                    step,
                    planned,
                    tokens_only: true,
                    least: gap,
                    last_leave: None,
                });
            }
            Rate::Units { gap } => {
                self.gaps.push(Gap {
                    step,
                    planned,
                    tokens_only: false,
                    least: gap,
                    last_leave: None,
                });
            }
        }
    }

    /// Takes payload that arrived at `arrival`, cuts it into pieces and queues them.
    fn push(&mut self, payload: &[u8], arrival: Instant, execution: &Execution) {
        if payload.is_empty() {
            return;
        }
        let Some(framer) = &mut self.framer else {
            return self.queue_piece(payload.to_vec(), arrival, None, execution);
        };
        let mut ends = std::mem::take(&mut self.ends);
        framer.push(payload, &mut ends);
        let mut from = 0;
        for end in ends.drain(..) {
            let mut unit = std::mem::take(&mut self.unfinished);
            unit.extend_from_slice(&payload[from..end.at]);
            from = end.at;
            // What passed early of an overlong unit was its beginning: this is only its rest.
            let kind = (!std::mem::take(&mut self.overlong)).then_some(end.kind);
            self.queue_piece(unit, arrival, kind, execution);
        }
        self.ends = ends;
        self.unfinished.extend_from_slice(&payload[from..]);
        if self.unfinished.len() > UNIT_CAP {
            let part = std::mem::take(&mut self.unfinished);
            let kind = (!std::mem::replace(&mut self.overlong, true)).then_some(UnitKind::Control);
            self.queue_piece(part, arrival, kind, execution);
        }
    }

    /// The body has ended: what is left of an unfinished unit goes out as it is.
    fn finish(&mut self, arrival: Instant, execution: &Execution) {
        let rest = std::mem::take(&mut self.unfinished);
        if !rest.is_empty() {
            let kind = self.framer.as_mut().and_then(|framer| framer.finish());
            self.queue_piece(rest, arrival, kind, execution);
        }
    }

    /// Queues one piece, cut where a byte position lies within it.
    fn queue_piece(
        &mut self,
        mut bytes: Vec<u8>,
        arrival: Instant,
        kind: Option<UnitKind>,
        execution: &Execution,
    ) {
        for damager in &mut self.damagers {
            self.broken |= !damager.damage_or_disarm(&mut bytes, self.bytes_in, execution);
        }
        let mut before = self.points_at_unit(kind);
        let mut unit = kind;
        loop {
            before.extend(self.points_at_byte(self.bytes_in));
            let cut = self.next_byte_point(self.bytes_in, bytes.len());
            let rest = match cut {
                Some(cut) => bytes.split_off(cut),
                None => Vec::new(),
            };
            self.bytes_in += bytes.len() as u64;
            self.queued += bytes.len();
            self.queue.push_back(Segment {
                bytes,
                arrival,
                unit: unit.take(),
                before: std::mem::take(&mut before),
            });
            if rest.is_empty() {
                return;
            }
            bytes = rest;
        }
    }

    /// Points before the unit that begins now.
    fn points_at_unit(&mut self, kind: Option<UnitKind>) -> Vec<usize> {
        let Some(kind) = kind else { return Vec::new() };
        self.units_in += 1;
        let is_token = kind == UnitKind::Token;
        self.tokens_in += u64::from(is_token);
        let (unit, token) = (self.units_in, self.tokens_in);
        self.take_points(|position| match position {
            Position::Unit(n) => n == unit,
            Position::Token(n) => is_token && n == token,
            Position::Byte(_) | Position::End => false,
        })
    }

    fn points_at_byte(&mut self, at: u64) -> Vec<usize> {
        self.take_points(|position| position == Position::Byte(at))
    }

    fn points_at_end(&mut self) -> Vec<usize> {
        // A byte position that is the body's length lies at its end.
        let length = self.bytes_in;
        self.take_points(|position| position == Position::End || position == Position::Byte(length))
    }

    /// Points at a position, each given out once: waits before what ends the body.
    fn take_points(&mut self, here: impl Fn(Position) -> bool) -> Vec<usize> {
        let mut taken: Vec<usize> = Vec::new();
        for (index, point) in self.points.iter_mut().enumerate() {
            if !point.taken && here(point.position) {
                point.taken = true;
                taken.push(index);
            }
        }
        taken.sort_by_key(|index| self.points[*index].act.rank());
        taken
    }

    /// Where in the next `len` bytes after `from` a byte point lies, as a length before it.
    fn next_byte_point(&self, from: u64, len: usize) -> Option<usize> {
        self.points
            .iter()
            .filter(|point| !point.taken)
            .filter_map(|point| match point.position {
                Position::Byte(at) if at > from => usize::try_from(at - from).ok(),
                _ => None,
            })
            .filter(|offset| *offset < len)
            .min()
    }

    /// A unit was written.
    fn left(&mut self, kind: UnitKind, arrival: Instant, leave: Instant) {
        self.units_out += 1;
        if kind == UnitKind::Token {
            self.tokens_out += 1;
            self.first_token.get_or_insert(leave);
        }
        for between in &mut self.between {
            between.left(kind, arrival, leave);
        }
        for gap in &mut self.gaps {
            if !gap.tokens_only || kind == UnitKind::Token {
                gap.last_leave = Some(leave);
            }
        }
    }

    /// Whether the body's units report that the answer failed although its status says otherwise.
    pub(super) fn saw_error(&self) -> bool {
        self.framer
            .as_ref()
            .is_some_and(|framer| framer.saw_error())
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        self.framer.as_ref().and_then(|framer| framer.usage())
    }
}

/// The position before which a cut ends the body. "After the n-th unit" is before the next one.
fn cut_position(cut: Cut, length: Option<u64>) -> Result<Position, NotApplicable> {
    Ok(match cut {
        Cut::Byte(at) => Position::Byte(at),
        Cut::Share(share) => {
            let length = length.ok_or(NotApplicable::Length)?;
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of a length is rounded by intent, and never negative"
            )]
            let at = (length as f64 * share).round() as u64;
            Position::Byte(at)
        }
        Cut::Token(n) => Position::Token(n.saturating_add(1)),
        Cut::Unit(n) => Position::Unit(n.saturating_add(1)),
    })
}
