//! Rules while they run: put, armed, disarmed and taken away by the admin API, ended by their time.

use std::collections::BTreeSet;
use std::sync::{Arc, TryLockError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::config::{LiveRule, Problem, Problems, mask, read_rule};
use crate::control::additions::Parts;
use crate::control::leases::NoSuchLease;
use crate::control::{Handle, State, lock};
use crate::proxy::ChangeError;
use crate::record::RuleFigures;
use crate::rule::{RuleCell, RuleSource, RuleSpec};
use crate::snapshot::Snapshot;

/// More rules than this are a loop that does not stop.
const MOST_RULES: usize = 4096;
/// When what is over is looked at again, where another change was under way.
const SOON: Duration = Duration::from_millis(20);
/// When it is looked at again where nothing is to end.
const FAR: Duration = Duration::from_secs(3600);

/// There is no rule of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no rule {0:?}")]
pub struct NoSuchRule(pub String);

/// Why a rule could not be changed; it is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    #[error(transparent)]
    NoSuchRule(#[from] NoSuchRule),
    #[error("rule {0:?} stands in the configuration")]
    OfFile(String),
    #[error(transparent)]
    NoSuchLease(#[from] NoSuchLease),
    #[error("{0}")]
    Config(Problems),
    #[error("there are {0} rules of the admin API already")]
    TooMany(usize),
    #[error("a rule that is armed for no time does nothing")]
    NoTime,
    #[error("{} is longer than {}, which `[safety] max_ttl` allows", humantime::format_duration(*.ttl), humantime::format_duration(*.most))]
    TooLong { ttl: Duration, most: Duration },
    #[error("{0}")]
    Change(#[from] ChangeError),
}

/// A rule as it is now.
#[derive(Clone, Debug)]
pub struct RuleView {
    pub source: RuleSource,
    /// Those that it watches; absent: all.
    pub listeners: Option<Vec<String>>,
    pub dry_run: bool,
    /// Until it ends by itself.
    pub expires_in: Option<Duration>,
    /// The kinds of its faults, in order.
    pub faults: Vec<&'static str>,
    /// Its name and whether it is armed, too.
    pub figures: RuleFigures,
    /// What was configured, as JSON, its secrets masked.
    pub config: serde_json::Value,
    /// Another after each change but those of figures and time.
    pub etag: String,
}

impl RuleView {
    /// When it ends by itself.
    pub fn expires_at(&self) -> Option<SystemTime> {
        SystemTime::now().checked_add(self.expires_in?)
    }
}

/// What became of a rule that was put.
#[derive(Clone, Debug)]
pub struct Put {
    pub rule: RuleView,
    /// There was none of that name.
    pub created: bool,
    /// What is worth saying although it keeps nothing from acting.
    pub warnings: Vec<Problem>,
}

/// A rule that was disarmed to be taken away, by its revision then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended(u64);

/// A rule of a generation.
#[derive(Clone, Copy, Debug)]
struct Found<'s> {
    spec: &'s RuleSpec,
    cell: &'s Arc<RuleCell>,
}

fn all(snapshot: &Snapshot) -> impl Iterator<Item = Found<'_>> {
    let pairs = snapshot.rules.specs().iter().zip(snapshot.rules.cells());
    pairs.map(|(spec, cell)| Found { spec, cell })
}

fn find<'s>(snapshot: &'s Snapshot, name: &str) -> Option<Found<'s>> {
    all(snapshot).find(|it| *it.spec.name == *name)
}

impl Handle {
    /// All rules: those of the configuration in its order, then those of the API as they were
    /// armed.
    pub fn rules(&self) -> Vec<RuleView> {
        let snapshot = self.0.live.current();
        all(&snapshot).map(|it| self.view(it)).collect()
    }

    /// A rule by its name.
    pub fn rule(&self, name: &str) -> Option<RuleView> {
        let snapshot = self.0.live.current();
        find(&snapshot, name).map(|it| self.view(it))
    }

