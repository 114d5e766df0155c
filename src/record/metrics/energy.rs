//! What is told of energy. A sum that nothing resolves has no sample, which is not 0.

use std::fmt;

use super::{Metric, MetricKind, Panel, Unit};
use crate::record::EnergyTotals;
use crate::record::exposition::{Samples, Scrape};
use crate::units::MicroJoules;

pub(super) static METRICS: &[Metric] = &[
    Metric {
        name: "hormesis_call_energy_joules",
        kind: MetricKind::Histogram,
        unit: Unit::Joules,
        labels: &["outcome"],
        help: "Energy above idle of calls with a figure, by how they ended.",
        panel: Some(Panel {
            title: "Joules of a call",
            unit: "joule",
            lines: &[
                (
                    r#"histogram_quantile(0.5, sum by (le, outcome) (rate(hormesis_call_energy_joules_bucket{job=~"$job",instance=~"$instance"}[$__rate_interval])))"#,
                    "{{outcome}} p50",
                ),
                (
                    r#"histogram_quantile(0.95, sum by (le, outcome) (rate(hormesis_call_energy_joules_bucket{job=~"$job",instance=~"$instance"}[$__rate_interval])))"#,
                    "{{outcome}} p95",
                ),
            ],
        }),
        samples: |scrape, samples| {
            for (outcome, sizes) in scrape.energy.iter().flat_map(|energy| &energy.sizes) {
                samples.histogram(&[("outcome", outcome)], sizes)?;
            }
            Ok(())
        },
    },
    Metric {
        name: "hormesis_energy_joules_total",
        kind: MetricKind::Counter,
        unit: Unit::Joules,
        labels: &["meter", "domain", "outcome", "listener", "rule"],
        help: "Energy above idle that calls cost upstream. The rule is empty where none hit, and several where more than one did.",
        panel: Some(Panel {
            title: "Power above idle, by how the calls ended",
            unit: "watt",
            lines: &[(
                r#"sum by (outcome) (rate(hormesis_energy_joules_total{job=~"$job",instance=~"$instance",listener=~"$listener"}[$__rate_interval]))"#,
                "{{outcome}}",
            )],
        }),
        samples: |scrape, samples| {
            for class in scrape.energy.iter().flat_map(|energy| &energy.classes) {
                let labels = [
                    ("meter", &*class.meter),
                    ("domain", &class.domain),
                    ("outcome", class.outcome),
                    ("listener", &class.listener),
                    ("rule", &class.rule),
                ];
                // The rule stands last.
                let told = labels.len() - usize::from(scrape.without_faults);
                samples.counter(&labels[..told], &class.energy.joules())?;
            }
            Ok(())
        },
    },
    Metric {
        name: "hormesis_folded_joules_total",
        kind: MetricKind::Counter,
        unit: Unit::Joules,
        labels: &[],
        help: "Energy above idle of calls that were too many at a time to be told apart.",
        panel: None,
        samples: |scrape, samples| energy(scrape, samples, |it| it.folded),
    },
    Metric {
        name: "hormesis_gap_joules_total",
        kind: MetricKind::Counter,
        unit: Unit::Joules,
        labels: &[],
        help: "Energy known to have passed in time without a trustworthy reading.",
        panel: None,
        samples: |scrape, samples| energy(scrape, samples, |it| it.gap),
    },
    Metric {
        name: "hormesis_gap_seconds_total",
        kind: MetricKind::Counter,
        unit: Unit::Seconds,
        labels: &[],
        help: "Time for which no meter gave a reading.",
        panel: Some(Panel {
            title: "Share of the time without a reading",
            unit: "percentunit",
            lines: &[(
                r#"rate(hormesis_gap_seconds_total{job=~"$job",instance=~"$instance"}[$__rate_interval])"#,
                "{{instance}}",
            )],
        }),
        samples: |scrape, samples| match &scrape.energy {
            Some(energy) => samples.counter(&[], &energy.gap_s),
            None => Ok(()),
        },
    },
    Metric {
        name: "hormesis_idle_joules_total",
        kind: MetricKind::Counter,
        unit: Unit::Joules,
        labels: &[],
        help: "Energy that the machine draws whether calls come or not.",
        panel: None,
        samples: |scrape, samples| energy(scrape, samples, |it| it.idle),
    },
    Metric {
        name: "hormesis_in_flight_joules",
        kind: MetricKind::Gauge,
        unit: Unit::Joules,
        labels: &[],
        help: "Energy above idle of calls whose figure is not known yet.",
        panel: None,
        samples: |scrape, samples| {
            let energy = scrape.energy.as_ref();
            level(
                samples,
                energy.and_then(|it| it.in_flight).map(MicroJoules::joules),
            )
        },
    },
    Metric {
        name: "hormesis_joules_per_success",
        kind: MetricKind::Gauge,
        unit: Unit::Joules,
        labels: &[],
        help: "Energy above idle of all calls, failures included, over the calls that succeeded.",
        panel: Some(Panel {
            title: "Joules a success, failures included",
            unit: "joule",
            lines: &[(
                r#"hormesis_joules_per_success{job=~"$job",instance=~"$instance"}"#,
                "{{instance}}",
            )],
        }),
        samples: |scrape, samples| {
            let energy = scrape.energy.as_ref();
            level(samples, energy.and_then(|it| it.joules_per_success))
        },
    },
    Metric {
        name: "hormesis_meter_joules_total",
        kind: MetricKind::Counter,
        unit: Unit::Joules,
        labels: &[],
        help: "All that the meters counted: the sum of the calls', idle, self, others', unattributed, folded, in-flight and gap joules.",
        panel: Some(Panel {
            title: "Where the joules of the meters went",
            unit: "watt",
            lines: &[
                (
                    r#"sum(rate(hormesis_meter_joules_total{job=~"$job",instance=~"$instance"}[$__rate_interval]))"#,
                    "all",
                ),
                (
                    r#"sum(rate(hormesis_energy_joules_total{job=~"$job",instance=~"$instance"}[$__rate_interval]))"#,
                    "calls",
                ),
                (
                    r#"sum(rate(hormesis_idle_joules_total{job=~"$job",instance=~"$instance"}[$__rate_interval]))"#,
                    "idle",
                ),
                (
                    r#"sum(rate(hormesis_others_joules_total{job=~"$job",instance=~"$instance"}[$__rate_interval]))"#,
                    "other programs",
                ),
                (
                    r#"sum(rate(hormesis_self_joules_total{job=~"$job",instance=~"$instance"}[$__rate_interval]))"#,
                    "hormesis",
                ),
                (
                    r#"sum(rate(hormesis_unattributed_joules_total{job=~"$job",instance=~"$instance"}[$__rate_interval]))"#,
                    "unattributed",
                ),
                (
                    r#"sum(rate(hormesis_folded_joules_total{job=~"$job",instance=~"$instance"}[$__rate_interval]))"#,
                    "too many to tell apart",
                ),
                (
                    r#"sum(rate(hormesis_gap_joules_total{job=~"$job",instance=~"$instance"}[$__rate_interval]))"#,
                    "gap",
                ),
            ],
        }),
        samples: |scrape, samples| energy(scrape, samples, |it| it.meter),
    },
    Metric {
        name: "hormesis_others_joules_total",
        kind: MetricKind::Counter,
        unit: Unit::Joules,
        labels: &[],
        help: "Energy above idle of programs that are neither an upstream nor hormesis.",
        panel: None,
        samples: |scrape, samples| energy(scrape, samples, |it| it.others),
    },
    Metric {
        name: "hormesis_self_joules_total",
        kind: MetricKind::Counter,
        unit: Unit::Joules,
        labels: &[],
        help: "Energy above idle of hormesis itself.",
        panel: None,
        samples: |scrape, samples| energy(scrape, samples, |it| it.own),
    },
    Metric {
        name: "hormesis_unattributed_joules_total",
        kind: MetricKind::Counter,
        unit: Unit::Joules,
        labels: &[],
        help: "Energy above idle that no call, process or part of hormesis explains.",
        panel: None,
        samples: |scrape, samples| energy(scrape, samples, |it| it.unattributed),
    },
];

fn level(samples: &mut Samples<'_>, value: Option<f64>) -> fmt::Result {
    value.map_or(Ok(()), |value| samples.level(&[], value))
}

fn energy(
    scrape: &Scrape,
    samples: &mut Samples<'_>,
    part: impl Fn(&EnergyTotals) -> Option<MicroJoules>,
) -> fmt::Result {
    match scrape.energy.as_ref().and_then(part) {
        Some(sum) => samples.counter(&[], &sum.joules()),
        None => Ok(()),
    }
}
