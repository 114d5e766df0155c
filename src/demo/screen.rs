//! What is seen while the demo runs: a progress bar and a live table on a terminal, plain lines
//! elsewhere. All of it goes to standard error; standard output carries the result alone.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::load::Second;

use super::scenario::{END_S, PHASES, PhasePlan};

/// Where progress shows.
pub(super) enum Screen {
    Plain,
    Terminal(Live),
}

/// Bar and table on a terminal.
pub(super) struct Live {
    bars: MultiProgress,
    rows: Vec<ProgressBar>,
    progress: Option<ProgressBar>,
    sums: [Sum; PHASES.len()],
}

/// What the table shows of a phase.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    calls: u64,
    broken: u64,
    slowest_token_us: u64,
    slowest_us: u64,
}

impl Screen {
    pub(super) fn open() -> Self {
        if io::stderr().is_terminal() {
            Self::Terminal(Live {
                bars: MultiProgress::new(),
                rows: Vec::new(),
                progress: None,
                sums: [Sum::default(); PHASES.len()],
            })
        } else {
            Self::Plain
        }
    }

    /// One line about what happens now.
    pub(super) fn say(&self, line: &str) {
        match self {
            Self::Plain => print(line),
            Self::Terminal(live) => {
                // Nobody to tell when the terminal is gone.
                live.bars.println(line).ok();
            }
        }
    }

    /// The load starts: the table appears.
    pub(super) fn begin(&mut self) {
        match self {
            Self::Plain => {
                print("    s  phase      calls  broken  slowest answer  slowest first token");
            }
            Self::Terminal(live) => live.begin(),
        }
    }

    pub(super) fn second(&mut self, second: &Second) {
        let phase = phase_at(second.at);
        match self {
            Self::Plain => {
                let sum = Sum::default().plus(second);
                print(&format!("{:>5}  {}", second.at + 1, sum.row(phase)));
            }
            Self::Terminal(live) => live.second(second, phase),
        }
    }

    pub(super) fn end(&mut self) {
        if let Self::Terminal(live) = self {
            if let Some(progress) = &live.progress {
                progress.finish_with_message("done");
            }
            for row in &live.rows {
                row.finish();
            }
        }
    }
}

impl Live {
    fn begin(&mut self) {
        let row = |text: &str| {
            let bar = self.bars.add(ProgressBar::new(1).with_style(plain_style()));
            bar.set_message(text.to_owned());
            bar.tick();
            bar
        };
        self.rows = vec![row(
            "  phase      calls  broken  slowest answer  slowest first token",
        )];
        for phase in &PHASES {
            self.rows.push(row(&format!("  {:<9}", phase.name)));
        }
        let progress = self.bars.add(ProgressBar::new(END_S));
        progress.set_style(bar_style());
        progress.set_message(PHASES[0].name);
        progress.enable_steady_tick(Duration::from_millis(100));
        self.progress = Some(progress);
    }

    fn second(&mut self, second: &Second, phase: &PhasePlan) {
        let index = PHASES
            .iter()
            .position(|it| it.name == phase.name)
            .unwrap_or(0);
        self.sums[index] = self.sums[index].plus(second);
        if let Some(row) = self.rows.get(index + 1) {
            row.set_message(format!("  {}", self.sums[index].row(phase)));
        }
        if let Some(progress) = &self.progress {
            progress.set_position((second.at + 1).min(END_S));
            progress.set_message(phase_at(second.at + 1).name);
        }
    }
}

impl Sum {
    fn plus(self, second: &Second) -> Self {
        let slice = &second.slice;
        let slowest = |quantiles: Option<crate::load::Quantiles>| {
            quantiles.map_or(0, |quantiles| quantiles.max_us)
        };
        Self {
            calls: self.calls + slice.calls,
            broken: self.broken + slice.errors.total(),
            slowest_us: self.slowest_us.max(slowest(slice.latency)),
            slowest_token_us: self.slowest_token_us.max(slowest(slice.first_token)),
        }
    }

    fn row(self, phase: &PhasePlan) -> String {
        let millis = |micros: u64| {
            if micros == 0 {
                "-".to_owned()
            } else {
                format!("{} ms", micros.div_ceil(1000))
            }
        };
        format!(
            "{:<9} {:>6}  {:>6}  {:>14}  {:>19}",
            phase.name,
            self.calls,
            self.broken,
            millis(self.slowest_us),
            millis(self.slowest_token_us),
        )
    }
}

fn phase_at(second: u64) -> &'static PhasePlan {
    let last = &PHASES[PHASES.len() - 1];
    PHASES
        .iter()
        .find(|phase| second < phase.end_s)
        .unwrap_or(last)
}

fn plain_style() -> ProgressStyle {
    ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template("  {bar:44.cyan/blue} {pos:>2}/{len} s  {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn print(line: &str) {
    // Progress that nobody reads is no reason to stop.
    writeln!(io::stderr(), "{line}").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_belong_to_their_phases() {
        assert_eq!(phase_at(0).name, "baseline");
        assert_eq!(phase_at(PHASES[1].start_s).name, "fault");
        assert_eq!(phase_at(PHASES[2].start_s).name, "recovery");
        assert_eq!(phase_at(END_S + 100).name, "recovery");
    }
}
