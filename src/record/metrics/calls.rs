//! What is counted of calls and connections.

use std::collections::BTreeMap;

use super::{CALL_LABELS, Metric, MetricKind, Panel, Unit, per_slot, slot_labels};
use crate::record::exposition::Samples;
use crate::record::totals::SlotTotals;

pub(super) static METRICS: &[Metric] = &[
    Metric {
        name: "hormesis_active_calls",
        kind: MetricKind::Gauge,
        unit: Unit::Number,
        labels: CALL_LABELS,
        help: "Calls under way.",
        panel: Some(Panel {
            title: "Calls under way",
            unit: "short",
            lines: &[(
                r#"sum by (listener) (hormesis_active_calls{job=~"$job",instance=~"$instance",listener=~"$listener"})"#,
                "{{listener}}",
            )],
        }),
        samples: |scrape, samples| per_slot(scrape, samples, SlotTotals::active, Samples::gauge),
    },
    Metric {
        name: "hormesis_added_latency_seconds",
        kind: MetricKind::Histogram,
        unit: Unit::Seconds,
        labels: CALL_LABELS,
        help: "Time that a call spent in hormesis itself: neither waiting for a peer nor injected.",
        panel: Some(Panel {
            title: "What hormesis itself adds",
            unit: "s",
            lines: &[
                (
                    r#"histogram_quantile(0.5, sum by (le) (rate(hormesis_added_latency_seconds_bucket{job=~"$job",instance=~"$instance",listener=~"$listener"}[$__rate_interval])))"#,
                    "p50",
                ),
                (
                    r#"histogram_quantile(0.99, sum by (le) (rate(hormesis_added_latency_seconds_bucket{job=~"$job",instance=~"$instance",listener=~"$listener"}[$__rate_interval])))"#,
                    "p99",
                ),
            ],
        }),
        samples: |scrape, samples| {
            for slot in &scrape.totals.slots {
                samples.histogram(&slot_labels(slot), &slot.overhead)?;
            }
            Ok(())
        },
    },
    Metric {
        name: "hormesis_bytes_total",
        kind: MetricKind::Counter,
        unit: Unit::Bytes,
        labels: &["listener", "protocol", "direction"],
        help: "Body bytes that passed: of requests as read from clients, of responses as written to them.",
        panel: Some(Panel {
            title: "Body bytes a second",
            unit: "Bps",
            lines: &[(
                r#"sum by (direction) (rate(hormesis_bytes_total{job=~"$job",instance=~"$instance",listener=~"$listener"}[$__rate_interval]))"#,
                "{{direction}}",
            )],
        }),
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
        panel: Some(Panel {
            title: "Duration of calls, injected waits included",
            unit: "s",
            lines: &[
                (
                    r#"histogram_quantile(0.5, sum by (le, listener) (rate(hormesis_call_duration_seconds_bucket{job=~"$job",instance=~"$instance",listener=~"$listener"}[$__rate_interval])))"#,
                    "{{listener}} p50",
                ),
                (
                    r#"histogram_quantile(0.99, sum by (le, listener) (rate(hormesis_call_duration_seconds_bucket{job=~"$job",instance=~"$instance",listener=~"$listener"}[$__rate_interval])))"#,
                    "{{listener}} p99",
                ),
            ],
        }),
        samples: |scrape, samples| {
            for slot in &scrape.totals.slots {
                samples.histogram(&slot_labels(slot), &slot.all.duration)?;
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
        panel: Some(Panel {
            title: "Calls a second, by how they ended and whose doing it was",
            unit: "reqps",
            lines: &[(
                r#"sum by (outcome, origin) (rate(hormesis_calls_total{job=~"$job",instance=~"$instance",listener=~"$listener"}[$__rate_interval]))"#,
                "{{outcome}} ({{origin}})",
            )],
        }),
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
        name: "hormesis_connections_refused_total",
        kind: MetricKind::Counter,
        unit: Unit::Number,
        labels: &["listener", "reason"],
        help: "Connections of clients that were closed at once, by reason; limit: the listener has as many as it may.",
        panel: Some(Panel {
            title: "Connections refused a second",
            unit: "cps",
            lines: &[(
                r#"sum by (listener, reason) (rate(hormesis_connections_refused_total{job=~"$job",instance=~"$instance",listener=~"$listener"}[$__rate_interval]))"#,
                "{{listener}}: {{reason}}",
            )],
        }),
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
        panel: None,
        samples: |scrape, samples| {
            let opened = |slot: &SlotTotals| slot.connections_opened;
            per_slot(scrape, samples, opened, |samples, labels, count| {
                samples.counter(labels, &count)
            })
        },
    },
    Metric {
        name: "hormesis_open_connections",
        kind: MetricKind::Gauge,
        unit: Unit::Number,
        labels: CALL_LABELS,
        help: "Connections of clients that are open.",
        panel: Some(Panel {
            title: "Open connections",
            unit: "short",
            lines: &[(
                r#"sum by (listener) (hormesis_open_connections{job=~"$job",instance=~"$instance",listener=~"$listener"})"#,
                "{{listener}}",
            )],
        }),
        samples: |scrape, samples| {
            per_slot(scrape, samples, SlotTotals::connections, Samples::gauge)
        },
    },
    Metric {
        name: "hormesis_time_between_tokens_seconds",
        kind: MetricKind::Histogram,
        unit: Unit::Seconds,
        labels: CALL_LABELS,
        help: "Time between one unit with content and the next, as passed on.",
        panel: Some(Panel {
            title: "Time between tokens",
            unit: "s",
            lines: &[
                (
                    r#"histogram_quantile(0.5, sum by (le, listener) (rate(hormesis_time_between_tokens_seconds_bucket{job=~"$job",instance=~"$instance",listener=~"$listener"}[$__rate_interval])))"#,
                    "{{listener}} p50",
                ),
                (
                    r#"histogram_quantile(0.99, sum by (le, listener) (rate(hormesis_time_between_tokens_seconds_bucket{job=~"$job",instance=~"$instance",listener=~"$listener"}[$__rate_interval])))"#,
                    "{{listener}} p99",
                ),
            ],
        }),
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
        panel: Some(Panel {
            title: "Time to the first token",
            unit: "s",
            lines: &[
                (
                    r#"histogram_quantile(0.5, sum by (le, listener) (rate(hormesis_time_to_first_token_seconds_bucket{job=~"$job",instance=~"$instance",listener=~"$listener"}[$__rate_interval])))"#,
                    "{{listener}} p50",
                ),
                (
                    r#"histogram_quantile(0.99, sum by (le, listener) (rate(hormesis_time_to_first_token_seconds_bucket{job=~"$job",instance=~"$instance",listener=~"$listener"}[$__rate_interval])))"#,
                    "{{listener}} p99",
                ),
            ],
        }),
        samples: |scrape, samples| {
            for slot in &scrape.totals.slots {
                samples.histogram(&slot_labels(slot), &slot.all.first_token)?;
            }
            Ok(())
        },
    },
];
