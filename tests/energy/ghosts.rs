//! Work after the cut: what an upstream spends on an answer that nobody waits for.

use hormesis::call::Outcome;
use hormesis::energy::{EnergyOutcome, Flag};

use crate::bed::assert_exact;
use crate::bed::job::Job;
use crate::bed::world::{CPU_MW, Setup, World};

fn cut(call: u64, at: u64, goes_on: bool) -> Job {
    let mut job = Job::new(call, at, 1200);
    job.outcome = Outcome::ClientAbort;
    job.cut = Some((300, goes_on));
    job
}

#[test]
fn an_upstream_that_works_on_is_told_as_zombie() {
    let mut world = World::new(&Setup::default());
    world.add(cut(1, 2000, true));
    let totals = world.finish();
    assert_exact(&totals, world.figures.values());
    let figure = &world.figures[&1];
    assert!(figure.flags.contains(Flag::Zombie));
    let sums = totals.by_outcome();
    let near = |uj: u128, ms: u64| {
        let truth = u128::from(ms * CPU_MW);
        assert!(uj.abs_diff(truth) * 20 <= truth, "{uj} for {truth}");
    };
    near(sums[&EnergyOutcome::ZOMBIE].0, 900);
    near(sums[&EnergyOutcome::Call(Outcome::ClientAbort)].0, 300);
    assert_eq!(totals.wasted(), totals.dynamic());
    assert_eq!(totals.joules_per_success(), None);
}

#[test]
fn an_upstream_that_stops_leaves_no_zombie() {
    let mut world = World::new(&Setup::default());
    world.add(cut(1, 2000, false));
    let totals = world.finish();
    assert_exact(&totals, world.figures.values());
    let figure = &world.figures[&1];
    assert_eq!(figure.zombie_uj, None);
    assert!(!figure.flags.contains(Flag::ZombieUnknown));
}

#[test]
fn a_ghost_takes_nothing_from_calls_at_work() {
    let mut world = World::new(&Setup::default());
    world.add(cut(1, 2000, false));
    world.add(Job::new(2, 2300, 1000));
    let totals = world.finish();
    assert_exact(&totals, world.figures.values());
    let other = world.figures[&2].dyn_uj.unwrap();
    assert!(
        other.abs_diff(1000 * CPU_MW) * 50 <= 1000 * CPU_MW,
        "{other}"
    );
    assert!(world.figures[&1].flags.contains(Flag::ZombieUnknown));
    assert_eq!(world.figures[&1].zombie_uj, None);
}
