//! One rule that the admin API was given, read and checked as one of a file is.

use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::names::Names;
use super::rules::resolve_one;
use crate::config::json::parse;
use crate::config::masked::{MASK, masks};
use crate::config::tree::{Located, Node};
use crate::config::{Problem, Problems, RuleConfig, Source};
use crate::rule::{RuleSource, RuleSpec};
use crate::snapshot::{ListenerSpec, Safety};

/// How long a rule lives that says nothing of it.
const TTL: Duration = Duration::from_secs(600);

/// A rule without a mistake.
#[derive(Debug)]
pub struct LiveRule {
    /// It has an end.
    pub spec: RuleSpec,
    /// What is worth saying although it keeps nothing from acting.
    pub warnings: Vec<Problem>,
}

/// Reads a rule: JSON with the keys that it has in a file, and `lease`.
///
/// # Errors
/// All that is wrong with it, each with its place in the text.
pub fn read_rule(
    name: &str,
    text: &str,
    listeners: &[ListenerSpec],
    safety: &Safety,
) -> Result<LiveRule, Problems> {
    let source = Arc::new(Source::new("body", text));
    let mut problems = Problems::default();
    let spec = resolve(name, &source, listeners, safety, &mut problems);
    problems.sort(&[]);
    match spec {
        Some(spec) if !problems.has_errors() => Ok(LiveRule {
            spec,
            warnings: problems.into_vec(),
        }),
        _ => Err(problems),
    }
}

fn resolve(
    name: &str,
    source: &Arc<Source>,
    listeners: &[ListenerSpec],
    safety: &Safety,
    problems: &mut Problems,
) -> Option<RuleSpec> {
    let mut value = match parse(&source.text) {
        Ok(value) => value,
        Err(error) => {
            let help = "send the rule as JSON, with the keys that it has in a file".to_owned();
            problems.error(source, error.span, error.message, help);
            return None;
        }
    };
    let DeValue::Table(table) = value.get_mut() else {
        return None;
    };
    let lease = take_lease(table, source, problems);
    name_it(name, table, source, problems);
    let node = Node {
        source,
        key: value.span(),
        value,
    };
    let located = node.read::<RuleConfig>(problems)?;
    if located.value.trigger.is_some() {
        // It names a file of this machine.
        let message = "a rule of the admin API has no `trigger`";
        let help = "write such a rule into a configuration file".to_owned();
        located.error(problems, "trigger", message, help);
        return None;
    }
    let names = Names::new("listener", listeners.iter().map(|it| &*it.name), false);
    let listeners: Vec<_> = listeners.iter().map(Some).collect();
    refuse_masks(&located, problems);
    let ttl = ttl(&located, safety, problems);
    let mut spec = resolve_one(&located, &names, &listeners, problems)?;
    spec.ttl = Some(ttl);
    spec.source = RuleSource::Api { lease };
    Some(spec)
}

/// What the rule hangs on, which no rule of a file does.
fn take_lease(
    table: &mut DeTable<'_>,
    source: &Arc<Source>,
    problems: &mut Problems,
) -> Option<Arc<str>> {
    let lease = table.remove("lease")?;
    let found = lease.get_ref().as_str().map(Arc::from);
    if found.is_none() {
        let help = "the id of one: `PUT /leases/ID` makes it".to_owned();
        problems.error(source, lease.span(), "a lease's id is a text", help);
    }
    found
}

/// The path has named it already.
fn name_it(name: &str, table: &mut DeTable<'_>, source: &Arc<Source>, problems: &mut Problems) {
    match table.get("name") {
        None => {
            let nowhere = 0..0;
            let value = DeValue::String(name.to_owned().into());
            table.insert(
                Spanned::new(nowhere.clone(), "name".into()),
                Spanned::new(nowhere, value),
            );
        }
        Some(given) => {
            if let Some(other) = given.get_ref().as_str()
                && other != name
            {
                let message = format!("the path names the rule `{name}`, and the body `{other}`");
                let help = "leave `name` out of the body".to_owned();
                problems.error(source, given.span(), message, help);
            }
        }
    }
}

/// What was read from here may have its secrets masked: written back, it would select nothing.
fn refuse_masks(located: &Located<'_, RuleConfig>, problems: &mut Problems) {
    let mut value = serde_json::to_value(&located.value).unwrap_or_default();
    for path in masks(&mut value) {
        let help = "this is how a secret is shown: write the secret itself".to_owned();
        located.error(problems, &path, format!("`{MASK}` is a mask"), help);
    }
}

fn ttl(located: &Located<'_, RuleConfig>, safety: &Safety, problems: &mut Problems) -> Duration {
    let most = safety.max_ttl;
    let Some(ttl) = located.value.ttl else {
        return TTL.min(most);
    };
    if ttl.get() > most {
        let most = humantime::format_duration(most);
        let message = format!("a rule of the admin API lives {most} at most");
        let help = "put it again before it ends, or raise `[safety] max_ttl`".to_owned();
        located.error(problems, "ttl", message, help);
    }
    ttl.get()
}
