//! The `cpu-model` and `constant` meters, and the programs behind them.

use std::fs;

use hormesis::energy::process::{Machine, Program};
use hormesis::energy::reading::Seen;
use hormesis::energy::{Flag, MeterSpec, MeterState, ProcessSource, Tier};

use crate::bed::assert_exact;
use crate::bed::job::Job;
use crate::bed::tree::{PORT, SERVER_PID, Tree};
use crate::bed::world::{Setup, World};

const SECOND: u64 = 1_000_000_000;

fn meters(text: &str) -> Vec<MeterSpec> {
    let table: toml::Table = toml::from_str(&format!("meters = {text}")).unwrap();
    table["meters"].clone().try_into().unwrap()
}

fn machine(tree: &Tree, source: ProcessSource) -> Machine {
    let name = "llm".to_owned();
    Machine::new(&tree.proc(), 1, &[Program { name, source }])
}

#[test]
fn a_port_leads_to_the_whole_tree() {
    let tree = Tree::new();
    tree.process(SERVER_PID, 7, 50_000_000);
    tree.listen(SERVER_PID, PORT);
    tree.children(SERVER_PID, &[11, 12]);
    tree.process(11, 8, 20_000_000);
    tree.process(12, 9, 30_000_000);
    tree.process(13, 9, 990_000_000);
    let mut machine = machine(&tree, ProcessSource::Port(PORT));
    let seen = |ns| {
        Some(Seen {
            epoch: 1,
            cpu_ns: ns,
        })
    };
    assert_eq!(machine.sample(0).programs, [seen(0)]);
    assert_eq!(machine.status()[0].pids, [11, 12, SERVER_PID]);
    tree.process(12, 9, 80_000_000);
    assert_eq!(machine.sample(1).programs, [seen(50_000_000)]);
    // A new child is picked up at the next walk, with all that it used.
    tree.children(11, &[14]);
    tree.process(14, 20, 70_000_000);
    assert_eq!(machine.sample(2).programs, [seen(50_000_000)]);
    assert_eq!(machine.sample(SECOND + 3).programs, [seen(120_000_000)]);
    // One that ends takes its time with it; the sum stays.
    tree.kill(12);
    assert_eq!(machine.sample(SECOND + 4).programs, [seen(120_000_000)]);
    tree.process(14, 20, 90_000_000);
    assert_eq!(machine.sample(SECOND + 5).programs, [seen(140_000_000)]);
}

#[test]
fn a_process_id_that_is_used_again_is_another_process() {
    let tree = Tree::new();
    let file = tree.path().join("server.pid");
    fs::write(&file, format!("{SERVER_PID}\n")).unwrap();
    tree.process(SERVER_PID, 7, 10_000_000);
    let mut machine = machine(&tree, ProcessSource::PidFile(file.clone()));
    assert_eq!(machine.sample(0).programs[0].unwrap().epoch, 1);
    tree.process(SERVER_PID, 8, 990_000_000);
    assert_eq!(machine.sample(1).programs, [None]);
    let again = Seen {
        epoch: 2,
        cpu_ns: 0,
    };
    assert_eq!(machine.sample(2).programs, [Some(again)]);
    fs::write(&file, "nobody").unwrap();
    tree.kill(SERVER_PID);
    assert_eq!(machine.sample(3).programs, [None]);
    assert_eq!(machine.sample(4).programs, [None]);
    let why = machine.status()[0].why_not.clone().unwrap();
    assert!(why.contains("\"nobody\" is no process id"), "{why}");
}

#[test]
fn why_a_port_leads_nowhere() {
    let why = |tree: &Tree, port| {
        let mut machine = machine(tree, ProcessSource::Port(port));
        machine.sample(0);
        machine.status()[0].why_not.clone().unwrap_or_default()
    };
    let tree = Tree::new();
    assert!(why(&tree, PORT).contains("nothing listens"));
    tree.process(SERVER_PID, 7, 0);
    tree.listen(SERVER_PID, PORT);
    assert_eq!(why(&tree, PORT), "");
    // Port 8001 listens too, but its owner is not to be seen.
    assert!(why(&tree, 8001).contains("not to be seen"));
    tree.process(1, 1, 0);
    std::os::unix::fs::symlink("socket:[777]", tree.proc().join("1/fd/9")).unwrap();
    assert!(why(&tree, PORT).contains("hormesis itself"));
}

