//! Reading the configuration again: all or nothing, and no call is lost.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use crate::config::{self, Problem, Problems, Resolved, Severity};
use crate::control::status::ReloadFigures;
use crate::control::{Handle, lock};
use crate::proxy::{BindError, ChangeError, Listening};
use crate::record::rfc3339;
use crate::snapshot::{Settings, Snapshot};

/// Where the configuration comes from.
pub enum Source {
    /// It can be read again.
    Again(Box<ReadAgain>),
    /// It cannot, for this reason.
    Once(&'static str),
}

/// Reads and resolves the whole configuration.
pub type ReadAgain = dyn FnMut() -> Result<Resolved, Problems> + Send;

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Again(_) => "Again",
            Self::Once(_) => "Once",
        })
    }
}

/// What a reload works with.
#[derive(Debug)]
pub struct Reload {
    pub source: Source,
    pub listening: Listening,
    /// As at start: what was read once.
    pub settings: Settings,
    /// The upstreams whose energy is told, by the index of the settings; empty where nothing is
    /// metered.
    pub metered: Vec<Arc<str>>,
}

/// A configuration that is in force now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    pub generation: u64,
    /// Listeners whose sockets are new.
    pub opened: Vec<Arc<str>>,
    /// Listeners whose sockets are closed.
    pub closed: Vec<Arc<str>>,
    /// What is worth saying although it kept nothing from taking effect.
    pub warnings: Vec<String>,
}

/// Why a configuration did not take effect; the one before stays in force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error("{0}")]
    Config(#[from] Problems),
    #[error("{}{}", .0, bind_help(.0))]
    Bind(#[source] BindError),
    #[error("the sidecar is draining")]
    Draining,
    #[error("{0}")]
    Once(&'static str),
    #[error("the sockets could not be changed: {0}")]
    Sockets(#[source] std::io::Error),
}

fn bind_help(error: &BindError) -> String {
    let help = error.help().map_or(String::new(), |it| format!("; {it}"));
    format!("; configured at {}{help}", error.place)
}

impl From<ChangeError> for ReloadError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Bind(error) => Self::Bind(error),
            ChangeError::Draining => Self::Draining,
            ChangeError::Share(error) => Self::Sockets(error),
        }
    }
}

/// The reloads of a process.
#[derive(Debug, Default)]
pub(super) struct History(ReloadFigures);

impl Handle {
    /// What reloads work with; the first call holds.
    pub fn set_reload(&self, reload: Reload) {
        if self.0.listening.set(reload.listening.clone()).is_err() {
            tracing::warn!("the sockets were already set");
        }
        if self.0.reload.set(Mutex::new(reload)).is_err() {
            tracing::warn!("what reloads work with was already set");
        }
    }

    /// Reads the configuration again and puts it in force, or changes nothing. May be called on any
    /// thread but the workers'; it returns when the new generation decides. Calls under way keep
    /// the generation that they began with, but what rules that are gone or changed do to them ends.
    ///
    /// # Errors
    /// Where the configuration has a mistake, a socket cannot be bound, or the configuration cannot
    /// be read a second time. Every problem is told in the log, too.
    pub fn reload(&self) -> Result<Reloaded, ReloadError> {
        let Some(reload) = self.0.reload.get() else {
            return Err(ReloadError::Once("this sidecar has no configuration file"));
        };
        // One at a time: each builds on the one before.
        let result = self.reload_with(&mut lock(reload));
        let mut state = self.state();
        let figures = &mut state.reloads.0;
        figures.last = Some(rfc3339(SystemTime::now()));
        match &result {
            Ok(_) => {
                figures.ok += 1;
                figures.last_error = None;
            }
            Err(error) => {
                figures.failed += 1;
                figures.last_error = Some(error.to_string());
            }
        }
        drop(state);
        tell(&result);
        result
    }

    /// What the configuration in force was read from.
    pub fn set_sources(&self, sources: Vec<Arc<config::Source>>) {
        self.state().sources = sources;
    }

    /// The configuration in force as it was written, its secrets masked; and its generation.
    pub fn shown_config(&self) -> (serde_json::Value, u64) {
        let sources = self.state().sources.clone();
        let generation = self.0.live.snapshot().generation;
        (config::masked(&sources), generation)
    }

