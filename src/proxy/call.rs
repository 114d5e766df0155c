//! One call under way, on any protocol: what is known of it, what came of it, and how it is told at
//! its end.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::call::{Call, Description, Outcome};
use crate::energy::ledger::Finish;
use crate::error::Origin;
use crate::io::Stream;
use crate::model::Admission;
use crate::proxy::acting::Acting;
use crate::proxy::activity::Activity;
use crate::proxy::execution::Execution;
use crate::proxy::rescue::Failure;
use crate::proxy::worker::{Generation, Target, Worker};
use crate::record::{Facts, Record, SlotCounters, Timing, TraceContext};
use crate::rule::{Admissions, Course, Verdict, decide};
use crate::snapshot::ListenerState;
use crate::toxic::Placed;

/// One downstream connection.
#[derive(Debug)]
pub(in crate::proxy) struct Session {
    pub(in crate::proxy) worker: Rc<Worker>,
    /// Of its listener, which a reload may move or remove.
    pub(in crate::proxy) listener: Arc<ListenerState>,
    pub(in crate::proxy) peer: Option<SocketAddr>,
    /// The server name of the client's TLS handshake.
    pub(in crate::proxy) sni: Option<Box<str>>,
    pub(in crate::proxy) client: Stream,
    /// The client is a stream of HTTP/2, which the driver sees as a connection of HTTP/1.1.
    pub(in crate::proxy) http2: bool,
}

impl Session {
    /// Whether the connection takes no further call.
    pub(in crate::proxy) fn is_ending(&self) -> bool {
        self.worker.is_ending(&self.listener)
    }
}

/// What rules decided of a call. Absent where none selects it.
#[derive(Debug)]
pub(in crate::proxy) struct Decided {
    pub(in crate::proxy) verdicts: Vec<Verdict>,
    pub(in crate::proxy) answers: Vec<Admission>,
    /// Shared with the request's upload.
    pub(in crate::proxy) execution: Rc<Execution>,
    /// Gives the places in limits back, on every path.
    pub(in crate::proxy) _admissions: Admissions,
}

/// What a record tells of the request, kept because the head's buffer is used again.
#[derive(Clone, Debug, Default)]
pub(in crate::proxy) struct Told {
    pub(in crate::proxy) method: String,
    pub(in crate::proxy) path: String,
    pub(in crate::proxy) attempt: Option<u32>,
}

/// Whether a call has a span.
#[derive(Debug, Default)]
pub(in crate::proxy) enum Tracing {
    /// It has none so far.
    #[default]
    Open,
    /// Its caller decided that it has none.
    Declined,
    Span(Box<TraceContext>),
}

impl Tracing {
    fn span(&self) -> Option<&TraceContext> {
        match self {
            Self::Span(context) => Some(context),
            Self::Open | Self::Declined => None,
        }
    }
}

/// One call from its parsed head to its end.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own that a call comes to know"
)]
pub(in crate::proxy) struct InFlight<'s> {
    pub(in crate::proxy) session: &'s Session,
    pub(in crate::proxy) generation: Rc<Generation>,
    /// Index of the listener in that generation.
    pub(in crate::proxy) listener: usize,
    pub(in crate::proxy) target: Target,
    pub(in crate::proxy) id: u64,
    pub(in crate::proxy) number: u64,
    pub(in crate::proxy) started: Instant,
    /// Only where a record may be written of it.
    pub(in crate::proxy) started_at: Option<SystemTime>,
    pub(in crate::proxy) description: Description,
    pub(in crate::proxy) told: Option<Told>,
    pub(in crate::proxy) tracing: Tracing,
    pub(in crate::proxy) decided: Option<Decided>,
    pub(in crate::proxy) activity: Activity,
    pub(in crate::proxy) status: Option<u16>,
    /// What the protocol's own status says, in HTTP's.
    told_status: Option<u16>,
    /// The end of the connection says that the answer is whole.
    pub(in crate::proxy) ends_with_connection: bool,
    /// A toxic acted on the connection, or the stop of its proxy.
    pub(in crate::proxy) intoxicated: bool,
    pub(in crate::proxy) toxics: Vec<Arc<Placed>>,
    pub(in crate::proxy) end: Option<(Outcome, Origin)>,
    /// It ended by a failure that a fault can be the cause of.
    broke: bool,
    pub(in crate::proxy) reason: Option<String>,
    pub(in crate::proxy) upstream_sent: Option<Instant>,
    /// Of the time until then, what was injected or spent connecting.
    not_ours: Duration,
    /// A 1xx was passed on: a second try would repeat it.
    pub(in crate::proxy) interim: bool,
    pub(in crate::proxy) response_head: Option<Instant>,
    pub(in crate::proxy) first_token: Option<Instant>,
    pub(in crate::proxy) units: u64,
    pub(in crate::proxy) tokens: u64,
    pub(in crate::proxy) output_tokens: Option<u64>,
    pub(in crate::proxy) request_bytes: u64,
    pub(in crate::proxy) response_bytes: u64,
}