    /// Makes a rule be what `text` says: JSON with the keys that it has in a file. The same text
    /// again keeps its state, and begins its time anew. Calls under way get nothing of it.
    /// `agree` is asked with the entity tag of what is there now, and nothing comes in between.
    ///
    /// # Errors
    /// Where it has mistakes, the configuration has a rule of that name, or `agree` does not.
    pub fn put_rule<E: From<RuleError>>(
        &self,
        name: &str,
        text: &str,
        agree: impl FnOnce(Option<&str>) -> Result<(), E>,
    ) -> Result<Put, E> {
        let mut parts = lock(&self.0.parts);
        let snapshot = self.0.live.current();
        let known = find(&snapshot, name);
        agree(known.map(|it| self.etag(it.cell)).as_deref())?;
        Ok(self.put_agreed(&mut parts, name, text, known)?)
    }

    fn put_agreed(
        &self,
        parts: &mut Parts,
        name: &str,
        text: &str,
        known: Option<Found<'_>>,
    ) -> Result<Put, RuleError> {
        let snapshot = self.0.live.current();
        if parts.is_of_file(name) {
            return Err(RuleError::OfFile(name.to_owned()));
        }
        if known.is_none() && parts.added().rules.len() >= MOST_RULES {
            return Err(RuleError::TooMany(MOST_RULES));
        }
        let read = read_rule(name, text, parts.listeners(), &snapshot.safety);
        let LiveRule { mut spec, warnings } = read.map_err(RuleError::Config)?;
        self.hang_on_lease(&mut spec)?;
        self.put_spec(parts, known, spec)?;
        self.0.ends.notify_one();
        let rule = self.rule(name);
        Ok(Put {
            rule: rule.ok_or_else(|| NoSuchRule(name.to_owned()))?,
            created: known.is_none(),
            warnings,
        })
    }

    fn put_spec(
        &self,
        parts: &mut Parts,
        known: Option<Found<'_>>,
        spec: RuleSpec,
    ) -> Result<(), RuleError> {
        let same = known.filter(|it| it.spec.text == spec.text);
        let in_place = same.filter(|it| it.spec.source.same_lease(&spec.source));
        let (name, ttl, armed) = (Arc::clone(&spec.name), spec.ttl, spec.armed);
        let lease = spec.source.lease().cloned();
        let was_armed = same.is_some_and(|it| it.cell.is_armed());
        if in_place.is_none() || armed != was_armed {
            self.amend_parts(parts, |added, _| {
                let place = added.rules.iter().position(|it| it.name == spec.name);
                if let Some(place) = place.filter(|_| same.is_some() && armed == was_armed) {
                    added.rules[place] = spec;
                } else {
                    // It is armed anew, so that it acts after the others.
                    added.rules.retain(|it| it.name != spec.name);
                    added.rules.push(spec);
                }
                Ok::<_, RuleError>(())
            })?;
        }
        let snapshot = self.0.live.current();
        let Some(now) = find(&snapshot, &name) else {
            return Ok(());
        };
        let state = self.state();
        if let Some(lease) = lease
            && !state.leases.holds(&lease)
        {
            // It ended meanwhile, and with it what hangs on it.
            now.cell.disarm();
            self.0.live.ring();
            return Err(NoSuchLease(lease.to_string()).into());
        }
        if let (Some(known), Some(ttl)) = (same, ttl) {
            self.renew(now.cell, ttl, armed);
            if in_place.is_none() && Arc::ptr_eq(known.cell, now.cell) {
                now.cell.changed();
            }
        }
        drop(state);
        Ok(())
    }

    /// A rule that was there already, under the lock of the state: its time begins anew, and it is
    /// armed or not as its text says.
    fn renew(&self, cell: &RuleCell, ttl: Duration, armed: bool) {
        let now = self.0.live.elapsed_micros();
        if armed && !cell.is_armed() {
            return cell.arm_for(now, ttl);
        }
        cell.prolong(now, ttl);
        if !armed && cell.is_armed() {
            cell.disarm();
            self.0.live.ring();
        }
    }

    /// Takes a rule of the API away: calls that wait under it go on at once. `agree` as of
    /// [`Self::put_rule`].
    ///
    /// # Errors
    /// Where there is none, it is of the configuration, or `agree` does not.
    pub fn delete_rule<E: From<RuleError>>(
        &self,
        name: &str,
        agree: impl Fn(Option<&str>) -> Result<(), E>,
    ) -> Result<(), E> {
        // The deed comes before its turn: another change may be under way for a while.
        let ended = self.end_rule(name, &agree)?;
        self.remove_rule(name, ended, agree)
    }