    /// How often the configuration was read again.
    pub fn reloads(&self) -> ReloadFigures {
        self.state().reloads.0.clone()
    }

    fn reload_with(&self, reload: &mut Reload) -> Result<Reloaded, ReloadError> {
        let read = match &mut reload.source {
            Source::Again(read) => read,
            Source::Once(why) => return Err(ReloadError::Once(why)),
        };
        // Other changes go on while files are read: a disk may be slow.
        let resolved = read()?;
        let (snapshot, changed, told) =
            self.replace_files(resolved.snapshot, resolved.seed_drawn)?;
        // Of another listener they are not this one's: they come with it.
        if reload.settings.admin.bind == resolved.settings.admin.bind {
            self.set_admin_access(Arc::clone(&resolved.settings.admin.access));
        }
        self.set_sources(resolved.sources);
        let mut warnings: Vec<String> = resolved.warnings.iter().map(Problem::line).collect();
        warnings.extend(told);
        warnings.extend(at_next_start(reload, &resolved.settings, &snapshot));
        Ok(Reloaded {
            generation: snapshot.generation,
            opened: changed.opened,
            closed: changed.closed,
            warnings,
        })
    }

    /// These listeners are bound, and no others.
    pub(super) fn bound(&self, addresses: &[(Arc<str>, String)]) {
        let addresses = addresses.iter();
        let bound = addresses.map(|(name, address)| (name.to_string(), address.clone()));
        self.state().bound = bound.collect();
    }
}

/// What is read once, at start, and is another now.
fn at_next_start(reload: &Reload, settings: &Settings, snapshot: &Snapshot) -> Vec<String> {
    let (before, now) = (&reload.settings, settings);
    let mut energy = before.energy.clone();
    // Upstreams are told apart by their names, below.
    energy.upstreams.clone_from(&now.energy.upstreams);
    let differ = [
        ("admin.bind", before.admin.bind != now.admin.bind),
        ("admin.audit", before.admin.audit != now.admin.audit),
        ("energy", energy != now.energy),
        ("health", before.health != now.health),
        ("log", before.log != now.log),
        ("state_dir", before.state_dir != now.state_dir),
        ("toxiproxy", before.toxiproxy != now.toxiproxy),
        ("traces", before.traces != now.traces),
        ("workers", before.workers != now.workers),
    ];
    let mut warnings: Vec<String> = differ
        .iter()
        .filter(|(_, differs)| *differs)
        .map(|(key, _)| format!("`{key}` has changed: that takes effect at the next start"))
        .collect();
    if reload.metered.is_empty() {
        return warnings;
    }
    let source =
        |of: &Settings, at: usize| of.energy.upstreams.get(at).cloned().unwrap_or_default();
    // Those of the files: what the API has added comes behind them, and is not metered.
    let configured = snapshot.upstreams.iter().take(now.energy.upstreams.len());
    for (index, upstream) in configured.enumerate() {
        let name = &upstream.name;
        match reload.metered.iter().position(|it| it == name) {
            None => warnings.push(format!(
                "upstream `{name}` is new: its energy is told from the next start on"
            )),
            Some(known) if source(before, known) != source(now, index) => warnings.push(format!(
                "`energy` of upstream `{name}` has changed: that takes effect at the next start"
            )),
            Some(_) => {}
        }
    }
    warnings
}

fn tell(result: &Result<Reloaded, ReloadError>) {
    match result {
        Ok(reloaded) => {
            for warning in &reloaded.warnings {
                tracing::warn!("{warning}");
            }
            tracing::info!(
                generation = reloaded.generation,
                opened = ?reloaded.opened,
                closed = ?reloaded.closed,
                "the configuration was read again and is in force"
            );
        }
        Err(ReloadError::Config(problems)) => {
            for problem in problems {
                match problem.severity {
                    Severity::Error => tracing::error!("{}", problem.line()),
                    Severity::Warning => tracing::warn!("{}", problem.line()),
                }
            }
            tracing::error!(
                "the configuration was read again and has mistakes: the one before stays in force"
            );
        }
        Err(error) => tracing::error!("not reloaded, all stays as it was: {error}"),
    }
}
