//! Counts over time as stacked columns.

use super::frame::{Axes, Frame};
use super::scale::Scale;

/// Layers from the bottom up, each with one count a second.
#[derive(Clone, Debug)]
pub(crate) struct Columns<'a> {
    /// Name and class of each layer.
    pub(crate) layers: Vec<(&'a str, &'a str)>,
    /// Seconds, and a count of each layer.
    pub(crate) counts: Vec<(u64, Vec<u64>)>,
}

pub(crate) fn columns(axes: &Axes<'_>, data: &Columns<'_>) -> String {
    let sums = data.counts.iter().map(|(_, counts)| counts.iter().sum());
    // At least 5, so that one error in a calm run does not fill the plot, and ticks stay whole.
    let highest: u64 = sums.max().unwrap_or(0).max(5);
    let mut frame = Frame::new(axes, Scale::linear(float(highest)), |v| format!("{v:.0}"));
    for (second, counts) in &data.counts {
        let (left, right) = (frame.x(float(*second)), frame.x(float(second + 1)));
        let width = (right - left) * 0.8;
        let left = left + (right - left) * 0.1;
        let mut below = 0;
        for ((name, class), count) in data.layers.iter().zip(counts) {
            if *count > 0 {
                let (top, bottom) = (frame.y(float(below + count)), frame.y(float(below)));
                let tip = format!("second {second}: {count} {name}");
                let class = format!("fill {class}");
                frame
                    .svg
                    .rect((left, top), (width, bottom - top), &class, &tip);
                below += count;
            }
        }
    }
    frame.legend(
        data.layers
            .iter()
            .map(|(name, class)| (*name, format!("fill {class}"))),
    );
    frame.svg.finish()
}

fn float(count: u64) -> f64 {
    crate::report::run::float(count)
}