    /// The second half of [`Self::delete_rule`], which may wait for other changes: takes away what
    /// [`Self::end_rule`] ended.
    ///
    /// # Errors
    /// As of [`Self::delete_rule`].
    pub fn remove_rule<E: From<RuleError>>(
        &self,
        name: &str,
        ended: Ended,
        agree: impl Fn(Option<&str>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut parts = lock(&self.0.parts);
        let snapshot = self.0.live.current();
        let found = find(&snapshot, name);
        let found = found.ok_or_else(|| RuleError::from(NoSuchRule(name.to_owned())))?;
        if found.cell.revision() != ended.0 {
            // Another came first.
            agree(Some(&self.etag(found.cell)))?;
        }
        if parts.is_of_file(name) {
            return Err(RuleError::OfFile(name.to_owned()).into());
        }
        let removed = self.amend_parts(&mut parts, |added, _| {
            added.rules.retain(|it| *it.name != *name);
            Ok::<_, RuleError>(())
        });
        Ok(removed?)
    }

    /// The first half of [`Self::delete_rule`], which waits for nothing: disarms a rule of the API that
    /// is about to be taken away.
    ///
    /// # Errors
    /// As of [`Self::delete_rule`].
    pub fn end_rule<E: From<RuleError>>(
        &self,
        name: &str,
        agree: impl Fn(Option<&str>) -> Result<(), E>,
    ) -> Result<Ended, E> {
        let snapshot = self.0.live.current();
        let found = find(&snapshot, name);
        let found = found.ok_or_else(|| RuleError::from(NoSuchRule(name.to_owned())))?;
        if !found.spec.source.is_api() {
            return Err(RuleError::OfFile(name.to_owned()).into());
        }
        let revision = {
            let _state = self.state();
            agree(Some(&self.etag(found.cell)))?;
            found.cell.disarm();
            found.cell.revision()
        };
        self.0.live.ring();
        Ok(Ended(revision))
    }

    /// Makes a rule live from now on, for as long as `ttl` says, else the rule itself; one of the API
    /// for `[safety] max_ttl` at most.
    ///
    /// # Errors
    /// Where no rule has that name, its lease is over, or the time is too long.
    pub fn arm(&self, name: &str, ttl: Option<Duration>) -> Result<(), RuleError> {
        let mut parts = lock(&self.0.parts);
        let snapshot = self.0.live.current();
        let most = snapshot.safety.max_ttl;
        if let Some(ttl) = ttl.filter(|it| *it > most) {
            return Err(RuleError::TooLong { ttl, most });
        }
        if ttl.is_some_and(|it| it.is_zero()) {
            return Err(RuleError::NoTime);
        }
        let mut cells = snapshot.rules.cells().iter();
        let cell = cells.find(|it| *it.name == *name);
        let cell = cell.ok_or_else(|| NoSuchRule(name.to_owned()))?;
        let was_armed = {
            let state = self.state();
            let lease = find(&snapshot, name).and_then(|it| it.spec.source.lease());
            if let Some(lease) = lease.filter(|it| !state.leases.holds(it)) {
                return Err(NoSuchLease(lease.to_string()).into());
            }
            let was_armed = cell.is_armed();
            let now = self.0.live.elapsed_micros();
            match ttl {
                Some(ttl) => cell.arm_for(now, ttl),
                None => cell.arm(now, most),
            }
            was_armed
        };
        let of_api = find(&snapshot, name).is_some_and(|it| it.spec.source.is_api());
        if of_api && !was_armed {
            self.amend_parts(&mut parts, |added, _| {
                let place = added.rules.iter().position(|it| *it.name == *name);
                if let Some(place) = place {
                    added.rules[place..].rotate_left(1);
                }
                Ok::<_, RuleError>(())
            })?;
        }
        self.0.live.ring();
        self.0.ends.notify_one();
        Ok(())
    }

    /// Ends a rule: calls that wait under it go on.
    ///
    /// # Errors
    /// Where no rule has that name.
    pub fn disarm(&self, name: &str) -> Result<(), NoSuchRule> {
        let snapshot = self.0.live.current();
        let mut cells = snapshot.rules.cells().iter();
        let cell = cells.find(|it| *it.name == *name);
        let cell = cell.ok_or_else(|| NoSuchRule(name.to_owned()))?;
        {
            let _state = self.state();
            cell.disarm();
        }
        self.0.live.ring();
        Ok(())
    }

    /// Ends what is over by now, for as long as it is polled.
    pub async fn keep_time(&self) {
        loop {
            let next = self.expire();
            let next = next.unwrap_or_else(|| Instant::now() + FAR);
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = self.0.ends.notified() => {}
            }
        }
    }

