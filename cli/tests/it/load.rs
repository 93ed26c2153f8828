//! The load tool against the real services: what it proves, and that it proves nothing that is not so.

use flashsale_loadtest::{
    engine::{self, Live, Target},
    recorder::{Attempt, Outcome, Recording, Route, ToldReceipt},
    scenario::{Dials, Plan, Scenario},
    verdict::{self, Stores, Verdict},
};

use crate::process::{Installation, PATIENCE, Service};

const UNITS: u64 = 100;
/// A debug build beside other tests is slow, and who tries again and again is to be answered here.
const PATIENT: [(&str, &str); 4] = [
    ("FLASHSALE_INGEST__LATENCY_TARGET_MS", "5000"),
    ("FLASHSALE_INGEST__DECIDE_TIMEOUT_MS", "30000"),
    ("FLASHSALE_INGEST__CONFIRM_TIMEOUT_MS", "30000"),
    ("FLASHSALE_INGEST__USER_INTERVAL_MS", "0"),
];
/// Seconds that an answer may take.
const ANSWER_MAX: f64 = 60.0;
/// Milliseconds until the start: time for every edge to hear of the sale.
const STARTS_IN: i64 = 4_000;

/// Plays a plan against the edges.
fn play(plan: &Plan, edges: &[Service], sku: &str) -> Recording {
    let target = Target {
        servers: edges.iter().map(Service::address).collect(),
        host: edges[0].address().to_string(),
        skus: vec![sku.to_owned()],
        prefix: prefix(sku),
        headers: Vec::new(),
    };
    let request = |n: u64| plan.request(n);
    tokio::task::block_in_place(|| {
        engine::run(&target, &plan.options, plan.arrivals, plan.lasts, 1, &request, &Live::default()).unwrap()
    })
}

/// What the names of the shoppers of a sale begin with.
fn prefix(sku: &str) -> String {
    format!("load-{}", sku.to_lowercase())
}

async fn judged(shop: &Installation, sku: &str, recording: &Recording) -> Verdict {
    let stores = Stores { ledger: shop.ledger.clone(), hot: shop.hot.clone(), store: shop.store.clone() };
    verdict::reach(&stores, &[sku.to_owned()], UNITS, recording, &prefix(sku), PATIENCE).await.unwrap()
}

/// The ids of what does not hold of a recording in which `change` was made.
async fn broken(
    shop: &Installation,
    sku: &str,
    recording: &Recording,
    change: impl FnOnce(&mut Vec<Attempt>),
) -> Vec<&'static str> {
    let mut forged = recording.clone();
    change(&mut forged.attempts);
    let verdict = judged(shop, sku, &forged).await;
    assert_eq!(verdict.proven, verdict.broken().is_empty(), "{:?}", verdict.checks);
    verdict.broken()
}

fn count(recording: &Recording, outcome: Outcome) -> u64 {
    let tally = recording.tally(Route::Purchase).unwrap();
    tally.counts.get(&outcome).copied().unwrap_or(0)
}

