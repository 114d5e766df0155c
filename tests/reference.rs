//! Holds what is made from registries, the pages of `docs/` and the files for Grafana and Prometheus,
//! to the code. After a change
//! `HORMESIS_WRITE_DOCS=1 cargo test --test reference` writes them.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::fmt::Write;
use std::fs;
use std::path::Path;

use hormesis::energy::METERS;
use hormesis::protocol;
use hormesis::record::{alert_rules, dashboard};

fn hold(page: &str, expected: &str) {
    hold_file(&format!("docs/{page}"), expected);
}

fn hold_file(file: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("HORMESIS_WRITE_DOCS").is_some() {
        fs::write(&path, expected).unwrap();
        return;
    }
    let text = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == expected,
        "{file} tells something else than the code; `HORMESIS_WRITE_DOCS=1 cargo test --test reference` writes it"
    );
}

/// A page of its own becomes a section: its headings go one level down.
fn section(page: &str) -> String {
    let mut in_code = false;
    let mut text = String::new();
    for line in page.trim().lines() {
        in_code ^= line.starts_with("```");
        let hash = if !in_code && line.starts_with('#') {
            "#"
        } else {
            ""
        };
        text.push_str(hash);
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[test]
fn protocols() {
    let mut text = "# Protocols\n\nWhat a listener can speak: `protocol = \"…\"`. `hormesis protocols NAME` shows the same.\n\n".to_owned();
    for info in protocol::registry() {
        writeln!(text, "{}", section(info.doc)).unwrap();
    }
    hold("protocols.md", &format!("{}\n", text.trim_end()));
}

#[test]
fn meters() {
    let mut text = "# Meters\n\nWhere joules come from: `[energy] meters = […]`, tried in order. `hormesis doctor` tells what this machine has.\n".to_owned();
    for info in METERS {
        let (name, doc, example) = (info.name, info.doc.trim(), info.example.trim());
        write!(text, "\n## `{name}`\n\n{doc}\n\n```toml\n{example}\n```\n").unwrap();
    }
    hold("meters.md", &text);
}

#[test]
fn dashboard_and_alerts() {
    let json = serde_json::to_string_pretty(&dashboard()).unwrap();
    hold_file("docker/grafana/hormesis.json", &format!("{json}\n"));
    hold_file("docker/alerts.yml", &alert_rules());
}
