//! Small plots as inline SVG: axes with units, ticks, a legend, a shaded band. Colours are classes
//! of the page's style sheet, so that a plot follows light and dark.

mod bars;
mod columns;
mod frame;
mod lines;
mod scale;
mod svg;

pub(super) use self::bars::{Bar, bars};
pub(super) use self::columns::{Columns, columns};
pub(super) use self::frame::Axes;
pub(super) use self::lines::{Series, lines};
pub(super) use self::svg::escape;
