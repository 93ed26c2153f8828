//! Charts as SVG: small, alike, and made of numbers and of texts that are escaped here.

use super::{
    Quantile,
    html::{escape, put},
    series::{Point, Series},
    wording::{grouped, latency, rate, words},
};

/// Width and height of every chart, in its own units. Little more than a narrow screen, so that texts stay readable.
pub(super) const WIDTH: u32 = 400;
pub(super) const HEIGHT: u32 = 216;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 390.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 182.0;
/// Where the texts under a chart stand.
const UNDER: f64 = BOTTOM + 19.0;
/// Widest column.
const COLUMN_MAX: f64 = 40.0;
/// Steps between the marks of a time axis, in seconds.
const TIME_STEPS: [u64; 17] =
    [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200];
/// Most marks of a time axis.
const TIME_MARKS_MAX: u64 = 6;
/// Most lines of a logarithmic axis that has more than whole decades.
const LEVELS_MAX: usize = 6;
/// The marks of a distribution: name and share that took longer.
const SHARES: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.1), ("p99", 0.01), ("p99.9", 0.001), ("p99.99", 0.000_1)];

/// What came a second, one outcome upon the other.
pub(super) fn outcomes(series: &Series<'_>) -> String {
    let highest = series.points.iter().map(Point::per_second).fold(0.0, f64::max);
    let (step, top) = linear(highest);
    let mut shapes = String::new();
    for level in 0..=(top / step).round() as u32 {
        let value = step * f64::from(level);
        let y = BOTTOM - value / top * (BOTTOM - TOP);
        horizontal(&mut shapes, y, &amount(value));
    }
    let time = TimeAxis::of(series);
    time.draw(&mut shapes);
    for (outcome, (_, class)) in series.outcomes.iter().enumerate() {
        let mut path = String::new();
        for point in series.points.iter().filter(|point| point.counts[outcome] > 0) {
            let height = |count: u64| count as f64 / point.seconds.max(1) as f64 / top * (BOTTOM - TOP);
            let below = height(point.counts[..outcome].iter().sum());
            let tall = height(point.counts[outcome]);
            let (left, width) = time.column(point);
            let y = BOTTOM - below - tall;
            put(&mut path, format_args!("M{left:.2} {y:.2}h{width:.2}v{tall:.2}h-{width:.2}z"));
        }
        put(&mut shapes, format_args!("<path class=\"{class}\" d=\"{path}\"/>"));
    }
    for point in &series.points {
        let mut says = format!("{}: {} a second", time.named(point), rate(point.per_second()));
        for ((name, _), count) in series.outcomes.iter().zip(&point.counts).filter(|(_, count)| **count > 0) {
            says.push_str(&format!(", {} {}", grouped(*count), words(name)));
        }
        time.told(&mut shapes, point, &says);
    }
    shapes
}

