//! Load, by the engine of the load tool.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use flashsale_loadtest::{
    arrivals::Arrivals,
    engine::{self, Live, Options, Request, Target},
    recorder::{Outcome, Recording, Route},
};

/// How long an answer may take; longer is none.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Chance is the same in every run.
const SEED: u64 = 1;
/// The answers to who bought.
pub const SOLD: [Outcome; 2] = [Outcome::Purchased, Outcome::Pending];

/// Where it goes, and over how much.
#[derive(Debug, Clone, Copy)]
pub struct Load<'a> {
    pub server: SocketAddr,
    pub sku: &'a str,
    pub route: Route,
    /// At most, each with one request under way.
    pub connections: usize,
    pub threads: usize,
    /// The number of the first shopper.
    pub first_shopper: u64,
    /// What every request carries besides.
    pub headers: &'a [(String, String)],
    /// Whether the recording has every attempt.
    pub keep_attempts: bool,
}

impl<'a> Load<'a> {
    /// Attempts to buy, by one thread.
    pub fn purchases(server: SocketAddr, sku: &'a str, connections: usize) -> Self {
        Self {
            server,
            sku,
            route: Route::Purchase,
            connections,
            threads: 1,
            first_shopper: 0,
            headers: &[],
            keep_attempts: false,
        }
    }

    /// Sends it, each request as a shopper of its own: `prefix`, a hyphen and a number. Blocks until the last answer.
    pub fn run(&self, prefix: &str, arrivals: Arrivals, lasts: Duration) -> Recording {
        self.spread(&[self.server], &[self.sku.to_owned()], prefix, arrivals, lasts)
    }

    /// The same for several servers, a connection to each in turn, and several sales, a request for each in turn.
    pub fn spread(
        &self,
        servers: &[SocketAddr],
        skus: &[String],
        prefix: &str,
        arrivals: Arrivals,
        lasts: Duration,
    ) -> Recording {
        let target = Target {
            servers: servers.to_vec(),
            host: self.server.to_string(),
            skus: skus.to_vec(),
            prefix: prefix.to_owned(),
            headers: self.headers.to_vec(),
        };
        let options = Options {
            connections: self.connections,
            open_first: false,
            threads: self.threads,
            keep_alive: true,
            pipeline: 1,
            answer_max: ANSWER_MAX,
            keep_attempts: self.keep_attempts,
        };
        let (route, first, skus) = (self.route, self.first_shopper, skus.len() as u64);
        let request = |number: u64| Request { route, shopper: first + number, key: 0, sku: (number % skus) as u32 };
        engine::run(&target, &options, arrivals, lasts, SEED, &request, &Live::default()).unwrap()
    }
}

/// How many answers are among those wanted. Says what else came; what is no refusal either ends the benchmark.
pub fn told(recording: &Recording, route: Route, wanted: &[Outcome]) -> u64 {
    let counts = recording.tally(route).map(|tally| tally.counts.clone()).unwrap_or_default();
    let (expected, others): (BTreeMap<Outcome, u64>, BTreeMap<Outcome, u64>) =
        counts.into_iter().partition(|(outcome, _)| wanted.contains(outcome));
    if !others.is_empty() {
        println!("  also answered: {others:?} {:?}", recording.failures);
    }
    assert!(others.keys().all(|outcome| outcome.is_refused()), "neither {wanted:?} nor refused");
    expected.values().sum()
}

/// Quantiles of a histogram of microseconds, in milliseconds.
pub fn milliseconds<const N: usize>(quantiles: [f64; N], micros_at: impl Fn(f64) -> u64) -> [f64; N] {
    quantiles.map(|quantile| micros_at(quantile) as f64 / 1_000.0)
}
