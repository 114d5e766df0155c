//! The story in its order: model server, sidecar, load, report.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::load::{Line, LoadReport};
use crate::report::{Format, Run};

use super::DemoOptions;
use super::children::{Child, Stage};
use super::error::DemoError;
use super::gather::{Sample, gather};
use super::keep;
use super::model_server::{Announcement, ModelServerOptions};
use super::scenario::{self, END_S, Places, QUIET_S};
use super::screen::Screen;
use super::shell::again;
use super::status::{Status, is_ready};

/// Training takes about a second; this allows for a busy machine.
const PATIENCE: Duration = Duration::from_secs(15);
/// A port that was free can be taken by another program before it is bound.
const ATTEMPTS: u32 = 3;

/// Everything that a play needs to know of itself.
pub(super) struct Play {
    pub(super) seed: u64,
    /// What repeats it.
    pub(super) command: String,
    pub(super) folder: PathBuf,
    pub(super) admin: SocketAddr,
    pub(super) chat: SocketAddr,
    pub(super) infer: SocketAddr,
}

pub(super) async fn tell(options: &DemoOptions, stage: &mut Stage) -> Result<(), DemoError> {
    let mut screen = Screen::open();
    let started = SystemTime::now();
    let seed = options.seed.unwrap_or_else(draw_seed);
    let folder = folder(options)?;
    screen.say(&format!(
        "hormesis demo, seed {seed}: training a model server"
    ));
    let model_server = start_model_server(stage, seed, &folder, &screen).await?;
    let admin = start_sidecar(stage, seed, options.keep, model_server, &folder).await?;
    let status = Status::read(admin).await?;
    let play = Play {
        seed,
        command: again(&options.program, seed, options.out.as_deref()),
        admin,
        chat: status.address("chat")?,
        infer: status.address("infer")?,
        folder,
    };
    screen.say(&format!(
        "sidecar before it: chat on {}, inference on {}, admin on {admin}",
        play.chat, play.infer
    ));
    let (report, samples) = run_load(stage, &play, &status, &mut screen).await?;
    let run = gather(&play, started, report, &samples);
    write_reports(options, &play, &run)?;
    if options.keep {
        keep::stay(stage, &play).await?;
    }
    Ok(())
}

/// Short enough to type again.
fn draw_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::from(now.unwrap_or_default().subsec_nanos()) % 1_000_000
}

fn folder(options: &DemoOptions) -> Result<PathBuf, DemoError> {
    let folder = options.out.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("hormesis-demo-{}", std::process::id()))
    });
    match std::fs::create_dir_all(&folder).and_then(|()| std::path::absolute(&folder)) {
        Ok(absolute) => Ok(absolute),
        Err(source) => Err(DemoError::Write {
            path: folder,
            source,
        }),
    }
}

async fn start_model_server(
    stage: &mut Stage,
    seed: u64,
    folder: &Path,
    screen: &Screen,
) -> Result<SocketAddr, DemoError> {
    let child = Child::start("model server", &[OsStr::new("demo-model-server")], folder)?;
    let child = stage.model_server.insert(child);
    child.tell(&ModelServerOptions { seed }).await?;
    let line = child.line_within(PATIENCE).await?;
    let Ok(announcement) = serde_json::from_str::<Announcement>(&line) else {
        return Err(child.garbled(line));
    };
    screen.say(&format!(
        "trained in {} ms: tells {:.0} % of unseen digits right, writes with {:.2} nats a letter; listens on {}",
        announcement.training_ms,
        announcement.classifier_accuracy * 100.0,
        announcement.language_loss,
        announcement.listening,
    ));
    Ok(announcement.listening)
}

