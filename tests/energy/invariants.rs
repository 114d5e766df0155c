//! The sums, the ranges, and what must not matter: order, window length, neighbours.

use hormesis::call::Outcome;
use hormesis::energy::{EnergyOutcome, Flag, IdlePolicy, IdleSettings, Tier, Watts};
use hormesis::units::MicroJoules;
use proptest::prelude::*;

use crate::bed::job::{Form, Job};
use crate::bed::world::{CPU_MW, IDLE_MW, Setup, World};
use crate::bed::{assert_exact, source};

/// Calls that overlap, of both forms, at about two at a time.
fn crowd(world: &mut World, calls: u64) {
    for call in 0..calls {
        let form = if call % 2 == 0 {
            Form::Even
        } else {
            Form::Prefill
        };
        let work = 150 + call * 37 % 400;
        let mut job = Job::new(call, 2000 + call * 170 + call * 13 % 50, work).form(form);
        if call % 7 == 0 {
            job.outcome = Outcome::UpstreamError;
        }
        world.add(job);
    }
}

#[test]
fn every_microjoule_of_the_meter_is_somewhere() {
    let mut world = World::new(&Setup::default());
    world.others = 300;
    world.own = 50;
    crowd(&mut world, 200);
    let totals = world.finish();
    assert_exact(&totals, world.figures.values());
    let source = source(&totals);
    assert_eq!(source.meter.0, u128::from(world.burnt));
    assert_eq!(source.gap, MicroJoules::ZERO);
    assert_eq!(source.in_flight, MicroJoules::ZERO);
    assert_eq!(world.figures.len(), 200);
    // The parts are what was truly burnt: idle exactly, programs to the step of the CPU clock.
    let near = |part: MicroJoules, truth: u64| {
        let off = part.0.abs_diff(u128::from(truth));
        assert!(off * 100 <= u128::from(truth) * 2, "{part:?} for {truth}");
    };
    // The idle estimate holds what others used while nothing was in flight: it is their base.
    let base = IDLE_MW + 350 * CPU_MW / 1000;
    near(source.idle, world.now * base);
    let truth: u64 = world.past.iter().map(World::truth).sum();
    assert!(totals.dynamic().0 > 0 && truth > 0);
    assert!(totals.by_outcome()[&EnergyOutcome::Call(Outcome::UpstreamError)] == totals.wasted());
}

#[test]
fn the_range_holds_the_truth() {
    let mut world = World::new(&Setup::default());
    crowd(&mut world, 400);
    let totals = world.finish();
    assert_exact(&totals, world.figures.values());
    let mut errors = Vec::new();
    let mut outside = 0;
    for course in &world.past {
        let truth = World::truth(course);
        let figure = &world.figures[&course.job.call];
        let (lo, hi) = (figure.lo_uj.unwrap(), figure.hi_uj.unwrap());
        outside += u64::from(!(lo..=hi).contains(&truth));
        errors.push(figure.dyn_uj.unwrap().abs_diff(truth) * 100 / truth);
        assert_eq!(figure.tier, Some(Tier::Measured));
        assert!(!figure.flags.contains(Flag::HostShared));
    }
    assert_eq!(outside, 0, "of {}", world.past.len());
    errors.sort_unstable();
    let (median, p90) = (errors[errors.len() / 2], errors[errors.len() * 9 / 10]);
    assert!(median <= 15 && p90 <= 50, "median {median} %, p90 {p90} %");
    // Totals of 50 calls are far better than single ones.
    for chunk in world.past.chunks(50) {
        let truth: u64 = chunk.iter().map(World::truth).sum();
        let told = chunk.iter().map(|it| world.figures[&it.job.call].dyn_uj);
        let told: u64 = told.map(Option::unwrap).sum();
        assert!(
            told.abs_diff(truth) * 100 <= truth * 6,
            "{told} for {truth}"
        );
    }
}

#[test]
fn identical_calls_at_the_same_time_cost_the_same() {
    let mut world = World::new(&Setup::default());
    for call in 0..2 {
        world.add(Job::new(call, 1530, 640));
    }
    assert_exact(&world.finish(), world.figures.values());
    let [one, other] = [0, 1].map(|call| world.figures[&call].dyn_uj.unwrap());
    assert!(one.abs_diff(other) * 100 <= one, "{one} and {other}");
    assert!(world.figures[&0].concurrency.unwrap() > 1.5);
}

#[test]
fn the_order_of_simultaneous_arrivals_does_not_matter() {
    let run = |ids: [u64; 3]| {
        let mut world = World::new(&Setup::default());
        for (call, work) in ids.into_iter().zip([310, 450, 450]) {
            world.add(Job::new(call, 1530, work));
        }
        world.finish();
        ids.map(|call| world.figures[&call].dyn_uj.unwrap())
    };
    let first = run([1, 2, 3]);
    for ids in [[3, 2, 1], [2, 3, 1], [30, 10, 20]] {
        for (one, other) in first.iter().zip(run(ids)) {
            // One µJ a window at most.
            assert!(one.abs_diff(other) <= 5, "{first:?} with {ids:?}");
        }
    }
}

#[test]
fn totals_do_not_depend_on_the_window() {
    let mut sums = Vec::new();
    for interval in [10, 50, 100, 500, 1000] {
        let mut world = World::new(&Setup {
            interval,
            ..Setup::default()
        });
        for call in 0..40 {
            world.add(Job::new(call, 5000 + call * 900, 400 + call % 7 * 30));
        }
        world.run(50_000);
        let totals = world.flush();
        assert_exact(&totals, world.figures.values());
        assert_eq!(source(&totals).meter.0, u128::from(world.burnt));
        let truth: u64 = world.past.iter().map(World::truth).sum();
        sums.push((interval, totals.dynamic().0 * 1000 / u128::from(truth)));
    }
    assert!(
        sums.iter()
            .all(|(_, permille)| (980..=1020).contains(permille)),
        "{sums:?}"
    );
}

