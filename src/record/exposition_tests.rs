use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use crate::call::Outcome;
use crate::effect::{ConnectFailure, Effect, Fate, Planned, RuleToken};
use crate::error::Origin;
use crate::record::reference::hold_section;
use crate::record::{Bounds, CounterRegistry, EnergyClass, Exemplar};
use crate::units::MicroJoules;

use super::*;

/// Figures in which every metric has a sample.
#[expect(clippy::too_many_lines, reason = "one table of figures")]
fn scrape() -> Scrape {
    let registry = CounterRegistry::default();
    let worker = registry.worker();
    let slot = worker.slot(&"chat".into(), "openai");
    slot.connection_opened();
    slot.call_started();
    slot.call_started();
    slot.call_ended(
        Outcome::Ok,
        Origin::Upstream,
        Duration::from_millis(40),
        Some(Duration::from_micros(80)),
    );
    slot.request_bytes(10);
    slot.response_bytes(20);
    slot.first_token(Duration::from_millis(30));
    slot.token_gap(Duration::from_millis(20));
    let planned = Planned {
        token: RuleToken {
            rule: "sl\"ow\\\n".into(),
            index: 0,
            epoch: 0,
        },
        fault: "delay",
        fault_index: 0,
        effect: Effect::FailConnect {
            reason: ConnectFailure::Refused,
        },
    };
    worker.fate(&planned, &Fate::Superseded);
    let one = Some(MicroJoules(1_500_000));
    let mut sizes = Histogram::new(&Bounds::ENERGY);
    sizes.observe_millionths(2_250_000);
    let cell = RuleCell::new("slow".into(), true);
    cell.counters.denied_limit.store(4, Ordering::Relaxed);
    cell.counters.denied_panic.store(1, Ordering::Relaxed);
    Scrape {
        version: "1.2.3",
        totals: registry.totals(),
        rules: vec![RuleFigures::read(&cell)],
        conditions: vec![ConditionFigures {
            expr: "error_rate > 25% for 10s".into(),
            unit: "share",
            value: Some(0.5),
            of: 40,
            breached: Some(true),
        }],
        halted: true,
        generation: 3,
        reloads_ok: 2,
        reloads_failed: 1,
        audit_written: 7,
        audit_unwritten: 8,
        decisions_written: 5,
        decisions_dropped: 6,
        spans: Some(SpanFigures {
            exported: 5,
            dropped: 1,
        }),
        exemplars: Exemplars::new(),
        without_faults: false,
        energy: Some(EnergyTotals {
            classes: vec![EnergyClass {
                meter: "rapl".into(),
                domain: "package".into(),
                outcome: "ok",
                listener: "chat".into(),
                rule: "".into(),
                energy: MicroJoules(2_250_000),
            }],
            sizes: [("ok", sizes)].into(),
            in_flight: one,
            folded: one,
            own: one,
            others: one,
            idle: one,
            unattributed: one,
            gap: one,
            meter: one,
            joules_per_success: Some(2.5),
            gap_s: 0.5,
            ..EnergyTotals::default()
        }),
    }
}

fn exposed(format: TextFormat, faults: bool) -> String {
    expose(scrape(), format, faults).unwrap()
}

#[test]
fn every_metric_is_shown_under_its_name_with_its_labels() {
    let text = exposed(TextFormat::Prometheus, true);
    for metric in METRICS.iter() {
        let kind = format!("# TYPE {} {}\n", metric.name, metric.kind.as_str());
        assert!(text.contains(&kind), "{kind}{text}");
        let sample = match metric.kind {
            MetricKind::Histogram => format!("\n{}_count", metric.name),
            MetricKind::Counter | MetricKind::Gauge => format!("\n{}", metric.name),
        };
        let sample = text
            .match_indices(&sample)
            .map(|(at, _)| text[at + 1..].lines().next().unwrap())
            .find(|line| line[sample.len() - 1..].starts_with(['{', ' ']))
            .unwrap_or_else(|| panic!("{} has no sample in\n{text}", metric.name));
        let labels: BTreeSet<_> = sample
            .split_once('{')
            .map_or("", |(_, rest)| rest.rsplit_once('}').unwrap().0)
            .split("\",")
            .filter_map(|label| label.split_once('=').map(|(name, _)| name))
            .collect();
        let declared: BTreeSet<_> = metric.labels.iter().copied().collect();
        assert_eq!(labels, declared, "{sample}");
    }
}

#[test]
fn values_are_in_base_units() {
    let text = exposed(TextFormat::Prometheus, true);
    for line in [
        r#"hormesis_calls_total{listener="chat",protocol="openai",outcome="ok",origin="upstream"} 1"#,
        r#"hormesis_active_calls{listener="chat",protocol="openai"} 1"#,
        r#"hormesis_call_duration_seconds_sum{listener="chat",protocol="openai"} 0.04"#,
        r#"hormesis_call_duration_seconds_bucket{le="0.025",listener="chat",protocol="openai"} 0"#,
        r#"hormesis_call_duration_seconds_bucket{le="0.05",listener="chat",protocol="openai"} 1"#,
        r#"hormesis_call_duration_seconds_bucket{le="+Inf",listener="chat",protocol="openai"} 1"#,
        r#"hormesis_energy_joules_total{meter="rapl",domain="package",outcome="ok",listener="chat",rule=""} 2.25"#,
        r#"hormesis_faults_total{rule="sl\"ow\\\n",fault="delay",result="superseded"} 1"#,
        r#"hormesis_rule_denied_total{rule="slow",reason="limit"} 4"#,
        r#"hormesis_rule_denied_total{rule="slow",reason="panic"} 1"#,
        r#"hormesis_call_energy_joules_bucket{le="1.0",outcome="ok"} 0"#,
        r#"hormesis_call_energy_joules_bucket{le="3.0",outcome="ok"} 1"#,
        r#"hormesis_call_energy_joules_sum{outcome="ok"} 2.25"#,
        "hormesis_halted 1",
        "hormesis_in_flight_joules 1.5",
        "hormesis_joules_per_success 2.5",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\nin\n{text}");
    }
}

