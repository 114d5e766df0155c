//! Axes, grid, band and legend: what plots over time have in common.

use super::scale::Scale;
use super::svg::Svg;

const LEFT: f64 = 70.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 38.0;
const BOTTOM: f64 = 44.0;

/// What a plot over time stands on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axes<'a> {
    /// Said to readers who cannot see the plot.
    pub(crate) title: &'a str,
    pub(crate) width: f64,
    pub(crate) height: f64,
    /// Name and unit of the vertical axis.
    pub(crate) y_label: &'a str,
    /// Seconds that the horizontal axis covers.
    pub(crate) seconds: f64,
    /// The fault: from and to, in seconds.
    pub(crate) band: Option<(f64, f64)>,
}

/// A plot with its axes drawn.
pub(super) struct Frame {
    pub(super) svg: Svg,
    x: Scale,
    y: Scale,
    width: f64,
    height: f64,
}

impl Frame {
    pub(super) fn new(axes: &Axes<'_>, y: Scale, tick: impl Fn(f64) -> String) -> Self {
        let mut frame = Self {
            svg: Svg::new(axes.width, axes.height, axes.title),
            x: Scale::Linear {
                low: 0.0,
                high: axes.seconds.max(1.0),
            },
            y,
            width: axes.width,
            height: axes.height,
        };
        frame.draw_band(axes.band);
        frame.draw_y(axes.y_label, tick);
        frame.draw_x();
        frame
    }

    pub(super) fn x(&self, seconds: f64) -> f64 {
        LEFT + self.x.place(seconds) * (self.width - LEFT - RIGHT)
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        self.height - BOTTOM - self.y.place(value) * (self.height - TOP - BOTTOM)
    }

    fn draw_band(&mut self, band: Option<(f64, f64)>) {
        let Some((from, to)) = band else { return };
        let (left, right) = (self.x(from), self.x(to));
        let size = (right - left, self.height - TOP - BOTTOM);
        self.svg.rect((left, TOP), size, "band", "the fault is on");
        self.svg
            .text(f64::midpoint(left, right), TOP - 3.0, "band-name", "fault");
    }

    fn draw_y(&mut self, label: &str, tick: impl Fn(f64) -> String) {
        let (left, right) = (LEFT, self.width - RIGHT);
        for value in self.y.ticks() {
            let y = self.y(value);
            self.svg.line((left, y), (right, y), "grid");
            self.svg.text(left - 7.0, y + 4.0, "tick-y", &tick(value));
        }
        let middle = f64::midpoint(TOP, self.height - BOTTOM);
        self.svg.upright(15.0, middle, "axis-name", label);
    }

    fn draw_x(&mut self) {
        let bottom = self.height - BOTTOM;
        self.svg
            .line((LEFT, bottom), (self.width - RIGHT, bottom), "axis");
        self.svg.line((LEFT, TOP), (LEFT, bottom), "axis");
        for value in self.x.ticks() {
            let x = self.x(value);
            self.svg.line((x, bottom), (x, bottom + 4.0), "axis");
            self.svg
                .text(x, bottom + 17.0, "tick-x", &format!("{value:.0}"));
        }
        let middle = f64::midpoint(LEFT, self.width - RIGHT);
        self.svg
            .text(middle, self.height - 8.0, "axis-name", "time (s)");
    }

    /// One row above the plot: a swatch of each class, and its name.
    pub(super) fn legend<'a>(&mut self, entries: impl Iterator<Item = (&'a str, String)>) {
        let mut x = LEFT;
        for (name, class) in entries {
            self.svg
                .rect((x, 10.0), (14.0, 10.0), &format!("swatch {class}"), "");
            self.svg.text(x + 19.0, 19.0, "legend", name);
            // Letters of the legend are 12 px high and about half as wide.
            #[expect(clippy::cast_precision_loss, reason = "names are short")]
            let letters = name.chars().count() as f64;
            x += 19.0 + letters * 6.6 + 14.0;
        }
    }
}
