//! How throughput and latency move with one dial at a time, everything else held, all on this machine.
//!
//! The dials: ingests beside `flashsale up`, partitions of the decisions, sales at once, buyers that a sale has
//! already, and the length of user ids. Each point stands beside the first of its dial. `BENCH_SECONDS` says for how
//! long a point is loaded. Exit code 1: a decision costs Redis more with many buyers recorded or with many sales open,
//! or the stores do not agree afterwards.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints its figures")]

#[path = "scale/decisions.rs"]
mod decisions;
mod installation;

use std::{
    net::SocketAddr,
    path::Path,
    process::ExitCode,
    thread::sleep,
    time::{Duration, Instant},
};

use flashsale_core::Sku;
use flashsale_ledger::{Ledger, settings_of};
use flashsale_loadtest::{
    arrivals::Arrivals,
    recorder::{Recording, Route},
};
use flashsale_localstack::{Config, Kind, Stack};
use flashsale_lua::{ATTEMPTS_MAX, HotState};
use flashsale_schemas::Topic;
use flashsale_streaming::{Admin, TopicSpec};
use flashsale_testkit::figures::{Figure, Figures};
use installation::{
    SYNCED, Up, all_proven, buyers, client, create_sale,
    edge::Edge,
    from_environment,
    load::{Load, SOLD, milliseconds, told},
    start, until_selling,
};
use tokio::runtime::Runtime;

/// As in the server, so that the generator is not slower than it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// More than anybody buys here.
const STOCK: u64 = 50_000_000;
const CONNECTIONS: usize = 128;
const POINT_SECONDS: u64 = 6;
/// The time of a point comes in so many parts.
const ROUNDS: u32 = 3;
const WARM_UP: Duration = Duration::from_secs(3);
/// How long all rows and counts may take to be in Postgres.
const PATIENCE: Duration = Duration::from_secs(300);
/// Six digits, for more attempts than a round has.
const FIRST_SHOPPER: u64 = 100_000;
/// What a user id has besides filling: a letter, a hyphen and six digits.
const USER_CHARS_MIN: usize = 8;
/// As long as a UUID.
const USER_CHARS: usize = 36;

/// What is turned.
struct Dial {
    id: &'static str,
    name: &'static str,
    values: &'static [usize],
}

const INGESTS: Dial = Dial { id: "ingests", name: "ingests", values: &[1, 2, 4] };
const PARTITIONS: Dial = Dial { id: "partitions", name: "partitions of the decisions", values: &[1, 3, 6, 12] };
const SALES: Dial = Dial { id: "sales", name: "sales at once", values: &[1, 8, 64] };
const BUYERS: Dial = Dial { id: "buyers", name: "buyers recorded", values: &[1_000, 100_000, 1_000_000] };
const USERS: Dial = Dial { id: "users", name: "characters of a user id", values: &[USER_CHARS_MIN, 64, 255] };

impl Dial {
    fn most(&self) -> usize {
        self.values.iter().copied().max().unwrap_or_default()
    }

