//! What is told of the sidecar itself.

use super::{Metric, MetricKind, Panel, Unit};

pub(super) static METRICS: &[Metric] = &[
    Metric {
        name: "hormesis_audit_unwritten_total",
        kind: MetricKind::Counter,
        unit: Unit::Number,
        labels: &[],
        help: "Lines of the audit log that are not in it: the disk was full or stuck, or refusals came too fast to tell each.",
        panel: None,
        samples: |scrape, samples| samples.counter(&[], &scrape.audit_unwritten),
    },
    Metric {
        name: "hormesis_audit_written_total",
        kind: MetricKind::Counter,
        unit: Unit::Number,
        labels: &[],
        help: "Lines of the audit log that were written.",
        panel: None,
        samples: |scrape, samples| samples.counter(&[], &scrape.audit_written),
    },
    Metric {
        name: "hormesis_build_info",
        kind: MetricKind::Gauge,
        unit: Unit::Number,
        labels: &["version"],
        help: "Always 1; its label tells the version.",
        panel: None,
        samples: |scrape, samples| samples.gauge(&[("version", scrape.version)], 1),
    },
    Metric {
        name: "hormesis_config_generation",
        kind: MetricKind::Gauge,
        unit: Unit::Number,
        labels: &[],
        help: "The number of the configuration in force: 1 at start, one more with each reload.",
        panel: None,
        samples: |scrape, samples| samples.gauge(&[], scrape.generation),
    },
    Metric {
        name: "hormesis_config_reloads_total",
        kind: MetricKind::Counter,
        unit: Unit::Number,
        labels: &["result"],
        help: "How often the configuration was read again, by result: ok, or failed, where the one before stays in force.",
        panel: Some(Panel {
            title: "Reloads in ten minutes",
            unit: "short",
            lines: &[(
                r#"sum by (result) (increase(hormesis_config_reloads_total{job=~"$job",instance=~"$instance"}[10m]))"#,
                "{{result}}",
            )],
        }),
        samples: |scrape, samples| {
            samples.counter(&[("result", "failed")], &scrape.reloads_failed)?;
            samples.counter(&[("result", "ok")], &scrape.reloads_ok)
        },
    },
    Metric {
        name: "hormesis_decisions_dropped_total",
        kind: MetricKind::Counter,
        unit: Unit::Number,
        labels: &[],
        help: "Lines of the decision log that were lost to a full ring or a file that could not be written.",
        panel: Some(Panel {
            title: "Lines of the decision log a second",
            unit: "cps",
            lines: &[
                (
                    r#"rate(hormesis_decisions_written_total{job=~"$job",instance=~"$instance"}[$__rate_interval])"#,
                    "written",
                ),
                (
                    r#"rate(hormesis_decisions_dropped_total{job=~"$job",instance=~"$instance"}[$__rate_interval])"#,
                    "dropped",
                ),
            ],
        }),
        samples: |scrape, samples| samples.counter(&[], &scrape.decisions_dropped),
    },
    Metric {
        name: "hormesis_decisions_written_total",
        kind: MetricKind::Counter,
        unit: Unit::Number,
        labels: &[],
        help: "Lines of the decision log that were written.",
        panel: None,
        samples: |scrape, samples| samples.counter(&[], &scrape.decisions_written),
    },
    Metric {
        name: "hormesis_spans_total",
        kind: MetricKind::Counter,
        unit: Unit::Number,
        labels: &["result"],
        help: "Spans of calls, by result: exported, or dropped where the collector did not take them. Nothing where no traces are wanted.",
        panel: None,
        samples: |scrape, samples| match scrape.spans {
            Some(spans) => {
                samples.counter(&[("result", "dropped")], &spans.dropped)?;
                samples.counter(&[("result", "exported")], &spans.exported)
            }
            None => Ok(()),
        },
    },
];
