//! Where commands print. Standard output carries the answer, standard error what is to be said
//! about it.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use owo_colors::{OwoColorize, Style};
use serde::Serialize;

use super::{ColorChoice, environment, render};
use crate::config::Problem;

/// The process's standard output and error.
#[derive(Debug)]
pub(crate) struct Console {
    color_out: bool,
    color_err: bool,
}

impl Console {
    pub(super) fn of_process(color: ColorChoice) -> Self {
        let wanted = |terminal: bool| match color {
            ColorChoice::Always => true,
            ColorChoice::Auto => terminal && environment("NO_COLOR").is_none_or(|it| it.is_empty()),
            ColorChoice::Never => false,
        };
        Self {
            color_out: wanted(io::stdout().is_terminal()),
            color_err: wanted(io::stderr().is_terminal()),
        }
    }

    /// Prints as it is.
    #[expect(clippy::unused_self, reason = "who has no console does not print")]
    pub(crate) fn text(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    #[expect(clippy::unused_self, reason = "who has no console does not print")]
    pub(crate) fn line(&self, line: impl fmt::Display) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{line}")
    }

    /// Prints a value as one indented JSON document.
    pub(crate) fn json(&self, value: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(value)?;
        text.push('\n');
        self.text(&text)
    }

    /// Prints rows under their headings, folded to the terminal's width.
    pub(crate) fn table(&self, headings: &[&str], rows: Vec<Vec<String>>) -> io::Result<()> {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_header(headings.iter().map(|it| it.to_uppercase()));
        for row in rows {
            table.add_row(row);
        }
        for line in table.lines() {
            let line = line.strip_prefix(' ').unwrap_or(&line);
            self.line(line.trim_end())?;
        }
        Ok(())
    }

    /// A text in a style, where standard output has colour.
    pub(crate) fn styled(&self, text: &str, style: Style) -> String {
        if self.color_out {
            text.style(style).to_string()
        } else {
            text.to_owned()
        }
    }

    /// Whether what goes to standard output may have colour.
    pub(crate) fn has_color(&self) -> bool {
        self.color_out
    }

    /// Whether what goes to standard error may have colour.
    pub(crate) fn colors_errors(&self) -> bool {
        self.color_err
    }

    /// Says something on standard error. That it cannot be said there is said nowhere.
    #[expect(clippy::unused_self, reason = "who has no console does not print")]
    pub(crate) fn complain(&self, text: fmt::Arguments<'_>) {
        let mut err = io::stderr().lock();
        writeln!(err, "{text}").unwrap_or_default();
    }

    /// Shows problems of a configuration on standard error.
    pub(crate) fn problems<'p>(&self, problems: impl Iterator<Item = &'p Problem>) {
        for problem in problems {
            self.complain(format_args!(
                "{}\n",
                render::problem(problem, self.color_err)
            ));
        }
    }
}
