//! Rules as they run: arming, expiry, reload, limits and counters.

use std::num::NonZeroU32;
use std::sync::atomic::Ordering;
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::model::Admission;
use crate::rule::{Admissions, Decision, Denied, VerdictKind, decide};
use crate::units::Seed;

const SECOND: Duration = Duration::from_secs(1);

/// The way of one call through the rules.
fn pass(set: &Arc<RuleSet>, number: u64, at: Duration) -> (Decision, Admissions) {
    let rules = set.listener(0).unwrap();
    let candidates = rules.candidates(&call());
    let selected = set.moments(&rules.select(&candidates, &call()), number, at);
    let mut decision = decide(set, &selected, &call(), Seed(1), false);
    let (admissions, _) = Admissions::ask(set, &mut decision, at);
    decision.count(set);
    (decision, admissions)
}

fn limited(concurrent: u32) -> RuleSpec {
    RuleSpec {
        limits: Limits {
            concurrent: NonZeroU32::new(concurrent),
            ..Limits::default()
        },
        ..rule("limited", 1.0)
    }
}

#[test]
fn a_rule_that_cannot_act_is_no_rule() {
    let disarmed = RuleSpec {
        armed: false,
        ..rule("disarmed", 1.0)
    };
    let mut elsewhere = rule("elsewhere", 1.0);
    elsewhere.listeners = Some(vec!["features".to_owned()]);
    let set = compile(vec![rule("never", 0.0), disarmed, elsewhere]);
    let rules = set.listener(0).unwrap();
    assert!(rules.is_empty());
    assert!(rules.candidates(&call()).is_empty());
    set.cells()[1].arm(0, SECOND);
    assert!(!rules.is_empty());
    assert_eq!(rules.select(&rules.candidates(&call()), &call())[..], [1]);
}

#[test]
fn protected_paths_are_touched_by_no_rule() {
    let set = compile(vec![rule("all", 1.0)]);
    let rules = set.listener(0).unwrap();
    for (path, touched) in [
        ("/healthz", false),
        ("/health%7A", false),
        ("/healthzz", true),
    ] {
        let call = Call { path, ..call() };
        assert_eq!(!rules.candidates(&call).is_empty(), touched, "{path}");
    }
}

#[test]
fn moments_count_selected_calls_from_the_arming() {
    let set = compile_after(vec![rule("a", 1.0)], None, 5 * SECOND);
    let moments = |at| set.moments(&[0], 42, at);
    assert_eq!(moments(7 * SECOND)[0].moment.since_armed, 2 * SECOND);
    let second = moments(8 * SECOND)[0].moment;
    assert_eq!((second.number, second.ordinal), (42, 1));
    set.cells()[0].disarm();
    assert!(moments(9 * SECOND).is_empty());
}

#[test]
fn a_rule_ends_with_its_time_to_live_and_revokes_what_it_did() {
    let mortal = RuleSpec {
        ttl: Some(10 * SECOND),
        ..rule("mortal", 1.0)
    };
    let set = compile(vec![mortal]);
    let (decision, _admissions) = pass(&set, 0, 9 * SECOND);
    let token = decision.plan.effects[0].token.clone();
    assert!(set.stands(&token));
    assert_eq!(set.expire(9 * SECOND), 0);
    // Already before anyone has told it, it hits nothing more.
    assert!(pass(&set, 1, 10 * SECOND).0.verdicts.is_empty());
    assert_eq!(set.expire(10 * SECOND), 1);
    assert!(!set.stands(&token));
    assert_eq!(set.expire(11 * SECOND), 0);
    // A second life is a new arming: what was decided in the first stays revoked.
    set.cells()[0].arm(20_000_000, SECOND);
    assert!(!set.stands(&token));
    assert_eq!(set.expire(29 * SECOND), 0);
}

#[test]
fn a_reload_keeps_the_state_of_rules_whose_text_is_unchanged() {
    let before = compile(vec![
        rule("same", 1.0),
        rule("changed", 1.0),
        rule("gone", 1.0),
    ]);
    before.cells()[0].disarm();
    let after = compile_after(
        vec![rule("changed", 0.5), rule("same", 1.0)],
        Some(&before),
        SECOND,
    );
    assert!(Arc::ptr_eq(&before.cells()[0], &after.cells()[1]));
    assert!(!Arc::ptr_eq(&before.cells()[1], &after.cells()[0]));
    assert_eq!(after.cells()[0].armed_at_micros(), 1_000_000);
    assert!(!after.cells()[1].is_armed());
}

