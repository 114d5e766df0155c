//! Runs a load: arrivals go into a queue when they are due, clients take them from it.

use std::io::{self, Write};
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use super::client::Client;
use super::options::{LoadOptions, OptionsError};
use super::outcome::Observation;
use super::schedule::{Arrival, Schedule};
use super::tally::{Ledger, Line, LoadReport, Second, Tally};

/// Why a load could not be made or told.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Options(#[from] OptionsError),
    #[error("cannot write the figures")]
    Write(#[from] io::Error),
    #[error("cannot write the figures")]
    Serialize(#[from] serde_json::Error),
}

/// Makes the load; writes live figures to `out` each second and the report at the end.
pub async fn run(options: LoadOptions, out: &mut impl Write) -> Result<LoadReport, LoadError> {
    options.check()?;
    let options = Arc::new(options);
    let start = Instant::now();
    let (due, queue) = mpsc::unbounded_channel();
    let (seen, mut observations) = mpsc::unbounded_channel();
    let queue = Arc::new(Mutex::new(queue));
    let mut tasks = JoinSet::new();
    for _ in 0..options.in_flight {
        tasks.spawn(client(
            Arc::clone(&options),
            Arc::clone(&queue),
            start,
            seen.clone(),
        ));
    }
    drop(seen);
    tasks.spawn(dispatch(Schedule::new(&options), start, due));

    let mut ledger = Ledger::new(&options);
    let mut live = Live::new(start);
    loop {
        tokio::select! {
            observation = observations.recv() => match observation {
                Some(observation) => {
                    ledger.add(&observation);
                    live.tally.add(&observation);
                }
                // Every client is done.
                None => break,
            },
            _ = live.interval.tick() => write_line(out, &live.second())?,
        }
    }
    let report = ledger.report();
    write_line(out, &Line::Final(report.clone()))?;
    Ok(report)
}

/// Hands each arrival over when it is due. A late wake-up delays the call, and counts.
async fn dispatch(schedule: Schedule, start: Instant, due: mpsc::UnboundedSender<Arrival>) {
    for arrival in schedule {
        sleep_until(start + arrival.at).await;
        if due.send(arrival).is_err() {
            return;
        }
    }
}

async fn client(
    options: Arc<LoadOptions>,
    queue: Arc<Mutex<mpsc::UnboundedReceiver<Arrival>>>,
    start: Instant,
    seen: mpsc::UnboundedSender<Observation>,
) {
    let mut client = Client::default();
    loop {
        let next = queue.lock().await.recv().await;
        let Some(arrival) = next else { return };
        let flow = &options.flows[arrival.flow];
        let observation = client.call(flow, arrival, start, options.timeout()).await;
        if seen.send(observation).is_err() {
            return;
        }
    }
}

/// What ended since the last line.
struct Live {
    interval: Interval,
    at: u64,
    tally: Tally,
}

impl Live {
    fn new(start: Instant) -> Self {
        let second = std::time::Duration::from_secs(1);
        let mut interval = interval_at(start + second, second);
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Self {
            interval,
            at: 0,
            tally: Tally::new(),
        }
    }

    fn second(&mut self) -> Line {
        let second = Second {
            at: self.at,
            slice: self.tally.slice(),
            by_flow: std::collections::BTreeMap::new(),
        };
        self.at += 1;
        self.tally = Tally::new();
        Line::Live(second)
    }
}

fn write_line(out: &mut impl Write, line: &Line) -> Result<(), LoadError> {
    writeln!(out, "{}", serde_json::to_string(line)?)?;
    out.flush()?;
    Ok(())
}