/// However a call ends, also by a panic or because the drain was cut short, it ends once: counters
/// match, and the energy ledger keeps no ghost.
impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.finish();
    }
}

impl<'s> InFlight<'s> {
    /// A call whose first bytes are here; for the listener's own upstream until it is routed.
    pub(in crate::proxy) fn begin(session: &'s Session) -> Self {
        let worker = &session.worker;
        let id = worker.next_call_id();
        // A listener lasts, retired or not, for as long as it has connections.
        let (generation, listener) = worker
            .place_of(&session.listener)
            .unwrap_or_else(|| (worker.generation(), 0));
        let spec = &generation.snapshot.listeners[listener];
        Self {
            session,
            target: Target {
                upstream: spec.upstream,
                protocol: spec.protocol,
                slot: 0,
            },
            generation,
            listener,
            id,
            number: 0,
            started: Instant::now(),
            started_at: None,
            description: Description::default(),
            told: None,
            tracing: Tracing::default(),
            decided: None,
            activity: Activity::new(worker.activity.as_ref(), id),
            status: None,
            told_status: None,
            ends_with_connection: false,
            intoxicated: false,
            toxics: Vec::new(),
            end: None,
            broke: false,
            reason: None,
            upstream_sent: None,
            not_ours: Duration::ZERO,
            interim: false,
            response_head: None,
            first_token: None,
            units: 0,
            tokens: 0,
            output_tokens: None,
            request_bytes: 0,
            response_bytes: 0,
        }
    }

    /// It gets its number and is counted.
    pub(in crate::proxy) fn count(&mut self) {
        let worker = &self.session.worker;
        worker.fire_due(self.started);
        self.number = self.session.listener.next_call();
        self.counters().call_started();
    }

    pub(in crate::proxy) fn counters(&self) -> &SlotCounters {
        self.generation.counters(self.listener, self.target.slot)
    }

    /// Whether its record is wanted whatever rules say of it.
    pub(in crate::proxy) fn is_sampled(&self) -> bool {
        self.session.worker.records.wants(Facts {
            call: self.id,
            ..Facts::default()
        })
    }

    /// Decides with the rules that select it, and asks their limits. `seen`: the call as rules see
    /// it. True where at least one selects it.
    pub(in crate::proxy) fn decide(&mut self, selected: &[u32], seen: &Call<'_>) -> bool {
        if selected.is_empty() {
            return false;
        }
        let snapshot = self.generation.snapshot.clone();
        let live = self.session.worker.live.clone();
        let rules = &snapshot.rules;
        let selected = rules.moments(selected, self.number, live.elapsed());
        if selected.is_empty() {
            return false;
        }
        let mut decision = decide(rules, &selected, seen, snapshot.seed, live.halted());
        let (admissions, answers) = Admissions::ask(rules, &mut decision, live.elapsed());
        if decision.count(rules) {
            // A rule panicked and is disarmed: what it does elsewhere ends too.
            live.ring();
        }
        let acting = Acting::new(rules, &decision.verdicts);
        let course = Course::new(decision.plan, snapshot.safety.max_faults_per_call);
        let timer = self.session.worker.timer.clone();
        let max_delay = snapshot.safety.max_delay_per_call;
        self.started_at = Some(SystemTime::now());
        self.decided = Some(Decided {
            verdicts: decision.verdicts.into_vec(),
            answers,
            execution: Rc::new(
                Execution::new(course, Arc::clone(rules), timer, max_delay).showing(acting),
            ),
            _admissions: admissions,
        });
        true
    }

