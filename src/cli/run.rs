//! `hormesis run`: the sidecar itself.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::console::Console;
use super::{UsageError, environment};
use crate::admin::runtime_folder;
use crate::app::Setup;
use crate::config::{self, Inputs, Problem, Problems, Resolved, Severity};
use crate::control::{Source, Watched};
use crate::record::logging::{self, LogFormat, LogGuard, LoggingError};
use crate::snapshot::{AdminBind, SettingPlace};
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

    /// Do not read the configuration again when its files change; SIGHUP still does.
    #[arg(long)]
    no_watch: bool,

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
    let log = start_log(arguments, console)?;
    let reader = Reader::new(arguments)?;
    let watched = if arguments.no_watch || reader.once().is_some() {
        Watched::default()
    } else {
        Watched::about_to_read(arguments.config.clone())
    };
    let resolved = reader.read(&Inputs::new(&environment))?;
    for warning in &resolved.warnings {
        tracing::warn!("{}", warning.line());
    }
    if resolved.seed_drawn {
        let seed = resolved.snapshot.seed;
        tracing::info!(%seed, "drew a seed; `--seed {seed}` repeats this run's draws");
    }
    let setup = Setup {
        source: reader.source(),
        watched,
        socket_names: environment("LISTEN_FDNAMES"),
        runtime: runtime_folder(&environment),
        log,
    };
    Ok(crate::app::run(resolved, setup)?)
}

/// Reads the configuration that the arguments name, as often as is wanted.
struct Reader {
    from: From,
    seed: Option<Seed>,
    dry_run: bool,
    admin: Option<AdminBind>,
}

enum From {
    Files(Vec<PathBuf>),
    Flags {
        upstream: String,
        listen: String,
        protocol: Option<String>,
    },
}

impl Reader {
    fn new(arguments: &RunArguments) -> anyhow::Result<Self> {
        let from = match (&arguments.upstream, &arguments.listen) {
            (Some(upstream), Some(listen)) => From::Flags {
                upstream: upstream.clone(),
                listen: listen.clone(),
                protocol: arguments.protocol.clone(),
            },
            _ => From::Files(arguments.config.clone()),
        };
        let admin = arguments.admin.as_deref().map(config::parse_admin);
        Ok(Self {
            from,
            seed: arguments.seed.map(Seed),
            dry_run: arguments.dry_run,
            admin: admin
                .transpose()
                .map_err(|error| UsageError(format!("--admin: {error}")))?,
        })
    }

    fn read(&self, inputs: &Inputs<'_>) -> Result<Resolved, Problems> {
        let inputs = Inputs {
            seed: self.seed,
            dry_run: self.dry_run,
            ..*inputs
        };
        let mut resolved = match &self.from {
            From::Files(paths) => config::load(paths, &inputs)?,
            From::Flags {
                upstream,
                listen,
                protocol,
            } => config::inline(upstream, listen, protocol.as_deref(), &inputs)?,
        };
        if let Some(admin) = &self.admin {
            resolved.settings.admin_place = SettingPlace::Flag("--admin");
            resolved.settings.admin.bind = admin.clone();
            if let Err(exposed) = resolved.settings.admin.check_exposure() {
                let mut problems = Problems::default();
                problems.push(Problem {
                    severity: Severity::Error,
                    message: format!("--admin: {exposed}"),
                    help: Some(exposed.help()),
                    place: None,
                });
                return Err(problems);
            }
        }
        Ok(resolved)
    }

    /// Why it cannot be read a second time, where it cannot.
    fn once(&self) -> Option<&'static str> {
        match &self.from {
            From::Flags { .. } => {
                Some("the configuration was given by flags: there is no file to read again")
            }
            From::Files(paths) if paths.iter().any(|it| config::is_stdin(it)) => {
                Some("the configuration came from standard input, which is read once")
            }
            From::Files(_) => None,
        }
    }

    fn source(self) -> Source {
        match self.once() {
            Some(why) => Source::Once(why),
            None => Source::Again(Box::new(move || self.read(&Inputs::new(&environment)))),
        }
    }
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
