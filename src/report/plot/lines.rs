//! Values over time as lines, on a logarithmic axis.

use super::frame::{Axes, Frame};
use super::scale::Scale;

/// One line.
#[derive(Clone, Debug)]
pub(crate) struct Series<'a> {
    pub(crate) name: &'a str,
    /// A class of the style sheet: `s1` to `s7`, and `dashed`.
    pub(crate) class: &'a str,
    /// Seconds and values; `None` breaks the line, since nothing was seen there.
    pub(crate) points: Vec<(f64, Option<f64>)>,
}

/// `tick` writes a value with its unit.
pub(crate) fn lines(
    axes: &Axes<'_>,
    series: &[Series<'_>],
    tick: impl Fn(f64) -> String,
) -> String {
    let values = series.iter().flat_map(|it| &it.points);
    let scale = Scale::log(values.filter_map(|(_, value)| *value));
    let mut frame = Frame::new(axes, scale, &tick);
    for one in series {
        draw(&mut frame, one, &tick);
    }
    frame.legend(series.iter().map(|it| (it.name, it.class.to_owned())));
    frame.svg.finish()
}

fn draw(frame: &mut Frame, series: &Series<'_>, tick: impl Fn(f64) -> String) {
    let class = format!("line {}", series.class);
    for run in series.points.split(|(_, value)| value.is_none()) {
        let points: Vec<String> = run
            .iter()
            .filter_map(|(at, value)| Some((at, (*value)?)))
            .map(|(at, value)| format!("{:.1},{:.1}", frame.x(*at), frame.y(value)))
            .collect();
        if points.len() > 1 {
            let points = points.join(" ");
            frame.svg.shape(
                "polyline",
                &[
                    ("points", points.as_str().into()),
                    ("class", class.as_str().into()),
                ],
            );
        }
    }
    for (at, value) in &series.points {
        if let Some(value) = value {
            let (x, y) = (frame.x(*at), frame.y(*value));
            let class = format!("dot {}", series.class);
            frame.svg.open(
                "circle",
                &[
                    ("cx", x.into()),
                    ("cy", y.into()),
                    ("r", 2.2.into()),
                    ("class", class.as_str().into()),
                ],
            );
            let tip = format!("{}, second {at:.0}: {}", series.name, tick(*value));
            frame.svg.tip("circle", &tip);
        }
    }
}