async fn start_sidecar(
    stage: &mut Stage,
    seed: u64,
    keep: bool,
    model_server: SocketAddr,
    folder: &Path,
) -> Result<SocketAddr, DemoError> {
    let mut attempt = 1;
    loop {
        let admin = free_port()?;
        let places = Places {
            model_server,
            admin,
            decision_log: &folder.join("decisions.jsonl"),
        };
        let path = folder.join("hormesis.toml");
        write(&path, &scenario::config(seed, keep, places))?;
        let child = Child::start("sidecar", &[OsStr::new("run"), path.as_os_str()], folder)?;
        let child = stage.sidecar.insert(child);
        match until_ready(child, admin).await {
            Ok(()) => return Ok(admin),
            Err(DemoError::Died { .. }) if attempt < ATTEMPTS => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

async fn until_ready(sidecar: &mut Child, admin: SocketAddr) -> Result<(), DemoError> {
    let ready = async {
        while !is_ready(admin).await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = ready => return Ok(()),
        death = sidecar.death() => return Err(death),
        () = sleep(PATIENCE) => (),
    }
    Err(sidecar.silence(PATIENCE))
}

/// The listeners take any port; the admin's must be known before the sidecar can be asked.
fn free_port() -> Result<SocketAddr, DemoError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(DemoError::Port)
}

/// Sends the load and reads the sidecar's figures every second.
async fn run_load(
    stage: &mut Stage,
    play: &Play,
    status: &Status,
    screen: &mut Screen,
) -> Result<(LoadReport, Vec<Sample>), DemoError> {
    let child = Child::start("load", &[OsStr::new("demo-load")], &play.folder)?;
    let load = stage.load.insert(child);
    screen.say("learning what idle is");
    // Rules count from the sidecar's start, the load from its own: this joins the two clocks.
    let quiet = Duration::from_secs(QUIET_S).as_secs_f64() - status.uptime_s;
    sleep(Duration::try_from_secs_f64(quiet).unwrap_or_default()).await;
    load.tell(&scenario::load(play.seed, play.chat, play.infer))
        .await?;
    screen.begin();
    let (Some(sidecar), Some(model_server)) = (&mut stage.sidecar, &mut stage.model_server) else {
        return Err(DemoError::Status("it was never started".to_owned()));
    };
    let result = tokio::select! {
        result = follow(load, play.admin, screen) => result,
        death = sidecar.death() => Err(death),
        death = model_server.death() => Err(death),
    };
    screen.end();
    result
}

async fn follow(
    load: &mut Child,
    admin: SocketAddr,
    screen: &mut Screen,
) -> Result<(LoadReport, Vec<Sample>), DemoError> {
    let started = Instant::now();
    let mut samples = Vec::new();
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let report = loop {
        tokio::select! {
            _ = seconds.tick() => samples.push(Sample::take(admin, started).await?),
            line = load.line_within(PATIENCE) => match understand(load, line?)? {
                Line::Live(second) => if second.at < END_S {
                    screen.second(&second);
                },
                Line::Final(report) => break report,
            },
        }
    };
    // The figure of the last call is ready a window after its end.
    sleep(Duration::from_millis(500)).await;
    samples.push(Sample::take(admin, started).await?);
    Ok((report, samples))
}

fn understand(load: &Child, line: String) -> Result<Line, DemoError> {
    serde_json::from_str(&line).map_err(|_| load.garbled(line))
}

fn write_reports(options: &DemoOptions, play: &Play, run: &Run) -> Result<(), DemoError> {
    for format in Format::ALL {
        let path = play.folder.join(format!("report.{}", format.name()));
        write(&path, &format.render(run)?)?;
    }
    let mut text = if options.json {
        Format::Json.render(run)?
    } else {
        Format::Text.render(run)?
    };
    if !options.json {
        let report = play.folder.join("report.html");
        text = format!(
            "{text}\nreport  {}\nagain   {}\n",
            report.display(),
            run.command
        );
    }
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(b"\n")
        .and_then(|()| stdout.write_all(text.as_bytes()))
        .and_then(|()| stdout.flush())
        .map_err(DemoError::Print)
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), DemoError> {
    std::fs::write(path, text).map_err(|source| DemoError::Write {
        path: path.to_owned(),
        source,
    })
}
