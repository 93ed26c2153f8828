//! The verdict in one line, and what the stores say.

use super::{
    Report, State, Verdict,
    wording::{count, grouped, length},
};

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was checked and is right.
    Good,
    /// Nothing is wrong, and the stores were not asked, or not all could be checked.
    Open,
    /// Something is wrong.
    Bad,
}

/// The verdict in one line.
#[derive(Debug)]
pub(super) struct Headline {
    pub(super) standing: Standing,
    /// In a word or two.
    pub(super) word: &'static str,
    /// In a sentence.
    pub(super) says: String,
}

impl Headline {
    pub(super) fn of(report: &Report) -> Self {
        let mut parts = Vec::new();
        match &report.verdict {
            Some(verdict) => {
                let of = |state: State| verdict.checks.iter().filter(|check| check.state == state).count();
                let unchecked = match of(State::NotChecked) {
                    0 => String::new(),
                    unchecked => format!(", {unchecked} not checked"),
                };
                parts.push(format!("{} of {} checks hold{unchecked}", of(State::Holds), verdict.checks.len()));
            }
            None => parts.push("The stores were not asked".to_owned()),
        }
        if !report.thresholds.is_empty() {
            let hold = report.thresholds.iter().filter(|threshold| threshold.holds).count();
            parts.push(format!("{hold} of {} limits hold", report.thresholds.len()));
        }
        if let Some(listeners) = report.listeners.as_ref().filter(|listeners| listeners.rises > 0) {
            parts.push(format!("the stock rose on a stream, {}", count(listeners.rises as u64, "time")));
        }
        if let Some(listeners) = report.listeners.as_ref().filter(|listeners| listeners.opened < listeners.count) {
            let missing = (listeners.count - listeners.opened) as u64;
            parts.push(format!("{} without a stream", count(missing, "listener")));
        }
        if report.wrong() > 0 {
            let what = count(report.wrong(), "request");
            parts.push(format!("{what} not sent, not answered, or answered against the contract"));
        }
        let (standing, word) = match (report.passed(), &report.verdict) {
            (false, _) => (Standing::Bad, "Failed"),
            (true, Some(verdict)) if verdict.proven => (Standing::Good, "Proven"),
            (true, Some(_)) => (Standing::Open, "Proven in part"),
            (true, None) if report.thresholds.is_empty() => (Standing::Open, "Measured"),
            (true, None) => (Standing::Open, "Within the limits"),
        };
        Self { standing, word, says: format!("{}.", parts.join("; ")) }
    }
}

/// What each store says, what clients were told, and how long it took until these agreed.
pub(super) fn stores(verdict: &Verdict) -> [(&'static str, String); 5] {
    let [redis, log, postgres] = [verdict.redis, verdict.log, verdict.postgres].map(|store| {
        store.map_or_else(
            || "no such sale".to_owned(),
            |store| format!("{} of {} sold", grouped(store.sold), grouped(store.of)),
        )
    });
    let disagree = verdict.broken().contains(&"I12");
    let mut clients = format!("told of {}", grouped(verdict.told));
    if verdict.looked_up > 0 {
        clients.push_str(&format!("; {} at receipts compared", count(verdict.looked_up, "look")));
    }
    [
        ("Redis", redis),
        ("Log", log),
        ("Postgres", postgres),
        ("Clients", clients),
        (if disagree { "Disagree for" } else { "Agree after" }, length(verdict.converged_seconds)),
    ]
}
