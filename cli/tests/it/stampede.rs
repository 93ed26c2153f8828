//! T-7 to T-10 through HTTP, with every service a process of its own. The three stores are read
//! independently and compared one by one.

use axum::http::Method;
use flashsale_core::{SaleId, Sku, invariants};
use flashsale_testkit::wait_until;

use crate::{
    http::Http,
    process::{Installation, PATIENCE, Service},
};

async fn stores_agree(shop: &Installation, sku: &Sku, sale: &SaleId, stock: u64, told: &mut [(String, String)]) {
    wait_until(PATIENCE, "the rows in Postgres", async || {
        shop.store.purchases(sale).await.unwrap().len() == told.len()
    })
    .await;
    wait_until(PATIENCE, "the log", async || shop.sold_by_log(sale).len() == told.len()).await;
    let (rows, log) = (shop.store.purchases(sale).await.unwrap(), shop.sold_by_log(sale));
    assert_eq!(rows, log, "Postgres and log agree on user, request, sequence and time");
    for check in [
        invariants::no_oversell(stock, &log),
        invariants::one_unit_per_user(&log),
        invariants::dense_sequence(&log),
        invariants::nothing_lost(&log, &rows),
        invariants::nothing_invented(&rows, &log),
    ] {
        assert_eq!(check, Ok(()));
    }
    let mut logged: Vec<(String, String)> =
        log.iter().map(|unit| (unit.user.to_string(), unit.receipt.number())).collect();
    logged.sort();
    told.sort();
    assert_eq!(told, logged, "PR-8: what shoppers were told");
    for unit in &log {
        let held = shop.hot.receipt(sku, &unit.user).await.unwrap();
        assert_eq!(held.as_ref(), Some(&unit.receipt), "Redis agrees");
        let stored = shop.store.receipt(sku, &unit.user).await.unwrap();
        assert_eq!(stored.as_ref(), Some(&unit.receipt), "the receipt from Postgres is the same");
    }
    let snapshot = shop.hot.snapshot(sku).await.unwrap().unwrap();
    assert_eq!(snapshot.buyers, log.len() as u64);
    assert_eq!(invariants::stock_conserved(stock, snapshot.stock, snapshot.buyers), Ok(()));
}

async fn parts(shop: &Installation) -> (Vec<Service>, Service) {
    let api = shop.start(&["api"]).await;
    // A debug build beside other tests takes longer for the first hundreds than a stampede of a thousand has time for.
    let patient = [("FLASHSALE_INGEST__LATENCY_TARGET_MS", "5000")];
    let edges = vec![shop.start_with(&["ingest"], &patient).await, shop.start_with(&["ingest"], &patient).await];
    (edges, api)
}

