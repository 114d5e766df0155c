//! The plots of the page.

use crate::load::{Quantiles, Second};
use crate::report::number;
use crate::report::plot::{Axes, Bar, Columns, Series, bars, columns, escape, lines};
use crate::report::run::{Run, float, joules};

pub(super) const LATENCY_SUB: &str =
    "By second of intended arrival; waiting in a queue counts; calls that succeeded.";
pub(super) const ERRORS_SUB: &str =
    "By second of arrival, and by who broke them as far as the client can tell.";

/// The flow whose latency is drawn.
const FLOW: &str = "chat";

pub(super) fn tier(run: &Run) -> String {
    let tier = run.energy.as_ref().map_or("no reading", |it| &it.tier);
    format!("<span class=\"tier\">{}</span>", escape(tier))
}

fn axes<'a>(run: &Run, title: &'a str, size: (f64, f64), y_label: &'a str) -> Axes<'a> {
    Axes {
        title,
        width: size.0,
        height: size.1,
        y_label,
        seconds: run.phases.last().map_or(1.0, |phase| phase.end_s),
        band: run.fault().map(|fault| (fault.start_s, fault.end_s)),
    }
}

pub(super) fn latency(run: &Run) -> String {
    let axes = axes(
        run,
        "latency of chat calls over time",
        (680.0, 462.0),
        "latency (log scale)",
    );
    let series = |name, class, pick: fn(&Second) -> Option<u64>| Series {
        name,
        class,
        points: run
            .seconds
            .iter()
            // A second's figures stand in its middle.
            .map(|second| (float(second.at) + 0.5, pick(second).map(float)))
            .collect(),
    };
    let series = [
        series("answer p50", "s1", |it| Some(answer(it)?.p50_us)),
        series("answer p99", "s2", |it| Some(answer(it)?.p99_us)),
        series("first token p50", "s3", |it| Some(first_token(it)?.p50_us)),
        series("first token p99", "s4", |it| Some(first_token(it)?.p99_us)),
    ];
    lines(&axes, &series, tick)
}

fn answer(second: &Second) -> Option<Quantiles> {
    second.by_flow.get(FLOW)?.latency
}

fn first_token(second: &Second) -> Option<Quantiles> {
    second.by_flow.get(FLOW)?.first_token
}

/// A time in microseconds as short as an axis wants it.
fn tick(micros: f64) -> String {
    let (value, unit) = if micros < 999.5 {
        (micros, "µs")
    } else if micros < 999_500.0 {
        (micros / 1e3, "ms")
    } else {
        (micros / 1e6, "s")
    };
    format!("{} {unit}", (value * 10.0).round() / 10.0)
}

pub(super) fn errors(run: &Run) -> String {
    let axes = axes(
        run,
        "broken calls over time by origin",
        (540.0, 205.0),
        "calls a second",
    );
    let total = run.total.errors.by_kind();
    // The first two are always named, so that "none" can be seen; the others where they occur.
    let shown: Vec<usize> = (0..total.len())
        .filter(|kind| *kind < 2 || total[*kind].1 > 0)
        .collect();
    let data = Columns {
        layers: shown.iter().map(|kind| LAYERS[*kind]).collect(),
        counts: run
            .seconds
            .iter()
            .map(|second| {
                let counts = second.slice.errors.by_kind();
                (
                    second.at,
                    shown.iter().map(|kind| counts[*kind].1).collect(),
                )
            })
            .collect(),
    };
    columns(&axes, &data)
}

/// Names and classes in the order of `ErrorCounts::by_kind`.
const LAYERS: [(&str, &str); 7] = [
    ("injected answer", "s2"),
    ("cut off", "s4"),
    ("upstream", "s1"),
    ("proxy", "s5"),
    ("downstream", "s6"),
    ("timed out", "s3"),
    ("refused", "s7"),
];

pub(super) fn energy_sub(run: &Run) -> String {
    match &run.energy {
        Some(energy) => format!(
            "{}, by {}: dynamic energy of the model server.",
            energy.tier,
            energy.meters.join(", ")
        ),
        None => "No meter gave a reading on this machine: there is no figure, not a figure of 0."
            .to_owned(),
    }
}

pub(super) fn energy(run: &Run) -> String {
    let Some(energy) = &run.energy else {
        return "<p>no reading</p>".to_owned();
    };
    let outcomes: Vec<Bar<'_>> = energy
        .by_outcome
        .iter()
        .filter_map(|(outcome, it)| {
            Some(Bar {
                name: outcome.replace('_', " "),
                class: if outcome == "ok" { "s3" } else { "s2" },
                value: joules(it.dyn_uj?),
                range: it.range(),
                label: number::optional_joules(it.dyn_uj),
            })
        })
        .collect();
    bars(
        (540.0, 190.0),
        "joules by outcome",
        "dynamic energy (J)",
        &[("served", "s3"), ("wasted", "s2")],
        &outcomes,
    )
}
