//! `hormesis top`: a running sidecar on one screen, live.

mod draw;
mod model;
mod scrape;
mod screen;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};

use self::model::{History, Sample};
use self::screen::{Asked, Screen};
use super::console::Console;
use super::interrupt::Interrupts;
use super::remote::{self, AdminArguments};
use super::{Exit, UsageError};
use crate::admin::client::Client;
use crate::units::Span;

/// Shows a running sidecar on one screen, live: rates, latency, errors by origin, rules, joules.
#[derive(Debug, Args)]
#[command(
    after_help = "Keys: h, then y, halts every fault at once; ? explains the screen, q ends top.\n\
                  With --json: a line of JSON a look, without end; `| head -1` for one."
)]
pub(super) struct TopArguments {
    /// How often it is looked.
    #[arg(long, value_name = "TIME", default_value = "1s")]
    every: Span,

    #[command(flatten)]
    admin: AdminArguments,
}

/// How often keys are looked for.
const KEYS: Duration = Duration::from_millis(50);

pub(super) fn run(arguments: &TopArguments, console: &Console) -> anyhow::Result<ExitCode> {
    if arguments.every < Span::from_millis(200) {
        return Err(UsageError("--every is at least 200ms".to_owned()).into());
    }
    let terminal = io::stdout().is_terminal() && io::stdin().is_terminal();
    if !arguments.admin.json && !terminal {
        let told = "top needs a terminal; for programs there are `hormesis top --json` and `hormesis status --json`";
        return Err(UsageError(told.to_owned()).into());
    }
    let client = arguments.admin.client()?;
    remote::wait(async {
        let mut interrupts = Interrupts::new()?;
        // Nobody there is told before the terminal is taken.
        let mut history = History::default();
        history.push(Sample::take(&client).await?);
        if arguments.admin.json {
            lines(arguments, &client, history, &mut interrupts, console).await
        } else {
            let top = Top {
                client,
                history,
                help: false,
                asks: false,
                has_color: console.has_color(),
                notice: None,
                silent: None,
            };
            top.show(arguments, &mut interrupts).await
        }
    })
}

/// For programs: each look as a line.
async fn lines(
    arguments: &TopArguments,
    client: &Client,
    mut history: History,
    interrupts: &mut Interrupts,
    console: &Console,
) -> anyhow::Result<ExitCode> {
    let mut ticks = interval(arguments.every.get());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        tokio::select! {
            code = interrupts.next() => return Ok(code.into()),
            _ = ticks.tick() => {}
        }
        history.push(Sample::take(client).await?);
        if let Some(view) = history.view() {
            console.line(serde_json::to_string(&view)?)?;
        }
    }
}

/// What is on the screen.
struct Top {
    client: Client,
    history: History,
    help: bool,
    /// Whether to halt is asked.
    asks: bool,
    has_color: bool,
    /// What is to be said, and when it was.
    notice: Option<(String, Instant)>,
    /// Since when nothing answers, and why.
    silent: Option<(Instant, String)>,
}

/// A notice is shown so long.
const NOTICE: Duration = Duration::from_secs(8);

impl Top {
    async fn show(
        mut self,
        arguments: &TopArguments,
        interrupts: &mut Interrupts,
    ) -> anyhow::Result<ExitCode> {
        let mut screen = Screen::take()?;
        let mut looks = interval(arguments.every.get());
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.tick().await;
        let mut keys = interval(KEYS);
        keys.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.draw(&mut screen)?;
        loop {
            tokio::select! {
                code = interrupts.next() => return Ok(code.into()),
                _ = looks.tick() => self.look().await,
                _ = keys.tick() => match Screen::asked()? {
                    None => continue,
                    Some(Asked::Quit) => return Ok(Exit::Fine.into()),
                    Some(Asked::Interrupt) => return Ok(130.into()),
                    Some(key) => self.heed(key).await,
                },
            }
            self.draw(&mut screen)?;
        }
    }

    /// Does what a key asks for. A halt is asked about once: `h` is help in many programs.
    async fn heed(&mut self, key: Asked) {
        let asked = std::mem::replace(&mut self.asks, key == Asked::Halt);
        match key {
            Asked::Yes if asked => {
                self.halt().await;
                self.look().await;
            }
            Asked::Help => self.help = !self.help,
            Asked::Redraw => self.asks = asked,
            Asked::Halt | Asked::Yes | Asked::Other | Asked::Quit | Asked::Interrupt => {}
        }
    }

    async fn look(&mut self) {
        match Sample::take(&self.client).await {
            Ok(sample) => {
                self.history.push(sample);
                self.silent = None;
            }
            // What was seen last stays, and is said to be old.
            Err(error) => {
                let since = self
                    .silent
                    .take()
                    .map_or_else(Instant::now, |(since, _)| since);
                self.silent = Some((since, error.to_string()));
            }
        }
    }

    async fn halt(&mut self) {
        let body = json!({ "reason": "h in hormesis top" });
        let told = match self.client.post::<Value>("/halt", Some(&body)).await {
            Ok(_) => {
                "halted: every fault has ended; `hormesis resume` lets them act again".to_owned()
            }
            Err(error) => format!("not halted: {error}"),
        };
        self.notice = Some((told, Instant::now()));
    }

    fn draw(&mut self, screen: &mut Screen) -> anyhow::Result<()> {
        let Some(view) = self.history.view() else {
            return Ok(());
        };
        let notice = match (&self.silent, &self.notice) {
            (Some((since, why)), _) => Some(format!(
                "no answer for {} s, these figures are old: {why}",
                since.elapsed().as_secs()
            )),
            (None, Some((told, at))) if at.elapsed() < NOTICE => Some(told.clone()),
            _ => None,
        };
        let picture = draw::Picture {
            view: &view,
            address: self.client.address().to_string(),
            help: self.help,
            asks: self.asks,
            has_color: self.has_color,
            notice,
        };
        screen.0.draw(|frame| picture.draw(frame))?;
        Ok(())
    }
}