#[test]
fn cpu_time_is_told_in_joules() {
    let mut world = World::new(&Setup {
        meters: meters("[{ cpu-model = {} }]"),
        ..Setup::default()
    });
    world.own = 100;
    world.add(Job::new(1, 2010, 1000));
    world.add(Job::new(2, 5010, 1000));
    let totals = world.finish();
    assert_exact(&totals, world.figures.values());
    // The average CPU: 4.11 − 0.68 W for a busy second.
    for figure in world.figures.values() {
        let told = figure.dyn_uj.unwrap();
        assert!(told.abs_diff(3_430_000) <= 2 * 34_300, "{told}");
        assert_eq!(figure.tier, Some(Tier::Modelled));
        assert!(figure.lo_uj.unwrap() < 700_000 && figure.hi_uj.unwrap() > 4_100_000);
        assert_eq!(figure.meters.len(), 1);
    }
    let vcpus = std::thread::available_parallelism().unwrap().get() as u128;
    let machine = &totals.sources[0];
    let idle = 680 * u128::from(world.now) * vcpus;
    assert!(machine.idle.0.abs_diff(idle) <= 100, "{machine:?}");
    let own = u128::from(world.now) * 343;
    assert!(machine.own.0.abs_diff(own) <= 70_000, "{machine:?}");
}

#[test]
fn a_server_that_is_gone_is_a_gap() {
    let mut world = World::new(&Setup {
        meters: meters("[{ cpu-model = {} }]"),
        ..Setup::default()
    });
    world.run(2000);
    world.tree.kill(SERVER_PID);
    world.add(Job::new(1, 2210, 300));
    world.run(4000);
    let figure = &world.figures[&1];
    assert_eq!((figure.dyn_uj, figure.hi_uj), (None, None));
    assert!(figure.flags.contains(Flag::Gap) && figure.gap_ms == 300);
    let status = world.sampler.status();
    assert!(matches!(
        status.meters[0].state,
        MeterState::Counting { .. }
    ));
    assert!(status.programs[0].why_not.is_some());
    world.tree.process(SERVER_PID, 99, 0);
    world.tree.listen(SERVER_PID, PORT);
    world.run(6000);
    assert_eq!(world.sampler.status().programs[0].why_not, None);
    assert_exact(&world.finish(), world.figures.values());
}

#[test]
fn without_a_process_the_model_says_what_it_needs() {
    let world = World::new(&Setup {
        meters: meters("[{ cpu-model = {} }]"),
        process: false,
        ..Setup::default()
    });
    let MeterState::Unavailable(why) = &world.sampler.status().meters[0].state else {
        panic!("usable");
    };
    assert!(why.hint.as_ref().unwrap().contains("process = { port"));
}

#[test]
fn calls_without_any_meter_have_no_figure_but_are_told() {
    let mut world = World::new(&Setup {
        meters: meters("[{ cpu-model = {} }]"),
        process: false,
        ..Setup::default()
    });
    world.add(Job::new(1, 200, 300));
    let totals = world.finish();
    let figure = &world.figures[&1];
    assert_eq!(
        (figure.dyn_uj, figure.hi_uj, figure.tier),
        (None, None, None)
    );
    assert_eq!(totals.calls.values().sum::<u64>(), 1);
    assert_eq!(totals.joules_per_success(), None);
}

#[test]
fn constant_watts_are_exact_and_assumed() {
    let mut world = World::new(&Setup {
        meters: meters("[{ constant = { watts = 65, idle_watts = 40 } }]"),
        ..Setup::default()
    });
    world.add(Job::new(1, 1000, 500));
    let totals = world.finish();
    assert_exact(&totals, world.figures.values());
    assert_eq!(totals.sources[0].meter.0, u128::from(world.now) * 65_000);
    assert_eq!(totals.sources[0].idle.0, u128::from(world.now) * 40_000);
    let figure = &world.figures[&1];
    assert_eq!(figure.tier, Some(Tier::Assumed));
    assert_eq!(figure.dyn_uj, Some(500 * 25_000));
}