#[test]
fn a_refused_rule_leaves_the_plan_and_a_dropped_call_its_place() {
    let set = compile(vec![limited(1), rule("free", 1.0)]);
    let (first, held) = pass(&set, 0, SECOND);
    assert_eq!(first.plan.effects.len(), 2);
    let (second, _none) = pass(&set, 1, SECOND);
    assert_eq!(second.verdicts[0].kind, VerdictKind::Denied(Denied::Limit));
    assert_eq!(second.plan.effects.len(), 1);
    assert_eq!(&*second.plan.effects[0].token.rule, "free");
    drop(held);
    assert_eq!(pass(&set, 2, SECOND).0.plan.effects.len(), 2);

    let counters = &set.cells()[0].counters;
    let counted = [&counters.selected, &counters.hit, &counters.denied_limit];
    assert_eq!(counted.map(|it| it.load(Ordering::Relaxed)), [3, 3, 1]);
}

#[test]
fn a_share_is_of_selected_calls_also_of_those_that_miss() {
    let shared = RuleSpec {
        limits: Limits {
            share: Probability::new(0.25).ok(),
            ..Limits::default()
        },
        // Hits each fourth call: as often as the share allows, so that none is refused.
        trigger: Trigger::Nth(crate::rule::Nth::Every(
            std::num::NonZeroU64::new(4).unwrap(),
        )),
        ..rule("shared", 1.0)
    };
    let set = compile(vec![shared]);
    let hurt = (0..40)
        .filter(|&n| !pass(&set, n, SECOND).0.plan.is_empty())
        .count();
    assert_eq!(hurt, 10);
}

#[test]
fn answers_are_told_in_the_order_of_the_verdicts() {
    let set = compile(vec![limited(1), rule("free", 1.0)]);
    let selected = set.moments(&[0, 1], 0, SECOND);
    let ask = || {
        let mut decision = decide(&set, &selected, &call(), Seed(1), false);
        Admissions::ask(&set, &mut decision, SECOND)
    };
    let (_held, first) = ask();
    assert_eq!(first, [Admission::Go]);
    assert_eq!(ask().1, [Admission::Refuse]);
}

#[test]
fn what_cannot_be_read_is_counted_and_selects_nothing() {
    let select = |json| Arc::new(serde_json::from_value(json).unwrap());
    let by_model = RuleSpec {
        select: select(serde_json::json!({ "model": "llama" })),
        ..rule("by-model", 1.0)
    };
    let by_path = RuleSpec {
        select: select(serde_json::json!({ "path": "/other", "model": "llama" })),
        ..rule("by-path", 1.0)
    };
    let set = compile(vec![by_model, by_path, rule("free", 1.0)]);
    let rules = set.listener(0).unwrap();
    let candidates = rules.candidates(&call());
    assert!(candidates.needs_look());
    rules.unreadable(&candidates, &call());
    assert_eq!(rules.select(&candidates, &call())[..], [2]);
    let unreadable = set
        .cells()
        .iter()
        .map(|it| it.counters.denied_unreadable.load(Ordering::Relaxed));
    assert_eq!(unreadable.collect::<Vec<_>>(), [1, 0, 0]);
}

#[test]
fn threads_leak_no_place_and_exceed_no_limit() {
    let set = compile(vec![limited(3)]);
    thread::scope(|scope| {
        for thread in 0..4 {
            let set = &set;
            scope.spawn(move || {
                for number in 0..5000 {
                    let (decision, admissions) = pass(set, thread * 5000 + number, SECOND);
                    let active = set.cells()[0].limiter().unwrap().active();
                    assert!(active <= 3);
                    assert!(decision.plan.is_empty() || active >= 1);
                    drop(admissions);
                }
            });
        }
    });
    assert_eq!(set.cells()[0].limiter().unwrap().active(), 0);
}

proptest! {
    /// Calls come and go in any order: as many are inside as the limit lets, never more.
    #[test]
    fn any_interleaving_holds_the_limit(steps in prop::collection::vec(0..8usize, 1..60), limit in 1..5u32) {
        let set = compile(vec![limited(limit)]);
        let mut inside: Vec<Option<Admissions>> = (0..8).map(|_| None).collect();
        for (number, slot) in (0..).zip(steps) {
            let active = inside.iter().flatten().count();
            if inside[slot].take().is_none() {
                let (decision, admissions) = pass(&set, number, SECOND);
                let room = active < usize::try_from(limit).unwrap();
                prop_assert_eq!(!decision.plan.is_empty(), room);
                if room {
                    inside[slot] = Some(admissions);
                }
            }
        }
        drop(inside);
        prop_assert_eq!(set.cells()[0].limiter().unwrap().active(), 0);
    }
}
