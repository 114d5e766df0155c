//! What a pump waits for, and what it carries out, before a piece leaves.

use std::cell::Cell;
use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::effect::{Fate, RuleToken};
use crate::protocol::UnitKind;
use crate::proxy::execution::Execution;
use crate::proxy::stages::Reframing;
use crate::proxy::stages::points::Act;
use crate::proxy::stages::pump::{BodyEnd, Pump};
use crate::proxy::timer::Waited;

impl Pump<'_> {
    /// Awaits an injected wait. An upstream that is kept waiting for its request does not work.
    async fn pausing<F: Future>(&mut self, wait: F) -> Result<Option<F::Output>, BodyEnd> {
        if self.feeds_upstream {
            self.activity.inspect(|activity| activity.hold());
        }
        let waited = self.while_reading(wait, false).await;
        if self.feeds_upstream {
            self.activity.inspect(|activity| activity.release());
        }
        waited
    }

    pub(super) async fn wait_between(
        &mut self,
        kind: UnitKind,
        arrival: Instant,
    ) -> Result<(), BodyEnd> {
        for index in 0..self.stages.between.len() {
            let between = &mut self.stages.between[index];
            let Some(due) = between.due(kind, arrival, self.execution) else {
                continue;
            };
            let (step, token) = (between.step, between.planned.token.clone());
            if self.hold_until(step, due, token).await? == Waited::Revoked {
                self.stages.between[index].forget_shift();
            }
        }
        Ok(())
    }

    pub(super) async fn wait_gaps(&mut self, kind: UnitKind) -> Result<(), BodyEnd> {
        for index in 0..self.stages.gaps.len() {
            let gap = &self.stages.gaps[index];
            if (gap.tokens_only && kind != UnitKind::Token)
                || !self.execution.is_live(&gap.planned.token)
            {
                continue;
            }
            let Some(last) = gap.last_leave else { continue };
            let (step, token, due) = (gap.step, gap.planned.token.clone(), last + gap.least);
            self.hold_until(step, due, token).await?;
        }
        Ok(())
    }

    /// Waits until a point of time under a rule. The rule counts as applied even where the time has
    /// passed already: it was in force.
    async fn hold_until(
        &mut self,
        step: usize,
        due: Instant,
        token: RuleToken,
    ) -> Result<Waited, BodyEnd> {
        let (execution, start) = (self.execution, Instant::now());
        if due <= start {
            execution.settle(step, Fate::Applied);
            return Ok(Waited::Elapsed);
        }
        let wait = execution.timer().wait_until(Some(due), Some(token));
        let guard = WaitGuard {
            execution,
            step,
            start,
            over: Cell::new(false),
        };
        let waited = self.pausing(wait).await;
        guard.over.set(waited.is_ok());
        drop(guard);
        let waited = waited?;
        let waited = waited.unwrap_or(Waited::Elapsed);
        execution.settle(
            step,
            if waited == Waited::Revoked {
                Fate::Revoked
            } else {
                Fate::Applied
            },
        );
        Ok(waited)
    }

    pub(super) async fn bucket_allows(&mut self, wanted: usize) -> Result<usize, BodyEnd> {
        let mut allowed = wanted;
        for index in 0..self.stages.buckets.len() {
            loop {
                let bucket = &mut self.stages.buckets[index];
                if !self.execution.is_live(&bucket.planned.token) {
                    break;
                }
                self.execution.settle(bucket.step, Fate::Applied);
                match bucket.allow(allowed, Instant::now()) {
                    Ok(count) => {
                        allowed = count;
                        break;
                    }
                    Err(due) => {
                        let (step, token) = (bucket.step, bucket.planned.token.clone());
                        if self.hold_until(step, due, token).await? == Waited::Revoked {
                            break;
                        }
                    }
                }
            }
        }
        for bucket in &mut self.stages.buckets {
            bucket.spend(allowed);
        }
        Ok(allowed)
    }

    /// Carries out a point. `Err` where it ends the body.
    pub(super) async fn act(&mut self, index: usize) -> Result<(), BodyEnd> {
        let point = &self.stages.points[index];
        let (step, planned, act) = (point.step, point.planned.clone(), point.act.clone());
        let execution = self.execution;
        // A length that the head has told binds, whatever became of the rule since.
        let promised = matches!(act, Act::Cut { fix: true })
            && matches!(self.stages.reframing, Some(Reframing::Length(_)));
        if !promised && !execution.is_live(&planned.token) {
            execution.settle(step, Fate::Revoked);
            return Ok(());
        }
        match act {
            Act::Wait(time) => self.hold_point(step, &planned.token, Some(time)).await?,
            Act::Blackhole(time) => self.hold_point(step, &planned.token, time).await?,
            Act::Close => {
                execution.settle(step, Fate::Applied);
                return Err(BodyEnd::Closed);
            }
            Act::Reset => {
                execution.settle(step, Fate::Applied);
                return Err(BodyEnd::Reset);
            }
            Act::Cut { fix } => {
                execution.settle(step, Fate::Applied);
                if !fix {
                    return Err(BodyEnd::CutShort);
                }
                self.end_mark().await?;
                return Err(BodyEnd::Cut);
            }
            Act::Error(answer) => {
                execution.settle(step, Fate::Applied);
                return Err(self.error(&answer).await?);
            }
        }
        Ok(())
    }

    async fn hold_point(
        &mut self,
        step: usize,
        token: &RuleToken,
        time: Option<Duration>,
    ) -> Result<(), BodyEnd> {
        let execution = self.execution;
        self.pausing(execution.hold(step, token, time))
            .await
            .map(drop)
    }
}

/// Counts a wait however it ends; one that is dropped was ended by the client's leaving.
struct WaitGuard<'e> {
    execution: &'e Execution,
    step: usize,
    start: Instant,
    over: Cell<bool>,
}

impl Drop for WaitGuard<'_> {
    fn drop(&mut self) {
        self.execution.count_wait(self.step, self.start.elapsed());
        if !self.over.get() {
            self.execution.abandon();
            self.execution.settle(self.step, Fate::Applied);
        }
    }
}
