//! The metric table as a Grafana dashboard: a row a subject, a panel a metric that has one.

use serde_json::{Value, json};

use super::{Panel, SUBJECTS};

/// Grafana's grid is so wide.
const WIDTH: usize = 24;
/// Panels beside each other.
const COLUMNS: usize = 3;
const HEIGHT: usize = 8;

/// The dashboard as JSON that Grafana (10 and later) imports or is provisioned with. Which data
/// source, job, instance and listener is chosen on its page.
pub fn dashboard() -> Value {
    json!({
        "uid": "hormesis",
        "title": "hormesis",
        "description": "What passed, what was broken on purpose, what broke by itself, and what it cost in joules.",
        "tags": ["hormesis", "chaos-engineering"],
        "schemaVersion": 39,
        "editable": true,
        "refresh": "10s",
        "time": { "from": "now-30m", "to": "now" },
        "annotations": { "list": [halts()] },
        "templating": { "list": variables() },
        "panels": panels(),
    })
}

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

/// Marks the time in which everything was halted.
fn halts() -> Value {
    json!({
        "name": "halted",
        "datasource": source(),
        "enable": true,
        "iconColor": "red",
        "expr": "max(hormesis_halted{job=~\"$job\",instance=~\"$instance\"}) == 1",
        "titleFormat": "halted",
    })
}

fn variables() -> Vec<Value> {
    let variable = |name: &str, query: &str| {
        json!({
            "name": name,
            "label": name,
            "type": "query",
            "datasource": source(),
            "query": { "query": query, "refId": name },
            "refresh": 2,
            "includeAll": true,
            "allValue": ".*",
            "multi": true,
            "current": { "text": "All", "value": "$__all" },
        })
    };
    vec![
        json!({
            "name": "datasource",
            "label": "data source",
            "type": "datasource",
            "query": "prometheus",
        }),
        variable("job", "label_values(hormesis_build_info, job)"),
        variable(
            "instance",
            "label_values(hormesis_build_info{job=~\"$job\"}, instance)",
        ),
        variable(
            "listener",
            "label_values(hormesis_open_connections{job=~\"$job\",instance=~\"$instance\"}, listener)",
        ),
    ]
}

fn panels() -> Vec<Value> {
    let mut panels = Vec::new();
    let mut top = 0;
    for subject in SUBJECTS {
        panels.push(json!({
            "id": panels.len() + 1,
            "type": "row",
            "title": subject.title,
            "collapsed": false,
            "gridPos": { "x": 0, "y": top, "w": WIDTH, "h": 1 },
            "panels": [],
        }));
        top += 1;
        let shown = subject.metrics.iter().filter_map(|metric| {
            let panel = metric.panel.as_ref()?;
            Some((panel, metric.help))
        });
        let mut count = 0;
        for (panel, help) in shown {
            let (column, line) = (count % COLUMNS, count / COLUMNS);
            let width = WIDTH / COLUMNS;
            panels.push(json!({
                "id": panels.len() + 1,
                "type": "timeseries",
                "title": panel.title,
                "description": help,
                "datasource": source(),
                "gridPos": { "x": column * width, "y": top + line * HEIGHT, "w": width, "h": HEIGHT },
                "fieldConfig": {
                    "defaults": { "unit": panel.unit, "min": 0, "custom": { "fillOpacity": 10, "showPoints": "never" } },
                    "overrides": [],
                },
                "options": {
                    "legend": { "displayMode": "list", "placement": "bottom" },
                    "tooltip": { "mode": "multi", "sort": "desc" },
                },
                "targets": targets(panel),
            }));
            count += 1;
        }
        top += count.div_ceil(COLUMNS) * HEIGHT;
    }
    panels
}

fn targets(panel: &Panel) -> Vec<Value> {
    let lines = panel.lines.iter().zip('A'..);
    lines
        .map(|((query, legend), letter)| {
            json!({
                "refId": letter.to_string(),
                "datasource": source(),
                "expr": query,
                "legendFormat": legend,
                "exemplar": query.contains("_bucket"),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{METRICS, promql::check};
    use super::*;

    #[test]
    fn every_panel_asks_for_metrics_that_there_are_its_own_among_them() {
        for metric in METRICS.iter() {
            let Some(panel) = &metric.panel else { continue };
            for (query, _) in panel.lines {
                assert!(check(query).unwrap() > 0, "{query}");
            }
            let own = panel.lines.iter().any(|(it, _)| it.contains(metric.name));
            assert!(own, "{} is not in its own panel", metric.name);
        }
        assert!(check("rate(hormesis_no_such_total[1m])").is_err());
        assert!(check("rate(hormesis_bytes_total{rule=\"a\"}[1m])").is_err());
    }

    #[test]
    fn panels_do_not_overlap_and_have_numbers_of_their_own() {
        let panels = panels();
        let mut taken = std::collections::BTreeSet::new();
        for (index, panel) in panels.iter().enumerate() {
            assert_eq!(panel["id"], index + 1);
            let part = |name: &str| panel["gridPos"][name].as_u64().unwrap();
            assert!(part("x") + part("w") <= WIDTH as u64);
            for x in part("x")..part("x") + part("w") {
                for y in part("y")..part("y") + part("h") {
                    assert!(taken.insert((x, y)), "{panel}");
                }
            }
        }
    }
}
