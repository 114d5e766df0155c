//! The run for a terminal: the verdict, the phases, the rules, the joules.

use std::fmt::Write as _;

use super::number;
use super::run::{Phase, Run, failed_share};
use super::verdict::verdict;

pub(super) fn render(out: &mut String, run: &Run) -> std::fmt::Result {
    writeln!(out, "{}\n", verdict(run))?;
    writeln!(
        out,
        "{:<10} {:>6} {:>8} {:>10} {:>10} {:>12} {:>12}",
        "phase", "calls", "broken", "p50", "p99", "token 1 p99", "J/success"
    )?;
    for phase in &run.phases {
        write_phase(out, phase)?;
    }
    let width = run.rules.iter().map(|rule| rule.name.len()).max();
    let width = width.unwrap_or(0).max(4);
    writeln!(
        out,
        "\n{:<width$} {:>8} {:>6} {:>16} {:>8}  does",
        "rule", "selected", "hit", "outside its time", "applied"
    )?;
    for rule in &run.rules {
        let (name, does) = (&rule.name, &rule.does);
        let (selected, hit, applied) = (rule.selected, rule.hit, rule.applied);
        let outside = rule.outside;
        writeln!(
            out,
            "{name:<width$} {selected:>8} {hit:>6} {outside:>16} {applied:>8}  {does}"
        )?;
    }
    write_energy(out, run)?;
    for note in &run.notes {
        writeln!(out, "note: {note}")?;
    }
    Ok(())
}

fn write_phase(out: &mut String, phase: &Phase) -> std::fmt::Result {
    let all = &phase.figures.all;
    let absent = || "-".to_owned();
    let per_success = phase.energy.and_then(|energy| energy.joules_per_success());
    writeln!(
        out,
        "{:<10} {:>6} {:>8} {:>10} {:>10} {:>12} {:>12}",
        phase.figures.name,
        all.calls,
        failed_share(all).map_or_else(absent, number::percent),
        all.latency
            .map_or_else(absent, |it| number::time(it.p50_us)),
        all.latency
            .map_or_else(absent, |it| number::time(it.p99_us)),
        all.first_token
            .map_or_else(absent, |it| number::time(it.p99_us)),
        per_success.map_or_else(absent, number::joules),
    )
}

fn write_energy(out: &mut String, run: &Run) -> std::fmt::Result {
    let Some(energy) = &run.energy else {
        return writeln!(
            out,
            "\nenergy: no meter gave a reading here (null, not 0)\n"
        );
    };
    writeln!(
        out,
        "\nenergy by outcome ({}, by {})",
        energy.tier,
        energy.meters.join(", ")
    )?;
    for (outcome, it) in &energy.by_outcome {
        writeln!(
            out,
            "{outcome:<16} {:>6} calls {:>10}   {} to {}",
            it.calls,
            number::optional_joules(it.dyn_uj),
            number::optional_joules(it.lo_uj),
            number::optional_joules(it.hi_uj),
        )?;
    }
    writeln!(out)
}