/// A line by its class, and what it shows of a point.
type Line<P> = (&'static str, fn(&P) -> f64);

/// p50 and p99 over time.
pub(super) fn latencies(series: &Series<'_>) -> String {
    let all = series.points.iter().flat_map(|point| [point.p50_ms, point.p99_ms]);
    let Some(scale) = Logarithmic::of(all) else { return nothing() };
    let mut shapes = String::new();
    scale.draw(&mut shapes);
    let time = TimeAxis::of(series);
    time.draw(&mut shapes);
    let drawn: [Line<Point>; 2] = [("p99", |point| point.p99_ms), ("p50", |point| point.p50_ms)];
    for (class, of) in drawn {
        let place = |point: &Point| Some((time.middle(point), scale.y(of(point))?));
        line(&mut shapes, class, &series.points.iter().map(place).collect::<Vec<_>>());
    }
    for point in series.points.iter().filter(|point| point.p99_ms > 0.0) {
        let says = format!("{}: p50 {}, p99 {}", time.named(point), latency(point.p50_ms), latency(point.p99_ms));
        time.told(&mut shapes, point, &says);
    }
    shapes
}

/// How many took how long: the further to the right, the fewer took longer.
pub(super) fn distribution(points: &[Quantile]) -> String {
    let all = points.iter().flat_map(|point| [point.since_due_ms, point.since_sent_ms]);
    let Some(scale) = Logarithmic::of(all) else { return nothing() };
    let mut shapes = String::new();
    scale.draw(&mut shapes);
    let (least, most) = (rarity(0.5), rarity(0.000_1));
    let across = |longer: f64| LEFT + (RIGHT - LEFT) * ((rarity(longer) - least) / (most - least)).clamp(0.0, 1.0);
    for (number, (name, longer)) in SHARES.into_iter().enumerate() {
        let x = across(longer);
        put(&mut shapes, format_args!("<path class=\"grid\" d=\"M{x:.1} {TOP}V{BOTTOM}\"/>"));
        text(&mut shapes, x, UNDER, if number + 1 == SHARES.len() { "end" } else { "middle" }, name);
    }
    let drawn: [Line<Quantile>; 2] = [("sent", |point| point.since_sent_ms), ("due", |point| point.since_due_ms)];
    for (class, of) in drawn {
        let place = |point: &Quantile| Some((across(1.0 - point.quantile), scale.y(of(point))?));
        line(&mut shapes, class, &points.iter().map(place).collect::<Vec<_>>());
    }
    for (index, point) in points.iter().enumerate() {
        // From half-way to the one before to half-way to the next.
        let place = |index: usize| points.get(index).map(|point| across(1.0 - point.quantile));
        let x = across(1.0 - point.quantile);
        let from = index.checked_sub(1).and_then(place).map_or(x - 4.0, |before| f64::midpoint(before, x));
        let to = place(index + 1).map_or(x + 4.0, |next| f64::midpoint(x, next));
        let (due, sent) = (latency(point.since_due_ms), latency(point.since_sent_ms));
        told(
            &mut shapes,
            from,
            to - from,
            &format!("p{:.2}: {due} since due, {sent} since sent", point.quantile * 100.0),
        );
    }
    shapes
}

/// The time axis of a series.
#[derive(Debug)]
struct TimeAxis {
    seconds: u64,
}

impl TimeAxis {
    fn of(series: &Series<'_>) -> Self {
        Self { seconds: series.seconds() }
    }

    fn x(&self, second: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * second / self.seconds as f64
    }

    fn draw(&self, shapes: &mut String) {
        let step = TIME_STEPS.into_iter().find(|step| self.seconds / step <= TIME_MARKS_MAX);
        let step = step.unwrap_or(self.seconds / TIME_MARKS_MAX);
        let (unit, name) = match step {
            step if step.is_multiple_of(3_600) => (3_600, "h"),
            step if step.is_multiple_of(60) => (60, "min"),
            _ => (1, "s"),
        };
        put(shapes, format_args!("<path class=\"axis\" d=\"M{LEFT} {BOTTOM}H{RIGHT}\"/>"));
        for second in (0..=self.seconds).step_by(usize::try_from(step).unwrap_or(1).max(1)) {
            let x = self.x(second as f64);
            // What would leave the picture ends with it.
            let anchor = if x > RIGHT - 12.0 { "end" } else { "middle" };
            text(shapes, x, UNDER, anchor, &format!("{} {name}", second / unit));
        }
    }

    /// Left and width of the column of a point.
    fn column(&self, point: &Point) -> (f64, f64) {
        let (left, right) = self.ends(point);
        let room = right - left;
        let width = if room > 4.0 { (room * 0.84).min(COLUMN_MAX) } else { room };
        (f64::midpoint(left, right) - width / 2.0, width)
    }

    fn ends(&self, point: &Point) -> (f64, f64) {
        (self.x(point.second as f64), self.x((point.second + point.seconds) as f64))
    }

    fn middle(&self, point: &Point) -> f64 {
        let (left, right) = self.ends(point);
        f64::midpoint(left, right)
    }

    fn named(&self, point: &Point) -> String {
        match point.seconds {
            0 | 1 => format!("second {}", grouped(point.second)),
            more => format!("seconds {} to {}", grouped(point.second), grouped(point.second + more - 1)),
        }
    }

    /// What a pointer over a point is told.
    fn told(&self, shapes: &mut String, point: &Point, says: &str) {
        let (left, right) = self.ends(point);
        told(shapes, left, right - left, says);
    }
}

/// A logarithmic axis of milliseconds: from one value of 1, 2, 5, 10, 20 … to another one, by their numbers.
#[derive(Debug, PartialEq)]
struct Logarithmic {
    low: i32,
    high: i32,
}

impl Logarithmic {
    /// Of 1 µs and of a million seconds.
    const ENDS: (i32, i32) = (-9, 27);

    /// An axis that has all of these that are above 0; none when none is.
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (least, most) = values
            .filter(|value| value.is_finite() && *value > 0.0)
            .fold((f64::MAX, 0.0), |(least, most): (f64, f64), value| (least.min(value), most.max(value)));
        if most <= 0.0 {
            return None;
        }
        let (first, last) = Self::ENDS;
        // A hair aside, for values that are a level themselves.
        let low = (first..last).rev().find(|level| Self::level(*level) <= least * 1.000_1).unwrap_or(first);
        let high = (first..last).find(|level| Self::level(*level) >= most * 0.999_9).unwrap_or(last);
        Some(Self { low, high: high.max(low + 1) })
    }

    /// Milliseconds of a level: 0 is 1 ms, 1 is 2 ms, 2 is 5 ms, 3 is 10 ms.
    fn level(number: i32) -> f64 {
        let factor = match number.rem_euclid(3) {
            0 => 1.0,
            1 => 2.0,
            _ => 5.0,
        };
        factor * 10_f64.powi(number.div_euclid(3))
    }

    fn y(&self, millis: f64) -> Option<f64> {
        if millis.is_nan() || millis <= 0.0 {
            return None;
        }
        let (low, high) = (Self::level(self.low).log10(), Self::level(self.high).log10());
        let part = ((millis.log10() - low) / (high - low)).clamp(0.0, 1.0);
        Some(BOTTOM - part * (BOTTOM - TOP))
    }

    /// The levels that get a line: all, or whole decades where these are too many.
    fn levels(&self) -> Vec<i32> {
        let all: Vec<i32> = (self.low..=self.high).collect();
        if all.len() <= LEVELS_MAX {
            return all;
        }
        all.into_iter().filter(|level| level.rem_euclid(3) == 0).collect()
    }

    fn draw(&self, shapes: &mut String) {
        put(shapes, format_args!("<path class=\"axis\" d=\"M{LEFT} {BOTTOM}H{RIGHT}\"/>"));
        for level in self.levels() {
            let millis = Self::level(level);
            let name = match level {
                ..0 => format!("{:.0} µs", millis * 1_000.0),
                0..9 => format!("{millis:.0} ms"),
                _ => format!("{:.0} s", millis / 1_000.0),
            };
            if let Some(y) = self.y(millis) {
                horizontal(shapes, y, &name);
            }
        }
    }
}

