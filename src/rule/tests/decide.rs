//! Hits are a function of seed, rule, listener and call, and of nothing else.

use std::thread;

use proptest::prelude::*;

use super::*;
use crate::call::Moment;
use crate::rule::{Decision, Denied, Selected, VerdictKind, decide};
use crate::units::Seed;

/// Which of the calls `0..calls` each rule hits, and with what draws: the plan of each call.
fn decisions(set: &RuleSet, numbers: impl Iterator<Item = u64>, seed: u64) -> Vec<Decision> {
    numbers
        .map(|number| decide(set, &selected(set, number), &call(), Seed(seed), false))
        .collect()
}

/// All rules select, each with the call's number for its ordinal.
fn selected(set: &RuleSet, number: u64) -> Vec<Selected> {
    (0..)
        .zip(set.cells())
        .map(|(rule, cell)| Selected {
            rule,
            moment: Moment {
                number,
                ordinal: number,
                since_armed: Duration::ZERO,
            },
            epoch: cell.epoch(),
        })
        .collect()
}

fn hits(decisions: &[Decision], name: &str) -> Vec<bool> {
    let hit = |decision: &Decision| {
        let mut verdicts = decision.verdicts.iter();
        verdicts.any(|it| &*it.token.rule == name && it.kind == VerdictKind::Hit)
    };
    decisions.iter().map(hit).collect()
}

/// The effects of one rule, call by call.
fn effects(decisions: &[Decision], name: &str) -> Vec<Vec<Effect>> {
    let of_rule = |decision: &Decision| {
        let planned = decision.plan.effects.iter();
        let own = planned.filter(|it| &*it.token.rule == name);
        own.map(|it| it.effect.clone()).collect()
    };
    decisions.iter().map(of_rule).collect()
}

fn kinds(decision: &Decision) -> Vec<VerdictKind> {
    decision.verdicts.iter().map(|it| it.kind).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_order_gives_the_same_decisions(
        seed: u64,
        probability in 0.0..=1.0f64,
        mut order in Just((0..50u64).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let set = compile(vec![rule("a", probability), rule("b", 0.5)]);
        let ordered = decisions(&set, 0..50, seed);
        for (number, decision) in order.iter().zip(decisions(&set, order.iter().copied(), seed)) {
            let index = usize::try_from(*number).unwrap();
            prop_assert_eq!(&decision, &ordered[index]);
        }
        order.sort_unstable();
        prop_assert_eq!(decisions(&set, order.into_iter(), seed), ordered);
    }

    #[test]
    fn raising_the_probability_only_adds_calls(seed: u64, low in 0.0..=1.0f64, more in 0.0..=1.0f64) {
        let high = low + (1.0 - low) * more;
        let few = decisions(&compile(vec![rule("a", low)]), 0..200, seed);
        let many = decisions(&compile(vec![rule("a", high)]), 0..200, seed);
        for (few, many) in hits(&few, "a").into_iter().zip(hits(&many, "a")) {
            prop_assert!(many || !few);
        }
    }

    #[test]
    fn another_rule_moves_no_draw(seed: u64, probability in 0.0..=1.0f64) {
        let alone = decisions(&compile(vec![rule("a", probability)]), 0..100, seed);
        let others = vec![rule("b", 0.3), rule("a", probability), rule("c", 1.0)];
        let amid = decisions(&compile(others), 0..100, seed);
        prop_assert_eq!(effects(&alone, "a"), effects(&amid, "a"));
        prop_assert_eq!(hits(&alone, "a"), hits(&amid, "a"));
    }
}

#[test]
fn threads_change_nothing() {
    let set = compile(vec![rule("a", 0.2), rule("b", 0.6)]);
    let alone = decisions(&set, 0..1000, 5);
    for threads in [2, 5] {
        let together: Vec<Decision> = thread::scope(|scope| {
            let share = 1000 / threads;
            let handles: Vec<_> = (0..threads)
                .map(|turn| {
                    let set = &set;
                    scope.spawn(move || decisions(set, turn * share..(turn + 1) * share, 5))
                })
                .collect();
            handles
                .into_iter()
                .flat_map(|it| it.join().unwrap())
                .collect()
        });
        assert_eq!(together, alone);
    }
}

#[test]
fn hits_meet_the_probability() {
    let set = compile(vec![rule("a", 0.1)]);
    let decisions = decisions(&set, 0..20_000, 11);
    let hit = hits(&decisions, "a").into_iter().filter(|&it| it).count();
    // 4σ of a binomial with n = 20,000 and p = 0.1 is 170.
    assert!(hit.abs_diff(2000) < 170, "{hit}");
}

#[test]
fn each_reason_to_do_nothing_is_told() {
    let dry = RuleSpec {
        dry_run: true,
        ..rule("dry", 1.0)
    };
    let later = RuleSpec {
        schedule: Schedule::new(Duration::from_secs(1), None, None),
        ..rule("later", 1.0)
    };
    let set = compile(vec![dry, later, rule("never", 0.0), rule("always", 1.0)]);
    let decide = |halted| decide(&set, &selected(&set, 0), &call(), Seed(1), halted);
    let denied = VerdictKind::Denied;
    assert_eq!(
        kinds(&decide(false)),
        [
            denied(Denied::DryRun),
            denied(Denied::Schedule),
            VerdictKind::Missed,
            VerdictKind::Hit
        ]
    );
    assert_eq!(decide(false).plan.effects.len(), 1);
    let halt = denied(Denied::Halt);
    assert_eq!(
        kinds(&decide(true)),
        [halt, halt, VerdictKind::Missed, halt]
    );
    assert!(decide(true).plan.is_empty());
}

/// A fault with a bug.
#[derive(Debug)]
struct Panics;

impl Fault for Panics {
    fn arm(&self, _call: &Call<'_>, _draws: &mut Draws) -> Effects {
        panic!("a bug in a fault")
    }

    fn place(&self) -> (Phase, Side) {
        (Phase::BeforeUpstream, Side::Request)
    }
}

#[test]
fn a_panic_disarms_its_rule_and_harms_no_other() {
    let mut buggy = rule("buggy", 1.0);
    // What its first fault planned goes too.
    let mut second = buggy.faults[0].clone();
    second.fault = Arc::new(Panics);
    buggy.faults.push(second);
    let set = compile(vec![buggy, rule("sound", 1.0)]);
    let decision = decide(&set, &selected(&set, 0), &call(), Seed(1), false);
    let denied = VerdictKind::Denied(Denied::Panic);
    assert_eq!(kinds(&decision), [denied, VerdictKind::Hit]);
    assert_eq!(decision.plan.effects.len(), 1);
    assert!(decision.count(&set));
    let armed: Vec<_> = set.cells().iter().map(|it| it.is_armed()).collect();
    assert_eq!(armed, [false, true]);
}
