//! I3: what we or a slow client do to a call is not work of the upstream.

use hormesis::call::Outcome;
use hormesis::energy::Flag;

use crate::bed::assert_exact;
use crate::bed::job::{Form, Harm, Job};
use crate::bed::world::{Setup, World};

/// Every way of 500 ms of injected delay.
pub(crate) const HARMS: [Harm; 5] = [
    Harm::BeforeUpstream(500),
    Harm::ResponseHead(500),
    Harm::BetweenTokens(50),
    Harm::Throttle(50),
    Harm::SlowReader(500),
];

/// Calls one after the other, each waiting for the one before.
pub(crate) fn serial(harm: Harm) -> World {
    let mut world = World::new(&Setup::default());
    let mut at = 2000;
    for call in 0..40 {
        let job = Job::new(call, at, 330).form(Form::Prefill).harm(harm);
        at = job.clone().course().closed + 111;
        world.add(job);
    }
    let totals = world.finish();
    assert_exact(&totals, world.figures.values());
    assert_eq!(world.figures.len(), 40);
    world
}

/// Mean energy of a call, in µJ.
fn mean(world: &World) -> u64 {
    let sum: u64 = world.figures.values().map(|it| it.dyn_uj.unwrap()).sum();
    sum / world.figures.len() as u64
}

#[test]
fn half_a_second_of_delay_changes_nothing() {
    let plain = mean(&serial(Harm::None));
    for harm in HARMS {
        let harmed = mean(&serial(harm));
        assert!(
            harmed.abs_diff(plain) * 50 < plain,
            "{harm:?}: {harmed}, without {plain}"
        );
    }
}

#[test]
fn a_call_whose_process_is_not_known_is_not_charged_what_was_held() {
    let run = |harm| {
        let mut world = World::new(&Setup {
            process: false,
            ..Setup::default()
        });
        world.run(1000);
        // Something else is at work all the time, and nobody knows what.
        world.others = 500;
        world.add(Job::new(1, 2000, 330).harm(harm));
        world.finish();
        let figure = world.figures.remove(&1).unwrap();
        assert!(figure.flags.contains(Flag::HostShared));
        figure
    };
    let plain = run(Harm::None);
    let held = run(Harm::ResponseHead(3000));
    // Three seconds at 10 W of others would be 30 J; the upstream's work is 6.6 J.
    assert!(held.dyn_uj.unwrap() < plain.dyn_uj.unwrap() * 13 / 10);
    assert!(held.hi_uj.unwrap() > plain.hi_uj.unwrap() * 2);
}

#[test]
fn a_held_call_is_not_charged_for_one_at_work() {
    let mut world = World::new(&Setup::default());
    world.add(Job::new(1, 2000, 400).harm(Harm::ResponseHead(4000)));
    world.add(Job::new(2, 4000, 1000));
    world.finish();
    let [held, other] = [1, 2].map(|call| world.figures[&call].dyn_uj.unwrap());
    assert!(held.abs_diff(8_000_000) < 400_000, "{held}");
    assert!(other.abs_diff(20_000_000) < 400_000, "{other}");
    assert!(world.figures[&1].hi_uj.unwrap() > held + 15_000_000);
}

#[test]
fn a_delayed_call_that_is_whole_is_no_waste() {
    let mut world = serial(Harm::ResponseHead(500));
    let totals = world.flush();
    assert_eq!(totals.wasted().0, 0);
    assert_eq!(totals.calls[&Outcome::Ok], 40);
    let per_success = totals.joules_per_success().unwrap();
    assert!((per_success - totals.dynamic().joules() / 40.0).abs() < 1e-9);
}
