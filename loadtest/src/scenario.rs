//! What a run does: who sends what, and when.

use std::{ops::RangeInclusive, time::Duration};

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum, builder::RangedU64ValueParser};
use flashsale_core::sale::STOCK_MAX;
use serde::{Deserialize, Serialize};

use crate::{
    arrivals::Arrivals,
    engine::{BACKLOG_MAX, Options, Request},
    recorder::Route,
};

/// Attempts of each shopper who tries again and again.
const TRIES: u64 = 100;
/// Mixed load goes round in so many requests: 80 % status, 15 % purchases, 5 % receipts.
const ROUND: u64 = 20;
const STATUS: u64 = 16;
const PURCHASES: u64 = 3;
/// Of all that a long run may buy so much is for sale, so that the sales end under load.
const SOAK_FOR_SALE: f64 = 0.9;
/// Attempts that are kept without being asked for; each takes `recorder::ATTEMPT_BYTES`.
const KEPT_MAX: u64 = 5_000_000;
/// How long as many requests as there are answers are kept without being asked for.
const KEPT_CLOSED_MAX: Duration = Duration::from_secs(60);
/// Most requests a second that are planned.
const RATE_MAX: f64 = 10_000_000.0;
/// Longest run: a week.
const SECONDS_MAX: f64 = 604_800.0;
const CONNECTIONS_MAX: u64 = 200_000;
const THREADS_MAX: u64 = 64;
const PIPELINE_MAX: u64 = 1_000;
const LISTENERS_MAX: u64 = 100_000;
const SALES_MAX: u64 = 1_000;
/// Most requests in one moment, and so most shoppers: more could not wait for a connection, and would never be sent.
const BURST_MAX: u64 = BACKLOG_MAX as u64;
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Longest that anybody may wait for an answer, in seconds.
const ANSWER_SECONDS_MAX: f64 = 3_600.0;

/// What is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// Everybody in one moment, for too few units.
    Stampede,
    /// Few shoppers who try again and again, with old keys and new ones.
    Duplicates,
    /// Nobody buys, everybody looks.
    Status,
    /// Looking, buying and looking receipts up, while pages listen.
    Mixed,
    /// Attempts at a sale that has nothing left.
    Soldout,
    /// Mixed load for hours, over several sales.
    Soak,
}

/// How requests arrive, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// So many a second, evenly.
    Constant,
    /// So many a second on average, by chance.
    Poisson,
    /// More and more, up to the rate.
    Ramp,
    /// All in one moment.
    Burst,
    /// The next one when an answer is there: for capacity only, its latencies hide the waiting.
    Closed,
}

/// What a person may set; what is not set is what the scenario says.
#[derive(Debug, Clone, Default, Args)]
pub struct Dials {
    /// Shoppers: who come at once, or who try again and again.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=BURST_MAX))]
    pub buyers: Option<u64>,
    /// Units for sale, of each sale.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=STOCK_MAX))]
    pub units: Option<u64>,
    /// Requests a second.
    #[arg(long, value_parser = above_zero(RATE_MAX))]
    pub rate: Option<f64>,
    /// How requests arrive.
    #[arg(long, value_enum)]
    pub arrivals: Option<Shape>,
    /// Requests a second that a ramp begins with.
    #[arg(long, value_name = "RATE", value_parser = from_zero(RATE_MAX))]
    pub ramp_from: Option<f64>,
    /// How long requests are sent.
    #[arg(long, value_parser = above_zero(SECONDS_MAX))]
    pub seconds: Option<f64>,
    /// Most connections at a time.
    #[arg(long, value_parser = count(1..=CONNECTIONS_MAX))]
    pub connections: Option<usize>,
    /// Threads that send.
    #[arg(long, value_parser = count(1..=THREADS_MAX))]
    pub threads: Option<usize>,
    /// A connection for each request.
    #[arg(long)]
    pub no_keep_alive: bool,
    /// Requests under way on a connection; with 1 none waits behind another.
    #[arg(long, value_parser = count(1..=PIPELINE_MAX))]
    pub pipeline: Option<usize>,
    /// Seconds after which a request counts as not answered.
    #[arg(long, value_name = "SECONDS", value_parser = above_zero(ANSWER_SECONDS_MAX))]
    pub answer_max: Option<f64>,
    /// Pages that listen to the live stream meanwhile.
    #[arg(long, value_parser = count(0..=LISTENERS_MAX))]
    pub listeners: Option<usize>,
    /// Sales among which shoppers are spread.
    #[arg(long, value_parser = count(1..=SALES_MAX))]
    pub sales: Option<usize>,
    /// Keep every attempt in memory however many there are, for the check of the answers.
    #[arg(long)]
    pub keep_attempts: bool,
}

