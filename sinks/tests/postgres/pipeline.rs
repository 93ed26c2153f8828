use flashsale_schemas::{Encoder, Registry, Topic, events::PurchaseDecision};
use flashsale_sinks::postgres::stage;
use flashsale_sql::{Answer, Store};
use flashsale_streaming::{
    Config, DeadLetters, LocalLog, LocalSource, Pipeline, PipelineConfig, Producer, ProducerConfig,
};
use flashsale_testkit::wait_until;
use tokio_util::sync::CancellationToken;

use crate::{CONSUMER, PATIENCE, accounts, counted, partition, sale, sink, store};

const EXAMPLE: &str = include_str!("../../../schemas/examples/flashsale.purchase-decisions.v1/1/accepted.json");

fn decision(sequence: i64) -> PurchaseDecision {
    let example: PurchaseDecision = serde_json::from_str(EXAMPLE).unwrap();
    PurchaseDecision {
        sale_id: sale().to_string(),
        user_id: format!("u{sequence}"),
        sequence: Some(sequence),
        ..example
    }
}

async fn encoder() -> Encoder<PurchaseDecision> {
    Registry::builtin().codec(Topic::PurchaseDecisions.name()).await.unwrap().0
}

/// Reads the log until all of it is in Postgres, then stops.
async fn run(store: &Store, log: &LocalLog, until: i64) {
    let (_, decoder) = Registry::builtin().codec(Topic::PurchaseDecisions.name()).await.unwrap();
    // Nothing goes to the dead letters here, so no broker is there.
    let producer = Producer::new(&Config::new("127.0.0.1:1", "test"), &ProducerConfig::default()).unwrap();
    let dead_letters = DeadLetters::new(producer, "dlq", CONSUMER);
    let (source, conductor) = LocalSource::new(log);
    let pipeline = Pipeline::new(PipelineConfig::new("test"), source, stage(decoder), sink(store), dead_letters);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(pipeline.run(shutdown.clone()));
    conductor.assign(&[partition(0)]).await;
    wait_until(PATIENCE, "the end of the log", async || log.committed(&partition(0)) == Some(until)).await;
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn f_24_a_group_that_starts_over_leaves_postgres_as_it_is() {
    let (store, _) = store().await;
    let encoder = encoder().await;
    let (log, reset) = (LocalLog::default(), LocalLog::default());
    for sequence in 1..=40 {
        let bytes = encoder.encode(&decision(sequence)).unwrap();
        log.append(&partition(0), bytes.clone());
        reset.append(&partition(0), bytes);
    }
    run(&store, &log, 40).await;
    let rows = store.purchases(&sale()).await.unwrap();
    let before = accounts(&store).await;
    assert_eq!((rows.len(), before.0, before.1.applied), (40, 40, 40));

    // The same log in a group that has committed nothing, and one record more.
    reset.append(&partition(0), encoder.encode(&decision(41)).unwrap());
    run(&store, &reset, 41).await;
    let after = accounts(&store).await;
    assert_eq!(after.0, 41);
    assert_eq!(after.1.consumed, before.1.consumed + 1, "it went on from what Postgres says");
    assert_eq!(store.purchases(&sale()).await.unwrap()[..40], rows);
    assert_eq!(counted(&store, Answer::Accepted).await, 41);
}
