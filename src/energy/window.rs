//! Windows: the time between two changed values of a counter, with what it counted and who used
//! the CPUs meanwhile. Time without a trustworthy reading is a gap.

use super::meter::MeterError;
use super::reading::{Quiet, Reading, Source, Usage};

/// Time in nanoseconds since the epoch, `from < to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub from: u64,
    pub to: u64,
}

impl Stretch {
    pub fn length(self) -> u64 {
        self.to.saturating_sub(self.from)
    }

    /// Nanoseconds that both cover.
    pub fn overlap(self, other: Self) -> u64 {
        let from = self.from.max(other.from);
        let to = self.to.min(other.to);
        to.saturating_sub(from)
    }
}

/// What a source has to say of a stretch of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `uj` is known to have passed somewhere in it: 0 where nothing is known.
    Gap { stretch: Stretch, uj: u64 },
    Window {
        stretch: Stretch,
        uj: u64,
        shares: Shares,
    },
}

impl Step {
    pub fn stretch(&self) -> Stretch {
        match self {
            Self::Gap { stretch, .. } | Self::Window { stretch, .. } => *stretch,
        }
    }
}

/// CPU time of a window, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// By index of the program; `None`: not known over the whole window.
    pub programs: Vec<Option<u64>>,
    pub own: u64,
    /// All but the above. `None`: the machine's CPU time cannot be read.
    pub others: Option<u64>,
}

impl Shares {
    /// What passed from one sample to another.
    pub fn between(before: &Usage, after: &Usage) -> Self {
        let programs: Vec<Option<u64>> = after
            .programs
            .iter()
            .enumerate()
            .map(|(index, after)| {
                let before = before.programs.get(index).copied().flatten()?;
                let after = (*after)?;
                (before.epoch == after.epoch).then(|| after.cpu_ns.saturating_sub(before.cpu_ns))
            })
            .collect();
        let passed = |before: Option<u64>, after: Option<u64>| Some(after?.saturating_sub(before?));
        let own = passed(before.own, after.own).unwrap_or(0);
        let known: u64 = programs.iter().flatten().sum::<u64>() + own;
        Self {
            programs,
            own,
            others: passed(before.busy, after.busy).map(|busy| busy.saturating_sub(known)),
        }
    }

    /// CPU time of everything.
    pub fn busy(&self) -> u64 {
        self.programs.iter().flatten().sum::<u64>() + self.own + self.others.unwrap_or(0)
    }
}

/// Turns the readings of one source into windows and gaps that follow each other without holes.
#[derive(Debug)]
pub struct Windows {
    quiet: Quiet,
    from: u64,
    total: u128,
    usage: Usage,
    in_gap: bool,
}

impl Windows {
    /// Starts at the reading that a meter gives when it is opened: nothing counted.
    pub fn new(source: &Source, at: u64, total: u128, usage: Usage) -> Self {
        Self {
            quiet: source.quiet,
            from: at,
            total,
            usage,
            in_gap: false,
        }
    }

    /// Takes the next reading. `flush`: close the window even if the counter did not move.
    pub fn take(
        &mut self,
        at: u64,
        reading: &Result<Reading, MeterError>,
        usage: &Usage,
        flush: bool,
    ) -> Option<Step> {
        if at <= self.from {
            return None;
        }
        let stretch = Stretch {
            from: self.from,
            to: at,
        };
        match reading {
            Ok(Reading::Twin) => None,
            Ok(Reading::Broken(total)) => {
                self.restart(at, *total, usage);
                Some(Step::Gap { stretch, uj: 0 })
            }
            Err(_) => {
                self.in_gap = true;
                self.from = at;
                Some(Step::Gap { stretch, uj: 0 })
            }
            Ok(Reading::Total(total)) => self.total(stretch, *total, usage, flush),
        }
    }

    fn total(&mut self, stretch: Stretch, total: u128, usage: &Usage, flush: bool) -> Option<Step> {
        let uj = u64::try_from(total.saturating_sub(self.total)).unwrap_or(u64::MAX);
        let still = stretch.length();
        let over = match self.quiet {
            Quiet::Gap(after) => uj == 0 && (still >= after || (self.in_gap && still > 0)),
            Quiet::Zero(_) => false,
        };
        let closes = match self.quiet {
            Quiet::Gap(_) => uj > 0,
            // It counts again: the gap ends here.
            Quiet::Zero(after) => uj > 0 || still >= after || self.in_gap,
        };
        if over {
            // It stands: what it counts when it moves again passed somewhere in the gap.
            self.in_gap = true;
            self.from = stretch.to;
            return Some(Step::Gap { stretch, uj: 0 });
        }
        if !closes && !flush {
            return None;
        }
        let was_gap = self.in_gap;
        let before = std::mem::take(&mut self.usage);
        self.restart(stretch.to, total, usage);
        Some(if was_gap {
            Step::Gap { stretch, uj }
        } else {
            Step::Window {
                stretch,
                uj,
                shares: Shares::between(&before, usage),
            }
        })
    }

    fn restart(&mut self, at: u64, total: u128, usage: &Usage) {
        self.from = at;
        self.total = total;
        self.usage = usage.clone();
        self.in_gap = false;
    }
}
