//! Lines over the last two minutes.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::text::Line;
use ratatui::widgets::{Axis, Chart, Dataset, GraphType};

use super::section;
use crate::cli::figures::{rate, seconds};
use crate::cli::top::model::{PAST, View};

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)])
        .spacing(2)
        .areas(area);
    let calls: Vec<_> = view
        .lines
        .iter()
        .map(|it| (-it.age_s, it.calls_per_s))
        .collect();
    line(frame, left, "calls a second", &calls, Color::Green, rate);
    let slow = view.lines.iter();
    let slow: Vec<_> = slow.filter_map(|it| Some((-it.age_s, it.p99_s?))).collect();
    line(
        frame,
        right,
        "p99 of each second",
        &slow,
        Color::Cyan,
        seconds,
    );
}

fn line(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &str,
    points: &[(f64, f64)],
    color: Color,
    shown: fn(f64) -> String,
) {
    let most = points.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let top = if most > 0.0 { round_up(most) } else { 1.0 };
    let past = PAST.as_secs_f64();
    let dim = Style::new().fg(Color::DarkGray);
    let data = Dataset::default()
        .marker(Marker::Braille)
        .graph_type(GraphType::Line)
        .style(Style::new().fg(color))
        .data(points);
    let labels = ["0".to_owned(), shown(top / 2.0), shown(top)].map(Line::raw);
    let chart = Chart::new(vec![data])
        .block(section(title))
        .x_axis(
            Axis::default()
                .bounds([-past, 0.0])
                .labels(["2 min ago", "1 min", "now"].map(Line::raw))
                .style(dim),
        )
        .y_axis(Axis::default().bounds([0.0, top]).labels(labels).style(dim));
    frame.render_widget(chart, area);
}

/// To 1, 2 or 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    let step = steps.iter().find(|step| *step * power >= value);
    step.unwrap_or(&10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, top) in [
            (0.9, 1.0),
            (1.0, 1.0),
            (1.3, 2.0),
            (37.0, 50.0),
            (0.023, 0.05),
        ] {
            assert!((round_up(value) - top).abs() < 1e-9, "{value}");
        }
    }
}
