//! Holds what the page on expressions tells of the measures to the registry.

use std::fmt::Write as _;

use crate::measure::expression::Statistic;
use crate::measure::{Comparison, Expression, MEASURES, Unit};
use crate::record::reference::{hold_section, section};

#[test]
fn the_page_lists_every_measure() {
    let mut table = "| measure | is | tells |\n|---|---|---|\n".to_owned();
    for measure in MEASURES {
        let name = if measure.is_distribution() {
            format!("`{}.p99` …", measure.name)
        } else {
            format!("`{}`", measure.name)
        };
        let tokens = if measure.needs_tokens {
            " The listener must observe tokens: `observe = [\"tokens\"]`."
        } else {
            ""
        };
        let kind = measure.unit.kind();
        writeln!(table, "| {name} | {kind} | {}{tokens} |", measure.doc).unwrap();
    }
    let statistics = Statistic::names().map(|it| format!("`{it}`"));
    let comparisons = Comparison::ALL.map(|it| format!("`{}`", it.as_str()));
    writeln!(table, "\nStatistics: {}.", statistics.join(", ")).unwrap();
    writeln!(table, "Comparisons: {}.", comparisons.join(", ")).unwrap();
    for unit in Unit::ALL {
        let [first, second] = unit.examples();
        let kind = unit.kind();
        writeln!(table, "Values of {kind}: `{first}`, `{second}`.").unwrap();
    }
    hold_section("expressions.md", "measures", &table);
}

/// Each expression that the page shows can be understood.
#[test]
fn the_examples_are_right() {
    let examples = section("expressions.md", "examples");
    let lines: Vec<_> = examples
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("```"))
        .collect();
    assert!(lines.len() >= 4, "{examples}");
    for line in lines {
        let text = line.split('#').next().unwrap_or_default().trim();
        if let Err(mistake) = text.parse::<Expression>() {
            panic!("{}\n{mistake}", mistake.pointed(text));
        }
    }
}
