//! The chain of meters: for each domain the first usable one counts, and domains that overlap are
//! never added up. A meter that dies gives way to the next; one that comes back takes over again.

use serde::Serialize;

use super::attribution::Attribution;
use super::meter::{Meter, MeterSpec, Place, Unavailable};
use super::reading::{Domain, Reach, Reading, Tier, Usage};
use super::window::{Step, Windows};

/// A meter without a trustworthy reading for so long is lost.
const LOST_NS: u64 = 2_000_000_000;
/// How often meters that are not usable are tried again.
const RETRY_NS: u64 = 5_000_000_000;

#[derive(Debug)]
pub(super) struct Chain {
    slots: Vec<Slot>,
    tried: u64,
}

#[derive(Debug)]
struct Slot {
    spec: MeterSpec,
    meter: Result<Box<dyn Meter>, Unavailable>,
    claims: Vec<Claim>,
    lost: bool,
}

/// A source that counts.
#[derive(Debug)]
struct Claim {
    /// Index in the meter.
    source: usize,
    /// Index of its book.
    book: usize,
    windows: Windows,
    bad_since: Option<u64>,
}

/// What a meter of the chain does now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MeterStatus {
    pub name: &'static str,
    #[serde(flatten)]
    pub state: MeterState,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum MeterState {
    /// Available, and its sources count.
    Counting {
        sources: Vec<SourceStatus>,
    },
    /// It was there and gives no trustworthy reading any more.
    Lost,
    /// Available; a meter before it covers the same domains.
    Standby {
        sources: Vec<SourceStatus>,
    },
    Unavailable(Unavailable),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceStatus {
    pub id: String,
    pub domain: &'static str,
    pub tier: Tier,
}

impl Chain {
    pub(super) fn new(specs: Vec<MeterSpec>, place: &Place) -> Self {
        let open = |spec: MeterSpec| Slot {
            meter: spec.open(place),
            spec,
            claims: Vec::new(),
            lost: false,
        };
        Self {
            slots: specs.into_iter().map(open).collect(),
            tried: place.now,
        }
    }

    /// Reads every source that counts.
    pub(super) fn read(
        &mut self,
        at: u64,
        usage: &Usage,
        flush: bool,
        steps: &mut Vec<(usize, Step)>,
    ) {
        for slot in &mut self.slots {
            let Ok(meter) = &mut slot.meter else { continue };
            for claim in &mut slot.claims {
                let reading = meter.read(claim.source, at, usage);
                let step = claim.windows.take(at, &reading, usage, flush);
                claim.judge(at, step.as_ref());
                steps.extend(step.map(|step| (claim.book, step)));
            }
            if slot.claims.is_empty() {
                continue;
            }
            // A program that does not run is no fault of its meter.
            let sources = meter.sources();
            slot.lost = slot.claims.iter().any(|claim| {
                !matches!(sources[claim.source].reach, Reach::Program(_))
                    && claim
                        .bad_since
                        .is_some_and(|since| at.saturating_sub(since) >= LOST_NS)
            });
        }
    }

    /// Whether the choice of meters should be looked at again.
    pub(super) fn due(&self, at: u64) -> bool {
        let wanting = self.slots.iter().any(|it| it.lost || it.meter.is_err());
        wanting && at.saturating_sub(self.tried) >= RETRY_NS
            || self
                .slots
                .iter()
                .any(|it| it.lost && !it.claims.is_empty() && self.has_standby())
    }

    fn has_standby(&self) -> bool {
        self.slots
            .iter()
            .any(|it| it.meter.is_ok() && !it.lost && it.claims.is_empty())
    }

    /// Chooses for each domain the first usable meter. All steps so far are in the books.
    pub(super) fn choose(&mut self, place: &Place, usage: &Usage, books: &mut Attribution) {
        if place.now.saturating_sub(self.tried) >= RETRY_NS {
            self.tried = place.now;
            for slot in &mut self.slots {
                if slot.meter.is_err() || (slot.lost && slot.claims.is_empty()) {
                    slot.meter = slot.spec.open(place);
                    slot.lost = false;
                }
            }
        }
        let mut taken: Vec<Domain> = Vec::new();
        let mut wanted: Vec<Vec<usize>> = vec![Vec::new(); self.slots.len()];
        // A lost meter keeps only what no other covers: that time is its gap.
        for lost in [false, true] {
            for (slot, wanted) in self.slots.iter().zip(&mut wanted) {
                if slot.lost == lost {
                    slot.want(&mut taken, wanted);
                }
            }
        }
        for (slot, wanted) in self.slots.iter_mut().zip(wanted) {
            slot.claim(&wanted, place.now, usage, books);
        }
    }

    pub(super) fn status(&self) -> Vec<MeterStatus> {
        self.slots
            .iter()
            .map(|slot| MeterStatus {
                name: slot.spec.name(),
                state: slot.state(),
            })
            .collect()
    }
}

impl Claim {
    fn judge(&mut self, at: u64, step: Option<&Step>) {
        match step {
            Some(Step::Window { .. }) => self.bad_since = None,
            Some(Step::Gap { stretch, uj: 0 }) => {
                self.bad_since.get_or_insert(stretch.from.min(at));
            }
            Some(Step::Gap { .. }) => self.bad_since = None,
            None => {}
        }
    }
}

impl Slot {
    fn want(&self, taken: &mut Vec<Domain>, wanted: &mut Vec<usize>) {
        let Ok(meter) = &self.meter else { return };
        let before = taken.len();
        for (index, source) in meter.sources().iter().enumerate() {
            if !taken[..before].iter().any(|it| it.overlaps(source.domain)) {
                wanted.push(index);
                taken.push(source.domain);
            }
        }
    }

    fn claim(&mut self, wanted: &[usize], at: u64, usage: &Usage, books: &mut Attribution) {
        self.claims.retain(|claim| {
            let stays = wanted.contains(&claim.source);
            if !stays {
                books.close(claim.book);
            }
            stays
        });
        let Ok(meter) = &mut self.meter else { return };
        for source in wanted.iter().copied() {
            if self.claims.iter().any(|it| it.source == source) {
                continue;
            }
            let total = match meter.read(source, at, usage) {
                Ok(Reading::Total(total) | Reading::Broken(total)) => total,
                Ok(Reading::Twin) | Err(_) => 0,
            };
            let description = &meter.sources()[source];
            self.claims.push(Claim {
                source,
                book: books.open(description, at),
                windows: Windows::new(description, at, total, usage.clone()),
                bad_since: None,
            });
        }
        self.claims.sort_unstable_by_key(|it| it.source);
    }

    fn state(&self) -> MeterState {
        let meter = match &self.meter {
            Ok(meter) => meter,
            Err(unavailable) => return MeterState::Unavailable(unavailable.clone()),
        };
        if self.lost {
            return MeterState::Lost;
        }
        let status = |index: usize| {
            let source = &meter.sources()[index];
            SourceStatus {
                id: source.id.clone(),
                domain: source.domain.as_str(),
                tier: source.tier,
            }
        };
        if self.claims.is_empty() {
            let sources = (0..meter.sources().len()).map(status).collect();
            return MeterState::Standby { sources };
        }
        MeterState::Counting {
            sources: self.claims.iter().map(|it| status(it.source)).collect(),
        }
    }
}
