//! Figures of now, in rows.

use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};

use super::{MOST_LISTENERS, section};
use crate::admin::client::told::Condition;
use crate::cli::figures::{
    counted, joules, microjoules, optional_seconds, percent, rate, seconds, whole_seconds,
};
use crate::cli::top::model::{ErrorView, ListenerView, RuleView, View};

/// From this width on a rule's row has all of its columns.
const WIDE: u16 = 120;

/// Headings; those of numbers stand over their right end.
fn head(names: &[&'static str], words: &[&str]) -> Row<'static> {
    let cell = |name: &&'static str| {
        let line = Line::raw(*name);
        Cell::from(if words.contains(name) {
            line
        } else {
            line.right_aligned()
        })
    };
    let style = Style::new().add_modifier(Modifier::DIM);
    Row::new(names.iter().map(cell)).style(style)
}

fn right(text: String) -> Cell<'static> {
    Cell::from(Line::raw(text).right_aligned())
}

fn colored(text: String, color: Option<Color>) -> Cell<'static> {
    let cell = right(text);
    match color {
        Some(color) => cell.style(Style::new().fg(color)),
        None => cell,
    }
}

pub(super) fn listeners(view: &View) -> Table<'_> {
    let names = [
        "listener", "calls/s", "active", "p50", "p90", "p99", "token1", "errors", "injected",
    ];
    let rows = view.listeners.iter().take(MOST_LISTENERS).map(listener);
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(8),
        Constraint::Length(7),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(8),
    ];
    let more = view.listeners.len().saturating_sub(MOST_LISTENERS);
    let title = match more {
        0 => "calls".to_owned(),
        more => format!("calls (and {more} more listeners)"),
    };
    Table::new(rows, widths)
        .header(head(&names, &["listener"]))
        .block(section(&title))
}

fn listener(listener: &ListenerView) -> Row<'_> {
    let share = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), percent);
    let some = |share: Option<f64>, color| share.filter(|it| *it > 0.0).map(|_| color);
    Row::new([
        Cell::from(listener.name.as_str()),
        right(rate(listener.calls_per_s)),
        right(listener.active.to_string()),
        right(optional_seconds(listener.p50_s)),
        right(optional_seconds(listener.p90_s)),
        right(optional_seconds(listener.p99_s)),
        right(optional_seconds(listener.first_token_p50_s)),
        colored(
            share(listener.error_share),
            some(listener.error_share, Color::Red),
        ),
        colored(
            share(listener.injected_share),
            some(listener.injected_share, Color::Yellow),
        ),
    ])
}

pub(super) fn errors(view: &View) -> Table<'_> {
    let widths = [
        Constraint::Length(10),
        Constraint::Length(6),
        Constraint::Length(6),
        Constraint::Fill(1),
    ];
    Table::new(view.errors.iter().map(error), widths)
        .header(head(&["", "/s", "in all", "mostly"], &[]))
        .block(section("errors by origin"))
}

fn error(error: &ErrorView) -> Row<'_> {
    let mostly = error.outcomes.first().map_or("", |(outcome, _)| outcome);
    let color = match error.origin {
        _ if error.per_s == 0.0 => Color::Reset,
        "injected" => Color::Yellow,
        _ => Color::Red,
    };
    Row::new([
        Cell::from(error.origin),
        right(rate(error.per_s)),
        right(error.total.to_string()),
        right(mostly.to_owned()),
    ])
    .style(Style::new().fg(color))
}

/// What halts everything, each with its value now; as many as there is room for.
pub(super) fn conditions(view: &View, room: usize) -> Table<'_> {
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(12),
        Constraint::Length(16),
    ];
    let title = match view.conditions.len().saturating_sub(room) {
        0 => "halts when".to_owned(),
        more => format!("halts when (and {more} more)"),
    };
    Table::new(view.conditions.iter().take(room).map(condition), widths).block(section(&title))
}

fn condition(condition: &Condition) -> Row<'_> {
    let value = condition.value.map(|it| match &*condition.unit {
        "share" => percent(it),
        "seconds" => seconds(it),
        _ => format!("{}/s", rate(it)),
    });
    let breached = condition.breached == Some(true);
    Row::new([
        Cell::from(condition.expr.as_str()),
        colored(
            format!("now {}", value.as_deref().unwrap_or("–")),
            breached.then_some(Color::Red),
        ),
        right(format!("of {}", counted(condition.of, "call"))),
    ])
}

