//! Every metric, once: the exposition and `docs/metrics.md` are both made from this list.

use std::collections::BTreeMap;
use std::fmt;

use crate::record::exposition::{Samples, Scrape};
use crate::record::totals::SlotTotals;
use crate::units::MicroJoules;

/// One metric: what it is called, what it counts and where its samples come from.
#[derive(Debug)]
pub struct Metric {
    /// In full, as shown, with unit and `_total`.
    pub name: &'static str,
    pub kind: MetricKind,
    pub unit: Unit,
    pub labels: &'static [&'static str],
    pub help: &'static str,
    pub(crate) samples: fn(&Scrape, &mut Samples<'_>) -> fmt::Result,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

impl MetricKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// What a metric's numbers are numbers of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Bytes,
    Joules,
    Number,
    Seconds,
}

impl Unit {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Joules => "joules",
            Self::Number => "",
            Self::Seconds => "seconds",
        }
    }
}

impl Metric {
    /// Whether its series name rules or faults.
    pub fn tells_of_faults(&self) -> bool {
        self.labels
            .iter()
            .any(|label| matches!(*label, "fault" | "rule"))
    }
}

const CALL_LABELS: &[&str] = &["listener", "protocol"];

/// All metrics, by name.
pub static METRICS: &[Metric] = &[
    Metric {
        name: "hormesis_active_calls",
        kind: MetricKind::Gauge,
        unit: Unit::Number,
        labels: CALL_LABELS,
        help: "Calls under way.",
        samples: |scrape, samples| per_slot(scrape, samples, SlotTotals::active, Samples::gauge),
    },
    Metric {
        name: "hormesis_added_latency_seconds",
        kind: MetricKind::Histogram,
        unit: Unit::Seconds,
        labels: CALL_LABELS,
        help: "Time that a call spent in hormesis itself: neither waiting for a peer nor injected.",
        samples: |scrape, samples| {
            for slot in &scrape.totals.slots {
                samples.histogram(&slot_labels(slot), &slot.overhead)?;
            }
            Ok(())
        },
    },
    Metric {
        name: "hormesis_build_info",
        kind: MetricKind::Gauge,
        unit: Unit::Number,
        labels: &["version"],
        help: "Always 1; its label tells the version.",
        samples: |scrape, samples| samples.gauge(&[("version", scrape.version)], 1),
    },
    Metric {
        name: "hormesis_bytes_total",
        kind: MetricKind::Counter,
        unit: Unit::Bytes,
        labels: &["listener", "protocol", "direction"],
        help: "Body bytes that passed: of requests as read from clients, of responses as written to them.",
        samples: |scrape, samples| {
            for slot in &scrape.totals.slots {
                let [listener, protocol] = slot_labels(slot);
                for (direction, count) in [
                    ("request", slot.request_bytes),
                    ("response", slot.response_bytes),
                ] {
                    samples.counter(&[listener, protocol, ("direction", direction)], &count)?;
                }
            }
            Ok(())
        },
    },
    Metric {
        name: "hormesis_call_duration_seconds",
        kind: MetricKind::Histogram,
        unit: Unit::Seconds,
        labels: CALL_LABELS,
        help: "Time from a request's head to the end of its call, injected waits included.",
        samples: |scrape, samples| {
            for slot in &scrape.totals.slots {
                samples.histogram(&slot_labels(slot), &slot.all.duration)?;
            }
            Ok(())
        },
    },
    Metric {
        name: "hormesis_call_energy_joules",
        kind: MetricKind::Histogram,
        unit: Unit::Joules,
        labels: &["outcome"],
        help: "Energy above idle of calls with a figure, by how they ended.",
        samples: |scrape, samples| {
            for (outcome, sizes) in scrape.energy.iter().flat_map(|energy| &energy.sizes) {
                samples.histogram(&[("outcome", outcome)], sizes)?;
            }
            Ok(())
        },
    },
    Metric {
        name: "hormesis_calls_total",
        kind: MetricKind::Counter,
        unit: Unit::Number,
        labels: &["listener", "protocol", "outcome", "origin"],
        help: "Calls that ended, by how they ended and by the party that made the answer.",
        samples: |scrape, samples| {
            for call in scrape.totals.calls() {
                let labels = [
                    ("listener", call.listener),
                    ("protocol", call.protocol),
                    ("outcome", call.outcome.as_str()),
                    ("origin", call.origin.as_str()),
                ];
                samples.counter(&labels, &call.count)?;
            }
            Ok(())
        },
    },
    Metric {
        name: "hormesis_config_generation",
        kind: MetricKind::Gauge,
        unit: Unit::Number,
        labels: &[],
        help: "The number of the configuration in force: 1 at start, one more with each reload.",
        samples: |scrape, samples| samples.gauge(&[], scrape.generation),
    },
    Metric {
        name: "hormesis_config_reloads_total",
        kind: MetricKind::Counter,
        unit: Unit::Number,
        labels: &["result"],
        help: "How often the configuration was read again, by result: ok, or failed, where the one before stays in force.",
        samples: |scrape, samples| {
            samples.counter(&[("result", "failed")], &scrape.reloads_failed)?;
            samples.counter(&[("result", "ok")], &scrape.reloads_ok)
        },
    },
    Metric {
        name: "hormesis_connections_refused_total",
        kind: MetricKind::Counter,
        unit: Unit::Number,
        labels: &["listener", "reason"],
        help: "Connections of clients that were closed at once, by reason; limit: the listener has as many as it may.",
        samples: |scrape, samples| {
            let mut refused = BTreeMap::new();
            for slot in &scrape.totals.slots {
                *refused.entry(&*slot.listener).or_insert(0) += slot.connections_refused;
            }
            for (listener, count) in refused {
                samples.counter(&[("listener", listener), ("reason", "limit")], &count)?;
            }
            Ok(())
        },
    },
    Metric {
        name: "hormesis_connections_total",
        kind: MetricKind::Counter,
        unit: Unit::Number,
        labels: CALL_LABELS,
        help: "Connections of clients that were accepted.",
        samples: |scrape, samples| {
            let opened = |slot: &SlotTotals| slot.connections_opened;
            per_slot(scrape, samples, opened, |samples, labels, count| {
                samples.counter(labels, &count)
            })
        },
    },
    Metric {
        name: "hormesis_decisions_dropped_total",
        kind: MetricKind::Counter,
        unit: Unit::Number,
        labels: &[],
        help: "Lines of the decision log that were lost to a full ring or a file that could not be written.",
        samples: |scrape, samples| samples.counter(&[], &scrape.decisions_dropped),
    },
    Metric {
        name: "hormesis_decisions_written_total",
        kind: MetricKind::Counter,
        unit: Unit::Number,
        labels: &[],
        help: "Lines of the decision log that were written.",
        samples: |scrape, samples| samples.counter(&[], &scrape.decisions_written),
    },
    Metric {
        name: "hormesis_energy_joules_total",
        kind: MetricKind::Counter,
        unit: Unit::Joules,
        labels: &["meter", "domain", "outcome", "listener", "rule"],
        help: "Energy above idle that calls cost upstream. The rule is empty where none hit, and several where more than one did.",
        samples: |scrape, samples| {
            for class in scrape.energy.iter().flat_map(|energy| &energy.classes) {
                let labels = [
                    ("meter", &*class.meter),
                    ("domain", &class.domain),
                    ("outcome", class.outcome),
                    ("listener", &class.listener),
                    ("rule", &class.rule),
                ];
                samples.counter(&labels, &class.energy.joules())?;
            }
            Ok(())
        },
    },
    Metric {
        name: "hormesis_faults_total",
        kind: MetricKind::Counter,
        unit: Unit::Number,
        labels: &["rule", "fault", "result"],
        help: "Planned effects, by what became of them.",
        samples: |scrape, samples| {
            for fault in &scrape.totals.faults {
                for (result, count) in fault.results() {
                    let labels = [
                        ("rule", &*fault.rule),
                        ("fault", fault.fault),
                        ("result", result),
                    ];
                    samples.counter(&labels, &count)?;
                }
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
        samples: |scrape, samples| energy(scrape, samples, |it| it.folded),
    },
    Metric {
        name: "hormesis_gap_joules_total",
        kind: MetricKind::Counter,
        unit: Unit::Joules,
        labels: &[],
        help: "Energy known to have passed in time without a trustworthy reading.",
        samples: |scrape, samples| energy(scrape, samples, |it| it.gap),
    },
    Metric {
        name: "hormesis_gap_seconds_total",
        kind: MetricKind::Counter,
        unit: Unit::Seconds,
        labels: &[],
        help: "Time for which no meter gave a reading.",
        samples: |scrape, samples| match &scrape.energy {
            Some(energy) => samples.counter(&[], &energy.gap_s),
            None => Ok(()),
        },
    },
    Metric {
        name: "hormesis_halted",
        kind: MetricKind::Gauge,
        unit: Unit::Number,
        labels: &[],
        help: "1 while everything is halted, else 0.",
        samples: |scrape, samples| samples.gauge(&[], u64::from(scrape.halted)),
    },
    Metric {
        name: "hormesis_idle_joules_total",
        kind: MetricKind::Counter,
        unit: Unit::Joules,
        labels: &[],
        help: "Energy that the machine draws whether calls come or not.",
        samples: |scrape, samples| energy(scrape, samples, |it| it.idle),
    },
    Metric {
        name: "hormesis_in_flight_joules",
        kind: MetricKind::Gauge,
        unit: Unit::Joules,
        labels: &[],
        help: "Energy above idle of calls whose figure is not known yet.",
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
        samples: |scrape, samples| energy(scrape, samples, |it| it.meter),
    },
    Metric {
        name: "hormesis_open_connections",
        kind: MetricKind::Gauge,
        unit: Unit::Number,
        labels: CALL_LABELS,
        help: "Connections of clients that are open.",
        samples: |scrape, samples| {
            per_slot(scrape, samples, SlotTotals::connections, Samples::gauge)
        },
    },
    Metric {
        name: "hormesis_others_joules_total",
        kind: MetricKind::Counter,
        unit: Unit::Joules,
        labels: &[],
        help: "Energy above idle of programs that are neither an upstream nor hormesis.",
        samples: |scrape, samples| energy(scrape, samples, |it| it.others),
    },
    Metric {
        name: "hormesis_rule_active_calls",
        kind: MetricKind::Gauge,
        unit: Unit::Number,
        labels: &["rule"],
        help: "Calls on which an effect of the rule acts.",
        samples: |scrape, samples| {
            for rule in &scrape.rules {
                samples.gauge(&[("rule", &rule.name)], rule.active)?;
            }
            Ok(())
        },
    },
    Metric {
        name: "hormesis_rule_armed",
        kind: MetricKind::Gauge,
        unit: Unit::Number,
        labels: &["rule"],
        help: "1 while the rule is armed, else 0.",
        samples: |scrape, samples| {
            for rule in &scrape.rules {
                samples.gauge(&[("rule", &rule.name)], u64::from(rule.armed))?;
            }
            Ok(())
        },
    },
    Metric {
        name: "hormesis_rule_denied_total",
        kind: MetricKind::Counter,
        unit: Unit::Number,
        labels: &["rule", "reason"],
        help: "Selected calls that the rule left alone for this reason.",
        samples: |scrape, samples| {
            for rule in &scrape.rules {
                for (reason, count) in rule.denied.by_reason() {
                    samples.counter(&[("rule", &rule.name), ("reason", reason)], &count)?;
                }
            }
            Ok(())
        },
    },
    Metric {
        name: "hormesis_rule_hits_total",
        kind: MetricKind::Counter,
        unit: Unit::Number,
        labels: &["rule"],
        help: "Calls that the rule's trigger hit.",
        samples: |scrape, samples| {
            for rule in &scrape.rules {
                samples.counter(&[("rule", &rule.name)], &rule.hit)?;
            }
            Ok(())
        },
    },
    Metric {
        name: "hormesis_rule_selected_total",
        kind: MetricKind::Counter,
        unit: Unit::Number,
        labels: &["rule"],
        help: "Calls that the rule selected.",
        samples: |scrape, samples| {
            for rule in &scrape.rules {
                samples.counter(&[("rule", &rule.name)], &rule.selected)?;
            }
            Ok(())
        },
    },
    Metric {
        name: "hormesis_self_joules_total",
        kind: MetricKind::Counter,
        unit: Unit::Joules,
        labels: &[],
        help: "Energy above idle of hormesis itself.",
        samples: |scrape, samples| energy(scrape, samples, |it| it.own),
    },
    Metric {
        name: "hormesis_time_between_tokens_seconds",
        kind: MetricKind::Histogram,
        unit: Unit::Seconds,
        labels: CALL_LABELS,
        help: "Time between one unit with content and the next, as passed on.",
        samples: |scrape, samples| {
            for slot in &scrape.totals.slots {
                samples.histogram(&slot_labels(slot), &slot.all.token_gap)?;
            }
            Ok(())
        },
    },
    Metric {
        name: "hormesis_time_to_first_token_seconds",
        kind: MetricKind::Histogram,
        unit: Unit::Seconds,
        labels: CALL_LABELS,
        help: "Time from a request's head to the first unit with content passed on.",
        samples: |scrape, samples| {
            for slot in &scrape.totals.slots {
                samples.histogram(&slot_labels(slot), &slot.all.first_token)?;
            }
            Ok(())
        },
    },
    Metric {
        name: "hormesis_unattributed_joules_total",
        kind: MetricKind::Counter,
        unit: Unit::Joules,
        labels: &[],
        help: "Energy above idle that no call, process or part of hormesis explains.",
        samples: |scrape, samples| energy(scrape, samples, |it| it.unattributed),
    },
];

fn slot_labels(slot: &SlotTotals) -> [(&'static str, &str); 2] {
    [("listener", &slot.listener), ("protocol", slot.protocol)]
}

fn per_slot<'s>(
    scrape: &Scrape,
    samples: &mut Samples<'s>,
    value: impl Fn(&SlotTotals) -> u64,
    write: impl Fn(&mut Samples<'s>, &[(&str, &str)], u64) -> fmt::Result,
) -> fmt::Result {
    for slot in &scrape.totals.slots {
        write(samples, &slot_labels(slot), value(slot))?;
    }
    Ok(())
}

fn level(samples: &mut Samples<'_>, value: Option<f64>) -> fmt::Result {
    value.map_or(Ok(()), |value| samples.level(value))
}

/// A sum that nothing resolves has no sample, which is not 0.
fn energy(
    scrape: &Scrape,
    samples: &mut Samples<'_>,
    part: impl Fn(&super::EnergyTotals) -> Option<MicroJoules>,
) -> fmt::Result {
    match scrape.energy.as_ref().and_then(part) {
        Some(sum) => samples.counter(&[], &sum.joules()),
        None => Ok(()),
    }
}
