//! Ranges of groups of calls: by windows, each once, whatever the number of calls in it.

use std::collections::BTreeMap;

use hormesis::call::Outcome;
use hormesis::energy::attribution::Attribution;
use hormesis::energy::ledger::{Activity, Event};
use hormesis::energy::reading::{Quiet, Reach, Source, Spread};
use hormesis::energy::window::{Shares, Step, Stretch};
use hormesis::energy::{Domain, EnergyOutcome, Finish, IdleSettings, Tier, Totals};
use hormesis::units::MicroJoules;
use proptest::prelude::*;

use crate::bed::job::Job;
use crate::bed::world::{Setup, World};
use crate::bed::{assert_exact, finish};

/// A counter of one program, without idle power or lag: each window is told exactly.
fn source(spread: Spread) -> Source {
    Source {
        id: "test/0".to_owned(),
        domain: Domain::Cpu,
        tier: Tier::Modelled,
        reach: Reach::Program(0),
        idle_uw: Some(0),
        quantum_uj: 0,
        lag_ns: 0,
        quiet: Quiet::Zero(u64::MAX),
        spread,
    }
}

const WINDOW: u64 = 100;

#[derive(Clone, Debug)]
struct Call {
    from: u64,
    length: u64,
    outcome: Outcome,
}

impl Call {
    fn is_in(&self, window: u64) -> bool {
        let (from, to) = (window * WINDOW, (window + 1) * WINDOW);
        self.from < to && self.from + self.length > from
    }
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let outcome = prop_oneof![
        Just(Outcome::Ok),
        Just(Outcome::UpstreamError),
        Just(Outcome::Rejected)
    ];
    let call = (0..3000_u64, 1..600_u64, outcome).prop_map(|(from, length, outcome)| Call {
        from,
        length,
        outcome,
    });
    proptest::collection::vec(call, 1..25)
}

/// Tells a ledger of calls and windows in the order in which they come.
fn divide(calls: &[Call], windows: &[u64], spread: Spread, mut check: impl FnMut(&Totals)) {
    let mut attribution = Attribution::new(vec![Some(0)], IdleSettings::default());
    let source = attribution.open(&source(spread), 0);
    for (index, uj) in windows.iter().enumerate() {
        let from = index as u64 * WINDOW;
        let stretch = Stretch {
            from,
            to: from + WINDOW,
        };
        for (id, call) in calls.iter().enumerate() {
            let mut tell = |at, event| {
                if (stretch.from..stretch.to).contains(&at) {
                    let call = id as u64;
                    attribution.apply(&Activity { call, at, event });
                }
            };
            tell(call.from, Event::Begin { upstream: 0 });
            tell(call.from + call.length, Event::End(finish(call.outcome)));
        }
        let shares = Shares {
            programs: vec![Some(WINDOW)],
            own: 0,
            others: Some(0),
        };
        let uj = *uj;
        attribution.advance(
            source,
            &Step::Window {
                stretch,
                uj,
                shares,
            },
        );
        attribution.finished(drop);
        check(&attribution.totals());
    }
}

fn ordered(totals: &Totals, high: u64) {
    let most = totals.sources[0].meter.0 * u128::from(high) / 1000;
    let outcomes = totals.outcomes.values();
    let groups = outcomes
        .chain(totals.rules.values())
        .chain(totals.models.values());
    for it in groups.chain([&totals.total]) {
        let value = it.dynamic.unwrap_or(MicroJoules::ZERO);
        let (low, hi) = (it.low.unwrap_or_default(), it.high.unwrap_or_default());
        assert!(low <= value && value <= hi && hi.0 <= most, "{it:?}");
    }
    for it in &totals.classes {
        assert!(
            it.low <= it.energy && it.energy <= it.high && it.high.0 <= most,
            "{it:?}"
        );
    }
}

proptest! {
    /// Against a count by hand.
    #[test]
    fn each_window_counts_once_for_each_outcome(
        calls in calls(),
        windows in proptest::collection::vec(0..10_000_u64, 45),
    ) {
        let mut last = Totals::default();
        divide(&calls, &windows, Spread::NONE, |totals| {
            ordered(totals, 1000);
            last = totals.clone();
        });
        let mut low: BTreeMap<Outcome, u128> = BTreeMap::new();
        let mut high = low.clone();
        for (index, uj) in windows.iter().enumerate() {
            let there = calls.iter().filter(|it| it.is_in(index as u64));
            let mut outcomes: Vec<Outcome> = there.map(|it| it.outcome).collect();
            outcomes.sort_unstable();
            outcomes.dedup();
            for outcome in &outcomes {
                *high.entry(*outcome).or_default() += u128::from(*uj);
            }
            if let [outcome] = outcomes.as_slice() {
                *low.entry(*outcome).or_default() += u128::from(*uj);
            }
        }
        for (outcome, high) in high {
            let told = &last.outcomes[&EnergyOutcome::Call(outcome)];
            prop_assert_eq!(told.high, Some(MicroJoules(high)));
            let low = low.get(&outcome).copied().unwrap_or(0);
            prop_assert_eq!(told.low, Some(MicroJoules(low)));
        }
        // Only calls were at work: the whole is known exactly.
        prop_assert_eq!(last.total.low, last.total.dynamic.or(last.total.low));
        prop_assert_eq!(last.total.high, last.total.low);
    }

    #[test]
    fn a_models_coefficients_widen_the_range_and_no_more(
        calls in calls(),
        windows in proptest::collection::vec(0..10_000_u64, 45),
        low in 0..=1000_u64,
        high in 1000..5000_u64,
    ) {
        divide(&calls, &windows, Spread { low, high }, |totals| ordered(totals, high));
    }
}

