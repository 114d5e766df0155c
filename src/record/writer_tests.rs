use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;
use tempfile::tempdir;
use tokio::time::Instant;

use crate::call::{Description, Outcome};
use crate::effect::RuleToken;
use crate::error::Origin;
use crate::record::{EnergyLine, Facts, Follower, Next, Record, Timing};
use crate::rule::{Denied, Verdict, VerdictKind};

/// A fault acted on a call.
const FIRED: Facts = Facts {
    call: 0,
    selected: true,
    fired: true,
};

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
        toxics: Vec::new(),
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

/// A call on which a fault would have acted but for a dry run.
fn fired(id: u64) -> Record {
    let token = RuleToken {
        rule: "slow".into(),
        index: 0,
        epoch: 0,
    };
    let verdict = Verdict {
        token,
        draw: None,
        kind: VerdictKind::Denied(Denied::DryRun),
    };
    Record {
        verdicts: vec![verdict],
        ..record(id)
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

#[test]
fn a_ring_that_is_half_full_is_not_left_to_the_next_round() {
    let (producer, mut lines) = RingBuffer::new(RING);
    let writer = thread::current();
    let level = DecisionLevel::All;
    let sender = RecordSender::new(level, None, producer, Arc::default(), writer);
    for id in 0..RING as u64 / 2 {
        sender.send(record(id), true);
    }
    let waits = Instant::now();
    thread::park_timeout(Duration::from_secs(60));
    assert!(waits.elapsed() < Duration::from_secs(30));
    assert!(lines.pop().is_ok());
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
fn off_wants_nothing_and_writes_nothing() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("log");
    let log = log(&file, DecisionLevel::Off);
    let sender = log.sender();
    assert!(!sender.wants(FIRED) && !sender.is_followed(FIRED));
    sender.send(record(1), false);
    sender.send_energy(EnergyLine::default());
    log.close();
    assert!(!file.exists());
}

/// The calls that a follower has been told of, and how many were lost on the way, up to `last`.
fn followed(follower: &mut Follower, last: u64) -> (Vec<u64>, u64) {
    let (mut calls, mut missed) = (Vec::new(), 0);
    for _ in 0..2000 {
        match follower.waiting() {
            Some(Next::Decision(it)) => {
                let line: Value = serde_json::from_str(&it.line).unwrap();
                assert_eq!(line["call"], it.record.id);
                calls.push(it.record.id);
                if it.record.id == last {
                    return (calls, missed);
                }
            }
            Some(Next::Missed(count)) => missed += count,
            None => thread::sleep(ROUND),
        }
    }
    panic!("only {calls:?}");
}

#[test]
fn who_follows_is_told_of_fired_calls_whatever_the_log_tells() {
    let dir = tempdir().unwrap();
    for (level, logged) in [(DecisionLevel::Off, 0), (DecisionLevel::All, 2)] {
        let file = dir.path().join(format!("{level:?}"));
        let log = log(&file, level);
        let sender = log.sender();
        let mut follower = log.stats().follow().unwrap();
        assert!(sender.is_followed(FIRED) && !sender.is_followed(Facts::default()));
        let log_wants = sender.wants(FIRED);
        assert_eq!(log_wants, level == DecisionLevel::All);
        sender.send(fired(1), log_wants);
        // A call that only has a span is nobody else's business.
        sender.send(record(7), false);
        sender.send(fired(2), log_wants);
        assert_eq!(followed(&mut follower, 2), (vec![1, 2], 0));
        drop(follower);
        assert!(!sender.is_followed(FIRED));
        log.close();
        let written = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(written.lines().count(), logged, "{level:?}");
    }
}

#[test]
fn who_follows_too_slowly_is_told_how_much_was_missed_and_holds_nobody() {
    let dir = tempdir().unwrap();
    let log = log(&dir.path().join("log"), DecisionLevel::Off);
    let sender = log.sender();
    let mut slow = log.stats().follow().unwrap();
    let mut quick = log.stats().follow().unwrap();
    let mut seen = Vec::new();
    for round in 0..5 {
        for id in round * 1000..(round + 1) * 1000 {
            sender.send(fired(id), false);
        }
        let (calls, missed) = followed(&mut quick, round * 1000 + 999);
        assert_eq!(missed, 0);
        seen.extend(calls);
    }
    assert_eq!(seen, (0..5000).collect::<Vec<_>>());
    let (calls, missed) = followed(&mut slow, 4999);
    assert_eq!(calls.len() as u64 + missed, 5000);
    assert_eq!(calls.last(), Some(&4999));
    assert!(missed > 3000, "{missed}");
    assert_eq!(log.stats().dropped(), 0);
}

#[test]
fn only_so_many_may_follow() {
    let dir = tempdir().unwrap();
    let log = log(&dir.path().join("log"), DecisionLevel::Off);
    let stats = log.stats();
    let mut followers: Vec<_> = std::iter::from_fn(|| stats.follow()).take(100).collect();
    assert_eq!(followers.len(), 32);
    followers.pop();
    assert!(stats.follow().is_some());
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
