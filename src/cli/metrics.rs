//! `hormesis metrics`: every metric, and what is made of them.

use clap::Args;
use serde_json::json;

use super::Exit;
use super::console::Console;
use crate::record::{METRICS, alert_rules, dashboard};

/// Lists every metric; or writes the Grafana dashboard or the alert rules over them.
#[derive(Debug, Args)]
pub(super) struct MetricsArguments {
    /// The dashboard, for Grafana's import or its provisioning.
    #[arg(long, conflicts_with = "alerts")]
    dashboard: bool,

    /// Alert rules, for `rule_files` of Prometheus.
    #[arg(long)]
    alerts: bool,

    /// One JSON document on standard output.
    #[arg(long, conflicts_with_all = ["dashboard", "alerts"])]
    json: bool,
}

pub(super) fn run(arguments: &MetricsArguments, console: &Console) -> anyhow::Result<Exit> {
    if arguments.dashboard {
        console.json(&dashboard())?;
    } else if arguments.alerts {
        console.line(format_args!("{}", alert_rules().trim_end()))?;
    } else if arguments.json {
        let metrics = METRICS.iter().map(|it| {
            json!({
                "name": it.name,
                "kind": it.kind.as_str(),
                "unit": it.unit.as_str(),
                "labels": it.labels,
                "help": it.help,
            })
        });
        console.json(&json!({ "metrics": metrics.collect::<Vec<_>>() }))?;
    } else {
        let row = |it: &&crate::record::Metric| {
            [it.name, it.kind.as_str(), &it.labels.join(", "), it.help]
                .map(str::to_owned)
                .to_vec()
        };
        let rows = METRICS.iter().map(row).collect();
        console.table(&["metric", "type", "labels", "meaning"], rows)?;
    }
    Ok(Exit::Fine)
}
