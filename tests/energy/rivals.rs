//! I10: the tests can fail. The rule that charges the whole meter to each call while it is open is
//! put to the same questions as ours, and must not pass.

use std::collections::BTreeMap;

use crate::bed::job::{Harm, Job};
use crate::bed::source;
use crate::bed::world::{Setup, World};
use crate::transparency::{HARMS, serial};

/// Where a rule says that the meter's µJ went.
struct Account {
    calls: BTreeMap<u64, u64>,
    rest: u128,
}

type Rule = fn(&mut World) -> Account;

fn upstream_active(world: &mut World) -> Account {
    let totals = world.flush();
    let it = source(&totals);
    let rest = [it.own, it.others, it.unattributed, it.idle, it.gap];
    let figures = world.figures.iter();
    Account {
        calls: figures
            .map(|(call, it)| (*call, it.dyn_uj.unwrap_or(0)))
            .collect(),
        rest: rest.iter().map(|it| it.0).sum(),
    }
}

/// All that the meter counted in samples from the client's first byte to its last.
fn whole_meter_while_open(world: &mut World) -> Account {
    let mut calls: BTreeMap<u64, u64> = world.past.iter().map(|it| (it.job.call, 0)).collect();
    let mut rest = 0;
    for pair in world.series.windows(2) {
        let ((from, before), (to, after)) = (pair[0], pair[1]);
        let mut nobody = true;
        for it in &world.past {
            if it.job.at < to && it.closed > from {
                *calls.get_mut(&it.job.call).unwrap() += after - before;
                nobody = false;
            }
        }
        rest += u128::from(if nobody { after - before } else { 0 });
    }
    Account { calls, rest }
}

/// I1: nothing is counted twice, and nothing is lost.
fn adds_up(rule: Rule, pace: u64) -> bool {
    let mut world = World::new(&Setup::default());
    for call in 0..30 {
        world.add(Job::new(call, 2000 + call * pace, 700));
    }
    let totals = world.finish();
    let account = rule(&mut world);
    let calls: u128 = account.calls.values().map(|it| u128::from(*it)).sum();
    calls + account.rest == source(&totals).meter.0
}

/// I3: a call costs the same, whatever is done to it on its way.
fn is_blind_to(rule: Rule, harm: Harm) -> bool {
    let mean = |harm| {
        let calls = rule(&mut serial(harm)).calls;
        calls.values().sum::<u64>() / calls.len() as u64
    };
    let plain = mean(Harm::None);
    mean(harm).abs_diff(plain) * 50 < plain
}

#[test]
fn ours_adds_up_and_is_blind_to_delay() {
    assert!(adds_up(upstream_active, 1000));
    assert!(adds_up(upstream_active, 200));
    for harm in HARMS {
        assert!(is_blind_to(upstream_active, harm), "{harm:?}");
    }
}

#[test]
fn the_whole_meter_while_open_fails_both() {
    // Alone it adds up: what fails it is the overlap.
    assert!(adds_up(whole_meter_while_open, 1000));
    assert!(!adds_up(whole_meter_while_open, 200));
    for harm in HARMS {
        assert!(!is_blind_to(whole_meter_while_open, harm), "{harm:?}");
    }
}
