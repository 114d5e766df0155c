//! One HTTP call under way: what is known of it, what came of it, and how it is told at its end.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::call::{Description, Outcome};
use crate::energy::ledger::Finish;
use crate::error::Origin;
use crate::model::Admission;
use crate::proxy::activity::Activity;
use crate::proxy::execution::Execution;
use crate::proxy::http::Session;
use crate::proxy::rescue::Failure;
use crate::proxy::worker::{Generation, Target};
use crate::record::{Facts, Record, Timing};
use crate::rule::{Admissions, Verdict};

/// What rules decided of a call. Absent where none selects it.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) verdicts: Vec<Verdict>,
    pub(super) answers: Vec<Admission>,
    /// Shared with the request's upload.
    pub(super) execution: Rc<Execution>,
    /// Gives the places in limits back, on every path.
    pub(super) _admissions: Admissions,
}

/// What a record tells of the request, kept because the head's buffer is used again.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) attempt: Option<u32>,
}

/// One call from its parsed head to its end.
#[derive(Debug)]
pub(super) struct InFlight<'s> {
    pub(super) session: &'s Session,
    pub(super) generation: Rc<Generation>,
    pub(super) target: Target,
    pub(super) id: u64,
    pub(super) number: u64,
    pub(super) started: Instant,
    /// Only where a record may be written of it.
    pub(super) started_at: Option<SystemTime>,
    pub(super) description: Description,
    pub(super) told: Option<Told>,
    pub(super) decided: Option<Decided>,
    pub(super) activity: Activity,
    pub(super) status: Option<u16>,
    pub(super) end: Option<(Outcome, Origin)>,
    pub(super) reason: Option<String>,
    pub(super) upstream_sent: Option<Instant>,
    pub(super) response_head: Option<Instant>,
    pub(super) first_token: Option<Instant>,
    pub(super) units: u64,
    pub(super) tokens: u64,
    pub(super) output_tokens: Option<u64>,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
}

impl InFlight<'_> {
    pub(super) fn execution(&self) -> Option<&Execution> {
        self.decided.as_ref().map(|decided| &*decided.execution)
    }

    /// The first cause stands: what follows from it is not told again.
    pub(super) fn conclude(&mut self, outcome: Outcome, origin: Origin) {
        self.end.get_or_insert((outcome, origin));
    }

    pub(super) fn fail(&mut self, failure: &Failure) {
        if self.end.is_none() {
            self.reason = Some(failure.to_string());
        }
        let rescue = failure.rescue();
        self.conclude(rescue.outcome, rescue.origin);
    }

    /// The answer came whole; its status says whether it is a success.
    pub(super) fn answered(&mut self, stream_failed: bool) {
        let outcome = match self.status {
            Some(500.. | 429) => Outcome::UpstreamError,
            Some(400..) => Outcome::Rejected,
            _ if stream_failed => Outcome::UpstreamError,
            _ => Outcome::Ok,
        };
        self.conclude(outcome, Origin::Upstream);
    }

    /// Counts, ledgers and, where it is wanted, the record.
    pub(super) fn finish(mut self) {
        let now = Instant::now();
        let total = now - self.started;
        let (outcome, origin) = self.end.unwrap_or((Outcome::Rejected, Origin::Proxy));
        let counters = self.generation.counters(self.session.listener, self.target.slot).clone();
        counters.call_ended(outcome, origin, total, self.overhead(total));
        counters.request_bytes(self.request_bytes);
        counters.response_bytes(self.response_bytes);
        if let Some(first) = self.first_token {
            counters.first_token(first - self.started);
        }
        self.activity.end(|| self.finish_line(outcome));
        let facts = self.facts();
        if self.session.worker.records.wants(facts) {
            let record = self.record(outcome, origin, total);
            for effect in &record.effects {
                self.session.worker.counters.fate(&effect.planned, &effect.fate);
            }
            self.count_rules(&record.effects);
            self.session.worker.records.send(record);
        } else if let Some(decided) = self.decided.take() {
            let effects = decided.execution.take_records();
            for effect in &effects {
                self.session.worker.counters.fate(&effect.planned, &effect.fate);
            }
            self.count_rules(&effects);
        }
    }

    fn count_rules(&self, effects: &[crate::record::EffectRecord]) {
        for effect in effects {
            self.generation.snapshot.rules.count_fate(&effect.planned.token, &effect.fate);
        }
    }

    fn facts(&self) -> Facts {
        Facts {
            call: self.id,
            selected: self.decided.is_some(),
            fired: self.decided.as_ref().is_some_and(|decided| {
                decided.execution.fired() || decided.verdicts.iter().any(Verdict::would_fire)
            }),
        }
    }

    /// Time in hormesis itself, where it can be told apart: from the head to the first byte sent
    /// upstream, less what was injected there.
    fn overhead(&self, _total: Duration) -> Option<Duration> {
        let sent = self.upstream_sent?;
        let injected = self.execution().map_or(Duration::ZERO, Execution::injected);
        (sent - self.started).checked_sub(injected.min(sent - self.started))
    }

    fn finish_line(&self, outcome: Outcome) -> Finish {
        let mut rules = self
            .decided
            .iter()
            .flat_map(|decided| decided.verdicts.iter().filter(|verdict| verdict.is_hit()));
        let rule = match (rules.next(), rules.next()) {
            (Some(first), None) => Some(first.token.rule.clone()),
            (Some(_), Some(_)) => Some("several".into()),
            (None, _) => None,
        };
        Finish {
            outcome,
            listener: self.listener_name(),
            protocol: self.target.protocol.name(),
            model: self.description.model.as_deref().map(Arc::from),
            rule,
            abort_injected: outcome == Outcome::ClientAbort
                && self.execution().is_some_and(Execution::is_waiting),
            output_tokens: self.output_tokens,
            output_units: self.tokens,
        }
    }

    pub(super) fn listener_name(&self) -> Arc<str> {
        self.generation.snapshot.listeners[self.session.listener].name.clone()
    }

    fn record(&mut self, outcome: Outcome, origin: Origin, total: Duration) -> Record {
        let since = |at: Option<Instant>| at.map(|at| at - self.started);
        let timing = Timing {
            upstream_sent: since(self.upstream_sent),
            response_head: since(self.response_head),
            first_token: since(self.first_token),
            total,
            injected: self.execution().map_or(Duration::ZERO, Execution::injected),
        };
        let (verdicts, admissions, effects) = match self.decided.take() {
            Some(decided) => (decided.verdicts, decided.answers, decided.execution.take_records()),
            None => Default::default(),
        };
        let told = self.told.take().unwrap_or_default();
        Record {
            id: self.id,
            started: self.started_at.unwrap_or_else(SystemTime::now),
            listener: self.listener_name(),
            protocol: self.target.protocol.name(),
            upstream: Some(self.generation.snapshot.upstreams[self.target.upstream].name.clone()),
            number: self.number,
            peer: self.session.peer,
            method: told.method,
            path: told.path,
            description: std::mem::take(&mut self.description),
            verdicts,
            admissions,
            effects,
            origin,
            outcome,
            status: self.status,
            reason: self.reason.take(),
            timing,
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
            units: self.units,
            tokens: self.tokens,
            attempt: told.attempt,
        }
    }
}
