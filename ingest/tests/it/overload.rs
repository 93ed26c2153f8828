//! Refusals for want of room: before the decision, and polite (I13).

use flashsale_core::invariants::overload_is_polite;
use flashsale_ingest::Config;
use flashsale_testkit::wait_until;

use crate::fixture::{Answer, PATIENCE, Shop, buy, unlimited};

fn polite(answer: &Answer) {
    assert_eq!(overload_is_polite(answer.status, answer.headers.contains_key("retry-after")), Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nf_10_one_attempt_a_second_and_a_refused_one_does_not_lengthen_the_wait() {
    let shop = Shop::open().await;
    shop.sale("A", 5, -1_000, 60_000).await;
    let edge = shop.edge(Config { user_interval_ms: 700, ..Config::default() }).await;
    let began = std::time::Instant::now();
    assert_eq!(buy(&edge, "u", None, "A").await.status, 200);
    let limited = buy(&edge, "u", None, "A").await;
    assert_eq!((limited.status, limited.code()), (429, "RATE_LIMITED"));
    assert_eq!(
        (limited.body["error"]["retryAfter"].as_u64(), &limited.headers["retry-after"]),
        (Some(1), &"1".parse().unwrap())
    );
    assert_eq!(buy(&edge, "v", None, "A").await.status, 200, "others are not affected");
    // Trying all the time: let in as soon as the interval is over.
    wait_until(PATIENCE, "the limit to let in", async || {
        buy(&edge, "u", None, "A").await.code() == "ALREADY_PURCHASED"
    })
    .await;
    assert!(began.elapsed().as_secs() < 10, "trying lengthened the wait to {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn nf_5_beyond_the_budget_attempts_are_refused_undecided() {
    let shop = Shop::open().await;
    let sale = shop.sale("A", 50, -1_000, 60_000).await;
    let config = Config { in_flight_max: 3, confirm_timeout_ms: 2_000, ..unlimited() };
    let edge = shop.edge_writing_to(config, shop.deaf_ledger().await).await;
    let tries: Vec<_> = (0..20)
        .map(|n| {
            let edge = edge.clone();
            tokio::spawn(async move { buy(&edge, &format!("u{n}"), None, "A").await })
        })
        .collect();
    let mut by_status = std::collections::BTreeMap::new();
    for answer in tries {
        let answer = answer.await.unwrap();
        polite(&answer);
        *by_status.entry(answer.status).or_insert(0) += 1;
    }
    assert_eq!(by_status, [(202, 3), (503, 17)].into());
    assert_eq!(shop.hot.snapshot(&sale.sku).await.unwrap().unwrap().sequence, 3, "the refused were not decided");
}

#[tokio::test(flavor = "multi_thread")]
async fn nf_5_fewer_are_let_in_while_decisions_are_late() {
    let shop = Shop::open().await;
    shop.sale("A", 1_000_000, -1_000, 60_000).await;
    // No decision takes no time at all: every one is late.
    let config = Config { latency_target_ms: 0, in_flight_min: 2, in_flight_max: 1_000, ..Config::default() };
    let edge = shop.edge(config).await;
    let mut round = 0;
    let mut refused = Vec::new();
    wait_until(PATIENCE, "the budget to be down to a few", async || {
        round += 1;
        let tries: Vec<_> = (0..100)
            .map(|n| {
                let (edge, user) = (edge.clone(), format!("u{round}-{n}"));
                tokio::spawn(async move { buy(&edge, &user, None, "A").await })
            })
            .collect();
        refused.clear();
        for answer in tries {
            let answer = answer.await.unwrap();
            polite(&answer);
            match (answer.status, answer.code()) {
                (200 | 202, "") => {}
                (503, "SERVICE_UNAVAILABLE") => refused.push(answer),
                (status, code) => panic!("{status} {code}"),
            }
        }
        if refused.len() > 50 { Ok(()) } else { Err(format!("{} of 100 refused", refused.len())) }
    })
    .await;
    let seconds = |answer: &Answer| answer.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap();
    let waits: std::collections::BTreeSet<u64> = refused.iter().map(seconds).collect();
    assert!(waits.len() > 1 && waits.iter().all(|wait| (1..=5).contains(wait)), "not all in one moment: {waits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nf_5_who_is_refused_for_want_of_room_keeps_the_turn() {
    let shop = Shop::open().await;
    shop.sale("A", 50, -1_000, 60_000).await;
    let config =
        Config { in_flight_max: 1, confirm_timeout_ms: 1_000, user_interval_ms: 3_600_000, ..Config::default() };
    let edge = shop.edge_writing_to(config, shop.deaf_ledger().await).await;
    // In one task: the first waits for the log before the second is looked at.
    let (first, second) = tokio::join!(buy(&edge, "first", None, "A"), buy(&edge, "second", None, "A"));
    assert_eq!((first.status, second.status), (202, 503));
    wait_until(PATIENCE, "the one who was refused to get in", async || {
        let answer = buy(&edge, "second", None, "A").await;
        assert_ne!(answer.status, 429, "a try that was refused for want of room is none");
        answer.status == 202
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nf_10_more_users_than_the_limit_remembers_lock_nobody_out() {
    let shop = Shop::open().await;
    shop.sale("A", 5, -1_000, 60_000).await;
    let edge = shop.edge(Config { user_interval_ms: 3_600_000, users_max: 20, ..Config::default() }).await;
    for n in 0..200 {
        let answer = buy(&edge, &format!("u{n}"), None, "A").await;
        assert_eq!(answer.status, 200, "{n}: {}", answer.body);
    }
    assert_eq!(buy(&edge, "u199", None, "A").await.status, 429, "the last ones are remembered");
}

#[tokio::test(flavor = "multi_thread")]
async fn f_6_a_sale_that_redis_lost_is_unavailable_not_over() {
    let shop = Shop::open().await;
    let sale = shop.sale("A", 5, -1_000, 60_000).await;
    let edge = shop.edge(unlimited()).await;
    assert_eq!(buy(&edge, "u", None, "A").await.status, 200);
    shop.hot.delete(&sale.sku, &sale.sale_id).await.unwrap();
    let lost = buy(&edge, "v", None, "A").await;
    assert_eq!((lost.status, lost.code()), (503, "SERVICE_UNAVAILABLE"));
    polite(&lost);
}
