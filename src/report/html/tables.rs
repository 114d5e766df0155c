//! The tables of the page.

use crate::report::number;
use crate::report::plot::escape;
use crate::report::run::{Phase, Run, failed_share, joules};

pub(super) const PHASES_SUB: &str =
    "Latencies are those of calls that succeeded, exact over the phase, to three digits.";
pub(super) const RULES_SUB: &str = "Over the whole run. selected: the rule looked at the call; hit: its draw said yes; \
     outside its time: such a call came before or after the fault, so it passed; applied: the effect was carried out. \
     What is left of the hits never came to it: the answer was over, or broken by another rule, before that.";

pub(super) fn phases(run: &Run) -> String {
    let rows: String = run.phases.iter().map(phase).collect();
    table(
        &[
            "phase",
            "from",
            "to",
            "calls",
            "broken",
            "chat p50",
            "chat p99",
            "token 1 p50",
            "token 1 p99",
            "infer p50",
            "infer p99",
            "energy",
            "per success",
        ],
        &rows,
    )
}

fn phase(phase: &Phase) -> String {
    let absent = || "–".to_owned();
    let time = |micros: Option<u64>| micros.map_or_else(absent, number::time);
    let flow = |name: &str| phase.figures.by_flow.get(name);
    let (chat, infer) = (flow("chat"), flow("infer"));
    let chat_latency = chat.and_then(|it| it.latency);
    let first_token = chat.and_then(|it| it.first_token);
    let infer_latency = infer.and_then(|it| it.latency);
    let per_success = phase.energy.and_then(|it| it.joules_per_success());
    let cells = [
        phase.figures.name.clone(),
        format!("{:.0} s", phase.start_s),
        format!("{:.0} s", phase.end_s),
        phase.figures.all.calls.to_string(),
        failed_share(&phase.figures.all).map_or_else(absent, number::percent),
        time(chat_latency.map(|it| it.p50_us)),
        time(chat_latency.map(|it| it.p99_us)),
        time(first_token.map(|it| it.p50_us)),
        time(first_token.map(|it| it.p99_us)),
        time(infer_latency.map(|it| it.p50_us)),
        time(infer_latency.map(|it| it.p99_us)),
        phase
            .energy
            .map_or_else(absent, |it| number::joules(joules(it.dyn_uj))),
        per_success.map_or_else(absent, number::joules),
    ];
    row(if phase.fault { "fault" } else { "" }, &cells)
}

pub(super) fn rules(run: &Run) -> String {
    let mut rows = String::new();
    for rule in &run.rules {
        let (name, does) = (escape(&rule.name), escape(&rule.does));
        let counts = [rule.selected, rule.hit, rule.outside, rule.applied].map(|it| it.to_string());
        let counts = cells("td", counts.iter().map(String::as_str));
        let words = ["<td>", &name, "</td><td class=\"words\">", &does, "</td>"].concat();
        rows += &["<tr>", &words, &counts, "</tr>"].concat();
    }
    let head = "<tr><th>rule</th><th class=\"words\">what it does</th>\
                <th>selected</th><th>hit</th><th>outside its time</th><th>applied</th></tr>";
    format!("<div class=\"scroll\"><table>{head}{rows}</table></div>")
}

pub(super) fn energy(run: &Run) -> String {
    let Some(energy) = &run.energy else {
        return "<p>no reading</p>".to_owned();
    };
    let mut rows = String::new();
    for (outcome, it) in &energy.by_outcome {
        rows += &row(
            "",
            &[
                format!("calls, {}", outcome.replace('_', " ")),
                it.calls.to_string(),
                number::optional_joules(it.dyn_uj),
                number::optional_joules(it.lo_uj),
                number::optional_joules(it.hi_uj),
            ],
        );
    }
    for (name, value) in [
        ("hormesis itself", energy.self_uj),
        ("other programs", energy.others_uj),
        ("unattributed", energy.unattributed_uj),
        ("idle", energy.idle_uj),
    ] {
        let value = number::optional_joules(value);
        rows += &row(
            "",
            &[
                name.to_owned(),
                String::new(),
                value,
                String::new(),
                String::new(),
            ],
        );
    }
    table(&["part", "calls", "energy", "at least", "at most"], &rows)
}

fn table(head: &[&str], rows: &str) -> String {
    let head = cells("th", head.iter().copied());
    format!("<div class=\"scroll\"><table><tr>{head}</tr>{rows}</table></div>")
}

fn row(class: &str, texts: &[String]) -> String {
    let cells = cells("td", texts.iter().map(String::as_str));
    format!("<tr class=\"{class}\">{cells}</tr>")
}

fn cells<'a>(tag: &str, texts: impl Iterator<Item = &'a str>) -> String {
    texts.fold(String::new(), |cells, text| {
        cells + "<" + tag + ">" + &escape(text) + "</" + tag + ">"
    })
}
