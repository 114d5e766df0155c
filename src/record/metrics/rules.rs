//! What is counted of rules and their faults.

use super::{Metric, MetricKind, Panel, Unit};

pub(super) static METRICS: &[Metric] = &[
    Metric {
        name: "hormesis_faults_total",
        kind: MetricKind::Counter,
        unit: Unit::Number,
        labels: &["rule", "fault", "result"],
        help: "Planned effects, by what became of them.",
        panel: Some(Panel {
            title: "Effects a second, by what became of them",
            unit: "cps",
            lines: &[(
                r#"sum by (rule, fault, result) (rate(hormesis_faults_total{job=~"$job",instance=~"$instance"}[$__rate_interval]))"#,
                "{{rule}} {{fault}}: {{result}}",
            )],
        }),
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
        name: "hormesis_halted",
        kind: MetricKind::Gauge,
        unit: Unit::Number,
        labels: &[],
        help: "1 while everything is halted, else 0.",
        panel: Some(Panel {
            title: "Halted",
            unit: "bool_yes_no",
            lines: &[(
                r#"max by (instance) (hormesis_halted{job=~"$job",instance=~"$instance"})"#,
                "{{instance}}",
            )],
        }),
        samples: |scrape, samples| samples.gauge(&[], u64::from(scrape.halted)),
    },
    Metric {
        name: "hormesis_rule_active_calls",
        kind: MetricKind::Gauge,
        unit: Unit::Number,
        labels: &["rule"],
        help: "Calls on which an effect of the rule acts.",
        panel: Some(Panel {
            title: "Calls that a rule acts on right now",
            unit: "short",
            lines: &[(
                r#"sum by (rule) (hormesis_rule_active_calls{job=~"$job",instance=~"$instance"})"#,
                "{{rule}}",
            )],
        }),
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
        panel: Some(Panel {
            title: "Armed rules",
            unit: "bool_on_off",
            lines: &[(
                r#"max by (rule) (hormesis_rule_armed{job=~"$job",instance=~"$instance"})"#,
                "{{rule}}",
            )],
        }),
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
        panel: Some(Panel {
            title: "Selected calls that were left alone, by reason",
            unit: "cps",
            lines: &[(
                r#"sum by (rule, reason) (rate(hormesis_rule_denied_total{job=~"$job",instance=~"$instance"}[$__rate_interval]))"#,
                "{{rule}}: {{reason}}",
            )],
        }),
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
        panel: Some(Panel {
            title: "Share of its selected calls that a rule hits",
            unit: "percentunit",
            lines: &[(
                r#"sum by (rule) (rate(hormesis_rule_hits_total{job=~"$job",instance=~"$instance"}[$__rate_interval])) / sum by (rule) (rate(hormesis_rule_selected_total{job=~"$job",instance=~"$instance"}[$__rate_interval]))"#,
                "{{rule}}",
            )],
        }),
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
        panel: None,
        samples: |scrape, samples| {
            for rule in &scrape.rules {
                samples.counter(&[("rule", &rule.name)], &rule.selected)?;
            }
            Ok(())
        },
    },
    Metric {
        name: "hormesis_stop_condition_breached",
        kind: MetricKind::Gauge,
        unit: Unit::Number,
        labels: &["condition"],
        help: "1 while the condition of `stop_when` is true, else 0; absent while too little is seen to tell.",
        panel: Some(Panel {
            title: "Stop conditions that are true",
            unit: "bool_yes_no",
            lines: &[(
                r#"max by (condition) (hormesis_stop_condition_breached{job=~"$job",instance=~"$instance"})"#,
                "{{condition}}",
            )],
        }),
        samples: |scrape, samples| {
            for condition in &scrape.conditions {
                if let Some(breached) = condition.breached {
                    let labels = [("condition", &*condition.expr)];
                    samples.gauge(&labels, u64::from(breached))?;
                }
            }
            Ok(())
        },
    },
    Metric {
        name: "hormesis_stop_condition_value",
        kind: MetricKind::Gauge,
        unit: Unit::Number,
        labels: &["condition"],
        help: "What the condition of `stop_when` compares: a share from 0 to 1, seconds, or calls a second; absent while too little is seen to tell.",
        panel: Some(Panel {
            title: "What stop conditions compare",
            unit: "short",
            lines: &[(
                r#"max by (condition) (hormesis_stop_condition_value{job=~"$job",instance=~"$instance"})"#,
                "{{condition}}",
            )],
        }),
        samples: |scrape, samples| {
            for condition in &scrape.conditions {
                if let Some(value) = condition.value {
                    samples.level(&[("condition", &condition.expr)], value)?;
                }
            }
            Ok(())
        },
    },
];
