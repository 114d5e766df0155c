//! What `toxiproxy-cli` prints: columns and colours of the original on a terminal, tabs elsewhere.

use std::fmt::Write;
use std::io::IsTerminal;

use serde_json::Value;

use super::client::Toxic;
use crate::cli::console::Console;

pub(super) const RED: &str = "\x1b[31m";
pub(super) const GREEN: &str = "\x1b[32m";
pub(super) const YELLOW: &str = "\x1b[33m";
pub(super) const BLUE: &str = "\x1b[34m";
pub(super) const PURPLE: &str = "\x1b[35m";
pub(super) const NONE: &str = "\x1b[0m";

/// A page of output.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) is_terminal: bool,
    has_color: bool,
    text: String,
}

impl Page {
    pub(super) fn new(console: &Console) -> Self {
        Self::on(std::io::stdout().is_terminal(), console.has_color())
    }

    fn on(is_terminal: bool, has_color: bool) -> Self {
        Self {
            is_terminal,
            has_color,
            text: String::new(),
        }
    }

    pub(super) fn print(self, console: &Console) -> std::io::Result<()> {
        console.text(&self.text)
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// A colour, where there is a terminal to show it and nobody refuses it.
    pub(super) fn color(&mut self, color: &str) -> &mut Self {
        if self.is_terminal && self.has_color {
            self.text.push_str(color);
        }
        self
    }

    pub(super) fn hint(&mut self, hint: &str) {
        if self.is_terminal {
            self.text("\n").color(NONE);
            self.text("Hint: ").text(hint).text("\n");
        }
    }

    /// A cell, filled up with tabs on a terminal.
    pub(super) fn cell(&mut self, color: &str, text: &str, tabs: usize) {
        let missing = if self.is_terminal {
            tabs.saturating_sub(text.len() / 8 + 1)
        } else {
            0
        };
        self.color(color).text(text).color(NONE).text("\t");
        self.text(&"\t".repeat(missing));
    }

    /// Toxics, one a line; on a terminal under the name of their stream.
    pub(super) fn toxics<'t>(&mut self, toxics: impl IntoIterator<Item = &'t Toxic>, stream: &str) {
        let mut toxics = toxics.into_iter().peekable();
        if self.is_terminal {
            self.color(GREEN)
                .text(stream)
                .text(" toxics:\n")
                .color(NONE);
            if toxics.peek().is_none() {
                self.color(RED);
                self.text("Proxy has no ")
                    .text(stream)
                    .text(" toxics enabled.\n");
                self.color(NONE);
            }
        }
        for toxic in toxics {
            self.toxic(toxic);
        }
    }

    fn toxic(&mut self, toxic: &Toxic) {
        self.color(BLUE).text(&toxic.name);
        self.text(if self.is_terminal { ":" } else { "" })
            .color(NONE);
        // A string takes all that is written.
        write!(
            self.text,
            "\ttype={}\tstream={}\ttoxicity={:.2}\tattributes=[",
            toxic.type_name, toxic.stream, toxic.toxicity
        )
        .unwrap_or_default();
        for (name, value) in &toxic.attributes {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.as_f64().map_or_else(String::new, float),
                other => other.to_string(),
            };
            write!(self.text, "\t{name}={value}").unwrap_or_default();
        }
        self.text("\t]\n");
    }
}

/// A float as Go prints it: with an exponent from a million on.
fn float(value: f64) -> String {
    let scientific = format!("{value:e}");
    let Some((digits, power)) = scientific.split_once('e') else {
        return value.to_string();
    };
    let power: i32 = power.parse().unwrap_or(0);
    if (-4..6).contains(&power) {
        return value.to_string();
    }
    let sign = if power < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", power.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_as_go_prints_them() {
        for (value, text) in [
            (0.0, "0"),
            (1000.0, "1000"),
            (100_000.0, "100000"),
            (5_000_000.0, "5e+06"),
            (123_456_789.0, "1.23456789e+08"),
            (-1.5, "-1.5"),
            (0.000_01, "1e-05"),
        ] {
            assert_eq!(float(value), text);
        }
    }

    #[test]
    fn cells_are_filled_up_with_tabs_on_a_terminal_alone() {
        let mut page = Page::on(false, true);
        page.cell(BLUE, "a", 3);
        assert_eq!(page.text, "a\t");
        let mut page = Page::on(true, true);
        page.cell(BLUE, "127.0.0.1:1", 3);
        assert_eq!(page.text, "\x1b[34m127.0.0.1:1\x1b[0m\t\t");
        let mut page = Page::on(true, false);
        page.cell(BLUE, "127.0.0.1:1", 3);
        assert_eq!(page.text, "127.0.0.1:1\t\t");
    }
}
