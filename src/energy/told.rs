//! The engine's figures in the form in which they are told: log lines, metrics, status.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::figure::{CallEnergy, Flag};
use super::reading::Tier;
use super::totals::{OutcomeSum, SourceTotals, Totals};
use crate::record::{EnergyClass, EnergyLine, EnergyTotals, OutcomeEnergy};
use crate::units::MicroJoules;

impl From<&CallEnergy> for EnergyLine {
    fn from(figure: &CallEnergy) -> Self {
        let told = |uj: Option<u64>| uj.map(|uj| MicroJoules(u128::from(uj)));
        Self {
            call: figure.call,
            dynamic: told(figure.dyn_uj),
            zombie: told(figure.zombie_uj),
            idle: told(figure.idle_uj),
            low: told(figure.lo_uj),
            high: told(figure.hi_uj),
            tier: figure.tier.map(Tier::as_str),
            split: figure.rule,
            windows: figure.windows,
            gap_ms: figure.gap_ms,
            meters: figure.meters.clone(),
            concurrency: figure.concurrency,
            flags: figure.flags.iter().map(Flag::as_str).collect(),
        }
    }
}

impl From<&Totals> for EnergyTotals {
    fn from(totals: &Totals) -> Self {
        let live = || totals.sources.iter().filter(|it| it.live);
        let sum = |part: fn(&SourceTotals) -> MicroJoules| {
            (!totals.sources.is_empty()).then(|| totals.sources.iter().map(part).sum())
        };
        let by_name = |sums: &BTreeMap<Arc<str>, OutcomeSum>| {
            let named = sums.iter();
            named
                .map(|(name, sum)| (Arc::clone(name), told(sum)))
                .collect()
        };
        let by_outcome = totals.outcomes.iter();
        let by_outcome = by_outcome.map(|(outcome, sum)| (outcome.as_str(), told(sum)));
        let sizes = totals.sizes.iter();
        let sizes = sizes.map(|(outcome, sizes)| (outcome.as_str(), sizes.clone()));
        let gap = totals.sources.iter().map(|it| it.gap_time).max();
        Self {
            tier: live().map(|it| it.tier).max().map(Tier::as_str),
            meters: live().map(|it| Arc::clone(&it.id)).collect(),
            by_outcome: by_outcome.collect(),
            by_rule: by_name(&totals.rules),
            by_model: by_name(&totals.models),
            total: told(&totals.total),
            sizes: sizes.collect(),
            calls: sum(|it| it.calls),
            in_flight: sum(|it| it.in_flight),
            folded: sum(|it| it.folded),
            gap: sum(|it| it.gap),
            classes: classes(totals),
            own: sum(|it| it.own),
            others: sum(|it| it.others),
            unattributed: sum(|it| it.unattributed),
            idle: sum(|it| it.idle),
            gap_s: gap.unwrap_or_default().as_secs_f64(),
            meter: sum(|it| it.meter),
            joules_per_success: totals.joules_per_success(),
        }
    }
}

fn told(sum: &OutcomeSum) -> OutcomeEnergy {
    OutcomeEnergy {
        dynamic: sum.dynamic,
        idle: sum.idle,
        low: sum.low,
        high: sum.high,
        calls: sum.calls,
    }
}

/// Classes as metrics have them: without the model, so that no two have the same labels.
fn classes(totals: &Totals) -> Vec<EnergyClass> {
    let mut sums = BTreeMap::new();
    for it in &totals.classes {
        let class = &it.class;
        let labels = (&class.source, class.outcome, &class.listener, &class.rule);
        *sums.entry(labels).or_insert(MicroJoules::ZERO) += it.energy;
    }
    let domain = |id: &Arc<str>| {
        let source = totals.sources.iter().find(|it| it.id == *id);
        source.map_or("", |it| it.domain.as_str())
    };
    sums.into_iter()
        .map(|((source, outcome, listener, rule), energy)| EnergyClass {
            meter: Arc::clone(source),
            domain: domain(source).into(),
            outcome: outcome.as_str(),
            listener: Arc::clone(listener),
            rule: rule.clone().unwrap_or_else(|| "".into()),
            energy,
        })
        .collect()
}