/// Where the first attempt with this outcome stands.
fn first(attempts: &[Attempt], outcome: Outcome) -> usize {
    attempts.iter().position(|attempt| attempt.outcome == outcome).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nf_1_what_clients_saw_of_a_stampede_is_proven_and_a_forgery_is_not() {
    let shop = Installation::new().await;
    let _processor = shop.start(&["processor"]).await;
    let _sink = shop.start(&["sink", "postgres"]).await;
    let api = shop.start(&["api"]).await;
    let edges = [shop.start_with(&["ingest"], &PATIENT).await, shop.start_with(&["ingest"], &PATIENT).await];

    let dials = Dials { buyers: Some(1_000), units: Some(UNITS), answer_max: Some(ANSWER_MAX), ..Dials::default() };
    let plan = Plan::of(Scenario::Stampede, &dials).unwrap();
    let (sku, _) = shop.sale(&api, "STAMPEDE", UNITS, STARTS_IN).await;
    shop.until_start(&edges, &sku).await;
    let recording = play(&plan, &edges, "STAMPEDE");
    let sold = count(&recording, Outcome::Purchased) + count(&recording, Outcome::Pending);
    let tally = recording.tally(Route::Purchase).unwrap();
    assert_eq!(
        (sold, count(&recording, Outcome::SoldOut)),
        (UNITS, 900),
        "{:?} {:?}",
        tally.counts,
        recording.failures
    );
    let verdict = judged(&shop, "STAMPEDE", &recording).await;
    assert!(verdict.proven, "{:?}", verdict.checks);
    assert_eq!(verdict.told, UNITS);
    for store in [verdict.redis, verdict.log, verdict.postgres] {
        assert_eq!(store.map(|store| (store.sold, store.of)), Some((UNITS, UNITS)));
    }

    // One receipt is another.
    let changed = broken(&shop, "STAMPEDE", &recording, |attempts| {
        let winner = first(attempts, Outcome::Purchased);
        let number = attempts[winner].receipt.as_ref().unwrap().number.clone();
        attempts[winner].receipt = Some(ToldReceipt { number, at: "2001-01-01T00:00:00.000Z".into() });
    });
    let changed = changed.await;
    assert!(changed.contains(&"I4"), "{changed:?}");
    // A shopper who went away with nothing says to have bought.
    let invented = broken(&shop, "STAMPEDE", &recording, |attempts| {
        let (winner, loser) = (first(attempts, Outcome::Purchased), first(attempts, Outcome::SoldOut));
        attempts[loser].outcome = Outcome::Purchased;
        attempts[loser].receipt = attempts[winner].receipt.clone();
    });
    let invented = invented.await;
    assert!(invented.contains(&"I4") && invented.contains(&"I9"), "{invented:?}");
    // A key is answered again, with something else.
    let repeated = broken(&shop, "STAMPEDE", &recording, |attempts| {
        let winner = attempts[first(attempts, Outcome::Purchased)].clone();
        let other = attempts.iter().rfind(|attempt| attempt.outcome == Outcome::Purchased).unwrap();
        let receipt = other.receipt.clone();
        attempts.push(Attempt { receipt, ..winner });
    });
    let repeated = repeated.await;
    assert!(repeated.contains(&"I4") && repeated.contains(&"I8"), "{repeated:?}");
    // A refusal that does not say when to come back, and one of what was for sale.
    let refused = broken(&shop, "STAMPEDE", &recording, |attempts| {
        let (winner, loser) = (first(attempts, Outcome::Purchased), first(attempts, Outcome::SoldOut));
        (attempts[loser].outcome, attempts[loser].polite) = (Outcome::Unavailable, false);
        let winner = attempts[winner].clone();
        attempts.push(Attempt { key: 0, outcome: Outcome::SoldOut, receipt: None, ..winner });
    });
    assert_eq!(refused.await, ["I6", "I13"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn t_8_ten_shoppers_who_try_again_and_again_are_proven_to_have_one_receipt_each() {
    let shop = Installation::new().await;
    let _processor = shop.start(&["processor"]).await;
    let _sink = shop.start(&["sink", "postgres"]).await;
    let api = shop.start(&["api"]).await;
    let edges = [shop.start_with(&["ingest"], &PATIENT).await, shop.start_with(&["ingest"], &PATIENT).await];

    let dials = Dials { units: Some(UNITS), answer_max: Some(ANSWER_MAX), ..Dials::default() };
    let plan = Plan::of(Scenario::Duplicates, &dials).unwrap();
    let (sku, _) = shop.sale(&api, "DUPLICATES", UNITS, STARTS_IN).await;
    shop.until_start(&edges, &sku).await;
    let recording = play(&plan, &edges, "DUPLICATES");
    let tally = recording.tally(Route::Purchase).unwrap();
    assert_eq!(tally.total(), 1_000);
    assert!(count(&recording, Outcome::AlreadyPurchased) >= 500, "{:?} {:?}", tally.counts, recording.failures);
    let verdict = judged(&shop, "DUPLICATES", &recording).await;
    assert!(verdict.proven, "{:?}", verdict.checks);
    assert_eq!(verdict.log.map(|log| (log.sold, log.of)), Some((10, UNITS)));
    // Another key of a shopper is answered as if it had bought, too.
    let twice = broken(&shop, "DUPLICATES", &recording, |attempts| {
        let told = first(attempts, Outcome::AlreadyPurchased);
        attempts[told].outcome = Outcome::Purchased;
    });
    assert!(twice.await.contains(&"I2"));
}
