//! From a document to what the sidecar runs on: names become indices, texts become addresses, and
//! what only shows when sections are seen together is checked.

mod admin;
mod binds;
mod conditions;
mod listeners;
mod live_rule;
mod names;
mod rules;
mod settings;
mod tls;
mod traces;
mod upstreams;

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;

use self::binds::Binds;
use self::tls::Files;
use super::document::Document;
use super::{Inputs, Problem, Problems, Source};
use crate::snapshot::{ListenerSpec, Settings, Snapshot};
use crate::units::Seed;

pub use live_rule::{LiveRule, read_rule};

/// A configuration without a mistake.
#[derive(Debug)]
pub struct Resolved {
    pub snapshot: Snapshot,
    pub settings: Settings,
    /// What is worth saying although it keeps nothing from running.
    pub warnings: Vec<Problem>,
    /// The configuration has no seed: this one was drawn, and should be told.
    pub seed_drawn: bool,
    /// What it was read from.
    pub sources: Vec<Arc<Source>>,
}

/// Reads sources as one configuration.
pub fn resolve(sources: &[Arc<Source>], inputs: &Inputs<'_>) -> Result<Resolved, Problems> {
    let mut problems = Problems::default();
    let mut document = Document::default();
    for source in sources {
        document.add(source, inputs.environment, &mut problems);
    }
    let resolved = compile(&document, inputs, &mut problems);
    problems.sort(sources);
    if problems.has_errors() {
        return Err(problems);
    }
    // Whatever cannot be compiled has pushed an error.
    let (snapshot, settings) = resolved.ok_or_else(Problems::default)?;
    Ok(Resolved {
        snapshot,
        settings,
        warnings: problems.into_vec(),
        sources: sources.to_vec(),
        seed_drawn: document.seed.is_none() && inputs.seed.is_none(),
    })
}

fn compile(
    document: &Document<'_>,
    inputs: &Inputs<'_>,
    problems: &mut Problems,
) -> Option<(Snapshot, Settings)> {
    let mut binds = Binds::default();
    let mut files = Files::default();
    let upstreams = upstreams::resolve(document, &mut files, problems);
    let listeners = listeners::resolve(document, &upstreams, &mut binds, &mut files, problems);
    let safety = settings::safety(document, inputs, problems);
    let limits = settings::limits(document, problems);
    let specs = rules::resolve(document, &listeners, problems);
    let settings = settings::resolve(document, &upstreams, &mut binds, &mut files, problems);
    let idle = document.listeners.is_empty() && document.toxiproxy.is_none();
    if idle && !document.partial && !problems.has_errors() {
        problems.push(Problem {
            severity: super::Severity::Error,
            message: "there is no listener, so there is nothing to do".into(),
            help: Some(
                "add `[upstreams.NAME]` and `[listeners.NAME]`; `hormesis init` writes an example"
                    .into(),
            ),
            place: None,
        });
    }
    let listeners: Vec<ListenerSpec> = listeners.into_iter().collect::<Option<_>>()?;
    let seed = inputs.seed.or(document.seed.as_ref().map(|it| it.value));
    let snapshot = Snapshot {
        generation: 1,
        seed: seed.unwrap_or_else(draw_seed),
        rules: Arc::new(rules::compile(specs, &listeners, &safety)),
        listeners,
        upstreams: upstreams
            .into_iter()
            .map(|it| it.spec)
            .collect::<Option<_>>()?,
        safety,
        limits,
        watched: watched_files(files, document),
    };
    Some((snapshot, settings?))
}

/// The files that the configuration names: certificates, keys and secrets.
fn watched_files(files: Files, document: &Document<'_>) -> Vec<PathBuf> {
    let triggers = document
        .rules
        .iter()
        .filter_map(|it| it.value.trigger.as_ref());
    let mut watched = files.into_watched();
    watched.extend(triggers.map(|it| it.caller.secret_file.clone()));
    watched
}

/// A seed from the operating system's randomness, by way of the standard library's hasher keys.
/// Kept below 2^53, so that tools which read JSON numbers as floats repeat it exactly.
fn draw_seed() -> Seed {
    Seed(RandomState::new().hash_one("seed") >> 11)
}