#[tokio::test(flavor = "multi_thread")]
async fn t_7_nf_1_a_thousand_shoppers_for_a_hundred_units_five_runs() {
    let shop = Installation::new().await;
    let _processor = shop.start(&["processor"]).await;
    let _sink = shop.start(&["sink", "postgres"]).await;
    let (edges, api) = parts(&shop).await;
    for run in 0..5 {
        let name = format!("RUN-{run}");
        let (sku, sale) = shop.sale(&api, &name, 100, 1_500).await;
        shop.until_start(&edges, &sku).await;
        let tries: Vec<_> = (0..1_000)
            .map(|n| {
                let (http, url, name) = (shop.http.clone(), edges[n % 2].url.clone(), name.clone());
                tokio::spawn(async move { (n, http.buy(&url, &format!("{name}-user-{n}"), None, &name).await) })
            })
            .collect();
        let (mut told, mut sold_out) = (Vec::new(), 0);
        for answer in tries {
            let (n, answer) = answer.await.unwrap();
            let answer = answer.expect("no connection fails");
            match (answer.status, answer.code()) {
                (200 | 202, "") => told.push((format!("{name}-user-{n}"), answer.purchase_no().to_owned())),
                (200, "SOLD_OUT") => sold_out += 1,
                _ => panic!("{} {}", answer.status, answer.body),
            }
        }
        assert_eq!((told.len(), sold_out), (100, 900), "run {run}");
        stores_agree(&shop, &sku, &sale, 100, &mut told).await;
        wait_until(PATIENCE, "every refusal in the log", async || shop.decided(&format!("{name}-user-")) == 1_000)
            .await;
        let status = shop.http.get(&format!("{}/api/v1/sales?sku={name}", api.url)).await.unwrap();
        assert_eq!(status.body["data"]["state"], "ENDED");
        assert_eq!((&status.body["data"]["stock"], &status.body["data"]["endReason"]), (&0.into(), &"SOLD_OUT".into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t_8_pr_5_pr_6_ten_users_a_hundred_attempts_each_over_two_ingest_processes() {
    let shop = Installation::new().await;
    let _processor = shop.start(&["processor"]).await;
    let _sink = shop.start(&["sink", "postgres"]).await;
    let (edges, api) = parts(&shop).await;
    let (sku, sale) = shop.sale(&api, "DUP", 500, 1_500).await;
    shop.until_start(&edges, &sku).await;
    let tries: Vec<_> = (0..1_000)
        .map(|n| {
            let (http, url) = (shop.http.clone(), edges[n % 2].url.clone());
            tokio::spawn(async move { (n % 10, http.buy(&url, &format!("user-{}", n % 10), None, "DUP").await) })
        })
        .collect();
    let mut told = Vec::new();
    for answer in tries {
        let (user, answer) = answer.await.unwrap();
        let answer = answer.expect("no connection fails");
        match (answer.status, answer.code()) {
            (200 | 202, "") => told.push((format!("user-{user}"), answer.purchase_no().to_owned())),
            (200, "ALREADY_PURCHASED") => {}
            (429, "RATE_LIMITED") => assert!(answer.headers.contains_key("retry-after")),
            _ => panic!("{} {}", answer.status, answer.body),
        }
    }
    assert_eq!(told.len(), 10);
    stores_agree(&shop, &sku, &sale, 500, &mut told).await;
}

/// Asks for the status until the sale is over; returns every stock that it was told.
async fn watch(http: Http, url: String) -> Vec<u64> {
    let mut stocks = Vec::new();
    loop {
        let status = http.get(&url).await.expect("no connection fails");
        assert_eq!(status.status, 200, "{}", status.body);
        stocks.push(status.body["data"]["stock"].as_u64().unwrap());
        if status.body["data"]["state"] == "ENDED" {
            return stocks;
        }
    }
}

/// Tries, tries again at once, and looks the receipt up; returns its number, if there is one.
async fn shop_around(http: Http, edge: String, api: String, user: String, sku: String) -> Option<String> {
    let first = http.buy(&edge, &user, None, &sku).await.expect("no connection fails");
    let again = http.buy(&edge, &user, None, &sku).await.expect("no connection fails");
    let receipt = format!("{api}/api/v1/purchases?sku={sku}");
    let held = http.send(Method::GET, &receipt, &[("x-user-id", user.as_str())], None).await;
    let held = held.expect("no connection fails");
    let (known, number) = match (first.status, first.code()) {
        (200 | 202, "") => ("ALREADY_PURCHASED", Some(first.purchase_no().to_owned())),
        (200, "SOLD_OUT") => ("SOLD_OUT", None),
        _ => panic!("{} {}", first.status, first.body),
    };
    assert!([known, "RATE_LIMITED", "SERVICE_UNAVAILABLE"].contains(&again.code()), "{}", again.body);
    let shown = (held.status, held.purchase_no());
    assert_eq!(shown, number.as_deref().map_or((404, ""), |number| (200, number)), "a winner sees the unit at once");
    number
}

#[tokio::test(flavor = "multi_thread")]
async fn t_9_t_10_watchers_buyers_and_receipts_at_once_five_runs() {
    let shop = Installation::new().await;
    let _processor = shop.start(&["processor"]).await;
    let _sink = shop.start(&["sink", "postgres"]).await;
    let (edges, api) = parts(&shop).await;
    for run in 0..5 {
        let name = format!("MIX-{run}");
        let (sku, sale) = shop.sale(&api, &name, 100, 1_500).await;
        shop.until_start(&edges, &sku).await;
        let status = format!("{}/api/v1/sales?sku={name}", api.url);
        let watchers: Vec<_> = (0..5).map(|_| tokio::spawn(watch(shop.http.clone(), status.clone()))).collect();
        let shoppers: Vec<_> = (0..200)
            .map(|n| {
                let (http, edge, api) = (shop.http.clone(), edges[n % 2].url.clone(), api.url.clone());
                tokio::spawn(shop_around(http, edge, api, format!("{name}-user-{n}"), name.clone()))
            })
            .collect();
        let mut told = Vec::new();
        for (n, shopper) in shoppers.into_iter().enumerate() {
            told.extend(shopper.await.unwrap().map(|number| (format!("{name}-user-{n}"), number)));
        }
        assert_eq!(told.len(), 100, "run {run}");
        for watcher in watchers {
            let stocks = tokio::time::timeout(PATIENCE, watcher).await.expect("each sees the end").unwrap();
            assert_eq!(invariants::stock_never_rises(&stocks), Ok(()));
            assert_eq!(stocks.last(), Some(&0));
        }
        stores_agree(&shop, &sku, &sale, 100, &mut told).await;
    }
}
