//! One powercap zone: its counter held open, and what a smaller value than before means.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::energy::meter::{MeterError, Unavailable};
use crate::energy::reading::{Domain, Reading};

/// No package draws more; where the zone names no limit of its own.
const DEFAULT_MAX_POWER_UW: u64 = 1_000_000_000;

#[derive(Debug)]
pub(super) struct Zone {
    pub(super) label: String,
    pub(super) domain: Domain,
    path: PathBuf,
    file: Option<File>,
    /// The counter wraps after this value; unknown where it cannot be read.
    range_uj: Option<u64>,
    max_power_uw: u64,
    last: u64,
    last_at: u64,
    total: u128,
}

impl Zone {
    pub(super) fn open(
        path: PathBuf,
        label: String,
        domain: Domain,
        now: u64,
    ) -> Result<Self, Unavailable> {
        let counter = path.join("energy_uj");
        let opened = File::open(&counter).and_then(|file| Ok((counter_value(&file)?, file)));
        let (last, file) = opened.map_err(|error| refusal(&counter, &error))?;
        Ok(Self {
            range_uj: number(&path.join("max_energy_range_uj")).filter(|range| *range > 0),
            max_power_uw: max_power(&path),
            label,
            domain,
            path,
            file: Some(file),
            last,
            last_at: now,
            total: 0,
        })
    }

    pub(super) fn read(&mut self, at: u64) -> Result<Reading, MeterError> {
        let value = self.value()?;
        let dt = at.saturating_sub(self.last_at);
        let step = step(self.last, value, self.range_uj, self.max_power_uw, dt);
        self.last = value;
        self.last_at = at;
        Ok(match step {
            Some(passed) => {
                self.total += u128::from(passed);
                Reading::Total(self.total)
            }
            None => Reading::Broken(self.total),
        })
    }

    /// A zone that went may come back under the same name: its file is then opened anew.
    fn value(&mut self) -> Result<u64, MeterError> {
        let what = || self.path.join("energy_uj").display().to_string();
        let read = match self.file.take() {
            Some(file) => Ok(file),
            None => File::open(self.path.join("energy_uj")),
        };
        let read = read.and_then(|file| Ok((counter_value(&file)?, file)));
        match read {
            Ok((value, file)) => {
                self.file = Some(file);
                Ok(value)
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(MeterError::Garbage { what: what() })
            }
            Err(error) => Err(MeterError::Read {
                what: what(),
                error: error.to_string(),
            }),
        }
    }
}

/// The energy between two values of a counter; `None` where it cannot be known: a reset, or a
/// wrap that the power limit does not allow.
fn step(last: u64, value: u64, range: Option<u64>, max_power_uw: u64, dt_ns: u64) -> Option<u64> {
    if let Some(passed) = value.checked_sub(last) {
        return Some(passed);
    }
    let passed = range?.checked_sub(last)?.checked_add(value)?;
    let most = u128::from(max_power_uw) * u128::from(dt_ns) / 1_000_000_000;
    (u128::from(passed) <= most).then_some(passed)
}

fn max_power(zone: &Path) -> u64 {
    (0..4)
        .filter_map(|index| number(&zone.join(format!("constraint_{index}_max_power_uw"))))
        .max()
        .filter(|power| *power > 0)
        .unwrap_or(DEFAULT_MAX_POWER_UW)
}

fn number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Reads the counter where it stands: one `pread`.
fn counter_value(file: &File) -> io::Result<u64> {
    let mut buffer = [0; 32];
    let length = file.read_at(&mut buffer, 0)?;
    std::str::from_utf8(&buffer[..length])
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

fn refusal(counter: &Path, error: &io::Error) -> Unavailable {
    let counter = counter.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => Unavailable {
            reason: format!("{counter} may not be read"),
            hint: Some(format!("chmod a+r {counter}")),
        },
        io::ErrorKind::InvalidData => Unavailable {
            reason: format!("{counter} holds no number"),
            hint: None,
        },
        _ => Unavailable {
            reason: format!("{counter}: {error}"),
            hint: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_smaller_value_is_a_wrap_only_where_the_power_allows_it() {
        let cases = [
            (100, 150, Some(1000), Some(50)),
            (990, 10, Some(1000), Some(20)),
            // 1 W for 1 s is 1,000,000 µJ: this would have been more.
            (0, 0, None, Some(0)),
            (5_000_000, 4_000_000, Some(10_000_000), None),
            (100, 50, None, None),
            // A last value beyond the range is no counter that we know.
            (2000, 50, Some(1000), None),
        ];
        for (last, value, range, want) in cases {
            assert_eq!(
                step(last, value, range, 1_000_000, SECOND),
                want,
                "{last} → {value}"
            );
        }
    }
}
