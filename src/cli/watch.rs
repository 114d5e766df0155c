//! `hormesis watch`: the calls that a rule treats beside those that it leaves alone, live.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use http::StatusCode;
use owo_colors::Style;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use super::console::Console;
use super::figures::{optional_seconds, percent, whole_seconds};
use super::interrupt::Interrupts;
use super::remote::{self, AdminArguments, listeners, read, rule_path, with_suggestion};
use super::{Exit, UsageError};
use crate::admin::client::told::{Effect, Group, Rule, Status};
use crate::admin::client::{Client, ClientError, escaped};
use crate::units::Span;

/// Shows the calls that a rule treats beside those that it leaves alone, live, until the rule ends.
#[derive(Debug, Args)]
#[command(after_help = "Ctrl-C ends the watching, not the rule.")]
pub(super) struct WatchArguments {
    /// The rule.
    name: String,

    /// Over how long each figure is taken.
    #[arg(long, value_name = "TIME", default_value = "10s")]
    over: Span,

    /// How often it is looked.
    #[arg(long, value_name = "TIME", default_value = "1s")]
    every: Span,

    #[command(flatten)]
    admin: AdminArguments,
}

/// The headings are repeated after so many lines.
const PAGE: usize = 20;

/// What is known of the rule at one moment.
enum Look {
    Acting(Box<Rule>),
    Over(&'static str),
    Halted(String),
}

pub(super) fn run(arguments: &WatchArguments, console: &Console) -> anyhow::Result<ExitCode> {
    if arguments.every < Span::from_millis(100) || arguments.over < Span::from_secs(1) {
        let told = "--every is at least 100ms, --over at least 1s";
        return Err(UsageError(told.to_owned()).into());
    }
    let client = arguments.admin.client()?;
    remote::wait(async {
        let mut interrupts = Interrupts::new()?;
        let rule: Rule = match client.get(&rule_path(&arguments.name, "")).await {
            Ok(rule) => rule,
            Err(error) => {
                return Err(with_suggestion(&client, &arguments.name, error)
                    .await
                    .into());
            }
        };
        let watch = Watch {
            arguments,
            client,
            console,
        };
        watch.begin(&rule)?;
        watch.follow(&mut interrupts).await
    })
}

struct Watch<'a> {
    arguments: &'a WatchArguments,
    client: Client,
    console: &'a Console,
}

impl Watch<'_> {
    fn begin(&self, rule: &Rule) -> anyhow::Result<()> {
        if self.arguments.admin.json {
            return Ok(());
        }
        let ends = rule.expires_in_s.map_or_else(String::new, |left| {
            format!(", ends in {}", whole_seconds(left))
        });
        Ok(self.console.line(format_args!(
            "{}: {} on {}{ends}; figures over {}, Ctrl-C ends the watching",
            rule.name,
            rule.faults.join(", "),
            listeners(rule),
            self.arguments.over,
        ))?)
    }

    async fn follow(&self, interrupts: &mut Interrupts) -> anyhow::Result<ExitCode> {
        let mut ticks = interval(self.arguments.every.get());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first one is at once; what happened before it has not been watched.
        ticks.tick().await;
        let started = tokio::time::Instant::now();
        let mut lines = 0;
        loop {
            tokio::select! {
                code = interrupts.next() => return Ok(code.into()),
                _ = ticks.tick() => {}
            }
            let (why, exit) = match self.look().await? {
                Look::Acting(rule) => {
                    if self.show(&rule, started.elapsed(), lines).await? {
                        lines += 1;
                        continue;
                    }
                    ("it is over".to_owned(), Exit::Fine)
                }
                Look::Over(why) => (why.to_owned(), Exit::Fine),
                Look::Halted(reason) => (format!("halted: {reason}"), Exit::Halted),
            };
            if !self.arguments.admin.json {
                self.console
                    .line(format_args!("ended: {} ({why})", self.arguments.name))?;
            }
            return Ok(exit.into());
        }
    }

    async fn look(&self) -> Result<Look, ClientError> {
        let path = rule_path(&self.arguments.name, "");
        let rule: Rule = match self.client.get(&path).await {
            Ok(rule) => rule,
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => {
                return Ok(Look::Over("it is over"));
            }
            Err(error) => return Err(error),
        };
        let status: Status = self.client.get("/status").await?;
        Ok(match status.halted {
            Some(halt) => Look::Halted(halt.reason),
            None if !rule.armed => Look::Over("it is disarmed"),
            None => Look::Acting(Box::new(rule)),
        })
    }

    /// One line; `false` where the rule ended in between.
    async fn show(&self, rule: &Rule, since: Duration, lines: usize) -> anyhow::Result<bool> {
        let over = self.arguments.over.to_string().replace(' ', "");
        let path = format!("/effect?over={}", escaped(&over));
        let path = rule_path(&self.arguments.name, &path);
        let answer: Value = match self.client.get(&path).await {
            Ok(answer) => answer,
            // The rule ended in between; where it is still there, that is not why.
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => {
                return match self.look().await? {
                    Look::Acting(_) => Err(error.into()),
                    Look::Over(_) | Look::Halted(_) => Ok(false),
                };
            }
            Err(error) => return Err(error.into()),
        };
        if self.arguments.admin.json {
            let line = json!({
                "since_s": since.as_secs_f64(),
                "rule": rule.name,
                "expires_in_s": rule.expires_in_s,
                "active": rule.figures.active,
                "effect": answer,
            });
            self.console.line(line)?;
            return Ok(true);
        }
        if lines.is_multiple_of(PAGE) {
            self.headings()?;
        }
        let effect: Effect = read(&answer)?;
        let slower = effect.treated.p50_s > effect.untouched.p50_s;
        let treated = group(&effect.treated);
        let treated = if slower || effect.treated.errors > 0 {
            self.console.styled(&treated, Style::new().yellow())
        } else {
            treated
        };
        self.console.line(format_args!(
            "{:>6} │{treated} │{} │{:>6}",
            format!("{}s", since.as_secs()),
            group(&effect.untouched),
            rule.figures.active,
        ))?;
        Ok(true)
    }

    fn headings(&self) -> anyhow::Result<()> {
        let bold = |text: &str| self.console.styled(text, Style::new().bold());
        let group = format!(
            "{:>7}{:>8}{:>9}{:>9}{:>9}",
            "calls", "errors", "p50", "p90", "p99"
        );
        let first = format!("{:>6} │{:<42} │{:<42} │", "", " treated", " untouched");
        let second = format!("{:>6} │{group} │{group} │{:>6}", "since", "now");
        self.console.line(bold(&first))?;
        Ok(self.console.line(bold(&second))?)
    }
}

fn group(group: &Group) -> String {
    format!(
        "{:>7}{:>8}{:>9}{:>9}{:>9}",
        group.calls,
        group.error_rate.map_or_else(|| "–".to_owned(), percent),
        optional_seconds(group.p50_s),
        optional_seconds(group.p90_s),
        optional_seconds(group.p99_s),
    )
}
