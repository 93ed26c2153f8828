//! The dials, and how a point of one is shown.

use flashsale_testkit::figures::Figure;

/// What a user id has besides filling: a letter, a hyphen and six digits.
pub(crate) const USER_CHARS_MIN: usize = 8;

/// What is turned.
pub(crate) struct Dial {
    /// What it is called in ids, and where one is asked for.
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) values: &'static [usize],
}

pub(crate) const INGESTS: Dial = Dial { id: "ingests", name: "ingests", values: &[1, 2, 4] };
pub(crate) const PARTITIONS: Dial =
    Dial { id: "partitions", name: "partitions of the decisions", values: &[1, 3, 6, 12] };
pub(crate) const SALES: Dial = Dial { id: "sales", name: "sales at once", values: &[1, 8, 64] };
pub(crate) const BUYERS: Dial = Dial { id: "buyers", name: "buyers recorded", values: &[1_000, 100_000, 1_000_000] };
pub(crate) const USERS: Dial =
    Dial { id: "users", name: "characters of a user id", values: &[USER_CHARS_MIN, 64, 255] };
pub(crate) const KEYS: Dial = Dial { id: "keys", name: "characters of an idempotency key", values: &[8, 64, 255] };

impl Dial {
    pub(crate) fn most(&self) -> usize {
        self.values.iter().copied().max().unwrap_or_default()
    }

    /// A point, in words.
    pub(crate) fn at(&self, point: usize) -> String {
        format!("{}: {}", self.name, grouped(self.values[point]))
    }

    /// What was measured at a point, beside the first.
    pub(crate) fn figure(
        &self,
        point: usize,
        id: &str,
        what: &str,
        unit: &'static str,
        measured: &[Vec<f64>],
    ) -> Figure {
        let id = format!("scale-{}-{}-{id}", self.id, self.values[point]);
        let figure = Figure::new(id, format!("{}; {what}", self.at(point)), unit, measured[point].clone());
        if point == 0 {
            return figure;
        }
        figure.beside(format!("with {}", grouped(self.values[0])), measured[0][0])
    }
}

/// With commas between thousands; the values of dials that are that large are whole ones.
fn grouped(value: usize) -> String {
    match value {
        0..1_000 => value.to_string(),
        1_000..1_000_000 => format!("{},000", value / 1_000),
        _ => format!("{},000,000", value / 1_000_000),
    }
}
