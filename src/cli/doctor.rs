//! `hormesis doctor`: what this machine can measure and do, and what would make it able to do the
//! rest.

mod machine;

use std::net::TcpListener;
use std::path::PathBuf;

use clap::Args;
use owo_colors::Style;
use serde::Serialize;

use super::console::Console;
use super::{Exit, environment, meters};
use crate::config::{self, Inputs};
use crate::energy::{EnergySettings, EnergyStatus, Engine, METERS, MeterInfo, MeterState};
use crate::snapshot::{AdminBind, Bind, Limits, Snapshot};

/// Tells what this machine can measure and do, why not the rest, and what would make it so.
#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    /// A configuration whose ports and meters are tried.
    #[arg(value_name = "CONFIG")]
    config: Vec<PathBuf>,

    /// One JSON document on standard output.
    #[arg(long)]
    json: bool,
}

/// One thing looked at.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    topic: &'static str,
    state: State,
    what: String,
    /// The line that would make it so.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Fine,
    /// hormesis runs without it, with less.
    Lacking,
    /// `run` with this configuration would fail.
    Wrong,
}

impl Finding {
    fn fine(topic: &'static str, what: impl Into<String>) -> Self {
        Self {
            topic,
            state: State::Fine,
            what: what.into(),
            fix: None,
        }
    }

    fn lacking(topic: &'static str, what: impl Into<String>, fix: Option<String>) -> Self {
        Self {
            state: State::Lacking,
            fix,
            ..Self::fine(topic, what)
        }
    }
}

pub(super) fn run(arguments: &DoctorArguments, console: &Console) -> anyhow::Result<Exit> {
    let mut findings;
    if arguments.config.is_empty() {
        findings = machine::findings(connections(&Limits::default(), 1));
        findings.extend(energy(&Engine::survey(&EnergySettings::default(), &[])));
    } else {
        let resolved = config::load(&arguments.config, &Inputs::new(&environment))?;
        let snapshot = &resolved.snapshot;
        let connections = connections(&snapshot.limits, snapshot.listeners.len());
        findings = machine::findings(connections);
        findings.extend(energy(&meters::survey(&resolved)));
        findings.extend(ports(&resolved.snapshot, &resolved.settings.admin.bind));
    }
    let wrong = findings.iter().any(|it| it.state == State::Wrong);
    if arguments.json {
        console.json(&findings)?;
    } else {
        for finding in &findings {
            show(finding, console)?;
        }
    }
    Ok(if wrong { Exit::Deviated } else { Exit::Fine })
}

fn show(finding: &Finding, console: &Console) -> std::io::Result<()> {
    let (mark, style) = match finding.state {
        State::Fine => ("ok", Style::new().green()),
        State::Lacking => ("--", Style::new().yellow()),
        State::Wrong => ("no", Style::new().red()),
    };
    let mark = console.styled(mark, style);
    console.line(format_args!(
        "{mark}  {:<9} {}",
        finding.topic, finding.what
    ))?;
    match &finding.fix {
        Some(fix) => console.line(format_args!("{:14}-> {fix}", "")),
        None => Ok(()),
    }
}

/// As many as so many listeners take together.
fn connections(limits: &Limits, listeners: usize) -> u64 {
    let all = limits.connections_per_listener.saturating_mul(listeners);
    u64::try_from(all).unwrap_or(u64::MAX)
}

/// Which meters count, and whose work is seen.
fn energy(status: &EnergyStatus) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for meter in &status.meters {
        let (here, what) = match &meter.state {
            MeterState::Unavailable(why) => ("no".to_owned(), why.reason.clone()),
            state => meters::describe(state),
        };
        let told = format!("{} {here}: {what}", meter.name);
        findings.push(match &meter.state {
            MeterState::Counting { .. } | MeterState::Standby { .. } => {
                Finding::fine("meter", told)
            }
            MeterState::Lost => Finding::lacking("meter", told, None),
            MeterState::Unavailable(why) => Finding::lacking("meter", told, why.hint.clone()),
        });
    }
    let tried = |it: &&MeterInfo| status.meters.iter().any(|meter| meter.name == it.name);
    for info in METERS.iter().filter(|it| !tried(it)) {
        let told = format!("{} -: not tried: it is not configured", info.name);
        let fix = format!("[energy] meters = [{}]", info.example);
        findings.push(Finding::lacking("meter", told, Some(fix)));
    }
    for program in &status.programs {
        findings.push(match &program.why_not {
            None => {
                let count = program.pids.len();
                Finding::fine("upstream", format!("{}: {count} processes", program.name))
            }
            Some(why) => Finding::lacking("upstream", format!("{}: {why}", program.name), None),
        });
    }
    findings
}

/// Whether each address of the configuration can be bound now.
fn ports(snapshot: &Snapshot, admin: &AdminBind) -> Vec<Finding> {
    let mut wanted: Vec<(String, std::net::SocketAddr)> = snapshot
        .listeners
        .iter()
        .filter_map(|listener| match listener.bind {
            Bind::Tcp(address) => Some((format!("listener `{}`", listener.name), address)),
            Bind::Unix(_) => None,
        })
        .collect();
    if let AdminBind::Tcp(address) = admin {
        wanted.push(("the admin listener".into(), *address));
    }
    wanted
        .into_iter()
        .map(|(what, address)| match TcpListener::bind(address) {
            Ok(_) => Finding::fine("port", format!("{address} is free for {what}")),
            Err(error) => Finding {
                state: State::Wrong,
                fix: Some(format!(
                    "see who has it: ss -ltnp 'sport = :{}'",
                    address.port()
                )),
                ..Finding::fine("port", format!("{what} cannot have {address}: {error}"))
            },
        })
        .collect()
}
