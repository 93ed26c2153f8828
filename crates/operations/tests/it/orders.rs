//! Standing orders: given, kept, and written down.

use std::time::Duration;

use flashsale_ledger::PROCESSOR_STATUS;
use flashsale_operations::{Consumer, Error, Operations, Order, Paused, Sampler};
use flashsale_streaming::Hold;
use serde_json::json;

use crate::{Desk, kim, set};

fn told(order: &Order) -> (&str, &[i32]) {
    (&order.action, &order.partitions)
}

/// A consumer as somebody sees it who has just opened the books.
async fn seen_anew(desk: &Desk, consumer: &str) -> Consumer {
    let operations = Operations::open(desk.ledger.clone(), None).await.unwrap();
    operations.orders().known().await.unwrap();
    assert!(operations.orders().is_known());
    let judged = (Duration::from_secs(1), Duration::from_secs(1));
    let mut sampler = Sampler::new(desk.ledger.clone(), None, operations.orders().clone(), judged).unwrap();
    sampler.look(Some(consumer)).await.unwrap().remove(0)
}

/// The partitions that a consumer is seen to hold.
fn held(seen: &Consumer) -> Vec<i32> {
    seen.partitions.iter().filter(|one| one.paused).map(|one| one.partition).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_stands_until_another_one_and_whoever_opens_the_books_knows_it() {
    let desk = Desk::open().await;
    let (operations, sink) = (&desk.operations, desk.sink());
    assert_eq!(seen_anew(&desk, &sink).await.order, None);

    let order = operations.pause(&sink, &set(&[]), &kim()).await.unwrap();
    assert_eq!((told(&order), order.issued_by.as_str(), order.until_offset), (("PAUSE", &[][..]), "kim", None));
    let seen = seen_anew(&desk, &sink).await;
    assert_eq!((seen.order.as_ref(), seen.paused), (Some(&order), Paused::All));

    let order = operations.resume(&sink, &set(&[1, 4]), &kim()).await.unwrap();
    assert_eq!(told(&order), ("PAUSE", &[0, 2, 3, 5][..]), "the others stay held");
    let seen = seen_anew(&desk, &sink).await;
    assert_eq!((seen.order.as_ref(), seen.paused, held(&seen)), (Some(&order), Paused::Some, vec![0, 2, 3, 5]));
    let consumers = desk.ledger.orders(&sink).await.unwrap();
    consumers.known().await;
    assert_eq!(*consumers.hold().borrow(), Hold::Pause(set(&[0, 2, 3, 5])), "what the consumer itself is told");

    let order = operations.pause(&sink, &set(&[1, 4]), &kim()).await.unwrap();
    assert_eq!(told(&order), ("PAUSE", &[][..]), "all by name are all");
    let order = operations.resume(&sink, &set(&[]), &kim()).await.unwrap();
    assert_eq!(told(&order), ("RESUME", &[][..]));
    let seen = seen_anew(&desk, &sink).await;
    assert_eq!((seen.order.as_ref(), seen.paused), (Some(&order), Paused::None));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_to_one_consumer_is_none_to_another() {
    let desk = Desk::open().await;
    let (sink, status) = (desk.sink(), desk.ledger.group(PROCESSOR_STATUS));
    desk.operations.pause(&status, &set(&[2]), &kim()).await.unwrap();
    assert_eq!(held(&seen_anew(&desk, &status).await), [2]);
    let other = seen_anew(&desk, &sink).await;
    assert_eq!((other.paused, other.order), (Paused::None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_obeys_no_orders_and_what_is_not_read_is_refused_and_nothing_is_written() {
    let desk = Desk::open().await;
    let (operations, sink) = (&desk.operations, desk.sink());
    for consumer in ["nobody", "flashsale-sink-postgres", ""] {
        for refused in
            [operations.pause(consumer, &set(&[]), &kim()).await, operations.resume(consumer, &set(&[]), &kim()).await]
        {
            let Err(Error::NotFound(why)) = refused else { panic!("{consumer:?}: {refused:?}") };
            assert!(why.contains(&sink), "it names those that do: {why}");
        }
    }
    for refused in [
        operations.pause(&sink, &set(&[0, 6]), &kim()).await,
        operations.resume(&sink, &set(&[6]), &kim()).await,
        operations.pause(&sink, &set(&[-1]), &kim()).await,
    ] {
        let Err(Error::Refused(why)) = refused else { panic!("{refused:?}") };
        assert!(why.contains("reads no partition"), "{why}");
    }
    assert_eq!(seen_anew(&desk, &sink).await.order, None);
    assert_eq!(operations.acts(10).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gave_which_order_is_written_down() {
    let desk = Desk::open().await;
    let (operations, sink) = (&desk.operations, desk.sink());
    operations.pause(&sink, &set(&[]), &kim()).await.unwrap();
    operations.resume(&sink, &set(&[3]), &"lee".parse().unwrap()).await.unwrap();
    let acts = operations.acts(10).await.unwrap();
    let who: Vec<_> = acts.iter().map(|act| (act.by.as_str(), act.action.as_str(), act.target.as_str())).collect();
    assert_eq!(who, [("lee", "RESUME", sink.as_str()), ("kim", "PAUSE", sink.as_str())], "the newest first");
    let detail = acts[0].detail.as_ref().unwrap();
    assert_eq!(detail["partitions"], json!([3]), "what was asked for");
    assert_eq!(detail["standing"]["partitions"], json!([0, 1, 2, 4, 5]), "what came of it");
    assert!(acts[0].at >= acts[1].at && acts[0].at.ends_with('Z'), "{acts:?}");
    assert_eq!(operations.acts(1).await.unwrap(), acts[..1]);
}
