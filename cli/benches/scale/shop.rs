//! An installation whose load is turned.

use std::{
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use flashsale_ledger::settings_of;
use flashsale_loadtest::{arrivals::Arrivals, recorder::Route};
use flashsale_localstack::{Config, Kind, Stack};
use flashsale_schemas::Topic;
use flashsale_streaming::{Admin, TopicSpec};
use flashsale_testkit::figures::Figures;
use tokio::runtime::Runtime;

use crate::{
    dial::{Dial, USER_CHARS_MIN},
    installation::{
        Up, all_proven, client, create_sale,
        edge::Edge,
        load::{Load, SOLD, told},
        processes::{PARTS, cpu_seconds},
        psql, start, until_selling,
    },
    point::{Measured, Point, Rounds, Turned, show},
};

/// More than anybody buys here.
pub(crate) const STOCK: u64 = 50_000_000;
/// As fast as answers come.
pub(crate) const CONNECTIONS: usize = 128;
/// As many as there may have to be at once when attempts do not wait for answers.
const CONNECTIONS_MAX: usize = 1_000;
/// By schedule, of what the first point takes.
const SCHEDULED: f64 = 0.5;
/// The time of a point comes in so many parts, of each kind.
pub(crate) const ROUNDS: u32 = 3;
const WARM_UP: Duration = Duration::from_secs(3);
/// How long all rows and counts may take to be in Postgres.
const PATIENCE: Duration = Duration::from_secs(300);
/// Six digits, for more attempts than a round has.
const FIRST_SHOPPER: u64 = 100_000;
/// As long as a UUID.
const USER_CHARS: usize = 36;

/// How long a round lasts as fast as answers come, and by schedule, when a point is loaded for so long in all.
pub(crate) fn parts(lasts: Duration) -> [Duration; 2] {
    let scheduled = lasts / ROUNDS / 3;
    [scheduled * 2, scheduled]
}

/// An installation with sales that go on; stopped when dropped.
pub(crate) struct Shop {
    /// Ingests beside the one of `up`; before it, so that they end before their servers.
    pub(crate) edges: Vec<Edge>,
    up: Up,
    folder: tempfile::TempDir,
    pub(crate) skus: Vec<String>,
}

impl Shop {
    /// With so many sales, warm. `partitions`: of the decisions, if not as many as `up` makes.
    pub(crate) fn open(runtime: &Runtime, sales: usize, partitions: Option<usize>) -> Self {
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
        let shop = Self { edges: Vec::new(), up, folder, skus };
        shop.load(&shop.point(), 'W', Arrivals::Closed, WARM_UP);
        shop
    }

    /// Starts so many ingests more, and waits until they sell.
    pub(crate) fn add_edges(&mut self, runtime: &Runtime, count: usize) {
        self.edges = (0..count).map(|_| Edge::start(self.folder.path())).collect();
        runtime.block_on(async {
            let http = client();
            for edge in &self.edges {
                until_selling(&http, &format!("http://{}", edge.server), &self.skus[0]).await;
            }
        });
    }

    /// Its own ingest and its first sale.
    pub(crate) fn point(&self) -> Point {
        Point {
            servers: vec![self.up.server()],
            skus: vec![self.skus[0].clone()],
            user_chars: USER_CHARS,
            key_chars: 0,
        }
    }

    /// Where a server of its own answers.
    pub(crate) fn url(&self, kind: Kind) -> String {
        let servers = flashsale_localstack::running(self.folder.path()).unwrap();
        servers.into_iter().find(|(known, _)| *known == kind).unwrap().1
    }

    /// All points in turns, so that a noisy machine is noisy for each: as fast as answers come, and then by a schedule
    /// that is the same for all. `first`: what the first point of the dial took, if that was elsewhere.
    pub(crate) fn rounds(&self, points: &[Point], lasts: Duration, first: Option<f64>) -> Vec<Measured> {
        let [full, scheduled] = parts(lasts);
        let mut measured: Vec<Measured> = points.iter().map(|_| Measured::default()).collect();
        // Each round has shoppers of its own.
        let mut letters = 'a'..='z';
        for _ in 0..ROUNDS {
            for (point, measured) in points.iter().zip(&mut measured) {
                measured.full.add(self.load(point, letters.next().unwrap(), Arrivals::Closed, full));
            }
        }
        let arrivals = Arrivals::Poisson { rate: SCHEDULED * first.unwrap_or(measured[0].full.rate()) };
        for _ in 0..ROUNDS {
            for (point, measured) in points.iter().zip(&mut measured) {
                measured.scheduled.add(self.load(point, letters.next().unwrap(), arrivals, scheduled));
            }
        }
        measured
    }

    /// Loads a point; returns when all is in Postgres, so that it is no burden to what comes next.
    fn load(&self, point: &Point, letter: char, arrivals: Arrivals, lasts: Duration) -> Rounds {
        let prefix = format!("{letter}{}", "x".repeat(point.user_chars - USER_CHARS_MIN));
        let mut headers = Vec::new();
        if point.key_chars > 0 {
            // The same for all: a key is its shopper's.
            headers.push(("idempotency-key".to_owned(), "k".repeat(point.key_chars)));
        }
        let connections = if arrivals == Arrivals::Closed { CONNECTIONS } else { CONNECTIONS_MAX };
        let load = Load::purchases(point.servers[0], &point.skus[0], connections);
        let load = Load { first_shopper: FIRST_SHOPPER, headers: &headers, ..load };
        let (known, before) = (self.counted(), self.cpu());
        let recording = load.spread(&point.servers, &point.skus, &prefix, arrivals, lasts);
        let (after, generator) = (self.cpu(), recording.client_cpu.as_secs_f64());
        let accepted = told(&recording, Route::Purchase, &SOLD);
        self.until_counted(known + accepted);
        let seconds = |part: usize| if part < PARTS.len() { after[part] - before[part] } else { generator };
        Rounds { accepted, seconds: recording.took.as_secs_f64(), cpu: std::array::from_fn(seconds), recording }
    }

    /// CPU seconds of each of `PARTS` so far, the ingests beside it included.
    fn cpu(&self) -> [f64; PARTS.len()] {
        let mut seconds = cpu_seconds(self.up.pid());
        for edge in &self.edges {
            for (sum, more) in seconds.iter_mut().zip(cpu_seconds(edge.pid())) {
                *sum += more;
            }
        }
        seconds
    }

    /// Decisions that are in Postgres.
    pub(crate) fn counted(&self) -> u64 {
        let sql = "select coalesce(sum(count), 0)::bigint from decision_counts";
        psql(&self.up.database, sql).trim().parse().unwrap()
    }

    pub(crate) fn until_counted(&self, count: u64) {
        let began = Instant::now();
        while self.counted() < count {
            assert!(began.elapsed() < PATIENCE, "{} of {count} decisions are in Postgres", self.counted());
            sleep(Duration::from_millis(200));
        }
    }

    /// Adds what the points of a dial came to, and proves all of it.
    pub(crate) fn turn(&self, dial: &Dial, points: &[Point], figures: &mut Figures, lasts: Duration) -> Turned {
        let weakest = show(figures, dial, &self.rounds(points, lasts, None));
        Turned { weakest, is_flat: true, is_proven: self.is_proven() }
    }

    pub(crate) fn is_proven(&self) -> bool {
        all_proven(self.folder.path())
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