/// A bar beside each outcome's joules, as long as its share of the most.
pub(super) fn energy(view: &View, width: u16) -> Paragraph<'_> {
    let Some(energy) = &view.energy else {
        return Paragraph::new("no energy engine runs").block(section("energy"));
    };
    let title = match &energy.tier {
        Some(tier) => format!("joules by outcome ({tier})"),
        None => "joules by outcome".to_owned(),
    };
    let most = energy.by_outcome.iter().filter_map(|(_, uj, _)| *uj).max();
    let room = usize::from(width.saturating_sub(27));
    let mut lines = Vec::new();
    for (outcome, uj, _) in energy.by_outcome.iter().take(4) {
        let bar = bar(uj.unwrap_or_default(), most.unwrap_or_default(), room);
        let color = if outcome == "ok" {
            Color::Green
        } else {
            Color::Yellow
        };
        lines.push(Line::from(vec![
            Span::raw(format!("{outcome:<15}{:>9}  ", microjoules(*uj))),
            Span::raw(bar).fg(color),
        ]));
    }
    if energy.by_outcome.is_empty() {
        lines.push(Line::raw("no figure yet"));
    }
    let each = energy
        .joules_per_success
        .map(|it| format!("{} a success", joules(it)));
    let watts = energy
        .watts_of_calls
        .map(|it| format!("calls draw {} W", rate(it)));
    let last: Vec<String> = each.into_iter().chain(watts).collect();
    lines.push(Line::raw(last.join(", ")).dim());
    Paragraph::new(lines).block(section(&title))
}

fn bar(part: u64, most: u64, room: usize) -> String {
    if part == 0 || most == 0 {
        return String::new();
    }
    let cells = u128::from(part) * room as u128 / u128::from(most);
    "█".repeat(usize::try_from(cells).unwrap_or(room).max(1))
}

pub(super) fn rules(view: &View, area: Rect) -> Table<'_> {
    let wide = area.width >= WIDE;
    let words = ["rule", "on", "faults", "state", "from"];
    let mut names = vec![
        "rule", "on", "faults", "state", "ends in", "hits/s", "now", "applied",
    ];
    let mut widths = vec![
        Constraint::Fill(3),
        Constraint::Fill(2),
        Constraint::Fill(2),
        Constraint::Length(7),
        Constraint::Length(8),
        Constraint::Length(7),
        Constraint::Length(5),
        Constraint::Length(8),
    ];
    if wide {
        names.extend(["denied", "from"]);
        widths.extend([Constraint::Length(8), Constraint::Length(5)]);
    }
    // Those that act first, each in its order; title and heading take two rows.
    let room = usize::from(area.height.saturating_sub(2));
    let mut rules: Vec<&RuleView> = view.rules.iter().collect();
    rules.sort_by_key(|it| it.state == "off");
    let hidden = rules.len().saturating_sub(room);
    let mut title = match (rules.len(), hidden) {
        (0, _) => "rules: none".to_owned(),
        (count, 0) => format!("rules ({count})"),
        (count, hidden) => format!("rules ({count}, {hidden} not shown)"),
    };
    if !view.toxics.is_empty() {
        title = format!("{title}; toxics: {}", view.toxics.join(", "));
    }
    let halted = view.halted.is_some();
    let rows = rules
        .into_iter()
        .take(room)
        .map(|it| rule(it, wide, halted));
    let rows: Vec<_> = rows.collect();
    Table::new(rows, widths)
        .header(head(&names, &words))
        .block(section(&title))
}

fn rule(rule: &RuleView, wide: bool, halted: bool) -> Row<'_> {
    let mut cells = vec![
        Cell::from(rule.name.as_str()),
        Cell::from(rule.on.as_str()),
        Cell::from(rule.faults.as_str()),
        Cell::from(match rule.state {
            "off" => "off",
            _ if halted => "halted",
            state => state,
        }),
        right(rule.expires_in_s.map_or_else(String::new, whole_seconds)),
        right(rate(rule.hits_per_s)),
        right(rule.active.to_string()),
        right(rule.applied.to_string()),
    ];
    if wide {
        cells.push(right(rule.denied.to_string()));
        cells.push(Cell::from(rule.source.as_str()));
    }
    let style = match rule.state {
        "off" => Style::new().add_modifier(Modifier::DIM),
        _ if halted => Style::new().fg(Color::Red),
        _ if rule.active > 0 || rule.hits_per_s > 0.0 => Style::new().fg(Color::Cyan),
        _ => Style::new(),
    };
    Row::new(cells).style(style)
}
