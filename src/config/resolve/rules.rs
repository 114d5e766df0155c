//! Rules: each by itself, and against the listeners they watch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::names::Names;
use crate::call::Phase;
use crate::config::document::Document;
use crate::config::tree::Located;
use crate::config::{Place, Problems, RuleConfig};
use crate::protocol::by_name;
use crate::rule::{RuleSet, RuleSpec, Select, Setting, Subject, TextMatcher};
use crate::snapshot::{ListenerSpec, ProtocolSpec, Safety};

/// The rules that are right, in the order of the document.
pub(super) fn resolve(
    document: &Document<'_>,
    listeners: &[Option<ListenerSpec>],
    problems: &mut Problems,
) -> Vec<RuleSpec> {
    let names = document.listeners.keys().map(String::as_str);
    let names = Names::new("listener", names, document.partial);
    let listeners: Vec<_> = listeners.iter().map(Option::as_ref).collect();
    let mut seen: BTreeMap<&str, Place> = BTreeMap::new();
    let mut specs = Vec::with_capacity(document.rules.len());
    for located in &document.rules {
        let rule = &located.value;
        if let Some(first) = seen.get(rule.name.as_str()) {
            let at = first.source.place(&first.span);
            let message = format!("two rules are named `{}`", rule.name);
            located.error(problems, "name", message, format!("first at {at}"));
        }
        seen.entry(&rule.name)
            .or_insert_with(|| located.node.place("name"));
        specs.extend(resolve_one(located, &names, &listeners, problems));
    }
    specs
}

/// A rule by itself, and against the listeners that it watches: one that is not there could not be
/// read, and was told.
pub(super) fn resolve_one(
    located: &Located<'_, RuleConfig>,
    names: &Names<'_>,
    listeners: &[Option<&ListenerSpec>],
    problems: &mut Problems,
) -> Option<RuleSpec> {
    let watched = watched(located, names, listeners, problems);
    match located.value.resolve() {
        Ok(spec) => {
            if let Some(watched) = watched {
                check_places(located, &spec, &watched, problems);
                check_select(located, &spec, &watched, problems);
            }
            Some(spec)
        }
        Err(complaints) => {
            for it in complaints {
                located.error(problems, &it.field, it.message, it.help);
            }
            None
        }
    }
}

/// The rules as the data plane asks them.
pub(super) fn compile(
    specs: Vec<RuleSpec>,
    listeners: &[ListenerSpec],
    safety: &Safety,
) -> RuleSet {
    let names: Vec<Arc<str>> = listeners.iter().map(|it| Arc::clone(&it.name)).collect();
    RuleSet::compile(
        specs,
        &Setting {
            listeners: &names,
            never: &safety.never,
            dry_run: safety.dry_run,
            at: Duration::ZERO,
            previous: None,
        },
    )
}

/// The listeners that a rule watches, as far as they are right; `None` where a name is unknown.
fn watched<'l>(
    located: &Located<'_, RuleConfig>,
    names: &Names<'_>,
    listeners: &[Option<&'l ListenerSpec>],
    problems: &mut Problems,
) -> Option<Vec<&'l ListenerSpec>> {
    let Some(named) = &located.value.listener else {
        return Some(listeners.iter().flatten().copied().collect());
    };
    let mut watched = Vec::new();
    let mut all_known = true;
    for (index, name) in named.as_slice().iter().enumerate() {
        // A single name stands where a list would.
        let element = format!("listener[{index}]");
        match names.index(located, &element, name, problems) {
            Some(found) => watched.extend(listeners.get(found).copied().flatten()),
            None => all_known = false,
        }
    }
    all_known.then_some(watched)
}

/// Refuses faults at positions that no listener of the rule has, or that one it names lacks.
fn check_places(
    located: &Located<'_, RuleConfig>,
    spec: &RuleSpec,
    watched: &[&ListenerSpec],
    problems: &mut Problems,
) {
    let named = located.value.listener.is_some();
    if located.value.trigger.is_some()
        && let Some(tcp) = watched
            .iter()
            .find(|it| matches!(it.protocol, ProtocolSpec::Tcp))
        && (named || watched.len() == 1)
    {
        let name = &tcp.name;
        let message = format!("listener `{name}` carries bytes, which have no headers");
        let help = "a caller can ask on listeners of HTTP only".to_owned();
        located.error(problems, "trigger", message, help);
    }
    let is_tcp = |it: &&&ListenerSpec| matches!(it.protocol, ProtocolSpec::Tcp);
    let Some(tcp) = watched.iter().find(is_tcp) else {
        return;
    };
    if !named && !watched.iter().all(|it| is_tcp(&it)) {
        return;
    }
    for (index, fault) in spec.faults.iter().enumerate() {
        let Some(missing) = missing_on_tcp(fault.name, fault.fault.place().0) else {
            continue;
        };
        let path = format!("faults[{index}].{}.at", fault.name);
        let message = format!(
            "listener `{}` carries bytes, which have no {missing}",
            tcp.name
        );
        let help = "on tcp a fault acts at \"connect\", \"before-upstream\", { byte = N } or \"end\"; `disconnect` and `stall` take the place of errors";
        located.error(problems, &path, message, help.to_owned());
    }
}

/// What a fault needs that a connection of bytes does not have.
fn missing_on_tcp(kind: &str, at: Phase) -> Option<&'static str> {
    match at {
        _ if kind == "abort" => Some("error to answer with"),
        Phase::FirstToken | Phase::BetweenTokens | Phase::Token(_) => Some("tokens"),
        at if at.needs_units() => Some("units"),
        Phase::AfterUpstream => Some("answer that ends"),
        _ => None,
    }
}

/// Warns of a rule that would never select: it asks bytes for what they do not tell, or for an
/// operation that no protocol of its listeners has.
fn check_select(
    located: &Located<'_, RuleConfig>,
    spec: &RuleSpec,
    watched: &[&ListenerSpec],
    problems: &mut Problems,
) {
    let never = format!("rule `{}` never selects a call", spec.name);
    let protocols: BTreeSet<&str> = watched.iter().copied().flat_map(protocols_of).collect();
    let of_connections = Select {
        peer: spec.select.peer.clone(),
        protocol: spec.select.protocol.clone(),
        ..Select::default()
    };
    if protocols.iter().eq(["tcp"].iter()) && *spec.select != of_connections {
        let place = Some(located.node.place("select"));
        let help = "on tcp `select` knows `peer` and `protocol`".to_owned();
        problems.warning(place, format!("{never}: bytes tell of none of this"), help);
        return;
    }
    let Some(TextMatcher(wanted)) = &spec.select.operation else {
        return;
    };
    let infos: Vec<_> = protocols.iter().filter_map(|it| by_name(it)).collect();
    let mut operations = infos.iter().flat_map(|it| it.operations);
    let exists = |it: &str| wanted.holds(&[Subject::Text(it.as_bytes())]);
    if !infos.is_empty() && !operations.any(|it| exists(it)) {
        let names: Vec<&str> = protocols.into_iter().collect();
        let names = names.join(", ");
        let place = Some(located.node.place("select.operation"));
        let help = "`hormesis protocols NAME` lists its operations".to_owned();
        problems.warning(
            place,
            format!("{never}: {names} has no such operation"),
            help,
        );
    }
}

/// The names of the protocols that calls of a listener may have.
fn protocols_of(listener: &ListenerSpec) -> impl Iterator<Item = &'static str> {
    let of_routes = listener.routes.iter().filter_map(|it| it.protocol);
    std::iter::once(listener.protocol)
        .chain(of_routes)
        .map(ProtocolSpec::name)
}