#[test]
fn work_of_others_is_not_charged_to_calls() {
    let alone = |others: u64| {
        let mut world = World::new(&Setup::default());
        world.run(1500);
        world.others = others;
        for call in 0..20 {
            world.add(Job::new(call, 2003 + call * 700, 500));
        }
        let totals = world.finish();
        assert_exact(&totals, world.figures.values());
        let truth: u64 = world.past.iter().map(World::truth).sum();
        (
            totals.dynamic().0,
            u128::from(truth),
            source(&totals).others,
        )
    };
    let (quiet, truth, none) = alone(0);
    let (loud, _, others) = alone(3000);
    assert!(quiet.abs_diff(truth) * 50 <= truth, "{quiet} for {truth}");
    assert!(loud.abs_diff(truth) * 20 <= truth, "{loud} for {truth}");
    assert!(others > none);
}

#[test]
fn without_a_known_process_all_goes_to_calls_and_the_range_says_so() {
    let mut world = World::new(&Setup {
        process: false,
        ..Setup::default()
    });
    world.run(1500);
    world.others = 1000;
    world.add(Job::new(1, 2050, 500));
    let totals = world.finish();
    assert_exact(&totals, world.figures.values());
    let figure = &world.figures[&1];
    assert!(figure.flags.contains(Flag::HostShared));
    assert_eq!(figure.lo_uj, Some(0));
    let truth = World::truth(&world.past[0]);
    assert!(figure.dyn_uj.unwrap() > truth * 3 / 2, "{figure:?}");
    assert!(figure.hi_uj.unwrap() >= truth);
    assert!(source(&totals).unattributed > MicroJoules::ZERO);
    assert_eq!(source(&totals).others, MicroJoules::ZERO);
}

#[test]
fn short_calls_are_flagged_and_their_total_is_right() {
    let mut world = World::new(&Setup::default());
    for call in 0..400 {
        world.add(Job::new(call, 2000 + call * 20, 11));
    }
    let totals = world.finish();
    assert_exact(&totals, world.figures.values());
    let truth: u64 = world.past.iter().map(World::truth).sum();
    let told = totals.dynamic().0;
    assert!(
        told.abs_diff(u128::from(truth)) * 50 <= u128::from(truth),
        "{told} for {truth}"
    );
    assert!(
        world
            .figures
            .values()
            .all(|it| it.flags.contains(Flag::SubWindow))
    );
}

#[test]
fn a_full_ring_loses_no_energy() {
    let mut world = World::new(&Setup {
        ring: 6,
        ..Setup::default()
    });
    for call in 0..8 {
        world.add(Job::new(call, 2010 + call, 350));
    }
    let totals = world.finish();
    assert_exact(&totals, world.figures.values());
    let source = source(&totals);
    assert_eq!(totals.folded_calls, 6);
    assert_eq!(world.figures.len(), 2);
    let truth: u64 = world.past.iter().map(World::truth).sum();
    let told = totals.dynamic().0 + source.folded.0;
    assert!(
        told.abs_diff(u128::from(truth)) * 20 <= u128::from(truth),
        "{told} for {truth}"
    );
    assert!(source.folded.0 > told / 2);
}

#[test]
fn idle_energy_is_told_apart_and_never_mixed_in() {
    let run = |policy| {
        let watts = Some(Watts::new(10.0).unwrap());
        let mut world = World::new(&Setup {
            idle: IdleSettings { policy, watts },
            ..Setup::default()
        });
        world.add(Job::new(1, 1000, 500));
        let totals = world.finish();
        assert_exact(&totals, world.figures.values());
        assert_eq!(source(&totals).idle.0, u128::from(world.now * IDLE_MW));
        world.figures.remove(&1).unwrap()
    };
    let separate = run(IdlePolicy::Separate);
    let shared = run(IdlePolicy::ProRata);
    assert_eq!(separate.idle_uj, None);
    assert_eq!(shared.idle_uj, Some(500 * IDLE_MW));
    assert_eq!(separate.dyn_uj, shared.dyn_uj);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn sums_are_exact_whatever_happens(
        jobs in proptest::collection::vec((0..4000_u64, 1..600_u64, 0..2_u16, 0..5_usize), 0..40),
        interval in prop_oneof![Just(10_u64), Just(70), Just(100), Just(300)],
        process in any::<bool>(),
        others in 0..2000_u64,
        ring in prop_oneof![Just(4_usize), Just(4096)],
    ) {
        let mut world = World::new(&Setup { interval, process, ring, upstreams: 2, ..Setup::default() });
        world.others = others;
        for (call, (at, work, upstream, outcome)) in jobs.iter().enumerate() {
            let mut job = Job::new(call as u64, *at, *work).upstream(*upstream);
            job.outcome = Outcome::ALL[*outcome];
            world.add(job);
        }
        world.run(1000);
        let totals = world.sampler.totals();
        prop_assert!(totals.sources.iter().all(|it| it.missing() == 0), "{totals:?}");
        let totals = world.finish();
        assert_exact(&totals, world.figures.values());
        prop_assert_eq!(totals.sources[0].meter.0, u128::from(world.burnt));
        prop_assert_eq!(world.figures.len() as u64 + totals.folded_calls, jobs.len() as u64);
    }
}
