//! Values with their ranges as lying bars, one a class of things.

use super::scale::Scale;
use super::svg::Svg;

const LEFT: f64 = 118.0;
const RIGHT: f64 = 86.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 44.0;

/// One bar.
#[derive(Clone, Debug)]
pub(crate) struct Bar<'a> {
    pub(crate) name: String,
    pub(crate) class: &'a str,
    pub(crate) value: f64,
    /// At least and at most; no whisker where it is not known.
    pub(crate) range: Option<(f64, f64)>,
    /// Stands at the end of the bar.
    pub(crate) label: String,
}

impl Bar<'_> {
    /// As far as bar and whisker reach.
    fn end(&self) -> f64 {
        self.range
            .map_or(self.value, |(_, high)| high.max(self.value))
    }
}

/// Bars from the top down; the whisker is the range. `legend` names what the classes mean.
pub(crate) fn bars(
    (width, height): (f64, f64),
    title: &str,
    x_label: &str,
    legend: &[(&str, &str)],
    bars: &[Bar<'_>],
) -> String {
    let highest = bars.iter().map(Bar::end);
    let scale = Scale::linear(highest.fold(0.0, f64::max));
    let x = |value: f64| LEFT + scale.place(value) * (width - LEFT - RIGHT);
    let mut svg = Svg::new(width, height, title);
    let bottom = height - BOTTOM;
    for tick in scale.ticks() {
        svg.line((x(tick), TOP), (x(tick), bottom), "grid");
        let text = format!("{}", (tick * 1e6).round() / 1e6);
        svg.text(x(tick), bottom + 17.0, "tick-x", &text);
    }
    svg.line((LEFT, TOP), (LEFT, bottom), "axis");
    let middle = f64::midpoint(LEFT, width - RIGHT);
    svg.text(middle, height - 8.0, "axis-name", x_label);
    let rows = crate::report::run::float(bars.len().max(1) as u64);
    let row = (bottom - TOP) / rows;
    let thick = (row * 0.55).min(26.0);
    let mut y = TOP + row / 2.0;
    for bar in bars {
        svg.text(LEFT - 8.0, y + 4.0, "tick-y", &bar.name);
        let corner = (LEFT, y - thick / 2.0);
        let class = format!("fill {}", bar.class);
        svg.rect(corner, (x(bar.value) - LEFT, thick), &class, &bar.label);
        if let Some((low, high)) = bar.range {
            let (low, high) = (x(low), x(high));
            svg.line((low, y), (high, y), "whisker");
            for end in [low, high] {
                svg.line((end, y - 5.0), (end, y + 5.0), "whisker");
            }
        }
        svg.text(x(bar.end()) + 8.0, y + 4.0, "value", &bar.label);
        y += row;
    }
    draw_legend(&mut svg, legend);
    svg.finish()
}

fn draw_legend(svg: &mut Svg, legend: &[(&str, &str)]) {
    let mut x = LEFT;
    for (name, class) in legend {
        svg.rect((x, 8.0), (14.0, 10.0), &format!("swatch fill {class}"), "");
        svg.text(x + 19.0, 17.0, "legend", name);
        x += 19.0 + crate::report::run::float(name.len() as u64) * 6.4 + 14.0;
    }
    svg.line((x, 13.0), (x + 16.0, 13.0), "whisker");
    svg.line((x, 9.0), (x, 17.0), "whisker");
    svg.line((x + 16.0, 9.0), (x + 16.0, 17.0), "whisker");
    svg.text(x + 22.0, 17.0, "legend", "range");
}