    /// Gives it a span if it has none and is one of the calls that begin a trace by now.
    pub(in crate::proxy) fn trace(&mut self) {
        if matches!(self.tracing, Tracing::Open)
            && let Some(tracer) = self.session.worker.records.tracer()
            && let Some(context) = tracer.begin(self.facts_so_far(), None)
        {
            self.tracing = Tracing::Span(Box::new(context));
        }
    }

    pub(in crate::proxy) fn has_span(&self) -> bool {
        self.tracing.span().is_some()
    }

    pub(in crate::proxy) fn execution(&self) -> Option<&Execution> {
        self.decided.as_ref().map(|decided| &*decided.execution)
    }

    /// The first cause stands: what follows from it is not told again.
    pub(in crate::proxy) fn conclude(&mut self, outcome: Outcome, origin: Origin) {
        self.end.get_or_insert((outcome, origin));
    }

    pub(in crate::proxy) fn fail(&mut self, failure: &Failure) {
        if self.end.is_none() {
            self.reason = Some(failure.to_string());
            self.broke = failure.may_be_caused();
        }
        let rescue = failure.rescue();
        self.conclude(rescue.outcome, rescue.origin);
    }

    /// How the protocol itself says that the call ended, in a field of the head or the trailers.
    pub(in crate::proxy) fn tell_end(&mut self, value: Option<&[u8]>) {
        let (Some(field), Some(value)) = (self.target.protocol.ending(), value) else {
            return;
        };
        let status = (field.status)(value);
        self.told_status = Some(status);
        if status >= 400 && self.end.is_none() {
            let value = String::from_utf8_lossy(value);
            self.reason = Some(format!("{}: {value}", field.name));
        }
    }

    /// The answer came whole; its status says whether it is a success.
    pub(in crate::proxy) fn answered(&mut self, stream_failed: bool) {
        if self.execution().is_some_and(Execution::altered) {
            self.conclude(Outcome::InjectedFault, Origin::Injected);
        }
        let outcome = match self.told_status.or(self.status) {
            Some(500.. | 429) => Outcome::UpstreamError,
            Some(400..) => Outcome::Rejected,
            _ if stream_failed => Outcome::UpstreamError,
            _ => Outcome::Ok,
        };
        self.conclude(outcome, Origin::Upstream);
    }

    /// Counts, ledgers and, where it is wanted, the record.
    fn finish(&mut self) {
        self.trace();
        let now = Instant::now();
        let total = now - self.started;
        let (outcome, origin) = self.end.unwrap_or((Outcome::Rejected, Origin::Proxy));
        let counters = self.counters();
        counters.call_ended(outcome, origin, total, self.overhead());
        counters.request_bytes(self.request_bytes);
        counters.response_bytes(self.response_bytes);
        if let Some(first) = self.first_token {
            counters.first_token(first - self.started);
        }
        if self.is_touched() {
            self.count_touched(outcome, origin, total);
        }
        let facts = self.facts();
        let records = &self.session.worker.records;
        let log = records.wants(facts);
        let followed = records.is_followed(facts);
        self.activity.end(now, || self.finish_line(outcome, log));
        if log || followed || self.has_span() {
            let record = self.record(outcome, origin, total);
            for effect in &record.effects {
                self.session
                    .worker
                    .counters
                    .fate(&effect.planned, &effect.fate);
            }
            self.count_rules(&record.effects);
            self.session.worker.records.send(record, log);
        } else if let Some(decided) = self.decided.take() {
            let effects = decided.execution.take_records();
            for effect in &effects {
                self.session
                    .worker
                    .counters
                    .fate(&effect.planned, &effect.fate);
            }
            self.count_rules(&effects);
        }
    }

