//! The `rapl` meter on trees as machines have them, and as they should not be.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use hormesis::energy::meter::rapl::Rapl;
use hormesis::energy::{
    Domain, EnergySettings, Engine, Flag, MeterSpec, MeterState, Tier, Unavailable,
};
use hormesis::units::MicroJoules;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use crate::bed::job::Job;
use crate::bed::tree::Tree;
use crate::bed::world::{Setup, World};
use crate::bed::{assert_exact, source};

const RAPL: MeterSpec = MeterSpec::Rapl(Rapl { psys: false });

fn only_rapl() -> Setup {
    Setup {
        meters: vec![RAPL],
        ..Setup::default()
    }
}

/// The state of a single meter on a tree.
fn state(tree: &Tree, meter: MeterSpec) -> MeterState {
    let settings = EnergySettings {
        meters: vec![meter],
        sysfs_root: Some(tree.sys()),
        procfs_root: Some(tree.proc()),
        ..EnergySettings::default()
    };
    Engine::survey(&settings, &[]).meters.remove(0).state
}

fn sources(state: MeterState) -> Vec<String> {
    match state {
        MeterState::Counting { sources } => sources.into_iter().map(|it| it.id).collect(),
        other => panic!("{other:?}"),
    }
}

fn why_not(state: MeterState) -> Unavailable {
    match state {
        MeterState::Unavailable(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn packages_and_dram_count_and_their_parts_do_not() {
    let tree = Tree::new();
    tree.zone("intel-rapl:0", "package-0");
    tree.zone("intel-rapl:0:0", "core");
    tree.zone("intel-rapl:0:1", "uncore");
    tree.zone("intel-rapl:0:2", "dram");
    tree.zone("intel-rapl:1", "package-1");
    tree.zone("intel-rapl:1:0", "dram");
    tree.zone("intel-rapl:2", "psys");
    tree.zone("intel-rapl-mmio:0", "package-0");
    fs::create_dir(tree.powercap().join("dtpm")).unwrap();
    let want = [
        "rapl/package-0",
        "rapl/dram-0",
        "rapl/package-1",
        "rapl/dram-1",
    ];
    let mut found = sources(state(&tree, RAPL));
    found.sort_unstable();
    let mut want = want.map(str::to_owned);
    want.sort_unstable();
    assert_eq!(found, want);
    let psys = MeterSpec::Rapl(Rapl { psys: true });
    assert_eq!(sources(state(&tree, psys)), ["rapl/psys-2"]);
}

#[test]
fn what_cannot_be_used_says_why() {
    let tree = Tree::new();
    assert!(
        why_not(state(&tree, RAPL))
            .reason
            .contains("no intel-rapl zone")
    );
    fs::remove_dir_all(tree.powercap()).unwrap();
    assert!(
        why_not(state(&tree, RAPL))
            .hint
            .unwrap()
            .contains("modprobe")
    );
    let zone = tree.zone("intel-rapl:0", "package-0");
    fs::write(zone.path.join("energy_uj"), "lots\n").unwrap();
    assert!(why_not(state(&tree, RAPL)).reason.contains("no number"));
    fs::write(zone.path.join("energy_uj"), "17\n").unwrap();
    assert_eq!(sources(state(&tree, RAPL)), ["rapl/package-0"]);
}

#[test]
fn a_counter_that_may_not_be_read_names_the_command() {
    let tree = Tree::new();
    let zone = tree.zone("intel-rapl:0", "package-0");
    let counter = zone.path.join("energy_uj");
    fs::set_permissions(&counter, Permissions::from_mode(0o000)).unwrap();
    // Root reads everything: this thread gives that up for as long as it lives.
    let mut sets = capabilities(None).unwrap();
    sets.effective
        .remove(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
    set_capabilities(None, sets).unwrap();
    let why = why_not(state(&tree, RAPL));
    assert!(why.reason.contains("may not be read"), "{why}");
    assert_eq!(why.hint, Some(format!("chmod a+r {}", counter.display())));
}

#[test]
fn a_wrap_loses_nothing() {
    let tree = Tree::new();
    let package = tree.zone("intel-rapl:0", "package-0");
    package.range(10_000_000);
    let mut world = World::on(tree, package, &only_rapl());
    world.dial = |burnt| burnt % 10_000_000;
    for call in 0..10 {
        world.add(Job::new(call, 2000 + call * 600, 500));
    }
    let totals = world.finish();
    assert_exact(&totals, world.figures.values());
    let source = source(&totals);
    assert!(world.burnt > 80_000_000);
    assert_eq!(source.meter.0, u128::from(world.burnt));
    assert_eq!(source.gap_time.as_nanos(), 0);
}

#[test]
fn a_reset_is_a_gap_and_no_jump() {
    // Without a range, and with one that the power limit rules out.
    for range in [None, Some(262_143_328_850)] {
        let tree = Tree::new();
        let package = tree.zone("intel-rapl:0", "package-0");
        match range {
            None => fs::remove_file(package.path.join("max_energy_range_uj")).unwrap(),
            Some(range) => package.range(range),
        }
        let mut world = World::on(tree, package, &only_rapl());
        world.add(Job::new(1, 2950, 500));
        world.run(3000);
        world.dial = |burnt| burnt - 30_050_000;
        let totals = world.finish();
        assert_exact(&totals, world.figures.values());
        let source = source(&totals);
        let figure = &world.figures[&1];
        // What the reset hid counts nowhere; the gap's length says so.
        assert!(source.meter.0 < u128::from(world.burnt));
        assert_eq!(source.gap_time.as_millis(), 100);
        assert_eq!(source.gap, MicroJoules::ZERO);
        assert!(figure.flags.contains(Flag::Gap));
        assert_eq!(figure.gap_ms, 100);
        assert!(figure.dyn_uj.unwrap() < 500 * 20_000);
    }
}

#[test]
fn a_sensor_that_vanishes_is_a_gap_until_it_is_back() {
    let mut world = World::new(&only_rapl());
    world.run(2500);
    world.package.vanish();
    world.add(Job::new(1, 2600, 400));
    world.run(4000);
    let before = world.sampler.totals();
    assert_eq!(source(&before).missing(), 0);
    let package = world.tree.zone("intel-rapl:0", "package-0");
    package.set(world.burnt);
    world.package = package;
    world.add(Job::new(2, 5000, 400));
    let totals = world.finish();
    assert_exact(&totals, world.figures.values());
    let source = source(&totals);
    // It counted on while it was away: that energy is known, and in no window.
    assert_eq!(source.meter.0, u128::from(world.burnt));
    assert!(source.gap.0 > 15_000_000, "{source:?}");
    assert_eq!(source.gap_time.as_millis(), 1600);
    // No reading is null, never 0.
    let lost = &world.figures[&1];
    assert_eq!((lost.dyn_uj, lost.lo_uj, lost.tier), (None, None, None));
    assert_eq!((lost.gap_ms, lost.windows), (400, 0));
    assert!(world.figures[&2].dyn_uj.is_some());
}

#[test]
fn a_dying_meter_gives_way_to_the_next_and_takes_over_again() {
    let mut world = World::new(&Setup::default());
    world.run(2500);
    world.package.vanish();
    world.run(6000);
    world.add(Job::new(1, 6100, 400));
    world.run(8000);
    let figure = &world.figures[&1];
    assert_eq!(figure.tier, Some(Tier::Modelled));
    assert!(figure.dyn_uj.is_some());
    let totals = world.sampler.totals();
    let rapl = &totals.sources[0];
    assert!(!rapl.live && rapl.gap_time.as_millis() >= 2000, "{rapl:?}");
    world.package = world.tree.zone("intel-rapl:0", "package-0");
    world.run(14_000);
    world.add(Job::new(2, 14_100, 400));
    let totals = world.finish();
    assert_exact(&totals, world.figures.values());
    assert_eq!(world.figures[&2].tier, Some(Tier::Measured));
    let live: Vec<&str> = totals
        .sources
        .iter()
        .filter(|it| it.live)
        .map(|it| &*it.id)
        .collect();
    assert_eq!(live, ["rapl/package-0"]);
}

#[test]
fn a_counter_that_stands_is_not_trusted() {
    let mut world = World::new(&only_rapl());
    world.run(2500);
    world.dial = |_| 25_000_000;
    world.add(Job::new(1, 3000, 400));
    let totals = world.finish();
    let source = source(&totals);
    assert_eq!(source.missing(), 0);
    // The window that was open when it stood still is closed by the flush.
    let standing = source.gap_time.as_millis();
    assert!(
        standing + 200 >= u128::from(world.now) - 2500 || standing == 0,
        "{standing}"
    );
    world.run(12_000);
    let totals = world.flush();
    assert!(totals.sources[0].gap_time.as_millis() >= 2000, "{totals:?}");
}

#[test]
fn mirrored_dies_count_once() {
    let run = |twin: fn(u64) -> u64| {
        let tree = Tree::new();
        let package = tree.zone("intel-rapl:0", "package-0");
        let second = tree.zone("intel-rapl:1", "package-1");
        let mut world = World::on(tree, package, &only_rapl());
        for round in 1..=30 {
            let at = round * 100;
            world.run(at - 1);
            second.set(twin(world.burnt + 10_000));
            world.run(at);
        }
        let totals = world.flush();
        assert_exact(&totals, world.figures.values());
        totals
            .sources
            .iter()
            .map(|it| it.meter.0)
            .collect::<Vec<_>>()
    };
    let burnt = 30_000_000;
    assert_eq!(run(|burnt| burnt), [burnt, 0]);
    // Another package counts from the first reading on, although it is judged later.
    assert_eq!(run(|burnt| burnt / 3), [burnt, burnt / 3]);
}

#[test]
fn domains_that_overlap_are_never_added() {
    assert!(Domain::Node.overlaps(Domain::Cpu) && Domain::Dram.overlaps(Domain::Node));
    assert!(!Domain::Cpu.overlaps(Domain::Dram));
    let constant = toml::from_str::<toml::Table>("constant = { watts = 65 }").unwrap();
    let constant: MeterSpec = constant.try_into().unwrap();
    let world = World::new(&Setup {
        meters: vec![constant, RAPL],
        ..Setup::default()
    });
    let status = world.sampler.status().meters;
    assert!(matches!(status[0].state, MeterState::Counting { .. }));
    assert!(matches!(status[1].state, MeterState::Standby { .. }));
}
