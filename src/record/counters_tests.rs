use std::thread;

use crate::call::{Phase, Side};
use crate::effect::{Effect, NotApplicable, RuleToken, WaitTime};

use super::*;

fn planned(rule: &str) -> Planned {
    Planned {
        token: RuleToken {
            rule: rule.into(),
            index: 0,
            epoch: 0,
        },
        fault: "delay",
        fault_index: 0,
        effect: Effect::Wait {
            at: Phase::RequestHead,
            side: Side::Request,
            time: WaitTime::Once(Duration::ZERO),
        },
    }
}

#[test]
fn sums_over_threads_are_exact() {
    let registry = CounterRegistry::default();
    let calls = 50_000;
    let listener: Arc<str> = "chat".into();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let worker = registry.worker();
            let listener = Arc::clone(&listener);
            thread::spawn(move || {
                let slot = worker.slot(&listener, "http");
                for number in 0..calls {
                    slot.call_started();
                    let outcome = Outcome::ALL[number % Outcome::ALL.len()];
                    let duration = Duration::from_micros(number as u64);
                    slot.call_ended(outcome, Origin::Upstream, duration, Some(duration));
                    slot.response_bytes(3);
                    worker.fate(&planned("slow"), &Fate::Applied);
                }
            })
        })
        .collect();
    // Reading while they write neither waits nor sees more than there is.
    for _ in 0..100 {
        let seen: u64 = registry.totals().calls().map(|call| call.count).sum();
        assert!(seen <= 4 * calls as u64);
    }
    for thread in threads {
        thread.join().unwrap();
    }
    let totals = registry.totals();
    let slot = &totals.slots[0];
    assert_eq!(totals.slots.len(), 1);
    assert_eq!(slot.started, 4 * calls as u64);
    assert_eq!(slot.active(), 0);
    assert_eq!(slot.response_bytes, 12 * calls as u64);
    assert_eq!(slot.all.duration.count(), 4 * calls as u64);
    let micros = 4 * (0..calls as u64).sum::<u64>();
    let expected = Duration::from_micros(micros).as_secs_f64();
    assert!((slot.all.duration.sum() - expected).abs() < 1e-6);
    let counted: u64 = totals.calls().map(|call| call.count).sum();
    assert_eq!(counted, 4 * calls as u64);
    assert_eq!(totals.faults[0].results[0], 4 * calls as u64);
}

#[test]
fn a_slot_keeps_its_counts_when_it_is_asked_for_again() {
    let registry = CounterRegistry::default();
    let worker = registry.worker();
    let listener: Arc<str> = "chat".into();
    worker.slot(&listener, "http").connection_opened();
    worker.slot(&listener, "openai").connection_opened();
    let slot = worker.slot(&"chat".into(), "http");
    slot.connection_opened();
    slot.connection_closed();
    let totals = registry.totals();
    let open: Vec<_> = totals
        .slots
        .iter()
        .map(|it| (it.protocol, it.connections()))
        .collect();
    assert_eq!(open, [("http", 1), ("openai", 1)]);
}

#[test]
fn calls_are_told_apart_by_outcome_and_origin() {
    let registry = CounterRegistry::default();
    let slot = registry.worker().slot(&"chat".into(), "http");
    for (repeat, outcome) in (1..).zip(Outcome::ALL) {
        for origin in Origin::ALL {
            for _ in 0..repeat * 10 + origin as usize {
                slot.call_ended(outcome, origin, Duration::ZERO, None);
            }
        }
    }
    let totals = registry.totals();
    for (repeat, outcome) in (1..).zip(Outcome::ALL) {
        for origin in Origin::ALL {
            let call = totals
                .calls()
                .find(|it| it.outcome == outcome && it.origin == origin)
                .unwrap();
            assert_eq!(call.count, (repeat * 10 + origin as usize) as u64);
        }
    }
    assert_eq!(totals.slots[0].overhead.count(), 0);
}

#[test]
fn rules_beyond_the_cap_count_as_other() {
    let registry = CounterRegistry::default();
    let worker = registry.worker();
    let fate = Fate::NotApplicable(NotApplicable::NoUnits);
    for number in 0..FAULTS + 50 {
        worker.fate(&planned(&format!("rule-{number}")), &fate);
    }
    let totals = registry.totals();
    assert_eq!(totals.faults.len(), FAULTS + 1);
    let other = totals.faults.iter().find(|it| &*it.rule == OTHER).unwrap();
    assert_eq!(other.results[2], 50);
}