/// Everything that is settled before a run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is played.
    pub scenario: Scenario,
    /// When requests are due.
    pub arrivals: Arrivals,
    /// For how long.
    pub lasts: Duration,
    /// How they are sent.
    pub options: Options,
    /// Shoppers who come at once, or who try again and again.
    pub buyers: u64,
    /// Units for sale, of each sale.
    pub units: u64,
    /// Pages that listen meanwhile.
    pub listeners: usize,
    /// Sales.
    pub skus: usize,
}

/// What a scenario does unless it is told otherwise.
struct Usual {
    shape: Shape,
    rate: f64,
    seconds: f64,
    connections: usize,
    buyers: u64,
    units: u64,
    listeners: usize,
    skus: usize,
}

impl Usual {
    fn of(scenario: Scenario) -> Self {
        let steady = Self {
            shape: Shape::Constant,
            rate: 2_000.0,
            seconds: 30.0,
            connections: 256,
            buyers: 1_000,
            units: 1,
            listeners: 0,
            skus: 1,
        };
        match scenario {
            Scenario::Stampede => {
                let burst = Self { shape: Shape::Burst, seconds: 1.0, connections: 1_000, ..steady };
                Self { buyers: 10_000, units: 1_000, ..burst }
            }
            Scenario::Duplicates => {
                let burst = Self { shape: Shape::Burst, seconds: 1.0, connections: 1_000, ..steady };
                Self { buyers: 10, units: 100, ..burst }
            }
            Scenario::Status => Self { rate: 5_000.0, connections: 64, ..steady },
            Scenario::Mixed => Self { units: 1_000, listeners: 100, ..steady },
            Scenario::Soldout => steady,
            // The units follow from the rest.
            Scenario::Soak => Self { rate: 200.0, seconds: 3_600.0, connections: 64, units: 0, skus: 4, ..steady },
        }
    }
}

impl Plan {
    /// What `scenario` does with these dials.
    ///
    /// # Errors
    /// When a dial is set to what cannot be; the message names it.
    pub fn of(scenario: Scenario, dials: &Dials) -> Result<Self> {
        let usual = Usual::of(scenario);
        let rate = within("--rate", dials.rate.unwrap_or(usual.rate), RATE_MAX)?;
        let seconds = within("--seconds", dials.seconds.unwrap_or(usual.seconds), SECONDS_MAX)?;
        let buyers = dials.buyers.unwrap_or(usual.buyers);
        ensure!((1..=BURST_MAX).contains(&buyers), "--buyers must be 1 to 1,000,000");
        let arrivals = match dials.arrivals.unwrap_or(usual.shape) {
            Shape::Constant => Arrivals::Constant { rate },
            Shape::Poisson => Arrivals::Poisson { rate },
            Shape::Ramp => {
                let from = dials.ramp_from.unwrap_or(0.0);
                ensure!((0.0..=RATE_MAX).contains(&from), "--ramp-from must be 0 or more");
                Arrivals::Ramp { from, to: rate }
            }
            Shape::Burst if scenario == Scenario::Duplicates => Arrivals::Burst { count: buyers * TRIES },
            Shape::Burst => Arrivals::Burst { count: buyers },
            Shape::Closed => Arrivals::Closed,
        };
        let is_too_many = matches!(arrivals, Arrivals::Burst { count } if count > BURST_MAX);
        ensure!(!is_too_many, "--buyers must be 1 to {} here, where each tries {TRIES} times", BURST_MAX / TRIES);
        let is_ramp = matches!(arrivals, Arrivals::Ramp { .. });
        ensure!(is_ramp || dials.ramp_from.is_none(), "--ramp-from is for --arrivals ramp");
        let lasts = Duration::from_secs_f64(seconds);
        let skus = dials.sales.unwrap_or(usual.skus);
        ensure!(is_within(skus, 1..=SALES_MAX), "--sales must be 1 to 1,000");
        let units = dials.units.unwrap_or_else(|| match usual.units {
            0 => for_sale(arrivals, lasts, skus),
            units => units,
        });
        ensure!((1..=STOCK_MAX).contains(&units), "--units must be 1 to 1,000,000,000");
        let options = options(scenario, dials, usual.connections, arrivals, lasts)?;
        let listeners = dials.listeners.unwrap_or(usual.listeners);
        ensure!(is_within(listeners, 0..=LISTENERS_MAX), "--listeners must be at most 100,000");
        Ok(Self { scenario, arrivals, lasts, options, buyers, units, listeners, skus })
    }