    /// Whether a fault has acted on it, a rule's or a toxic.
    pub(in crate::proxy) fn is_touched(&self) -> bool {
        self.intoxicated || self.execution().is_some_and(Execution::fired)
    }

    /// Counts it once more, apart from calls that no fault acted on, and for each rule that did.
    fn count_touched(&self, outcome: Outcome, origin: Origin, total: Duration) {
        let touched = self.counters().touched();
        touched.call_ended(outcome, origin, total);
        if self.broke && origin != Origin::Injected {
            touched.broke();
        }
        if let Some(first) = self.first_token {
            touched.first_token(first - self.started);
        }
        let is_error = matches!(
            outcome,
            Outcome::InjectedFault | Outcome::Timeout | Outcome::UpstreamError
        );
        let rules = &self.generation.snapshot.rules;
        for rule in self.execution().into_iter().flat_map(Execution::acted) {
            if let Some(cell) = rules.cells().get(rule as usize) {
                cell.count_treated(is_error, total);
            }
        }
    }

    fn count_rules(&self, effects: &[crate::record::EffectRecord]) {
        for effect in effects {
            self.generation
                .snapshot
                .rules
                .count_fate(&effect.planned.token, &effect.fate);
        }
    }

    /// The facts of a call under way: what a rule is still to do to it counts as done.
    fn facts_so_far(&self) -> Facts {
        let facts = self.facts();
        let mut verdicts = self.decided.iter().flat_map(|it| &it.verdicts);
        Facts {
            fired: facts.fired || verdicts.any(Verdict::is_hit),
            ..facts
        }
    }

    pub(in crate::proxy) fn facts(&self) -> Facts {
        Facts {
            call: self.id,
            selected: self.decided.is_some() || self.intoxicated,
            fired: self.intoxicated
                || self.decided.as_ref().is_some_and(|decided| {
                    decided.execution.fired() || decided.verdicts.iter().any(Verdict::would_fire)
                }),
        }
    }

    /// Time in hormesis itself, where it can be told apart: from the head to the first byte sent
    /// upstream, less what was injected or spent connecting there.
    fn overhead(&self) -> Option<Duration> {
        let before = self.upstream_sent? - self.started;
        Some(before.saturating_sub(self.not_ours))
    }

    /// The first byte goes upstream now; `connecting` of the time before was the upstream's.
    pub(in crate::proxy) fn sent(&mut self, connecting: Duration) {
        let injected = self.execution().map_or(Duration::ZERO, Execution::injected);
        self.not_ours = injected + connecting;
        let now = Instant::now();
        self.upstream_sent = Some(now);
        if let Some(upstream) = self.generation.metered(self.target.upstream) {
            self.activity.begin(upstream, now);
        }
    }

    fn finish_line(&self, outcome: Outcome, told: bool) -> Finish {
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
                && self.execution().is_some_and(Execution::is_abandoned),
            output_tokens: self.output_tokens,
            output_units: self.tokens,
            whole: false,
            told,
        }
    }

    pub(in crate::proxy) fn listener_name(&self) -> Arc<str> {
        self.generation.snapshot.listeners[self.listener]
            .name
            .clone()
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
            Some(decided) => (
                decided.verdicts,
                decided.answers,
                decided.execution.take_records(),
            ),
            None => Default::default(),
        };
        let told = self.told.take().unwrap_or_default();
        Record {
            id: self.id,
            started: self.started_at.unwrap_or_else(SystemTime::now),
            listener: self.listener_name(),
            protocol: self.target.protocol.name(),
            upstream: Some(
                self.generation.snapshot.upstreams[self.target.upstream]
                    .name
                    .clone(),
            ),
            number: self.number,
            peer: self.session.peer,
            method: told.method,
            path: told.path,
            description: std::mem::take(&mut self.description),
            verdicts,
            admissions,
            effects,
            toxics: std::mem::take(&mut self.toxics),
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
            trace: self.tracing.span().copied(),
        }
    }
}
