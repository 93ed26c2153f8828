//! Where the load of a point goes, and what came of it.

use std::net::SocketAddr;

use flashsale_loadtest::recorder::{Recording, Route, Tally};
use flashsale_testkit::figures::{Figure, Figures};

use crate::{
    dial::Dial,
    installation::{load::milliseconds, processes::PARTS},
};

/// Where load goes, and what it carries.
pub(crate) struct Point {
    pub(crate) servers: Vec<SocketAddr>,
    pub(crate) skus: Vec<String>,
    pub(crate) user_chars: usize,
    /// Of the idempotency key; 0 sends none.
    pub(crate) key_chars: usize,
}

/// What came of rounds of one kind.
#[derive(Default)]
pub(crate) struct Rounds {
    pub(crate) accepted: u64,
    pub(crate) seconds: f64,
    /// CPU seconds of each of `PARTS`, and of the generator.
    pub(crate) cpu: [f64; PARTS.len() + 1],
    pub(crate) recording: Recording,
}

impl Rounds {
    pub(crate) fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.seconds += other.seconds;
        for (sum, more) in self.cpu.iter_mut().zip(other.cpu) {
            *sum += more;
        }
        self.recording.merge(other.recording);
    }

    /// Accepted a second.
    pub(crate) fn rate(&self) -> f64 {
        self.accepted as f64 / self.seconds
    }

    /// Cores that were busy, in the order of `cpu`.
    fn busy(&self) -> Vec<f64> {
        self.cpu.iter().map(|seconds| seconds / self.seconds).collect()
    }

    fn tally(&self) -> &Tally {
        self.recording.tally(Route::Purchase).unwrap()
    }

    /// Attempts that there should have been.
    fn due(&self) -> u64 {
        self.tally().total() + self.recording.unsent
    }

    /// What half and 99 % waited from when they were sent, in ms.
    fn since_sent(&self) -> Vec<f64> {
        milliseconds([0.5, 0.99], |quantile| self.tally().since_sent.value_at_quantile(quantile)).to_vec()
    }

    /// The same from when they were due.
    fn since_due(&self) -> Vec<f64> {
        milliseconds([0.5, 0.99], |quantile| self.tally().since_due.value_at_quantile(quantile)).to_vec()
    }
}

/// What came of a point: as fast as answers come, and by schedule.
#[derive(Default)]
pub(crate) struct Measured {
    pub(crate) full: Rounds,
    pub(crate) scheduled: Rounds,
}

/// What came of a dial besides its figures.
pub(crate) struct Turned {
    /// The point where the fewest are accepted, in words, and how many as a multiple of the first.
    pub(crate) weakest: (String, f64),
    /// Whether a decision costs Redis about the same at the last point.
    pub(crate) is_flat: bool,
    /// Whether everything holds afterwards.
    pub(crate) is_proven: bool,
}

/// Adds what the points of a dial came to; returns the weakest, as [`Turned`] has it.
pub(crate) fn show(figures: &mut Figures, dial: &Dial, measured: &[Measured]) -> (String, f64) {
    let all = |of: fn(&Measured) -> Vec<f64>| -> Vec<Vec<f64>> { measured.iter().map(of).collect() };
    let rates = all(|one| vec![one.full.rate()]);
    let sent = all(|one| one.full.since_sent());
    let due = all(|one| one.scheduled.since_due());
    let busy = all(|one| one.full.busy());
    let parts = format!("cores busy meanwhile: {} / generator", PARTS.join(" / "));
    for point in 0..measured.len() {
        figures.add(dial.figure(point, "accepted", "accepted over HTTP", "/s", &rates));
        figures.add(dial.figure(point, "ms", "answered over HTTP, p50 / p99", "ms", &sent));
        let name = "by schedule, half of what the first point takes; answered from when it was due, p50 / p99";
        figures.add(dial.figure(point, "due-ms", name, "ms", &due));
        figures.add(dial.figure(point, "busy", &parts, "cores", &busy));
    }
    left_out(figures, dial, measured);
    let beside_first = |point: usize| (dial.at(point), rates[point][0] / rates[0][0]);
    let turned = (1..measured.len()).map(beside_first);
    turned.min_by(|(_, one), (_, other)| one.total_cmp(other)).unwrap()
}

/// Adds how many of all points were not accepted: rates and percentiles leave them out.
fn left_out(figures: &mut Figures, dial: &Dial, measured: &[Measured]) {
    let rounds = || measured.iter().flat_map(|one| [&one.full, &one.scheduled]);
    let due: u64 = rounds().map(Rounds::due).sum();
    let accepted: u64 = rounds().map(|one| one.accepted).sum();
    let name = format!("{}: attempts that were not accepted, at all points", dial.name);
    let figure = Figure::new(format!("scale-{}-others", dial.id), name, "attempts", [(due - accepted) as f64]);
    figures.add(figure.beside("due", due as f64).at_most([0.0]));
}
