//! What becomes of a purchase when the edge dies or its clients repeat themselves.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use flashsale_localstack::Fault;

use crate::{
    Arena, Drill, Outcome,
    installation::until,
    stage::{Cast, Stage},
    verdict::Expected,
};

pub(crate) const DRILLS: &[Drill] = &[
    Drill {
        fault: "F1",
        name: "ingest-dies-before-produce",
        broken: "SIGKILL of the edges after the script decided and before the log took anything",
        checked: "the relay publishes; the shoppers' retries at new edges return the receipts",
        quick: true,
        play: |arena, seed| Box::pin(dies_before_produce(arena, seed)),
    },
    Drill {
        fault: "F4",
        name: "one-user-everywhere",
        broken: "one shopper, 100 attempts at once over three edges",
        checked: "one unit, one receipt",
        quick: true,
        play: |arena, seed| Box::pin(one_user_everywhere(arena, seed)),
    },
];

async fn dies_before_produce(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let mut stage = Stage::set(arena.clone(), seed, Cast::default(), 200, Duration::from_secs(300)).await?;
    arena.kafka.set(Fault::HalfOpen);
    let rush = stage.crowd("f1", 100, 0);
    let sold = until("the script to have sold", Duration::from_secs(10), async || {
        Ok(stage.shop.hot.snapshot(&stage.sale.sku).await?.is_some_and(|sale| sale.sequence >= 90))
    });
    sold.await?;
    let before = stage.diary.successes();
    for edge in &stage.ingests {
        edge.kill();
    }
    arena.kafka.heal();
    for edge in &stage.ingests {
        stage.shop.restart(edge).await?;
    }
    rush.finish().await?;
    stage.figure("told before the kill", before);
    stage.conclude(Expected::default()).await
}

async fn one_user_everywhere(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let cast = Cast { ingests: 3, ..Cast::default() };
    let stage = Stage::set(arena, seed, cast, 50, Duration::from_secs(300)).await?;
    let tries: Vec<_> = (0..100)
        .map(|number| {
            let (client, url) = (stage.shop.client.clone(), stage.ingests[number % 3].url.clone());
            let (sku, diary) = (stage.sku().to_owned(), stage.diary.clone());
            tokio::spawn(async move {
                // A key of its own each: these are different wishes of one shopper.
                let key = format!("f4-key-{number}");
                let answer = client.buy(&url, &sku, "f4", &key, Duration::from_secs(10)).await;
                let answer = answer.map_err(|error| format!("{error:#}"));
                diary.note(crate::shoppers::Told { user: "f4".into(), key, answer, took: Duration::ZERO });
            })
        })
        .collect();
    for one in tries {
        one.await?;
    }
    let told = stage.diary.all();
    let successes = told.iter().filter(|told| told.user == "f4" && told.is_success()).count();
    ensure!(successes == 1, "{successes} of 100 attempts of one shopper succeeded");
    stage.conclude(Expected::default()).await
}
