//! The decision for one request, made with the functions that the data plane uses.

use smallvec::SmallVec;

use super::request::Request;
use super::unmet::{Unmet, unmet};
use crate::call::{Call, Description, Found, Moment};
use crate::effect::{Effect, Fate};
use crate::protocol::look::Look;
use crate::protocol::{NativeError, RequestHead};
use crate::rule::{Course, Decision, RuleSpec, Selected, Step, Verdict, decide, is_never};
use crate::snapshot::{ListenerSpec, ProtocolSpec, Snapshot};

/// All that there is to tell of a request.
#[derive(Debug)]
pub(super) struct Explanation<'a> {
    pub(super) listener: &'a ListenerSpec,
    pub(super) upstream: &'a str,
    pub(super) protocol: &'static str,
    pub(super) description: Description,
    pub(super) moment: Moment,
    /// No rule ever touches this path.
    pub(super) never: bool,
    /// The rules that watch this listener, in order.
    pub(super) rules: Vec<RuleFate<'a>>,
    pub(super) steps: Vec<Step>,
    /// What the client gets in place of the true answer.
    pub(super) answer: Option<NativeError>,
}

/// What became of one rule.
#[derive(Debug)]
pub(super) struct RuleFate<'a> {
    pub(super) spec: &'a RuleSpec,
    /// Where it selects the call.
    pub(super) verdict: Option<Verdict>,
    /// The conditions that do not hold, or cannot be known.
    pub(super) unmet: Vec<Unmet>,
}

impl<'a> Explanation<'a> {
    pub(super) fn new(
        snapshot: &'a Snapshot,
        listener: usize,
        request: &Request,
        moment: Moment,
    ) -> Self {
        let spec = &snapshot.listeners[listener];
        let fields = request.fields();
        let (upstream, protocol) = spec.route(request.host(), request.path(), &fields);
        let mut call = Call {
            listener: &spec.name,
            protocol: protocol.name(),
            peer: request.recorded.as_ref().and_then(|it| it.peer),
            method: &request.method,
            path: request.path(),
            query: request.query(),
            host: request.host(),
            fields: &fields,
            ..Call::default()
        };
        let found = describe(snapshot, protocol, request, &mut call);
        call.found = &found;
        let (decision, rules) = decide_all(
            snapshot,
            listener,
            &call,
            moment,
            request.recorded.is_some(),
        );
        let mut course = Course::new(decision.plan, snapshot.safety.max_faults_per_call);
        end_at_terminal(&mut course);
        let steps = course.into_steps();
        Self {
            listener: spec,
            upstream: &snapshot.upstreams[upstream].name,
            protocol: protocol.name(),
            moment,
            never: is_never(&snapshot.safety.never, request.path()),
            rules,
            answer: answer(&steps, protocol, &call),
            steps,
            description: call.description,
        }
    }
}

/// Completes the description as the listener would, and returns what rules find in the body.
fn describe<'s>(
    snapshot: &'s Snapshot,
    protocol: ProtocolSpec,
    request: &Request,
    call: &mut Call<'_>,
) -> Vec<Found<'s>> {
    if let Some(recorded) = &request.recorded {
        call.description = recorded.description.clone();
        return Vec::new();
    }
    let ProtocolSpec::Http(_, dialect) = protocol else {
        return Vec::new();
    };
    let head = RequestHead {
        method: call.method,
        path: call.path,
        query: call.query,
        fields: call.fields,
    };
    call.description = dialect.describe(&head);
    let own = dialect.pointers(&head, &call.description);
    let of_rules = snapshot.rules.specs().iter();
    let of_rules = of_rules.flat_map(|it| it.select.body.keys().map(String::as_str));
    let mut look = Look::new(own.iter().copied().chain(of_rules));
    look.push(&request.body);
    let found = look.finish();
    dialect.complete(&mut call.description, &found);
    found
}

/// Asks every rule of the listener: those that select the call decide, the others say why not.
fn decide_all<'a>(
    snapshot: &'a Snapshot,
    listener: usize,
    call: &Call<'_>,
    moment: Moment,
    recorded: bool,
) -> (Decision, Vec<RuleFate<'a>>) {
    let rules = &snapshot.rules;
    let selecting: SmallVec<[u32; 8]> = rules
        .listener(listener)
        .map_or_else(SmallVec::new, |it| it.select(&it.candidates(call), call));
    let selected: Vec<Selected> = selecting
        .iter()
        .map(|&rule| Selected {
            rule,
            moment,
            epoch: 0,
        })
        .collect();
    let decision = decide(rules, &selected, call, snapshot.seed, false);
    let name = &*snapshot.listeners[listener].name;
    let watches = |spec: &RuleSpec| {
        let names = spec.listeners.as_ref();
        names.is_none_or(|names| names.iter().any(|it| it == name))
    };
    let fates = rules
        .specs()
        .iter()
        .filter(|spec| watches(spec))
        .map(|spec| {
            let of_rule = |it: &&Verdict| it.token.rule == spec.name;
            let verdict = decision.verdicts.iter().find(of_rule).cloned();
            let unmet = match verdict {
                Some(_) => Vec::new(),
                None => unmet(spec, call, recorded),
            };
            RuleFate {
                spec,
                verdict,
                unmet,
            }
        })
        .collect();
    (decision, fates)
}

/// The first effect that ends the call supersedes what comes after it.
fn end_at_terminal(course: &mut Course) {
    let terminal = course
        .pending()
        .find(|(_, effect)| effect.is_terminal())
        .map(|(index, _)| index);
    if let Some(index) = terminal {
        let steps = course.steps();
        let before: Vec<usize> = (0..index)
            .filter(|&it| steps[it].fate == Fate::NotReached)
            .collect();
        for index in before {
            if let Some(step) = course.step_mut(index) {
                step.fate = Fate::Applied;
            }
        }
        course.end(index);
    }
}

/// The injected answer, in the protocol's words.
fn answer(steps: &[Step], protocol: ProtocolSpec, call: &Call<'_>) -> Option<NativeError> {
    let ProtocolSpec::Http(_, dialect) = protocol else {
        return None;
    };
    steps
        .iter()
        .filter(|step| step.fate == Fate::Applied)
        .find_map(|step| match &step.planned.effect {
            Effect::Answer { at, answer } if !at.needs_units() => Some(dialect.error(answer, call)),
            _ => None,
        })
}
