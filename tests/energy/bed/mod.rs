//! The test bed: [`tree`] is the machine's files, [`world`] moves time and burns joules,
//! [`job`] is what the upstream does for one call.

pub(crate) mod job;
pub(crate) mod tree;
pub(crate) mod world;

use std::sync::Arc;

use hormesis::call::Outcome;
use hormesis::energy::{CallEnergy, Finish, Totals};
use hormesis::record::EnergyTotals;
use hormesis::units::MicroJoules;

/// How a call ends where nothing else is said.
pub(crate) fn finish(outcome: Outcome) -> Finish {
    Finish {
        outcome,
        listener: "chat".into(),
        protocol: "openai",
        model: Some("small".into()),
        rule: None,
        abort_injected: false,
        output_tokens: None,
        output_units: 0,
        whole: false,
        told: true,
    }
}

pub(crate) fn names(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

/// What must hold of every run: I1, I2 (order), I9.
pub(crate) fn assert_exact<'a>(totals: &Totals, figures: impl IntoIterator<Item = &'a CallEnergy>) {
    for source in &totals.sources {
        assert_eq!(source.missing(), 0, "{source:?}");
        let classes = totals
            .classes
            .iter()
            .filter(|it| it.class.source == source.id);
        let sum: MicroJoules = classes.map(|it| it.energy).sum();
        assert_eq!(sum, source.calls, "{source:?}");
    }
    let mut sum = 0;
    for it in figures {
        let (lo, hi) = (it.lo_uj.unwrap_or(0), it.hi_uj.unwrap_or(0));
        let value = it.dyn_uj.unwrap_or(0);
        assert!(lo <= value && value <= hi, "{it:?}");
        assert_ne!(it.dyn_uj, Some(0), "0 for nothing: {it:?}");
        assert_eq!(it.lo_uj.is_some(), it.windows > 0, "{it:?}");
        sum += u128::from(value);
    }
    assert_eq!(totals.dynamic().0, sum);
    let outcomes: MicroJoules = totals.by_outcome().into_values().sum();
    assert_eq!(outcomes, totals.dynamic());
    let told = EnergyTotals::from(totals);
    let classes: MicroJoules = told.classes.iter().map(|it| it.energy).sum();
    assert_eq!(classes, totals.dynamic());
    let outcomes = told.by_outcome.values().filter_map(|it| it.dynamic);
    assert_eq!(outcomes.sum::<MicroJoules>(), totals.dynamic());
}

/// The only source that counts.
pub(crate) fn source(totals: &Totals) -> &hormesis::energy::SourceTotals {
    let [source] = totals.sources.as_slice() else {
        panic!("{:?}", totals.sources)
    };
    source
}
