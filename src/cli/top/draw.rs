//! The screen of `top`: what matters is above, and a small window leaves out what is below.

mod charts;
mod tables;

use ratatui::Frame;
use ratatui::buffer::Cell;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};

use super::model::View;
use crate::cli::figures::whole_seconds;

/// A smaller window shows nothing that could be read.
const LEAST: (u16, u16) = (60, 14);
/// From this height on there are lines over time.
const TALL: u16 = 36;
const ROOMY: u16 = 22;
const MOST_LISTENERS: usize = 8;
/// Title, headings and two rules are always shown.
const LEAST_RULES: u16 = 4;

pub(super) struct Picture<'a> {
    pub(super) view: &'a View,
    pub(super) address: String,
    pub(super) help: bool,
    /// Whether to halt is asked.
    pub(super) asks: bool,
    pub(super) has_color: bool,
    pub(super) notice: Option<String>,
}

const HELP: &[&str] = &[
    "keys   h  halt, if y confirms it: no fault acts until `hormesis resume`",
    "       ?  this page, and back        q  quit; faults stay as they are",
    "",
    "calls/s, p50 … p99, errors, injected: over the last 10 s",
    "token1       half of the streams had their first token within this",
    "errors       calls that failed for real; injected: those that a rule made fail",
    "now          calls that a rule acts on at this moment",
    "halts when   [safety] stop_when: what ends every fault, with its value now",
    "denied       calls that a rule hit and let go: a limit, a halt, its schedule",
    "energy       above idle, since the start; – is unknown, which is not 0",
];

impl Picture<'_> {
    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        self.paint(frame);
        if !self.has_color {
            frame.buffer_mut().content.iter_mut().for_each(bleach);
        }
    }

    fn paint(&self, frame: &mut Frame<'_>) {
        let area = frame.area();
        if area.width < LEAST.0 || area.height < LEAST.1 {
            let told = format!("top needs {}×{} characters", LEAST.0, LEAST.1);
            frame.render_widget(Paragraph::new(told), area);
            return;
        }
        let alarms = self.alarms();
        let listeners = self.view.listeners.len().clamp(1, MOST_LISTENERS);
        // A blank line between the parts, where there is room for it.
        let blank = u16::from(area.height >= ROOMY);
        let above = 2 + rows(alarms.len() + listeners + 2) + blank + 6 + blank;
        // So many conditions as the rules leave room for, under a title.
        let room = area.height.saturating_sub(above + LEAST_RULES + 1 + blank);
        let shown = usize::from(room).min(self.view.conditions.len());
        let halts = if shown == 0 || self.help {
            0
        } else {
            rows(shown + 1) + blank
        };
        let above = above + halts;
        let lines = match area.height {
            // What the rules leave.
            TALL.. if !self.help => {
                let rules = rows(self.view.rules.len().max(1) + 2);
                area.height.saturating_sub(above + rules).clamp(12, 20)
            }
            _ => 0,
        };
        let [header, alarm, calls, over_time, middle, halt, rules, footer] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(rows(alarms.len())),
            Constraint::Length(rows(listeners + 2) + blank),
            Constraint::Length(lines),
            Constraint::Length(6 + blank),
            Constraint::Length(halts),
            Constraint::Min(LEAST_RULES),
            Constraint::Length(1),
        ])
        .areas(area);
        frame.render_widget(self.header(), header);
        frame.render_widget(Paragraph::new(alarms), alarm);
        frame.render_widget(tables::listeners(self.view), calls);
        frame.render_widget(footer_line(self.asks), footer);
        if self.help {
            let whole = join(middle, rules);
            let lines: Vec<Line<'_>> = HELP.iter().map(|it| Line::raw(*it)).collect();
            frame.render_widget(Paragraph::new(lines).block(section("help")), whole);
            return;
        }
        if over_time.height > 0 {
            charts::draw(frame, over_time, self.view);
        }
        let [errors, energy] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)])
            .spacing(2)
            .areas(middle);
        frame.render_widget(tables::errors(self.view), errors);
        frame.render_widget(tables::energy(self.view, energy.width), energy);
        if halts > 0 {
            frame.render_widget(tables::conditions(self.view, shown), halt);
        }
        frame.render_widget(tables::rules(self.view, rules), rules);
    }

    fn header(&self) -> Line<'_> {
        let view = self.view;
        let state = match view.state {
            "ready" => Span::raw(view.state).green(),
            other => Span::raw(other).yellow(),
        };
        Line::from(vec![
            Span::raw(format!("hormesis {}", view.version)).bold(),
            Span::raw(format!("  {}  ", self.address)),
            state,
            Span::raw(format!(
                "  up {}  configuration {}  seed {}",
                whole_seconds(view.uptime_s.floor()),
                view.generation,
                view.seed
            )),
        ])
    }

    /// What must be seen first.
    fn alarms(&self) -> Vec<Line<'_>> {
        let halted = self.view.halted.as_ref().map(|it| {
            let style = Style::new().fg(Color::White).bg(Color::Red);
            Line::styled(
                format!(" {} ", upper_first(it)),
                style.add_modifier(Modifier::BOLD),
            )
        });
        let notice = self
            .notice
            .as_ref()
            .map(|it| Line::raw(it.as_str()).yellow());
        halted.into_iter().chain(notice).collect()
    }
}

fn upper_first(text: &str) -> String {
    match text.strip_prefix("halted") {
        Some(rest) => format!("HALTED{rest}"),
        None => text.to_owned(),
    }
}

/// Takes the colours; what stood out by its ground stands out all the same.
fn bleach(cell: &mut Cell) {
    if cell.bg != Color::Reset {
        cell.modifier.insert(Modifier::REVERSED);
    }
    (cell.fg, cell.bg) = (Color::Reset, Color::Reset);
}

fn footer_line(asks: bool) -> Line<'static> {
    let key = |key: &'static str| Span::raw(key).bold();
    if asks {
        return Line::from(vec![
            Span::raw(" halt every fault?   "),
            key("y"),
            Span::raw(" yes   "),
            key("n"),
            Span::raw(" no"),
        ]);
    }
    Line::from(vec![
        key(" q"),
        Span::raw(" quit   "),
        key("h"),
        Span::raw(" halt every fault   "),
        key("?"),
        Span::raw(" help"),
    ])
    .dim()
}

/// A part of the screen under its title.
fn section(title: &str) -> Block<'static> {
    Block::new()
        .borders(Borders::TOP)
        .border_style(Style::new().add_modifier(Modifier::DIM))
        .title(Span::raw(format!(" {title} ")).bold())
}

fn rows(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

/// The rectangle of two that stand one below the other.
fn join(above: Rect, below: Rect) -> Rect {
    Rect {
        height: above.height + below.height,
        ..above
    }
}

#[cfg(test)]
mod tests;
