//! Arguments, one file a subcommand; exit codes. Tables for people, `--json` for programs.

mod add;
mod arm;
mod audit;
mod check;
mod completions;
mod console;
mod decisions;
mod demo;
mod doctor;
mod energy;
mod explain;
mod faults;
mod figures;
mod halt;
mod health;
mod init;
mod interrupt;
mod man;
mod meters;
mod metrics;
mod protocols;
mod remote;
mod render;
mod rules;
mod run;
mod schema;
mod status;
mod stop;
mod top;
mod toxiproxy;
mod version;
mod watch;

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use self::console::Console;
use crate::admin::client::ClientError;
use crate::app::StartError;
use crate::config::Problems;

/// Breaks calls to model servers and feature stores on purpose, within limits that hold, and tells
/// what each failure did to the users and what it cost.
#[derive(Debug, Parser)]
#[command(
    name = "hormesis",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 fine, 1 deviated, unhealthy or drained too late, 2 usage or configuration,\n\
                  3 could not run, 5 halted meanwhile; 130 and 143 where SIGINT or SIGTERM ended a command\n\
                  or, as a second one, cut a drain short.\n\
                  Start with `hormesis demo`, or `hormesis init > hormesis.toml`."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    look: Look,
}

#[derive(Debug, clap::Args)]
struct Look {
    /// Colour on a terminal (unless `NO_COLOR` is set), always, or never.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    color: ColorChoice,
}

/// The part of the grammar that a sidecar's start needs. To set up all of it took a third of the
/// instructions that a start's first thread ran, and thirty pages of memory.
#[derive(Debug, Parser)]
struct RunOnly {
    #[command(subcommand)]
    command: RunCommand,

    #[command(flatten)]
    look: Look,
}

#[derive(Debug, Subcommand)]
enum RunCommand {
    Run(run::RunArguments),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ColorChoice {
    Always,
    #[default]
    Auto,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArguments),
    Init(init::InitArguments),
    Check(check::CheckArguments),
    Explain(explain::ExplainArguments),
    Schema(schema::SchemaArguments),
    Faults(faults::FaultsArguments),
    Protocols(protocols::ProtocolsArguments),
    Meters(meters::MetersArguments),
    Metrics(metrics::MetricsArguments),
    Doctor(doctor::DoctorArguments),
    Health(health::HealthArguments),
    Status(status::StatusArguments),
    Rules(rules::RulesArguments),
    Top(top::TopArguments),
    Decisions(decisions::DecisionsArguments),
    Energy(energy::EnergyArguments),
    Add(add::AddArguments),
    Arm(arm::ArmArguments),
    Disarm(arm::DisarmArguments),
    Stop(stop::StopArguments),
    Watch(watch::WatchArguments),
    Halt(halt::HaltArguments),
    Resume(halt::ResumeArguments),
    Audit(audit::AuditArguments),
    Man(man::ManArguments),
    Completions(completions::CompletionsArguments),
    Version(version::VersionArguments),
    Demo(demo::DemoArguments),
    Toxiproxy(toxiproxy::ToxiproxyArguments),
    ToxiproxyCli(toxiproxy::ToxiproxyCliArguments),
    #[command(hide = true)]
    DemoModelServer,
    #[command(hide = true)]
    DemoLoad,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Fine = 0,
    /// What was looked at is not as it should be.
    Deviated = 1,
    /// The arguments or the configuration are wrong.
    Usage = 2,
    CannotRun = 3,
    /// A halt came in between.
    Halted = 5,
}