    /// The `n`-th request.
    pub fn request(&self, n: u64) -> Request {
        match self.scenario {
            Scenario::Stampede | Scenario::Soldout => self.purchase(n, n + 1),
            Scenario::Duplicates => {
                let (shopper, tries) = (n % self.buyers, n / self.buyers);
                // In turns with the key that they began with, and with one that is new.
                let key = if tries.is_multiple_of(2) { shopper + 1 } else { self.buyers + n + 1 };
                self.purchase(shopper, key)
            }
            Scenario::Status => Request { route: Route::Status, shopper: n, key: 0, sku: self.sku(n) },
            Scenario::Mixed | Scenario::Soak => match n % ROUND {
                0..STATUS => Request { route: Route::Status, shopper: n, key: 0, sku: self.sku(n) },
                place if place < STATUS + PURCHASES => self.purchase(n, n + 1),
                _ => {
                    let shopper = earlier_buyer(n);
                    Request { route: Route::Receipt, shopper, key: 0, sku: self.sku(shopper) }
                }
            },
        }
    }

    fn purchase(&self, shopper: u64, key: u64) -> Request {
        Request { route: Route::Purchase, shopper, key, sku: self.sku(shopper) }
    }

    fn sku(&self, shopper: u64) -> u32 {
        sku_of(shopper, self.skus)
    }

    /// Whether somebody buys, so that the sale must run.
    pub fn buys(&self) -> bool {
        !matches!(self.scenario, Scenario::Status | Scenario::Soldout)
    }

    /// The run in a sentence.
    pub fn describe(&self) -> String {
        let Self { buyers, units, skus, .. } = self;
        let (lasts, connections) = (self.lasts.as_secs_f64(), self.options.connections);
        let what = match self.scenario {
            Scenario::Stampede => format!("a purchase by a shopper of its own each, {units} units"),
            Scenario::Duplicates => format!("{buyers} shoppers who try again and again, {units} units"),
            Scenario::Status => "the status of a sale".to_owned(),
            Scenario::Mixed => format!("80 % status, 15 % purchases and 5 % receipts, {units} units"),
            Scenario::Soldout => "purchases of which nothing is left".to_owned(),
            Scenario::Soak => format!("80 % status, 15 % purchases and 5 % receipts, {skus} sales of {units} units"),
        };
        let when = match self.arrivals {
            Arrivals::Constant { rate } => format!("{rate} requests a second for {lasts} s"),
            Arrivals::Poisson { rate } => format!("{rate} requests a second on average, by chance, for {lasts} s"),
            Arrivals::Ramp { from, to } => format!("{from} to {to} requests a second within {lasts} s"),
            Arrivals::Burst { count } => format!("{count} requests at once"),
            Arrivals::Closed => format!("as many requests as there are answers for {lasts} s"),
        };
        let listeners = match self.listeners {
            0 => String::new(),
            listeners => format!(", {listeners} pages listen"),
        };
        format!("{when}, on up to {connections} connections: {what}{listeners}")
    }
}