    /// Ends rules and leases whose time is over; gives when the next one's is.
    pub fn expire(&self) -> Option<Instant> {
        let snapshot = self.0.live.current();
        let live = &self.0.live;
        let (any, gone) = {
            let mut state = self.state();
            state.leases.expire(live.elapsed_micros());
            let mut any = snapshot.rules.expire(live.elapsed()) > 0;
            let mut gone = false;
            for it in all(&snapshot).filter(|it| self.is_over(&state, *it)) {
                gone = true;
                if it.cell.is_armed() {
                    it.cell.disarm();
                    any = true;
                }
            }
            (any, gone)
        };
        if any {
            live.ring();
        }
        if gone && !self.sweep() {
            return Some(Instant::now() + SOON);
        }
        self.next_end()
    }

    /// Whether a rule of the API is to be taken away: armed or not, it does not outlive its time
    /// or its lease.
    fn is_over(&self, state: &State, rule: Found<'_>) -> bool {
        if !rule.spec.source.is_api() {
            return false;
        }
        let now = self.0.live.elapsed_micros();
        let ended = rule.cell.ends_at_micros().is_some_and(|end| end <= now);
        let lease = rule.spec.source.lease();
        ended || lease.is_some_and(|it| !state.leases.holds(it))
    }

    /// Takes away the rules of the API that are over; `false` where another change is under way.
    fn sweep(&self) -> bool {
        let mut parts = match self.0.parts.try_lock() {
            Ok(parts) => parts,
            Err(TryLockError::Poisoned(parts)) => parts.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        let snapshot = self.0.live.current();
        let gone: BTreeSet<&str> = {
            let state = self.state();
            let over = all(&snapshot).filter(|it| self.is_over(&state, *it));
            over.map(|it| &*it.spec.name).collect()
        };
        if gone.is_empty() {
            return true;
        }
        tracing::info!(rules = ?gone, "rules of the admin API have ended");
        let removed = self.amend_parts(&mut parts, |added, _| {
            added.rules.retain(|it| !gone.contains(&*it.name));
            Ok::<_, ChangeError>(())
        });
        removed.is_ok()
    }

    fn next_end(&self) -> Option<Instant> {
        let snapshot = self.0.live.current();
        let ends = all(&snapshot).filter_map(|it| match it.spec.source {
            RuleSource::File => it.cell.expires_at_micros(),
            RuleSource::Api { .. } => it.cell.ends_at_micros(),
        });
        let lease = self.state().leases.next_end();
        ends.chain(lease).min().map(|it| self.0.live.instant(it))
    }

    /// Puts the lease that a rule names in its place.
    fn hang_on_lease(&self, spec: &mut RuleSpec) -> Result<(), NoSuchLease> {
        if let RuleSource::Api { lease: Some(lease) } = &mut spec.source {
            *lease = self
                .state()
                .leases
                .find(lease, self.0.live.elapsed_micros())?;
        }
        Ok(())
    }

    fn etag(&self, cell: &RuleCell) -> String {
        format!("\"{:x}-{:x}\"", self.0.stamp, cell.revision())
    }

    fn view(&self, it: Found<'_>) -> RuleView {
        let end = match it.spec.source {
            RuleSource::File => it.cell.expires_at_micros(),
            RuleSource::Api { .. } => it.cell.ends_at_micros(),
        };
        let now = self.0.live.elapsed_micros();
        RuleView {
            source: it.spec.source.clone(),
            listeners: it.spec.listeners.clone(),
            dry_run: it.spec.dry_run,
            expires_in: end.map(|end| Duration::from_micros(end.saturating_sub(now))),
            faults: it.spec.faults.iter().map(|it| it.name).collect(),
            figures: RuleFigures::read(it.cell),
            config: {
                // It was written by serde_json.
                let mut config = serde_json::from_str(&it.spec.text).unwrap_or_default();
                mask(&mut config);
                config
            },
            etag: self.etag(it.cell),
        }
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
