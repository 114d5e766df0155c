//! The engine's thread, and the real `/proc` of this machine.

use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::time::Duration;

use hormesis::call::Outcome;
use hormesis::energy::ledger::ledger;
use hormesis::energy::process::{Machine, Program};
use hormesis::energy::{
    EnergySettings, Engine, MeterSpec, MeterState, ProcessSource, UpstreamSource,
};
use tokio::time::Instant;

use crate::bed::{assert_exact, finish, names};

fn constant() -> EnergySettings {
    let table: toml::Table = toml::from_str("constant = { watts = 65 }").unwrap();
    let spec: MeterSpec = table.try_into().unwrap();
    EnergySettings {
        meters: vec![spec],
        // Longer than the test: only the stop closes a window.
        interval: Some(Duration::from_secs(3600)),
        ..EnergySettings::default()
    }
}

#[test]
fn a_clean_stop_tells_the_last_figures() {
    let (mut senders, rings) = ledger(2, 1, 64);
    let (sink, figures) = channel();
    let engine = Engine::start(
        &constant(),
        &names(&["llm"]),
        rings,
        Box::new(move |it| sink.send(it).unwrap()),
    )
    .unwrap();
    let now = Instant::now();
    for (call, sender) in senders.iter_mut().enumerate() {
        sender.begin(call as u64, 0, now);
        sender.end(call as u64, Instant::now(), finish(Outcome::Ok));
    }
    assert!(matches!(
        engine.status().meters[0].state,
        MeterState::Counting { .. }
    ));
    let totals = engine.stop();
    let figures: Vec<_> = figures.iter().collect();
    assert_eq!(figures.len(), 2);
    assert_exact(&totals, &figures);
    assert_eq!(totals.calls[&Outcome::Ok], 2);
    assert_eq!(totals.sources[0].windows, 1);
}

#[test]
fn a_dropped_engine_stops() {
    let (_, rings) = ledger(1, 1, 64);
    let (sink, figures) = channel();
    let engine = Engine::start(
        &constant(),
        &names(&["llm"]),
        rings,
        Box::new(move |it| sink.send(it).unwrap()),
    );
    drop(engine.unwrap());
    // The sink went with the thread.
    assert!(figures.recv().is_err());
}

#[test]
fn a_listening_socket_of_this_machine_has_an_owner() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let program = |source| Program {
        name: "llm".to_owned(),
        source,
    };
    let port = program(ProcessSource::Port(port));
    let proc = std::path::Path::new("/proc");
    // Seen from another process, this one is the server; seen from itself, it is hormesis.
    let mut machine = Machine::new(proc, 1, std::slice::from_ref(&port));
    let usage = machine.sample(0);
    assert!(machine.status()[0].pids.contains(&std::process::id()));
    assert!(usage.programs[0].is_some() && usage.busy.unwrap() > 0);
    let mut machine = Machine::new(proc, std::process::id(), &[port]);
    assert_eq!(machine.sample(0).programs, [None]);
    let why = machine.status()[0].why_not.clone().unwrap();
    assert!(why.contains("hormesis itself"), "{why}");
}

/// I12: reads of the sampler's thread a round, as the kernel counts them.
#[test]
fn a_round_costs_a_handful_of_system_calls() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let source = ProcessSource::Port(port);
    let name = "llm".to_owned();
    let proc = std::path::Path::new("/proc");
    let mut machine = Machine::new(proc, 1, &[Program { name, source }]);
    machine.sample(0);
    let reads = || {
        let text = std::fs::read_to_string("/proc/thread-self/io").unwrap();
        let line = text.lines().find_map(|it| it.strip_prefix("syscr: "));
        line.unwrap().parse::<u64>().unwrap()
    };
    let before = reads();
    let idle = reads() - before;
    let before = reads();
    // Within the second in which a tree is walked once.
    for round in 1..=9 {
        machine.sample(round * 100_000_000);
    }
    // The machine's CPU time, and one process: hormesis is not among what pid 1 may hide.
    let spent = reads() - before - idle;
    assert!(spent <= 9 * 3, "{spent} reads in nine rounds");
}

#[test]
fn survey_opens_nothing_for_good() {
    let settings = EnergySettings {
        upstreams: vec![UpstreamSource {
            process: Some(ProcessSource::Port(1)),
        }],
        ..EnergySettings::default()
    };
    let status = Engine::survey(&settings, &names(&["llm"]));
    let meters: Vec<&str> = status.meters.iter().map(|it| it.name).collect();
    assert_eq!(meters, ["rapl", "cpu-model"]);
    assert_eq!(status.programs[0].name, "llm");
}