/// In which of `skus` sales a shopper buys. Purchases and what is told of them afterwards both go by it.
pub fn sku_of(shopper: u64, skus: usize) -> u32 {
    let place = scattered(shopper) % skus.max(1) as u64;
    // There are at most a thousand.
    u32::try_from(place).unwrap_or(0)
}

/// A number that has nothing to do with `n` but is always the same: the finalizer of SplitMix64.
fn scattered(n: u64) -> u64 {
    let mut mixed = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// One of those who have bought, or tried to, before the `n`-th request of a mixed load.
fn earlier_buyer(n: u64) -> u64 {
    let rounds = n / ROUND;
    // Of the first round: the buyers in front of this very request.
    let round = if rounds == 0 { 0 } else { scattered(n) % rounds };
    round * ROUND + STATUS + scattered(n + 1) % PURCHASES
}

/// A parser of whole numbers in this range.
fn count(range: RangeInclusive<u64>) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(range)
}

/// A parser of numbers that are more than 0 and at most `max`.
fn above_zero(max: f64) -> impl Fn(&str) -> Result<f64> + Clone + Send + Sync + 'static {
    move |text: &str| within("it", text.parse()?, max)
}

/// A parser of numbers from 0 to `max`.
fn from_zero(max: f64) -> impl Fn(&str) -> Result<f64> + Clone + Send + Sync + 'static {
    move |text: &str| {
        let number: f64 = text.parse()?;
        ensure!((0.0..=max).contains(&number), "it must be 0 to {max}");
        Ok(number)
    }
}

fn is_within(number: usize, range: RangeInclusive<u64>) -> bool {
    range.contains(&(number as u64))
}

fn within(dial: &str, value: f64, max: f64) -> Result<f64> {
    ensure!(value > 0.0 && value <= max, "{dial} must be more than 0 and at most {max}");
    Ok(value)
}

/// Units of each of `skus` sales, so that a long run sells them before it ends.
fn for_sale(arrivals: Arrivals, lasts: Duration, skus: usize) -> u64 {
    let requests = arrivals.expected(lasts).unwrap_or(1_000_000);
    let purchases = requests as f64 * PURCHASES as f64 / ROUND as f64;
    ((purchases * SOAK_FOR_SALE / skus as f64) as u64).max(1)
}

fn options(
    scenario: Scenario,
    dials: &Dials,
    usual_connections: usize,
    arrivals: Arrivals,
    lasts: Duration,
) -> Result<Options> {
    let at_once = match arrivals {
        // More connections than requests are of no use.
        Arrivals::Burst { count } => usize::try_from(count).unwrap_or(usize::MAX),
        _ => usize::MAX,
    };
    let connections = dials.connections.unwrap_or_else(|| usual_connections.min(at_once));
    ensure!(is_within(connections, 1..=CONNECTIONS_MAX), "--connections must be 1 to {CONNECTIONS_MAX}");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // The servers are often on the same machine.
    let threads = dials.threads.unwrap_or_else(|| (cores / 4).clamp(1, 8)).min(connections);
    ensure!(is_within(threads, 1..=THREADS_MAX), "--threads must be 1 to {THREADS_MAX}");
    let pipeline = dials.pipeline.unwrap_or(1);
    ensure!(is_within(pipeline, 1..=PIPELINE_MAX), "--pipeline must be 1 to 1,000");
    let answer_max = dials.answer_max.unwrap_or(ANSWER_MAX.as_secs_f64());
    let answer_max = within("--answer-max", answer_max, ANSWER_SECONDS_MAX)?;
    let few = arrivals.expected(lasts).map_or(lasts <= KEPT_CLOSED_MAX, |expected| expected <= KEPT_MAX);
    let kept = match scenario {
        Scenario::Status => false,
        // Hours of attempts are for a file.
        Scenario::Soak => dials.keep_attempts,
        _ => few || dials.keep_attempts,
    };
    Ok(Options {
        connections,
        open_first: matches!(arrivals, Arrivals::Burst { .. }),
        threads,
        keep_alive: !dials.no_keep_alive,
        pipeline,
        answer_max: Duration::from_secs_f64(answer_max),
        keep_attempts: kept,
    })
}

#[cfg(test)]
#[path = "scenario_tests.rs"]
mod tests;
