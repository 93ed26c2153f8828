//! Charts as SVG, made of numbers and of texts that are escaped here.

use super::{escape, put};
use crate::{
    SoldBy,
    series::Series,
    wording::{clock, grouped, span},
};

/// Width of every chart, in its own units.
pub(super) const WIDTH: u32 = 720;
/// Height of a chart over time.
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 708.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 228.0;
/// Widest column.
const COLUMN_MAX: f64 = 48.0;
/// Of a chart of horizontal bars: height of a bar with its gap, and where bars begin and may end.
const BAR: f64 = 26.0;
const BARS_LEFT: f64 = 170.0;
const BARS_RIGHT: f64 = 590.0;

/// Class in the style sheet, and name.
pub(super) type Legend = (&'static str, &'static str);

/// The inside of an `svg` element.
#[derive(Debug)]
pub(super) struct Drawing {
    pub(super) shapes: String,
    pub(super) height: u32,
}

/// One bar of a chart.
#[derive(Debug, Clone)]
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) class: &'static str,
    pub(super) value: u64,
    /// What is written beside it.
    pub(super) figure: String,
}

impl Bar {
    pub(super) fn new(label: impl Into<String>, class: &'static str, value: u64) -> Self {
        Self { label: label.into(), class, value, figure: grouped(value) }
    }
}

/// Horizontal bars, as long as their value.
pub(super) fn bars(bars: &[Bar]) -> Drawing {
    horizontal(bars, |value| value as f64)
}

/// Horizontal bars, as long as the logarithm of their value.
pub(super) fn logarithmic(bars: &[Bar]) -> Drawing {
    horizontal(bars, |value| (value as f64).ln_1p())
}

fn horizontal(bars: &[Bar], size: impl Fn(u64) -> f64) -> Drawing {
    let longest = bars.iter().map(|bar| size(bar.value)).fold(0.0, f64::max);
    let mut shapes = String::new();
    for (index, bar) in bars.iter().enumerate() {
        let top = 4.0 + BAR * index as f64;
        let length = if longest > 0.0 { (BARS_RIGHT - BARS_LEFT) * size(bar.value) / longest } else { 0.0 };
        let class = bar.class;
        put(
            &mut shapes,
            format_args!(
                "<rect class=\"{class}\" x=\"{BARS_LEFT}\" y=\"{top:.1}\" width=\"{length:.1}\" height=\"{:.1}\"/>",
                BAR - 8.0
            ),
        );
        text(&mut shapes, BARS_LEFT - 8.0, top + 14.0, "end", &bar.label);
        text(&mut shapes, BARS_LEFT + length + 6.0, top + 14.0, "start", &bar.figure);
    }
    Drawing { shapes, height: (8.0 + BAR * bars.len() as f64) as u32 }
}

/// Columns side by side, labelled below and above.
pub(super) fn columns(columns: &[Bar]) -> Drawing {
    let highest = columns.iter().map(|column| column.value).max().unwrap_or(0);
    let slot = (RIGHT - LEFT) / columns.len().max(1) as f64;
    let width = (slot * 0.8).min(COLUMN_MAX);
    let mut shapes = axis();
    for (index, column) in columns.iter().enumerate() {
        let middle = LEFT + slot * (index as f64 + 0.5);
        // Room above the highest for its figure.
        let height = part(column.value, highest) * (BOTTOM - TOP - 16.0);
        put(
            &mut shapes,
            format_args!(
                "<rect class=\"{}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>",
                column.class,
                middle - width / 2.0,
                BOTTOM - height
            ),
        );
        text(&mut shapes, middle, BOTTOM - height - 5.0, "middle", &column.figure);
        text(&mut shapes, middle, BOTTOM + 18.0, "middle", &column.label);
    }
    Drawing { shapes, height: HEIGHT as u32 }
}

/// The demand curve: at each point what shoppers were told, one upon the other.
pub(super) fn stacked(series: &Series, outcomes: &[Legend; 4]) -> Drawing {
    let top = ceiling(series.highest());
    let mut shapes = axis();
    scale(&mut shapes, top);
    let slot = (RIGHT - LEFT) / series.points.len().max(1) as f64;
    let width = slot.min(COLUMN_MAX);
    // One path an outcome, whatever the number of points.
    for (outcome, (class, _)) in outcomes.iter().enumerate() {
        let mut path = String::new();
        for (index, point) in series.points.iter().enumerate().filter(|(_, point)| point[outcome] > 0) {
            let below: u64 = point[..outcome].iter().sum();
            let height = part(point[outcome], top) * (BOTTOM - TOP);
            let left = LEFT + slot * (index as f64 + 0.5) - width / 2.0;
            let y = BOTTOM - part(below, top) * (BOTTOM - TOP) - height;
            put(&mut path, format_args!("M{left:.2} {y:.2}h{width:.2}v{height:.2}h-{width:.2}z"));
        }
        put(&mut shapes, format_args!("<path class=\"{class}\" d=\"{path}\"/>"));
    }
    if !series.points.is_empty() {
        let long = series.is_long();
        let middle = (series.from + series.end()) / 2;
        text(&mut shapes, LEFT, BOTTOM + 18.0, "start", &clock(series.from, long));
        text(&mut shapes, f64::midpoint(LEFT, RIGHT), BOTTOM + 18.0, "middle", &clock(middle, long));
        text(&mut shapes, RIGHT, BOTTOM + 18.0, "end", &clock(series.end(), long));
    }
    Drawing { shapes, height: HEIGHT as u32 }
}

