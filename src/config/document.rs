//! All files of a configuration as one document: sections that stand once, tables by name, rules
//! in order.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::expand::expand;
use super::hint::{humanise, unknown_name};
use super::tree::{Located, Node};
use super::{
    AdminConfig, EnergyConfig, Environment, HealthConfig, ListenerConfig, LogConfig,
    PeerLimitsConfig, Place, Problems, RuleConfig, SafetyConfig, Source, ToxiproxyConfig,
    TracesConfig, UpstreamConfig,
};
use crate::units::Seed;

/// The keys of a document's root.
pub(super) const SECTIONS: [&str; 14] = [
    "admin",
    "energy",
    "health",
    "limits",
    "listeners",
    "log",
    "rules",
    "safety",
    "seed",
    "state_dir",
    "toxiproxy",
    "traces",
    "upstreams",
    "workers",
];

/// Everything that could be read of all files.
#[derive(Debug, Default)]
pub(super) struct Document<'i> {
    pub(super) seed: Option<Located<'i, Seed>>,
    pub(super) state_dir: Option<Located<'i, PathBuf>>,
    pub(super) workers: Option<Located<'i, usize>>,
    pub(super) admin: Option<Located<'i, AdminConfig>>,
    pub(super) health: Option<Located<'i, HealthConfig>>,
    pub(super) safety: Option<Located<'i, SafetyConfig>>,
    pub(super) limits: Option<Located<'i, PeerLimitsConfig>>,
    pub(super) log: Option<Located<'i, LogConfig>>,
    pub(super) traces: Option<Located<'i, TracesConfig>>,
    pub(super) energy: Option<Located<'i, EnergyConfig>>,
    pub(super) toxiproxy: Option<Located<'i, ToxiproxyConfig>>,
    pub(super) upstreams: Tables<'i, UpstreamConfig>,
    pub(super) listeners: Tables<'i, ListenerConfig>,
    pub(super) rules: Vec<Located<'i, RuleConfig>>,
    /// A file could not be read as TOML: what is not here may stand there.
    pub(super) partial: bool,
    seen: Vec<(String, Place)>,
}

/// The tables of a section by name.
pub(super) type Tables<'i, T> = BTreeMap<String, Named<'i, T>>;

/// A table under a name that others refer to. The name is known even where the table is wrong.
#[derive(Debug)]
pub(super) struct Named<'i, T> {
    pub(super) place: Place,
    pub(super) table: Option<Located<'i, T>>,
}

impl<'i> Document<'i> {
    /// Adds a file. Whatever is wrong with it is told, and the rest is read.
    pub(super) fn add(
        &mut self,
        source: &'i Arc<Source>,
        environment: Environment<'_>,
        problems: &mut Problems,
    ) {
        let (root, errors) = DeTable::parse_recoverable(&source.text);
        for error in &errors {
            let hint = humanise(error.message());
            let span = error.span().unwrap_or(0..0);
            problems.error(source, span, hint.message, hint.help);
        }
        // After a doubled key the rest stands as it was meant; after any other slip of syntax the
        // parser's guess would bring problems that are none.
        if errors.iter().any(|it| it.message() != "duplicate key") {
            self.partial = true;
            return;
        }
        for (key, mut value) in root.into_inner() {
            expand(&mut value, source, environment, problems);
            let node = Node {
                source,
                key: key.span(),
                value,
            };
            self.section(key.get_ref(), node, problems);
        }
    }

    fn section(&mut self, name: &str, node: Node<'i>, problems: &mut Problems) {
        match name {
            "upstreams" => return named(&mut self.upstreams, name, node, problems),
            "listeners" => return named(&mut self.listeners, name, node, problems),
            "rules" => return self.rules(node, problems),
            _ => {}
        }
        if let Some((_, first)) = self.seen.iter().find(|(seen, _)| seen == name) {
            let at = first.source.place(&first.span);
            let message = format!("`{name}` is set in two files");
            problems.error(node.source, node.key, message, format!("first at {at}"));
            return;
        }
        self.seen.push((name.to_owned(), node.place("")));
        match name {
            "seed" => self.seed = node.read(problems),
            "state_dir" => self.state_dir = node.read(problems),
            "workers" => self.workers = node.read(problems),
            "admin" => self.admin = node.read(problems),
            "health" => self.health = node.read(problems),
            "safety" => self.safety = node.read(problems),
            "limits" => self.limits = node.read(problems),
            "log" => self.log = node.read(problems),
            "traces" => self.traces = node.read(problems),
            "energy" => self.energy = node.read(problems),
            "toxiproxy" => self.toxiproxy = node.read(problems),
            _ => {
                let hint = unknown_name("section", name, &SECTIONS);
                problems.error(node.source, node.key, hint.message, hint.help);
            }
        }
    }

    fn rules(&mut self, node: Node<'i>, problems: &mut Problems) {
        let DeValue::Array(items) = node.value.into_inner() else {
            let help = "write `[[rules]]` with two brackets: each is one of a list".to_owned();
            problems.error(node.source, node.key, "`rules` is a list", help);
            return;
        };
        for item in items {
            if problems.is_full() {
                return;
            }
            let rule = Node {
                source: node.source,
                key: item.span(),
                value: item,
            };
            self.rules.extend(rule.read(problems));
        }
    }
}

/// Reads the tables of a section whose keys are names.
fn named<'i, T: DeserializeOwned>(
    tables: &mut Tables<'i, T>,
    section: &str,
    node: Node<'i>,
    problems: &mut Problems,
) {
    let DeValue::Table(table) = node.value.into_inner() else {
        let message = format!("`{section}` holds tables by name");
        problems.error(
            node.source,
            node.key,
            message,
            format!("write `[{section}.NAME]`"),
        );
        return;
    };
    for (key, value) in table {
        let entry = Node {
            source: node.source,
            key: key.span(),
            value,
        };
        if problems.is_full() {
            return;
        }
        add_named(tables, section, &key, entry, problems);
    }
}

fn add_named<'i, T: DeserializeOwned>(
    tables: &mut Tables<'i, T>,
    section: &str,
    key: &Spanned<Cow<'i, str>>,
    entry: Node<'i>,
    problems: &mut Problems,
) {
    let name = key.get_ref().to_string();
    let what = section.trim_end_matches('s');
    if let Err(help) = check_name(&name) {
        problems.error(
            entry.source,
            key.span(),
            format!("{name:?} cannot name a {what}"),
            help,
        );
    }
    let place = Place {
        source: Arc::clone(entry.source),
        span: key.span(),
    };
    if let Some(first) = tables.get(&name) {
        let at = first.place.source.place(&first.place.span);
        let message = format!("a {what} named `{name}` is in two files");
        problems.error(entry.source, key.span(), message, format!("first at {at}"));
        return;
    }
    let table = entry.read(problems);
    tables.insert(name, Named { place, table });
}

/// Names become labels of metrics, parts of paths and keys of draws.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let valid = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !name.is_empty() && name.len() <= 64 && name.chars().all(valid) {
        Ok(())
    } else {
        Err("use 1 to 64 letters, digits, `-`, `_` and `.`".into())
    }
}