#[test]
fn open_metrics_ends_as_it_must_and_the_older_form_does_not() {
    let open = exposed(TextFormat::OpenMetrics, true);
    assert!(open.ends_with("# EOF\n"));
    assert!(open.contains("# TYPE hormesis_calls counter\n"));
    let older = exposed(TextFormat::Prometheus, true);
    assert!(!older.contains("# EOF"));
    assert!(older.contains("# HELP hormesis_calls_total Calls that ended"));
}

#[test]
fn without_faults_no_series_names_one() {
    let mut scrape = scrape();
    let calls = &mut scrape.totals.slots[0].all.calls.0;
    calls[Outcome::InjectedFault as usize][Origin::Injected as usize] = 2;
    calls[Outcome::Rejected as usize][Origin::Proxy as usize] = 1;
    let energy = scrape.energy.as_mut().unwrap();
    let sizes = energy.sizes["ok"].clone();
    energy
        .sizes
        .extend([("injected_fault", sizes.clone()), ("rejected", sizes)]);
    for (outcome, rule) in [
        ("injected_fault", "slow"),
        ("rejected", ""),
        ("rejected", "slow"),
    ] {
        energy.classes.push(EnergyClass {
            outcome,
            rule: rule.into(),
            energy: MicroJoules(1_000_000),
            ..energy.classes[0].clone()
        });
    }
    let series = vec![Some(Exemplar {
        trace: "0af7651916cd43dd8448eb211c80319c".into(),
        seconds: 0.04,
        at: 1_700_000_000.5,
    })];
    let key = (Arc::from("chat"), "openai");
    scrape.exemplars = Exemplars::from([(key, series)]);
    let open = expose(scrape.clone(), TextFormat::OpenMetrics, false).unwrap();
    assert!(!open.contains("trace_id"), "{open}");
    let text = expose(scrape, TextFormat::Prometheus, false).unwrap();
    for hidden in [
        "rule=",
        "fault=",
        "hormesis_faults",
        "hormesis_rule",
        "hormesis_halted",
        "injected",
        "slow",
    ] {
        // Help speaks of injected waits.
        let mut samples = text.lines().filter(|it| !it.starts_with('#'));
        assert!(
            !samples.any(|it| it.contains(hidden)),
            "{hidden} in\n{text}"
        );
    }
    for line in [
        r#"hormesis_calls_total{listener="chat",protocol="openai",outcome="rejected",origin="proxy"} 3"#,
        r#"hormesis_energy_joules_total{meter="rapl",domain="package",outcome="rejected",listener="chat"} 3.0"#,
        r#"hormesis_call_energy_joules_count{outcome="rejected"} 2"#,
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\nin\n{text}");
    }
}

#[test]
fn what_nothing_resolves_has_no_sample() {
    let nothing = Scrape {
        energy: Some(EnergyTotals::default()),
        ..scrape()
    };
    let text = expose(nothing, TextFormat::Prometheus, true).unwrap();
    assert!(!text.contains("\nhormesis_idle_joules_total"), "{text}");
}

#[test]
fn names_follow_the_rules_of_the_trade() {
    assert!(METRICS.is_sorted_by(|a, b| a.name < b.name));
    // In OpenMetrics a counter's family is called without `_total`.
    let family = |name: &'static str| name.strip_suffix("_total").unwrap_or(name);
    let families: BTreeSet<_> = METRICS.iter().map(|metric| family(metric.name)).collect();
    assert_eq!(families.len(), METRICS.len());
    for metric in METRICS.iter() {
        let counter = metric.kind == MetricKind::Counter;
        assert_eq!(counter, metric.name.ends_with("_total"), "{}", metric.name);
        assert!(
            metric.name.contains(metric.unit.as_str()),
            "{}",
            metric.name
        );
        assert!(metric.help.ends_with('.'), "{}", metric.name);
    }
}

#[test]
fn the_document_lists_every_metric() {
    let mut table =
        "| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n".to_owned();
    for metric in METRICS.iter() {
        let labels: Vec<_> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        writeln!(
            table,
            "| `{}` | {} | {} | {} | {} |",
            metric.name,
            metric.kind.as_str(),
            metric.unit.as_str(),
            labels.join(", "),
            metric.help,
        )
        .unwrap();
    }
    hold_section("metrics.md", "metrics", &table);
}

#[test]
fn an_exemplar_stands_behind_its_bucket_in_open_metrics_alone() {
    let mut series = vec![None; Bounds::CALL.seconds().count() + 1];
    series[5] = Some(Exemplar {
        trace: "0af7651916cd43dd8448eb211c80319c".into(),
        seconds: 0.04,
        at: 1_700_000_000.5,
    });
    let with = |format| {
        let key = (Arc::from("chat"), "openai");
        let scrape = Scrape {
            exemplars: Exemplars::from([(key, series.clone())]),
            ..scrape()
        };
        expose(scrape, format, true).unwrap()
    };
    let line = r#"hormesis_call_duration_seconds_bucket{le="0.05",listener="chat",protocol="openai"} 1 # {trace_id="0af7651916cd43dd8448eb211c80319c"} 0.04 1700000000.500"#;
    let open = with(TextFormat::OpenMetrics);
    assert_eq!(open.lines().filter(|it| it.contains("trace_id")).count(), 1);
    assert!(open.lines().any(|it| it == line), "{open}");
    assert!(!with(TextFormat::Prometheus).contains("trace_id"));
}
