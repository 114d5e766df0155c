//! Mirrored dies: some multi-die CPUs show one counter under two names. Two packages whose
//! differences agree to the µJ are one.

use super::zone::Zone;
use crate::energy::reading::{Domain, Reading};

/// Readings that moved, before a pair is judged.
const TRIALS: u32 = 5;
/// Two real packages agree in so many of them never.
const AGREE: u32 = 3;

/// Judges each zone after the first of its domain against that one. Until then its counter
/// seems to stand still: what it counted meanwhile is not lost, its first window is longer.
#[derive(Debug)]
pub(super) struct Twins {
    zones: Vec<Candidate>,
}

#[derive(Debug)]
struct Candidate {
    /// Index of the zone that this one may repeat.
    of: Option<usize>,
    verdict: Verdict,
    last: u128,
    /// The latest difference, and that before: a pair is read one after the other.
    moved: u128,
}

#[derive(Debug)]
enum Verdict {
    Distinct,
    Open { trials: u32, agreed: u32 },
    Twin,
}

impl Twins {
    pub(super) fn new(zones: &[Zone]) -> Self {
        let zones = zones
            .iter()
            .enumerate()
            .map(|(index, zone)| {
                let of = zones[..index]
                    .iter()
                    .position(|it| it.domain == zone.domain && zone.domain == Domain::Cpu);
                Candidate {
                    of,
                    verdict: match of {
                        Some(_) => Verdict::Open {
                            trials: 0,
                            agreed: 0,
                        },
                        None => Verdict::Distinct,
                    },
                    last: 0,
                    moved: 0,
                }
            })
            .collect();
        Self { zones }
    }

    /// What this reading is worth. Zones are read in order, each once a round.
    pub(super) fn judge(&mut self, index: usize, reading: Reading) -> Reading {
        let total = match reading {
            Reading::Total(total) | Reading::Broken(total) => total,
            Reading::Twin => return reading,
        };
        let leader = self.zones[index].of.map(|of| self.zones[of].moved);
        let zone = &mut self.zones[index];
        zone.moved = total - zone.last;
        zone.last = total;
        if let (Verdict::Open { trials, agreed }, Some(leader)) = (&mut zone.verdict, leader)
            && zone.moved > 0
        {
            *trials += 1;
            *agreed += u32::from(zone.moved == leader);
            if *agreed >= AGREE {
                zone.verdict = Verdict::Twin;
            } else if *trials >= TRIALS {
                zone.verdict = Verdict::Distinct;
            }
        }
        match zone.verdict {
            Verdict::Distinct => reading,
            Verdict::Open { .. } => Reading::Total(0),
            Verdict::Twin => Reading::Twin,
        }
    }
}