/// How rare it is to be among so large a share, in powers of ten.
fn rarity(share: f64) -> f64 {
    -share.max(0.000_1).log10()
}

/// A step of 1, 2 or 5 times a power of ten that needs at most five of it for `highest`, and where they end.
fn linear(highest: f64) -> (f64, f64) {
    if highest.is_nan() || highest <= 0.0 {
        return (1.0, 1.0);
    }
    let rough = highest / 4.0;
    let power = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|factor| factor * power);
    let step = steps.into_iter().find(|step| *step >= rough).unwrap_or(10.0 * power);
    (step, (highest / step).ceil().max(1.0) * step)
}

/// A number beside an axis.
fn amount(value: f64) -> String {
    if value >= 1_000_000.0 {
        return format!("{}M", trimmed(value / 1_000_000.0));
    }
    if value >= 10_000.0 {
        return format!("{}k", trimmed(value / 1_000.0));
    }
    if value >= 10.0 { grouped(value.round() as u64) } else { trimmed(value) }
}

/// With at most two digits after the point, and none that says nothing.
fn trimmed(value: f64) -> String {
    format!("{value:.2}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A line through all places that follow one another; one alone is a dot.
fn line(shapes: &mut String, class: &str, places: &[Option<(f64, f64)>]) {
    for run in places.split(Option::is_none) {
        match run {
            [] => {}
            [Some((x, y))] => {
                put(shapes, format_args!("<circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>"))
            }
            run => {
                let points: Vec<String> = run.iter().flatten().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
                put(shapes, format_args!("<polyline class=\"line {class}\" points=\"{}\"/>", points.join(" ")));
            }
        }
    }
}

/// A line across the chart with its value.
fn horizontal(shapes: &mut String, y: f64, name: &str) {
    put(shapes, format_args!("<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>"));
    text(shapes, LEFT - 7.0, y + 4.0, "end", name);
}

/// A strip of the chart that tells something to a pointer over it.
fn told(shapes: &mut String, left: f64, width: f64, says: &str) {
    let (height, says) = (BOTTOM - TOP, escape(says));
    put(
        shapes,
        format_args!(
            "<rect class=\"told\" x=\"{left:.2}\" y=\"{TOP}\" width=\"{:.2}\" height=\"{height}\"><title>{says}</title></rect>",
            width.max(0.1)
        ),
    );
}

fn nothing() -> String {
    let mut shapes = String::new();
    text(&mut shapes, f64::midpoint(LEFT, RIGHT), f64::midpoint(TOP, BOTTOM), "middle", "nothing was measured");
    shapes
}

fn text(shapes: &mut String, x: f64, y: f64, anchor: &str, content: &str) {
    let content = escape(content);
    put(shapes, format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{content}</text>"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_have_round_steps() {
        assert_eq!([0.0, 1.0, 7.0, 3_125.0].map(linear), [(1.0, 1.0), (0.5, 1.0), (2.0, 8.0), (1_000.0, 4_000.0)]);
        assert_eq!([0.0, 0.5, 9_000.0, 15_000.0, 2e6].map(amount), ["0", "0.5", "9,000", "15k", "2M"]);
    }

    #[test]
    fn a_logarithmic_axis_has_all_values() {
        let axis = Logarithmic::of([0.0, 3.0, 40.0].into_iter()).unwrap();
        assert_eq!((Logarithmic::level(axis.low), Logarithmic::level(axis.high)), (2.0, 50.0));
        assert_eq!((axis.y(2.0), axis.y(50.0), axis.y(0.0)), (Some(BOTTOM), Some(TOP), None));
        assert_eq!(Logarithmic::of([0.0, f64::NAN].into_iter()), None);
        let one = Logarithmic::of([10.0].into_iter()).unwrap();
        assert_eq!((one.low, one.high), (3, 4));
        // From 100 µs to 10 s only decades have lines.
        let wide = Logarithmic::of([0.1, 10_000.0].into_iter()).unwrap();
        assert_eq!(wide.levels(), [-3, 0, 3, 6, 9, 12]);
    }

    #[test]
    fn a_line_breaks_where_nothing_was_measured() {
        let mut shapes = String::new();
        line(&mut shapes, "p50", &[Some((1.0, 2.0)), None, None, Some((3.0, 4.0)), Some((5.0, 6.0))]);
        assert_eq!(shapes.matches("<circle").count(), 1);
        assert!(shapes.contains("points=\"3.0,4.0 5.0,6.0\""), "{shapes}");
    }

    #[test]
    fn outcomes_stand_one_upon_the_other() {
        let point = Point { second: 0, seconds: 1, counts: vec![3, 1], p50_ms: 0.0, p99_ms: 0.0 };
        let series =
            Series { outcomes: vec![("sold", "o-sold"), ("out", "o-out")], step: 1, width: 1, points: vec![point] };
        let shapes = outcomes(&series);
        // The scale ends at 4: three quarters of 172, and one quarter above.
        assert!(shapes.contains("<path class=\"o-sold\" d=\"M201.00 53.00h40.00v129.00h-40.00z\"/>"), "{shapes}");
        assert!(shapes.contains("<path class=\"o-out\" d=\"M201.00 10.00h40.00v43.00h-40.00z\"/>"), "{shapes}");
        assert!(latencies(&series).contains("nothing was measured"));
    }
}
