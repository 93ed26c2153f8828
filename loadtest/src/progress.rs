//! How far a run is, on stderr: one line that changes on a terminal, a line every few seconds elsewhere.

use std::{
    io::IsTerminal,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use flashsale_loadtest::engine::Live;
use indicatif::{ProgressBar, ProgressStyle};

use crate::output::tell;

/// Between two looks, on a terminal and elsewhere.
const TERMINAL_EVERY: Duration = Duration::from_millis(250);
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Shown until it is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Shows what `live` says.
    pub(crate) fn begin(live: Arc<Live>) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let seen = done.clone();
        Self { done, thread: Some(thread::spawn(move || show(&live, &seen))) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            drop(thread.join());
        }
    }
}

fn show(live: &Live, done: &AtomicBool) {
    let bar = std::io::stderr().is_terminal().then(ProgressBar::new_spinner);
    if let Some(bar) = &bar {
        bar.set_style(ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar()));
    }
    let every = if bar.is_some() { TERMINAL_EVERY } else { PLAIN_EVERY };
    let began = Instant::now();
    let (mut looked_at, mut sent_by_then) = (began, 0);
    loop {
        thread::park_timeout(every);
        if done.load(Ordering::Relaxed) {
            break;
        }
        let sent = live.sent.load(Ordering::Relaxed);
        let rate = (sent - sent_by_then) as f64 / looked_at.elapsed().as_secs_f64().max(0.001);
        (looked_at, sent_by_then) = (Instant::now(), sent);
        let line = line(live, began.elapsed(), rate);
        match &bar {
            Some(bar) => {
                bar.set_message(line);
                bar.tick();
            }
            None => tell(line),
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

fn line(live: &Live, since: Duration, rate: f64) -> String {
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    format!(
        "{:.0} s: {} sent ({rate:.0}/s), {} answered, {} bought, {} refused, {} broken, {:.1} ms",
        since.as_secs_f64(),
        of(&live.sent),
        of(&live.answered),
        of(&live.purchased),
        of(&live.refused),
        of(&live.broken),
        of(&live.latency_us) as f64 / 1_000.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_there_is() {
        let live = Live::default();
        live.sent.store(1_000, Ordering::Relaxed);
        live.latency_us.store(2_345, Ordering::Relaxed);
        let said = line(&live, Duration::from_secs(5), 200.0);
        assert_eq!(said, "5 s: 1000 sent (200/s), 0 answered, 0 bought, 0 refused, 0 broken, 2.3 ms");
    }

    #[test]
    fn it_ends_when_the_run_does() {
        drop(Progress::begin(Arc::default()));
    }
}
