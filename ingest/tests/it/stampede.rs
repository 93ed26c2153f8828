//! T-7, T-8: everybody at once.

use flashsale_core::invariants::{self, Sold};

use crate::fixture::{Shop, buy, unlimited};

#[tokio::test(flavor = "multi_thread")]
async fn t_7_a_thousand_shoppers_and_a_hundred_units_five_times() {
    let shop = Shop::open().await;
    for run in 0..5 {
        let sku = format!("RUN-{run}");
        let sale = shop.sale(&sku, 100, -1_000, 60_000).await;
        let edge = shop.edge(unlimited()).await;
        let tries: Vec<_> = (0..1_000)
            .map(|n| {
                let (edge, sku) = (edge.clone(), sku.clone());
                tokio::spawn(async move { (n, buy(&edge, &format!("u{n}"), Some(&format!("k{n}")), &sku).await) })
            })
            .collect();
        let (mut told, mut sold_out) = (Vec::new(), 0);
        for answer in tries {
            let (n, answer) = answer.await.unwrap();
            match (answer.status, answer.code()) {
                (200, "") => told.push((format!("u{n}"), answer.purchase_no().to_owned())),
                (200, "SOLD_OUT") => sold_out += 1,
                _ => panic!("{} {}", answer.status, answer.body),
            }
        }
        assert_eq!((told.len(), sold_out), (100, 900));

        shop.until_logged("every decision", |log| log.iter().filter(|d| d.sku == sku).count() == 1_000).await;
        let sold: Vec<Sold> =
            shop.sold_by_log().into_iter().filter(|unit| unit.receipt.sale_id == sale.sale_id).collect();
        let mut logged: Vec<_> = sold.iter().map(|unit| (unit.user.to_string(), unit.receipt.number())).collect();
        told.sort();
        logged.sort();
        assert_eq!(told, logged, "every success is in the log, with its receipt");
        for check in [
            invariants::no_oversell(100, &sold),
            invariants::one_unit_per_user(&sold),
            invariants::dense_sequence(&sold),
            invariants::within_window(&sale, &sold),
            invariants::nothing_left_unsold(100, 1_000, sold.len() as u64),
        ] {
            assert_eq!(check, Ok(()));
        }
        for unit in &sold {
            assert_eq!(shop.hot.receipt(&sale.sku, &unit.user).await.unwrap().as_ref(), Some(&unit.receipt));
        }
        let snapshot = shop.hot.snapshot(&sale.sku).await.unwrap().unwrap();
        assert_eq!(invariants::stock_conserved(100, snapshot.stock, snapshot.buyers), Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t_8_pr_5_pr_6_ten_users_a_hundred_times_each_over_two_edges() {
    let shop = Shop::open().await;
    let sale = shop.sale("A", 500, -1_000, 60_000).await;
    let edges = [shop.edge(unlimited()).await, shop.edge(unlimited()).await];
    let tries: Vec<_> = (0..1_000)
        .map(|n| {
            let edge = edges[n % 2].clone();
            tokio::spawn(async move { buy(&edge, &format!("u{}", n % 10), None, "A").await })
        })
        .collect();
    let (mut successes, mut refusals) = (0, 0);
    for answer in tries {
        let answer = answer.await.unwrap();
        match (answer.status, answer.code()) {
            (200, "") => successes += 1,
            (200, "ALREADY_PURCHASED") => refusals += 1,
            _ => panic!("{} {}", answer.status, answer.body),
        }
    }
    assert_eq!((successes, refusals), (10, 990));
    shop.until_logged("every decision", |log| log.len() == 1_000).await;
    assert_eq!(invariants::one_unit_per_user(&shop.sold_by_log()), Ok(()));
    assert_eq!(shop.hot.snapshot(&sale.sku).await.unwrap().unwrap().stock, 490);
}
