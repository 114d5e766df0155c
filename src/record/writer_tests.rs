use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;
use tempfile::tempdir;

use crate::call::{Description, Outcome};
use crate::error::Origin;
use crate::record::{EnergyLine, Facts, Record, Timing};

use super::*;

fn record(id: u64) -> Record {
    Record {
        id,
        started: SystemTime::UNIX_EPOCH,
        listener: "chat".into(),
        protocol: "http",
        upstream: None,
        number: id,
        peer: None,
        method: String::new(),
        path: String::new(),
        description: Description::default(),
        verdicts: Vec::new(),
        admissions: Vec::new(),
        effects: Vec::new(),
        origin: Origin::Upstream,
        outcome: Outcome::Ok,
        status: None,
        reason: None,
        timing: Timing::default(),
        request_bytes: 0,
        response_bytes: 0,
        units: 0,
        tokens: 0,
        attempt: None,
        trace: None,
    }
}

fn log(file: &Path, decisions: DecisionLevel) -> DecisionLog {
    DecisionLog::start(&LogSettings {
        decisions,
        file: Some(file.to_owned()),
        ..LogSettings::default()
    })
    .unwrap()
}

fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn all_that_was_sent_from_any_thread_is_there_after_close() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("log");
    let log = log(&file, DecisionLevel::All);
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let sender = log.sender();
            thread::spawn(move || {
                for number in 0..1000 {
                    sender.send(record(worker * 1000 + number), true);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    let stats = log.stats();
    log.close();
    let mut calls: Vec<_> = lines(&file)
        .iter()
        .map(|line| line["call"].as_u64().unwrap())
        .collect();
    calls.sort_unstable();
    assert_eq!(calls, (0..4000).collect::<Vec<_>>());
    assert_eq!((stats.written(), stats.dropped()), (4000, 0));
}

#[test]
fn a_writer_that_sleeps_is_woken_by_a_line() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("log");
    let log = log(&file, DecisionLevel::All);
    let sender = log.sender();
    let stats = log.stats();
    for round in 1..=3 {
        while !log.shared.asleep.load(Ordering::Relaxed) {
            thread::sleep(ROUND);
        }
        sender.send(record(round), true);
        while stats.written() < round {
            thread::sleep(ROUND);
        }
    }
    log.close();
    assert_eq!(lines(&file).len(), 3);
}

/// A pipe that nobody reads stands for a disk or terminal that hangs.
#[test]
fn a_log_that_stands_still_holds_no_sender_and_loses_nothing_silently() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("pipe");
    mknodat(CWD, &file, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let log = log(&file, DecisionLevel::All);
    let sender = log.sender();
    let sent = 10 * RING as u64;
    for id in 0..sent {
        sender.send(record(id), true);
    }
    let stats = log.stats();
    assert!(stats.dropped() > 0);
    let reader = thread::spawn(move || {
        let lines = BufReader::new(File::open(file).unwrap()).lines();
        lines.map(Result::unwrap).count() as u64
    });
    log.close();
    let read = reader.join().unwrap();
    assert_eq!(read, stats.written());
    assert_eq!(read + stats.dropped(), sent);
}

#[test]
fn off_wants_nothing_and_starts_no_thread() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("log");
    let log = log(&file, DecisionLevel::Off);
    assert!(log.writer.is_none());
    let sender = log.sender();
    assert!(!sender.wants(Facts {
        call: 1,
        selected: true,
        fired: true
    }));
    sender.send(record(1), true);
    log.close();
    assert!(!file.exists());
}

#[test]
fn figures_stand_below_their_call_and_only_there() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("log");
    let log = log(&file, DecisionLevel::Fired);
    let (worker, sampler) = (log.sender(), log.sender());
    let figures = |call| EnergyLine {
        call,
        ..EnergyLine::default()
    };
    sampler.send_energy(figures(1));
    sampler.send_energy(figures(2));
    worker.send(record(1), true);
    worker.send(record(3), true);
    sampler.send_energy(figures(3));
    log.close();
    let told: Vec<_> = lines(&file)
        .iter()
        .map(|line| (line["call"].as_u64().unwrap(), line["kind"] == "energy"))
        .collect();
    for call in [1, 3] {
        let at = |energy| told.iter().position(|it| *it == (call, energy)).unwrap();
        assert!(at(false) < at(true), "{told:?}");
    }
    assert_eq!(told.len(), 4, "{told:?}");
}
