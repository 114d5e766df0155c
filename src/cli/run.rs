//! `hormesis run`: the sidecar itself.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::console::Console;
use super::{UsageError, environment};
use crate::config::{self, Inputs, Problem};
use crate::record::logging::{self, LogFormat, LogGuard, LoggingError};
use crate::snapshot::SettingPlace;
use crate::units::Seed;

/// Runs the sidecar until it is told to stop.
#[derive(Debug, Args)]
#[command(
    override_usage = "hormesis run [OPTIONS] <CONFIG>...\n       hormesis run [OPTIONS] --upstream <URL> --listen <ADDRESS>",
    after_help = "Without a file: hormesis run --upstream http://127.0.0.1:8000 --listen 127.0.0.1:9000"
)]
pub(super) struct RunArguments {
    /// Files, or directories of *.toml files; together one configuration. `-`: standard input.
    #[arg(
        value_name = "CONFIG",
        required_unless_present = "upstream",
        conflicts_with_all = ["upstream", "listen", "protocol"]
    )]
    config: Vec<PathBuf>,

    /// Where calls go: `http://HOST:PORT`, `tcp://HOST:PORT`, `unix:/path/to.sock`.
    #[arg(long, value_name = "URL", requires = "listen")]
    upstream: Option<String>,

    /// Where clients connect: `ADDRESS:PORT` or `unix:/path/to.sock`.
    #[arg(long, value_name = "ADDRESS", requires = "upstream")]
    listen: Option<String>,

    /// One of `hormesis protocols`; absent: what the upstream's scheme says.
    #[arg(long, value_name = "NAME", requires = "upstream")]
    protocol: Option<String>,

    /// In place of the configuration's: the same seed gives the same hits.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// Rules decide and count, and touch nothing.
    #[arg(long)]
    dry_run: bool,

    /// In place of the configuration's: a loopback address, `unix:/path/to.sock`, or `off`.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,

    /// Which log messages go to standard error: `warn`, `info`, `hormesis=debug`, …
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "info",
        env = "HORMESIS_LOG"
    )]
    log: String,

    /// Log messages as JSON Lines.
    #[arg(long)]
    log_json: bool,
}

pub(super) fn run(arguments: &RunArguments, console: &Console) -> anyhow::Result<ExitCode> {
    let _log = start_log(arguments, console)?;
    let inputs = Inputs {
        seed: arguments.seed.map(Seed),
        dry_run: arguments.dry_run,
        ..Inputs::new(&environment)
    };
    let mut resolved = match (&arguments.upstream, &arguments.listen) {
        (Some(upstream), Some(listen)) => {
            let protocol = arguments.protocol.as_deref();
            config::inline(upstream, listen, protocol, &inputs)?
        }
        _ => config::load(&arguments.config, &inputs)?,
    };
    if let Some(admin) = &arguments.admin {
        resolved.settings.admin_place = SettingPlace::Flag("--admin");
        resolved.settings.admin =
            config::parse_admin(admin).map_err(|error| UsageError(format!("--admin: {error}")))?;
    }
    for warning in &resolved.warnings {
        tracing::warn!("{}", told(warning));
    }
    if resolved.seed_drawn {
        let seed = resolved.snapshot.seed;
        tracing::info!(%seed, "drew a seed; `--seed {seed}` repeats this run's draws");
    }
    Ok(crate::app::run(resolved)?)
}

fn start_log(arguments: &RunArguments, console: &Console) -> anyhow::Result<LogGuard> {
    let format = if arguments.log_json {
        LogFormat::Json
    } else {
        LogFormat::Text
    };
    let started = logging::init(format, &arguments.log, console.colors_errors());
    started.map_err(|error| match error {
        LoggingError::Filter { .. } => UsageError(format!("--log: {error}")).into(),
        other => other.into(),
    })
}

/// A warning in one line of log.
fn told(warning: &Problem) -> String {
    let place = warning.place.as_ref().map_or(String::new(), |place| {
        let (line, column) = place.position();
        format!("{}:{line}:{column}: ", place.source.name)
    });
    let help = warning
        .help
        .as_ref()
        .map_or(String::new(), |it| format!("; {it}"));
    format!("{place}{}{help}", warning.message)
}
