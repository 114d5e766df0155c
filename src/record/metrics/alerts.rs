//! Alert rules over the metric table, as Prometheus reads them.

use std::fmt::Write;

use super::METRICS;

/// One alert.
#[derive(Debug)]
pub struct Alert {
    pub name: &'static str,
    /// In `PromQL`; it fires where this has a sample.
    pub expression: &'static str,
    /// How long it must hold, as Prometheus writes times.
    pub holds: &'static str,
    /// `info`, `warning` or `critical`.
    pub severity: &'static str,
    /// One line; may name labels as `{{ $labels.rule }}`.
    pub summary: &'static str,
    /// What it means and what to do.
    pub description: &'static str,
}

/// All alerts, by name.
pub static ALERTS: &[Alert] = &[
    Alert {
        name: "HormesisAddedLatency",
        expression: "histogram_quantile(0.99, sum by (instance, le) (rate(hormesis_added_latency_seconds_bucket[5m]))) > 0.01",
        holds: "10m",
        severity: "warning",
        summary: "hormesis itself adds more than 10 ms to one call in a hundred",
        description: "Injected waits are not in this figure. The sidecar or its machine is overloaded: give it more workers or CPU.",
    },
    Alert {
        name: "HormesisConnectionsRefused",
        expression: "sum by (instance, listener) (rate(hormesis_connections_refused_total[5m])) > 0",
        holds: "1m",
        severity: "warning",
        summary: "listener {{ $labels.listener }} refuses connections",
        description: "It has as many as [limits] allows. Clients see failures that no rule injected.",
    },
    Alert {
        name: "HormesisDecisionsDropped",
        expression: "increase(hormesis_decisions_dropped_total[10m]) > 0",
        holds: "0m",
        severity: "warning",
        summary: "lines of the decision log were lost",
        description: "Its file could not be written, or more was told than the disk takes. Counters and energy lose nothing.",
    },
    Alert {
        name: "HormesisEnergyGap",
        expression: "rate(hormesis_gap_seconds_total[10m]) > 0.5",
        holds: "10m",
        severity: "warning",
        summary: "half of the time has no trustworthy energy reading",
        description: "`hormesis doctor` and `hormesis meters` tell what is missing. Figures of calls in that time are null.",
    },
    Alert {
        name: "HormesisHalted",
        expression: "hormesis_halted == 1",
        holds: "0m",
        severity: "info",
        summary: "everything is halted: no fault acts",
        description: "Somebody, a stop condition or a file halted it; `hormesis status` tells the reason. `hormesis resume` lets rules act again.",
    },
    Alert {
        name: "HormesisRealErrors",
        expression: "sum by (instance, listener) (rate(hormesis_calls_total{origin!=\"injected\",outcome=~\"upstream_error|timeout\"}[5m])) / sum by (instance, listener) (rate(hormesis_calls_total[5m])) > 0.05",
        holds: "5m",
        severity: "critical",
        summary: "more than 5 % of the calls on {{ $labels.listener }} fail, and hormesis did not inject that",
        description: "Injected failures are not counted. End the experiment (`hormesis halt`) if it may be the cause.",
    },
    Alert {
        name: "HormesisReloadFailed",
        expression: "increase(hormesis_config_reloads_total{result=\"failed\"}[15m]) > 0",
        holds: "0m",
        severity: "warning",
        summary: "a configuration was read again and has mistakes",
        description: "The one before stays in force. `hormesis check` tells every mistake.",
    },
    Alert {
        name: "HormesisRuleLeftArmed",
        expression: "hormesis_rule_armed == 1",
        holds: "1d",
        severity: "info",
        summary: "rule {{ $labels.rule }} has been armed for more than a day",
        description: "An experiment that nobody ended? `hormesis disarm {{ $labels.rule }}` ends it; a `ttl` does so by itself.",
    },
    Alert {
        name: "HormesisRulePanicked",
        expression: "increase(hormesis_rule_denied_total{reason=\"panic\"}[15m]) > 0",
        holds: "0m",
        severity: "warning",
        summary: "a fault of rule {{ $labels.rule }} panicked: the rule is disarmed",
        description: "This is a bug in hormesis: please report it with the log of that time.",
    },
    Alert {
        name: "HormesisWastedEnergy",
        expression: "sum by (instance) (rate(hormesis_energy_joules_total{outcome!=\"ok\"}[30m])) / sum by (instance) (rate(hormesis_energy_joules_total[30m])) > 0.25",
        holds: "30m",
        severity: "info",
        summary: "a quarter of the joules go into calls that did not succeed",
        description: "Failures, retries and answers that nobody waited for. The dashboard's power by outcome tells which.",
    },
];

/// The alerts as a rule file of Prometheus: those that a scrape of `[health]` is enough for, and those
/// that need one of the admin listener.
pub fn alert_rules() -> String {
    let mut text = String::from("groups:\n");
    for (group, needs_admin) in [("hormesis", false), ("hormesis-admin", true)] {
        text.push_str("  - name: ");
        text.push_str(group);
        text.push_str("\n    rules:\n");
        let alerts = ALERTS.iter().filter(|it| it.needs_admin() == needs_admin);
        write_alerts(&mut text, alerts);
    }
    text
}

impl Alert {
    /// Whether it asks for what `[health]` does not tell.
    fn needs_admin(&self) -> bool {
        let mut metrics = METRICS.iter().filter(|it| it.tells_of_faults());
        metrics.any(|it| self.expression.contains(it.name))
    }
}

fn write_alerts<'a>(text: &mut String, alerts: impl Iterator<Item = &'a Alert>) {
    for alert in alerts {
        // Writing to a string does not fail. JSON strings are YAML strings.
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let written = write!(
            text,
            "      - alert: {}\n        expr: {}\n        for: {}\n        labels:\n          severity: {}\n        annotations:\n          summary: {}\n          description: {}\n",
            alert.name,
            quoted(alert.expression),
            alert.holds,
            alert.severity,
            quoted(alert.summary),
            quoted(alert.description),
        );
        debug_assert!(written.is_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::super::promql::check;
    use super::*;

    #[test]
    fn every_alert_asks_for_metrics_that_there_are() {
        assert!(ALERTS.is_sorted_by(|a, b| a.name < b.name));
        for alert in ALERTS {
            assert!(check(alert.expression).unwrap() > 0, "{}", alert.name);
            assert!(["info", "warning", "critical"].contains(&alert.severity));
        }
    }

    #[test]
    fn alerts_on_rules_are_in_the_group_that_needs_the_admin_listener() {
        let text = alert_rules();
        let (open, admin) = text.split_once("  - name: hormesis-admin\n").unwrap();
        for name in ["Halted", "RuleLeftArmed", "RulePanicked"] {
            let alert = format!("- alert: Hormesis{name}\n");
            assert!(admin.contains(&alert) && !open.contains(&alert), "{text}");
        }
        assert_eq!(admin.matches("- alert:").count(), 3);
        assert_eq!(text.matches("- alert:").count(), ALERTS.len());
    }
}