impl Exit {
    /// Of two ends of one command, the one that it exits with.
    pub(crate) fn worse(self, other: Self) -> Self {
        if (other as u8) > (self as u8) {
            other
        } else {
            self
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The arguments fit the grammar, but not each other or the world.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// Reads the process's arguments and runs the command they name.
pub fn main() -> ExitCode {
    // A link to this program may have the name of another.
    if let Some(ended) = by_name() {
        return ended;
    }
    let (command, look) = arguments();
    let console = Console::of_process(look.color);
    match dispatch(command, &console) {
        Ok(code) => code,
        Err(error) => explain_failure(&error, &console),
    }
}

fn arguments() -> (Command, Look) {
    if std::env::args_os().nth(1).is_some_and(|it| it == "run")
        && let Ok(only) = RunOnly::try_parse()
    {
        let RunCommand::Run(arguments) = only.command;
        return (Command::Run(arguments), only.look);
    }
    // Wrong arguments end here: clap tells what is wrong, what was meant, and exits with 2.
    let arguments = Arguments::parse();
    (arguments.command, arguments.look)
}

/// Runs what the program was called as, where that is a program of Toxiproxy's.
fn by_name() -> Option<ExitCode> {
    let mut words = std::env::args_os().map(|it| it.to_string_lossy().into_owned());
    let run = toxiproxy::by_name(&words.next()?)?;
    let console = Console::of_process(ColorChoice::Auto);
    let words: Vec<String> = words.collect();
    Some(run(&words, &console).unwrap_or_else(|error| explain_failure(&error, &console)))
}

fn dispatch(command: Command, console: &Console) -> anyhow::Result<ExitCode> {
    let exit = match command {
        Command::Run(arguments) => return run::run(&arguments, console),
        Command::Init(arguments) => init::run(&arguments, console),
        Command::Check(arguments) => check::run(&arguments, console),
        Command::Explain(arguments) => explain::run(&arguments, console),
        Command::Schema(arguments) => schema::run(&arguments, console),
        Command::Faults(arguments) => faults::run(&arguments, console),
        Command::Protocols(arguments) => protocols::run(&arguments, console),
        Command::Meters(arguments) => meters::run(&arguments, console),
        Command::Metrics(arguments) => metrics::run(&arguments, console),
        Command::Doctor(arguments) => doctor::run(&arguments, console),
        Command::Health(arguments) => health::run(&arguments, console),
        Command::Status(arguments) => status::run(&arguments, console),
        Command::Rules(arguments) => rules::run(&arguments, console),
        Command::Top(arguments) => return top::run(&arguments, console),
        Command::Decisions(arguments) => return decisions::run(&arguments, console),
        Command::Energy(arguments) => energy::run(&arguments, console),
        Command::Add(arguments) => return add::run(&arguments, console),
        Command::Arm(arguments) => arm::arm(&arguments, console),
        Command::Disarm(arguments) => arm::disarm(&arguments, console),
        Command::Stop(arguments) => stop::run(&arguments, console),
        Command::Watch(arguments) => return watch::run(&arguments, console),
        Command::Halt(arguments) => halt::halt(&arguments, console),
        Command::Resume(arguments) => halt::resume(&arguments, console),
        Command::Audit(arguments) => audit::run(&arguments, console),
        Command::Man(arguments) => man::run(&arguments, console),
        Command::Completions(arguments) => completions::run(&arguments, console),
        Command::Version(arguments) => version::run(&arguments, console),
        Command::Demo(arguments) => return demo::run(arguments),
        Command::Toxiproxy(toxiproxy::ToxiproxyArguments { arguments }) => {
            return toxiproxy::serve("hormesis toxiproxy", &arguments, console);
        }
        Command::ToxiproxyCli(toxiproxy::ToxiproxyCliArguments { arguments }) => {
            return toxiproxy::client(&arguments, console);
        }
        Command::DemoModelServer => demo::model_server(),
        Command::DemoLoad => demo::load(),
    };
    Ok(exit?.into())
}

/// Says why a command failed and turns it into an exit code, in this one place.
fn explain_failure(error: &anyhow::Error, console: &Console) -> ExitCode {
    if let Some(problems) = error.downcast_ref::<Problems>() {
        console.problems(problems.iter());
        return Exit::Usage.into();
    }
    let broken_pipe = error
        .downcast_ref::<io::Error>()
        .is_some_and(|it| it.kind() == io::ErrorKind::BrokenPipe);
    if broken_pipe {
        // `hormesis faults | head` is no failure.
        return Exit::Fine.into();
    }
    if let Some(refused) = error.downcast_ref::<ClientError>() {
        return remote::explain(refused, console).into();
    }
    if let Some(start) = error.downcast_ref::<StartError>() {
        // It tells its causes itself, with the place in the configuration.
        console.complain(format_args!("error: {start}"));
        return if start.is_usage() {
            Exit::Usage.into()
        } else {
            Exit::CannotRun.into()
        };
    }
    console.complain(format_args!("error: {error:#}"));
    if error.is::<UsageError>() {
        Exit::Usage.into()
    } else {
        Exit::CannotRun.into()
    }
}

/// The process's environment, read by name and by nobody else.
pub(crate) fn environment(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_of_arguments_is_sound() {
        Arguments::command().debug_assert();
        RunOnly::command().debug_assert();
    }
}