/// One call that outlasts all windows that are kept.
#[test]
fn windows_that_were_put_away_still_count() {
    const WINDOWS: u64 = 70_000;
    let long = Call {
        from: 10,
        length: WINDOWS * WINDOW - 120,
        outcome: Outcome::Rejected,
    };
    let short = Call {
        from: 20,
        length: 30,
        outcome: Outcome::Ok,
    };
    let mut windows = 0..WINDOWS;
    let mut attribution = Attribution::new(vec![Some(0)], IdleSettings::default());
    let source = attribution.open(&source(Spread::NONE), 0);
    let apply = |attribution: &mut Attribution, call, at, event| {
        attribution.apply(&Activity { call, at, event });
    };
    for (id, call) in [&long, &short].into_iter().enumerate() {
        let begin = Event::Begin { upstream: 0 };
        apply(&mut attribution, id as u64, call.from, begin);
    }
    let end = Event::End(finish(short.outcome));
    apply(&mut attribution, 1, short.from + short.length, end);
    let step = |index: u64| Step::Window {
        stretch: Stretch {
            from: index * WINDOW,
            to: (index + 1) * WINDOW,
        },
        uj: 1000,
        shares: Shares {
            programs: vec![Some(WINDOW)],
            own: 0,
            others: Some(0),
        },
    };
    for index in windows.by_ref().take(usize::try_from(WINDOWS).unwrap() - 1) {
        attribution.advance(source, &step(index));
        attribution.finished(drop);
    }
    let end = Event::End(finish(long.outcome));
    apply(&mut attribution, 0, long.from + long.length, end);
    attribution.advance(source, &step(WINDOWS - 1));
    attribution.finished(drop);
    let totals = attribution.totals();
    ordered(&totals, 1000);
    let told = |outcome| totals.outcomes[&EnergyOutcome::Call(outcome)];
    let long = told(Outcome::Rejected);
    let all = MicroJoules(u128::from(1000 * (WINDOWS - 1)));
    assert!(long.high.unwrap() >= all, "{long:?}");
    // What was put away before its outcome was known is in no low end.
    let low = long.low.unwrap();
    assert!(low > MicroJoules::ZERO && low < long.dynamic.unwrap());
    let short = told(Outcome::Ok);
    assert_eq!(short.high, Some(MicroJoules(1000)));
    assert_eq!(short.low, Some(MicroJoules::ZERO));
}

/// The case that gave it away: many short calls at a time, of which few fail.
#[test]
fn the_range_of_an_outcome_holds_the_truth_and_fits_the_meter() {
    let mut world = World::new(&Setup::default());
    for call in 0..300 {
        let mut job = Job::new(call, 2000 + call * 23, 60 + call % 5 * 20);
        if call % 20 == 0 {
            job.outcome = Outcome::UpstreamError;
        }
        world.add(job);
    }
    let totals = world.finish();
    assert_exact(&totals, world.figures.values());
    ordered(&totals, 1000);
    for (outcome, sum) in &totals.outcomes {
        let of = |it: &Outcome| EnergyOutcome::Call(*it) == *outcome;
        let truth = world.past.iter().filter(|it| of(&it.job.outcome));
        let truth = MicroJoules(truth.map(|it| u128::from(World::truth(it))).sum());
        assert!(sum.low.unwrap() <= truth && truth <= sum.high.unwrap());
    }
    let all_hi: u64 = world.figures.values().filter_map(|it| it.hi_uj).sum();
    assert!(totals.total.high.unwrap().0 * 2 < u128::from(all_hi));
}

/// Figures of calls that nobody is told of are not made; what they cost counts all the same.
#[test]
fn a_call_that_nobody_is_told_of_has_no_figure_and_counts() {
    let mut attribution = Attribution::new(vec![Some(0)], IdleSettings::default());
    let source = attribution.open(&source(Spread::NONE), 0);
    for call in 0..4 {
        let end = Finish {
            told: call == 2,
            ..finish(Outcome::Ok)
        };
        for (at, event) in [(0, Event::Begin { upstream: 0 }), (WINDOW, Event::End(end))] {
            attribution.apply(&Activity { call, at, event });
        }
    }
    let step = Step::Window {
        stretch: Stretch {
            from: 0,
            to: WINDOW,
        },
        uj: 1000,
        shares: Shares {
            programs: vec![Some(WINDOW)],
            own: 0,
            others: Some(0),
        },
    };
    attribution.advance(source, &step);
    let mut figures = Vec::new();
    attribution.finished(|it| figures.push((it.call, it.dyn_uj)));
    assert_eq!(figures, [(2, Some(250))]);
    let totals = attribution.totals();
    assert_eq!(totals.dynamic(), MicroJoules(1000));
    assert_eq!(totals.calls[&Outcome::Ok], 4);
    assert_eq!(attribution.pending(), 0);
}