    /// What was measured at a point, beside the first.
    fn figure(&self, point: usize, id: &str, what: &str, unit: &'static str, measured: &[Vec<f64>]) -> Figure {
        let value = self.values[point];
        let name = format!("{}: {}; {what}", self.name, grouped(value));
        let figure = Figure::new(format!("scale-{}-{value}-{id}", self.id), name, unit, measured[point].clone());
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

/// Where the load of a point goes.
struct Point {
    servers: Vec<SocketAddr>,
    skus: Vec<String>,
    user_chars: usize,
}

/// What came of a point over all rounds.
#[derive(Default)]
struct Measured {
    sold: u64,
    seconds: f64,
    recording: Recording,
}

/// An installation with sales that go on; stopped when dropped.
struct Shop {
    up: Up,
    folder: tempfile::TempDir,
    skus: Vec<String>,
}

impl Shop {
    /// With so many sales, warm. `partitions`: of the decisions, if not as many as `up` makes.
    fn open(runtime: &Runtime, sales: usize, partitions: Option<usize>) -> Self {
        let folder = tempfile::Builder::new().prefix("flashsale-bench-").tempdir().unwrap();
        if let Some(partitions) = partitions {
            partition(runtime, folder.path(), partitions);
        }
        let up = start(folder.path());
        let skus: Vec<String> = (0..sales).map(|number| format!("SCALE-{number}")).collect();
        runtime.block_on(async {
            let http = client();
            for sku in &skus {
                create_sale(&http, &up.url, &up.database, sku, STOCK).await;
            }
            for sku in &skus {
                until_selling(&http, &up.url, sku).await;
            }
        });
        let shop = Self { up, folder, skus };
        shop.sell(&shop.point(), "warm", WARM_UP);
        shop
    }

    /// Its own ingest and its first sale.
    fn point(&self) -> Point {
        Point { servers: vec![self.up.server()], skus: vec![self.skus[0].clone()], user_chars: USER_CHARS }
    }

    /// Where a server of its own answers.
    fn url(&self, kind: Kind) -> String {
        let servers = flashsale_localstack::running(self.folder.path()).unwrap();
        servers.into_iter().find(|(known, _)| *known == kind).unwrap().1
    }

    /// All points in turns, so that a noisy machine is noisy for each.
    fn rounds(&self, points: &[Point], lasts: Duration) -> Vec<Measured> {
        let mut measured: Vec<Measured> = points.iter().map(|_| Measured::default()).collect();
        let mut letters = 'a'..='z';
        for _ in 0..ROUNDS {
            for (point, measured) in points.iter().zip(&mut measured) {
                let letter = letters.next().unwrap();
                let prefix = format!("{letter}{}", "x".repeat(point.user_chars - USER_CHARS_MIN));
                let (sold, recording) = self.sell(point, &prefix, lasts);
                measured.sold += sold;
                measured.seconds += recording.took.as_secs_f64();
                measured.recording.merge(recording);
            }
        }
        measured
    }

    /// As fast as answers come; returns when all is in Postgres, so that it is no burden to what comes next.
    fn sell(&self, point: &Point, prefix: &str, lasts: Duration) -> (u64, Recording) {
        let known = self.counted();
        let load = Load::purchases(point.servers[0], &point.skus[0], CONNECTIONS);
        let load = Load { first_shopper: FIRST_SHOPPER, ..load };
        let recording = load.spread(&point.servers, &point.skus, prefix, Arrivals::Closed, lasts);
        let sold = told(&recording, Route::Purchase, &SOLD);
        self.until_counted(known + sold);
        (sold, recording)
    }

    /// Decisions that are in Postgres.
    fn counted(&self) -> u64 {
        let sql = "select coalesce(sum(count), 0)::bigint from decision_counts";
        flashsale_localstack::psql(&self.up.database, sql).unwrap().trim().parse().unwrap()
    }

    fn until_counted(&self, count: u64) {
        let began = Instant::now();
        while self.counted() < count {
            assert!(began.elapsed() < PATIENCE, "{} of {count} decisions are in Postgres", self.counted());
            sleep(Duration::from_millis(200));
        }
    }

    /// Adds what the points of a dial came to; returns whether everything holds afterwards.
    fn turn(&self, dial: &Dial, points: &[Point], figures: &mut Figures, lasts: Duration) -> bool {
        show(figures, dial, &self.rounds(points, lasts));
        all_proven(self.folder.path())
    }
}

fn show(figures: &mut Figures, dial: &Dial, measured: &[Measured]) {
    let rates: Vec<Vec<f64>> = measured.iter().map(|one| vec![one.sold as f64 / one.seconds]).collect();
    let waited = |one: &Measured| {
        let times = &one.recording.tally(Route::Purchase).unwrap().since_sent;
        milliseconds([0.5, 0.99], |quantile| times.value_at_quantile(quantile)).to_vec()
    };
    let waits: Vec<Vec<f64>> = measured.iter().map(waited).collect();
    for point in 0..measured.len() {
        figures.add(dial.figure(point, "accepted", "accepted over HTTP", "/s", &rates));
        figures.add(dial.figure(point, "ms", "answered over HTTP, p50 / p99", "ms", &waits));
    }
}

/// Gives an installation that is to be a topic of decisions with so many partitions: `up` leaves it as it is.
fn partition(runtime: &Runtime, folder: &Path, partitions: usize) {
    let stack = Stack::start(&Config::new(folder), &[Kind::Kafka], &|_| ()).unwrap();
    let log = flashsale_streaming::Config::new(stack.url(Kind::Kafka).unwrap(), "bench");
    let topic = Topic::PurchaseDecisions;
    let spec = TopicSpec {
        name: topic.name().to_owned(),
        partitions: i32::try_from(partitions).unwrap(),
        replication: 1,
        settings: settings_of(topic),
    };
    let created = runtime.block_on(async { Admin::new(&log).unwrap().create_missing(&[spec]).await.unwrap() });
    assert_eq!(created, [topic.name()]);
    stack.stop();
}

/// Ingests beside the one of `up`, which is idle. All run all the time; what is turned is how many are loaded.
fn ingests(runtime: &Runtime, figures: &mut Figures, lasts: Duration) -> bool {
    let shop = Shop::open(runtime, 1, None);
    let edges: Vec<Edge> = (0..INGESTS.most()).map(|_| Edge::start(shop.folder.path())).collect();
    runtime.block_on(async {
        let http = client();
        for edge in &edges {
            until_selling(&http, &format!("http://{}", edge.server), &shop.skus[0]).await;
        }
    });
    let servers: Vec<SocketAddr> = edges.iter().map(|edge| edge.server).collect();
    let point = |count: &usize| Point { servers: servers[..*count].to_vec(), ..shop.point() };
    let points: Vec<Point> = INGESTS.values.iter().map(point).collect();
    shop.turn(&INGESTS, &points, figures, lasts)
}

/// An installation for each number of them: a topic that loses partitions is a new one.
fn partitions(runtime: &Runtime, figures: &mut Figures, lasts: Duration) -> bool {
    let (mut measured, mut is_proven) = (Vec::new(), true);
    for count in PARTITIONS.values {
        let shop = Shop::open(runtime, 1, Some(*count));
        let log = flashsale_streaming::Config::new(shop.url(Kind::Kafka), "bench");
        let name = Topic::PurchaseDecisions.name();
        let topics = runtime.block_on(flashsale_streaming::topics(&log, Some(name))).unwrap();
        assert_eq!(topics[0].partitions.len(), *count, "{name}");
        measured.extend(shop.rounds(&[shop.point()], lasts));
        is_proven &= all_proven(shop.folder.path());
    }
    show(figures, &PARTITIONS, &measured);
    is_proven
}

/// All are open all the time; what is turned is over how many the attempts are spread.
fn sales(runtime: &Runtime, figures: &mut Figures, lasts: Duration) -> bool {
    let shop = Shop::open(runtime, SALES.most(), None);
    let point = |count: &usize| Point { skus: shop.skus[..*count].to_vec(), ..shop.point() };
    let points: Vec<Point> = SALES.values.iter().map(point).collect();
    shop.turn(&SALES, &points, figures, lasts)
}

/// Sales with buyers in Redis, in the log and in Postgres, and what is measured on top.
fn buyers_recorded(runtime: &Runtime, figures: &mut Figures, lasts: Duration) -> bool {
    // The first one is for the warming up.
    let shop = Shop::open(runtime, 1 + BUYERS.values.len(), None);
    let known = shop.counted();
    let skus = &shop.skus[1..];
    runtime.block_on(async {
        let log = flashsale_ledger::Config::new(shop.url(Kind::Kafka), "bench");
        let ledger = Ledger::open(log).await.unwrap();
        let hot = HotState::connect(&flashsale_lua::Config::new(shop.url(Kind::Redis))).await.unwrap();
        for (sku, count) in skus.iter().zip(BUYERS.values) {
            let sku = Sku::new(sku).unwrap();
            let sale = hot.snapshot(&sku).await.unwrap().unwrap().sale_id;
            buyers::sell(&hot, &ledger, &sku, &sale, *count).await;
        }
    });
    shop.until_counted(known + BUYERS.values.iter().sum::<usize>() as u64);
    let points: Vec<Point> = skus.iter().map(|sku| Point { skus: vec![sku.clone()], ..shop.point() }).collect();
    shop.turn(&BUYERS, &points, figures, lasts)
}

fn user_ids(runtime: &Runtime, figures: &mut Figures, lasts: Duration) -> bool {
    let shop = Shop::open(runtime, 1, None);
    let points: Vec<Point> = USERS.values.iter().map(|chars| Point { user_chars: *chars, ..shop.point() }).collect();
    shop.turn(&USERS, &points, figures, lasts)
}

fn main() -> ExitCode {
    flashsale_platform::open_files::raise_limit();
    let lasts = Duration::from_secs(from_environment("BENCH_SECONDS", POINT_SECONDS)) / ROUNDS;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let settings = format!(
        "one dial at a time, each point beside the first of its dial. Over HTTP: `flashsale up`, load and servers on \
         one machine; {SYNCED}; {CONNECTIONS} connections, the next attempt when an answer is there, {ROUNDS} rounds \
         of {:.1} s, in turns but for the partitions. The decision: batches of {ATTEMPTS_MAX}, one call after the \
         other, on a Redis with nothing else to do; medians",
        lasts.as_secs_f64()
    );
    let mut figures = Figures::new("scale", env!("CARGO_TARGET_TMPDIR"), &settings);
    let mut is_flat = runtime.block_on(decisions::by_buyers(&mut figures));
    is_flat &= runtime.block_on(decisions::by_sales(&mut figures));
    let mut is_proven = true;
    for dial in [ingests, partitions, sales, buyers_recorded, user_ids] {
        is_proven &= dial(&runtime, &mut figures, lasts);
    }
    figures.write().unwrap();
    if !is_flat {
        println!("a decision costs Redis more with many buyers recorded, or with many sales open");
    }
    if is_flat && is_proven { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
