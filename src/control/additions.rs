//! Generations: what the files say and what the admin API has added beside them, put together. One
//! lock orders all changes, so that none is lost: a reload keeps what was added, and what is added
//! keeps what was reloaded.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::control::{Handle, lock};
use crate::proxy::{ChangeError, Changed};
use crate::rule::{RuleSet, RuleSpec, Setting};
use crate::snapshot::{ListenerSpec, Snapshot};
use crate::upstream::UpstreamSpec;

/// What the admin API has added: part of every generation until it is taken away.
#[derive(Clone, Debug, Default)]
pub(super) struct Additions {
    /// By the time of their arming; they act after those of the files.
    pub(super) rules: Vec<RuleSpec>,
    /// One that changes is replaced by a new `Arc`: so it shows that the sockets may have changed.
    pub(super) listeners: Vec<Arc<AddedListener>>,
}

/// A listener of the API, with the upstream that is its own.
#[derive(Clone, Debug)]
pub(super) struct AddedListener {
    /// Its `upstream` is set when a generation is made.
    pub(super) listener: ListenerSpec,
    pub(super) upstream: UpstreamSpec,
}

/// What the generation in force is made of.
#[derive(Debug)]
pub(super) struct Parts {
    /// Without additions.
    files: Arc<Snapshot>,
    added: Additions,
}

impl Parts {
    pub(super) fn of_files(files: Arc<Snapshot>) -> Self {
        Self {
            files,
            added: Additions::default(),
        }
    }

    /// Whether the configuration has a rule of that name.
    pub(super) fn is_of_file(&self, rule: &str) -> bool {
        let specs = self.files.rules.specs();
        specs.iter().any(|it| *it.name == *rule)
    }

    /// The listeners of the configuration: those that rules may watch.
    pub(super) fn listeners(&self) -> &[ListenerSpec] {
        &self.files.listeners
    }

    pub(super) const fn added(&self) -> &Additions {
        &self.added
    }
}

impl Additions {
    /// Takes out what the files have under the same name; tells of each.
    fn give_way(&mut self, files: &Snapshot) -> Vec<String> {
        let rules: BTreeSet<&str> = files.rules.specs().iter().map(|it| &*it.name).collect();
        let listeners: BTreeSet<&str> = files.listeners.iter().map(|it| &*it.name).collect();
        let mut told = Vec::new();
        self.rules.retain(|it| {
            let gone = rules.contains(&*it.name);
            if gone {
                let name = &it.name;
                told.push(format!(
                    "the configuration has a rule `{name}` now: the one of the admin API is gone"
                ));
            }
            !gone
        });
        self.listeners.retain(|it| {
            let name = &it.listener.name;
            let gone = listeners.contains(&**name);
            if gone {
                told.push(format!(
                    "the configuration has a listener `{name}` now: the one of the API is gone"
                ));
            }
            !gone
        });
        told
    }

    /// Names of listeners that rules watch and that are not there: they come back, or the rules end.
    fn unwatched(&self, snapshot: &Snapshot) -> Vec<String> {
        let there = |name: &String| snapshot.listeners.iter().any(|it| *it.name == **name);
        let mut told = Vec::new();
        for rule in &self.rules {
            for name in rule.listeners.iter().flatten().filter(|it| !there(it)) {
                told.push(format!(
                    "rule `{}` of the admin API watches listener `{name}`, which is gone",
                    rule.name
                ));
            }
        }
        told
    }

    fn same_listeners(&self, other: &Self) -> bool {
        let pairs = self.listeners.iter().zip(&other.listeners);
        self.listeners.len() == other.listeners.len()
            && pairs.into_iter().all(|(one, two)| Arc::ptr_eq(one, two))
    }
}

/// Puts a generation together, which follows on `previous`.
fn compose(files: &Snapshot, added: &Additions, previous: &Snapshot, at: Duration) -> Snapshot {
    let mut listeners = files.listeners.clone();
    let mut upstreams = files.upstreams.clone();
    for it in &added.listeners {
        listeners.push(ListenerSpec {
            upstream: upstreams.len(),
            ..it.listener.clone()
        });
        upstreams.push(it.upstream.clone());
    }
    // What was added has toxics: no rule watches it.
    let watched = files.listeners.iter();
    let names: Vec<Arc<str>> = watched.map(|it| Arc::clone(&it.name)).collect();
    let specs = files.rules.specs().iter().chain(&added.rules);
    let rules = RuleSet::compile(
        specs.cloned().collect(),
        &Setting {
            listeners: &names,
            never: &files.safety.never,
            dry_run: files.safety.dry_run,
            at,
            previous: Some(&previous.rules),
        },
    );
    let mut snapshot = Snapshot {
        generation: previous.generation + 1,
        seed: files.seed,
        listeners,
        upstreams,
        rules: Arc::new(rules),
        safety: files.safety.clone(),
        limits: files.limits.clone(),
        watched: files.watched.clone(),
    };
    snapshot.adopt(previous);
    snapshot
}

impl Handle {
    /// Changes what the API has added, and puts the generation that comes of it in force; changes
    /// nothing where `change` refuses. The door for everything that is added: no two changes
    /// happen at once.
    pub(super) fn amend<T, E: From<ChangeError>>(
        &self,
        change: impl FnOnce(&mut Additions, &Parts) -> Result<T, E>,
    ) -> Result<T, E> {
        self.amend_parts(&mut lock(&self.0.parts), change)
    }

    /// The same for who holds the lock already.
    pub(super) fn amend_parts<T, E: From<ChangeError>>(
        &self,
        parts: &mut Parts,
        change: impl FnOnce(&mut Additions, &Parts) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut added = parts.added.clone();
        let result = change(&mut added, parts)?;
        let sockets = !added.same_listeners(&parts.added);
        let files = Arc::clone(&parts.files);
        self.put_in_force(parts, files, added, sockets)?;
        Ok(result)
    }

    /// Puts what the files say now in force, with all that was added. Gives what is worth saying.
    pub(super) fn replace_files(
        &self,
        mut files: Snapshot,
        seed_drawn: bool,
    ) -> Result<(Arc<Snapshot>, Changed, Vec<String>), ChangeError> {
        let mut parts = lock(&self.0.parts);
        if seed_drawn {
            // The draws go on: a reload that says nothing of the seed does not change it.
            files.seed = parts.files.seed;
        }
        let mut added = parts.added.clone();
        let mut told = added.give_way(&files);
        let changed = self.put_in_force(&mut parts, Arc::new(files), added, true)?;
        let snapshot = self.0.live.current();
        told.extend(parts.added.unwatched(&snapshot));
        Ok((snapshot, changed, told))
    }

    fn put_in_force(
        &self,
        parts: &mut Parts,
        files: Arc<Snapshot>,
        added: Additions,
        sockets: bool,
    ) -> Result<Changed, ChangeError> {
        let previous = self.0.live.current();
        let at = self.0.live.elapsed();
        let snapshot = Arc::new(compose(&files, &added, &previous, at));
        let changed = if let Some(listening) = self.0.listening.get().filter(|_| sockets) {
            listening.change(&snapshot, |changed| {
                self.bound(&changed.addresses);
                self.swap(&snapshot);
            })?
        } else {
            self.swap(&snapshot);
            Changed::default()
        };
        *parts = Parts { files, added };
        Ok(changed)
    }
}
