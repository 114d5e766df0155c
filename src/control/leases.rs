//! Leases: what hangs on one ends when its owner falls silent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::control::Handle;
use crate::rule::micros;

/// How long a lease lasts that says nothing of it.
const TTL: Duration = Duration::from_millis(600);
/// A shorter one ends between two signs of life.
const SHORTEST: Duration = Duration::from_millis(50);
/// More leases than this are a loop that does not stop.
const MOST_LEASES: usize = 1024;

/// There is no lease of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no lease {0:?}")]
pub struct NoSuchLease(pub String);

/// Why a lease could not be made or prolonged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    #[error("a lease lasts {} to {}", humantime::format_duration(SHORTEST), humantime::format_duration(*.most))]
    Time { most: Duration },
    #[error("a lease's id has 1 to 100 letters, digits or - _ . : /")]
    Id,
    #[error("there are {MOST_LEASES} leases already")]
    TooMany,
}

/// A lease as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseView {
    pub id: Arc<str>,
    pub expires_in: Duration,
    /// What hangs on it.
    pub rules: Vec<Arc<str>>,
}

/// All leases. The text of an id is its lease's alone: one of the same id that comes later is
/// another.
#[derive(Debug, Default)]
pub(super) struct Leases(BTreeMap<Arc<str>, u64>);

impl Leases {
    /// Whether this very lease lasts.
    pub(super) fn holds(&self, lease: &Arc<str>) -> bool {
        let known = self.0.get_key_value(lease);
        known.is_some_and(|(id, _)| Arc::ptr_eq(id, lease))
    }

    /// The lease of this id that lasts now.
    pub(super) fn find(&self, id: &str, now_micros: u64) -> Result<Arc<str>, NoSuchLease> {
        let known = self.0.get_key_value(id);
        let known = known.filter(|(_, end)| **end > now_micros);
        let (id, _) = known.ok_or_else(|| NoSuchLease(id.to_owned()))?;
        Ok(Arc::clone(id))
    }

    /// Removes those that are over.
    pub(super) fn expire(&mut self, now_micros: u64) {
        self.0.retain(|id, end| {
            let lasts = *end > now_micros;
            if !lasts {
                tracing::warn!(lease = %id, "nobody has renewed the lease: what hangs on it ends");
            }
            lasts
        });
    }

    pub(super) fn next_end(&self) -> Option<u64> {
        self.0.values().min().copied()
    }
}

impl Handle {
    /// Makes a lease, or begins its time anew; whether it is new.
    ///
    /// # Errors
    /// Where the id cannot be one, or the time is too short or too long.
    pub fn lease(&self, id: &str, ttl: Option<Duration>) -> Result<(LeaseView, bool), LeaseError> {
        let ttl = ttl.unwrap_or(TTL);
        let most = self.0.live.snapshot().safety.max_ttl;
        if !(SHORTEST..=most).contains(&ttl) {
            return Err(LeaseError::Time { most });
        }
        let fits = |c: char| c.is_alphanumeric() || "-_.:/".contains(c);
        if id.is_empty() || id.len() > 100 || !id.chars().all(fits) {
            return Err(LeaseError::Id);
        }
        let (id, created) = {
            let mut state = self.state();
            let now = self.0.live.elapsed_micros();
            // One that is over is not saved by a late sign of life: its rules end.
            state.leases.expire(now);
            let leases = &mut state.leases.0;
            let known = leases.get_key_value(id).map(|(id, _)| Arc::clone(id));
            let created = known.is_none();
            if created && leases.len() >= MOST_LEASES {
                return Err(LeaseError::TooMany);
            }
            let id = known.unwrap_or_else(|| Arc::from(id));
            leases.insert(Arc::clone(&id), now.saturating_add(micros(ttl)));
            (id, created)
        };
        // Also where it is prolonged: one that was over leaves rules behind that are to go.
        self.0.ends.notify_one();
        let view = LeaseView {
            rules: self.hanging_on(&id),
            id,
            expires_in: ttl,
        };
        Ok((view, created))
    }

    pub fn leases(&self) -> Vec<LeaseView> {
        let now = self.0.live.elapsed_micros();
        let known: Vec<_> = {
            let state = self.state();
            let leases = state.leases.0.iter().filter(|(_, end)| **end > now);
            leases.map(|(id, end)| (Arc::clone(id), *end)).collect()
        };
        let view = |(id, end): (Arc<str>, u64)| LeaseView {
            rules: self.hanging_on(&id),
            id,
            expires_in: Duration::from_micros(end - now),
        };
        known.into_iter().map(view).collect()
    }

    /// Ends a lease, and the rules that hang on it.
    ///
    /// # Errors
    /// Where there is none.
    pub fn end_lease(&self, id: &str) -> Result<(), NoSuchLease> {
        if self.state().leases.0.remove(id).is_none() {
            return Err(NoSuchLease(id.to_owned()));
        }
        self.expire();
        // Where another change was under way, what is left is taken away soon.
        self.0.ends.notify_one();
        Ok(())
    }

    fn hanging_on(&self, lease: &Arc<str>) -> Vec<Arc<str>> {
        let snapshot = self.0.live.snapshot();
        let specs = snapshot.rules.specs().iter();
        let hangs = |it: &&crate::rule::RuleSpec| {
            let lease_of = it.source.lease();
            lease_of.is_some_and(|it| Arc::ptr_eq(it, lease))
        };
        specs.filter(hangs).map(|it| Arc::clone(&it.name)).collect()
    }
}
