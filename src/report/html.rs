//! The run as one HTML file that needs nothing else: no script, no font, no address.

mod figures;
mod tables;

use std::fmt::Write as _;

use super::plot::escape;
use super::run::Run;
use super::verdict::{headlines, verdict};

const STYLE: &str = include_str!("report.css");

pub(super) fn render(page: &mut String, run: &Run) -> std::fmt::Result {
    let verdict = escape(&verdict(run));
    write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>hormesis: {verdict}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
    )?;
    body(page, run, &verdict)?;
    writeln!(page, "</main>\n</body>\n</html>")
}

fn body(page: &mut String, run: &Run, verdict: &str) -> std::fmt::Result {
    writeln!(
        page,
        "<p class=\"kicker\">hormesis {} · {} · seed {} · energy {}</p>\n<h1>{verdict}</h1>",
        escape(&run.version),
        escape(&run.started),
        run.seed,
        figures::tier(run),
    )?;
    numbers(page, run)?;
    let energy = figures::energy_sub(run);
    writeln!(page, "<div class=\"plots\">")?;
    Card("tall", "Latency of chat calls", figures::LATENCY_SUB)
        .write(page, &figures::latency(run))?;
    Card("", "Broken calls", figures::ERRORS_SUB).write(page, &figures::errors(run))?;
    Card("", "Joules by outcome", &energy).write(page, &figures::energy(run))?;
    writeln!(page, "</div>")?;
    Card("wide", "Phases", tables::PHASES_SUB).write(page, &tables::phases(run))?;
    Card("wide", "Rules", tables::RULES_SUB).write(page, &tables::rules(run))?;
    Card("wide", "Where the joules went", &energy).write(page, &tables::energy(run))?;
    let command = format!("<pre>{}</pre>", escape(&run.command));
    Card("wide", "Run it again", AGAIN_SUB).write(page, &command)?;
    let notes = run.notes.iter().fold(String::new(), |notes, note| {
        notes + "<li>" + &escape(note) + "</li>"
    });
    Card("wide", "How to read this", "").write(page, &format!("<ul>{notes}</ul>"))
}

const AGAIN_SUB: &str =
    "The seed gives the same arrivals and the same draws; times and joules are this machine's.";

fn numbers(page: &mut String, run: &Run) -> std::fmt::Result {
    writeln!(page, "<div class=\"numbers\">")?;
    for headline in headlines(run) {
        writeln!(
            page,
            "<div class=\"number\"><b>{}</b><span>{}</span><small>{}</small></div>",
            escape(&headline.value),
            escape(headline.title),
            escape(&headline.detail),
        )?;
    }
    writeln!(page, "</div>")
}

/// A part of the page: class, title, what is to be known of it.
struct Card<'a>(&'a str, &'a str, &'a str);

impl Card<'_> {
    /// `content` is markup.
    fn write(&self, page: &mut String, content: &str) -> std::fmt::Result {
        let (class, title, sub) = (self.0, escape(self.1), escape(self.2));
        writeln!(
            page,
            "<section class=\"card {class}\"><h2>{title}</h2><p class=\"sub\">{sub}</p>{content}</section>"
        )
    }
}