/// How many units were sold by when.
pub(super) fn curve(curve: &[SoldBy], stock: u64) -> Drawing {
    let mut shapes = axis();
    scale(&mut shapes, stock);
    let longest = curve.iter().map(|point| point.after_ms).fold(0.0, f64::max);
    let place = |millis: f64, units: u64| {
        let across = if longest > 0.0 { (millis / longest).clamp(0.0, 1.0) } else { 0.0 };
        format!("{:.2},{:.2} ", LEFT + across * (RIGHT - LEFT), BOTTOM - part(units, stock) * (BOTTOM - TOP))
    };
    if !curve.is_empty() {
        let places: String = curve.iter().map(|point| place(point.after_ms, point.units)).collect();
        let points = place(0.0, 0) + &places;
        put(&mut shapes, format_args!("<polyline class=\"curve\" points=\"{}\"/>", points.trim_end()));
        text(&mut shapes, LEFT, BOTTOM + 18.0, "start", "start");
        text(&mut shapes, RIGHT, BOTTOM + 18.0, "end", &span(longest));
    }
    Drawing { shapes, height: HEIGHT as u32 }
}

fn axis() -> String {
    format!("<path class=\"axis\" d=\"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}\"/>")
}

/// Nothing, the top, and the middle when it is a whole number.
fn scale(shapes: &mut String, top: u64) {
    let mut label = |value: u64, y: f64| text(shapes, LEFT - 8.0, y + 4.0, "end", &grouped(value));
    label(top, TOP);
    label(0, BOTTOM);
    if top > 0 && top.is_multiple_of(2) {
        label(top / 2, f64::midpoint(TOP, BOTTOM));
    }
}

fn text(shapes: &mut String, x: f64, y: f64, anchor: &str, content: &str) {
    let content = escape(content);
    put(shapes, format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{content}</text>"));
}

/// `value` as a part of `whole`, at most all of it.
fn part(value: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (value as f64 / whole as f64).min(1.0) }
}

/// The next of 1, 2, 5, 10, 20, 50 … at or above `highest`, as a scale wants it.
fn ceiling(highest: u64) -> u64 {
    let mut power: u64 = 1;
    loop {
        for step in [1, 2, 5] {
            let top = power.saturating_mul(step);
            if top >= highest {
                return top;
            }
        }
        power = power.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_round_numbers() {
        assert_eq!([0, 1, 3, 5, 6, 11, 5_001].map(ceiling), [1, 1, 5, 5, 10, 20, 10_000]);
        assert_eq!(ceiling(u64::MAX), u64::MAX);
    }

    #[test]
    fn bars_are_as_long_as_their_value() {
        let drawing = bars(&[Bar::new("all", "accepted", 1_000), Bar::new("half", "soldout", 500)]);
        assert!(drawing.shapes.contains("width=\"420.0\"") && drawing.shapes.contains("width=\"210.0\""));
        assert!(drawing.shapes.contains(">1,000</text>"), "{}", drawing.shapes);
        assert_eq!(drawing.height, 60);
        assert!(bars(&[Bar::new("none", "accepted", 0)]).shapes.contains("width=\"0.0\""));
    }

    #[test]
    fn outcomes_stand_one_upon_the_other() {
        let series = Series { from: 0, step: 1, points: vec![[5, 0, 5, 0]], not_drawn: 0 };
        let classes = [("a", ""), ("b", ""), ("c", ""), ("d", "")];
        let shapes = stacked(&series, &classes).shapes;
        // The scale ends at 10: both are half as high as the chart.
        assert!(shapes.contains("<path class=\"a\" d=\"M362.00 120.00h48.00v108.00h-48.00z\"/>"), "{shapes}");
        assert!(shapes.contains("<path class=\"b\" d=\"\"/>"), "{shapes}");
        assert!(shapes.contains("<path class=\"c\" d=\"M362.00 12.00h48.00v108.00h-48.00z\"/>"), "{shapes}");
    }

    #[test]
    fn the_curve_of_units_begins_at_nothing() {
        let points = [SoldBy { after_ms: 500.0, units: 1 }, SoldBy { after_ms: 1_000.0, units: 2 }];
        let shapes = curve(&points, 4).shapes;
        assert!(shapes.contains("points=\"64.00,228.00 386.00,174.00 708.00,120.00\""), "{shapes}");
        assert!(!curve(&[], 4).shapes.contains("polyline"));
    }

    #[test]
    fn labels_are_escaped() {
        let shapes = bars(&[Bar::new("<script>", "accepted", 1)]).shapes;
        assert!(shapes.contains("&lt;script&gt;") && !shapes.contains("<script"), "{shapes}");
    }
}
