//! What is in a topic, decoded.

use std::collections::BTreeMap;

use flashsale_core::Micros;
use flashsale_operations::{Browse, Error, Filter, Message, Messages, Start};
use flashsale_streaming::{Admin, Record, TopicSpec};
use flashsale_testkit::{unique, wait_until};

use crate::{Desk, GARBAGE, PATIENCE, ago, refused, sold};

impl Desk {
    async fn browse(&self, partition: Option<i32>, start: Start, limit: usize) -> Messages {
        let topic = self.topic().to_owned();
        self.operations.messages(&Browse { topic, partition, start, limit, filter: Filter::default() }).await.unwrap()
    }

    /// The places of the records that pass the filter, from the first on and from the last back.
    async fn filtered(&self, filter: Filter) -> [Vec<(i32, i64)>; 2] {
        let mut found = Vec::new();
        for start in [Start::Offset(0), Start::Newest] {
            let browse =
                Browse { topic: self.topic().to_owned(), partition: None, start, limit: 100, filter: filter.clone() };
            found.push(places(&self.operations.messages(&browse).await.unwrap().messages));
        }
        found.try_into().unwrap()
    }
}

fn places(messages: &[Message]) -> Vec<(i32, i64)> {
    messages.iter().map(|message| (message.partition, message.offset)).collect()
}

/// Five decisions, ten seconds apart, in partition 0; then what is none, and what has no value, in partition 1.
async fn written() -> (Desk, i64) {
    let (desk, last) = (Desk::open().await, ago(10));
    let decisions =
        [(sold(1, "ann"), 40), (sold(2, "bob"), 30), (refused("cy"), 20), (refused("ann"), 10), (sold(3, "dan"), 0)];
    let mut records: Vec<Record> = decisions
        .iter()
        .map(|(decision, before)| {
            let key = format!("{}:{}", decision.sale_id, decision.user_id);
            desk.record(&key, &desk.encode(decision), last - before * 1_000)
        })
        .collect();
    records[1].headers.push(("trace".into(), b"x".to_vec()));
    desk.write(0, records).await;
    let tombstone = Record { payload: None, ..desk.record("gone", b"", last + 2_000) };
    desk.write(1, [desk.record("odd", GARBAGE, last + 1_000), tombstone]).await;
    (desk, last)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_records_come_first_decoded() {
    let (desk, last) = written().await;
    let found = desk.browse(None, Start::Newest, 4).await;
    assert_eq!(places(&found.messages), [(1, 1), (1, 0), (0, 4), (0, 3)]);
    assert_eq!((found.topic.as_str(), found.next), (desk.topic(), None));
    let newest = &found.messages[2];
    let value = newest.value.as_ref().unwrap();
    assert_eq!(
        (&value["user_id"], &value["outcome"], &value["sequence"]),
        (&"dan".into(), &"ACCEPTED".into(), &3.into())
    );
    assert_eq!((newest.schema_id, &newest.hex, &newest.problem), (Some(1), &None, &None));
    assert_eq!(newest.timestamp, Some(Micros::from_millis(last).to_string()));
    assert!(newest.key.as_ref().unwrap().ends_with(":dan"), "{newest:?}");
    let alone = desk.browse(Some(0), Start::Newest, 2).await;
    assert_eq!(places(&alone.messages), [(0, 4), (0, 3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn f_20_what_cannot_be_decoded_is_shown_as_hex_with_the_problem() {
    let (desk, _) = written().await;
    let found = desk.browse(Some(1), Start::Offset(0), 10).await;
    let [odd, gone] = &found.messages[..] else { panic!("{found:?}") };
    assert_eq!((odd.key.as_deref(), odd.hex.as_deref()), (Some("odd"), Some("0767617262616765")));
    assert_eq!((&odd.value, odd.schema_id), (&None, None));
    assert!(odd.problem.as_ref().unwrap().contains("0x07"), "{odd:?}");
    assert_eq!((&gone.value, &gone.hex, &gone.problem), (&None, &None, &None), "no value is no problem");
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_goes_on_where_it_stopped() {
    let (desk, last) = written().await;
    let found = desk.browse(Some(0), Start::Offset(1), 2).await;
    assert_eq!((places(&found.messages), found.scanned), (vec![(0, 1), (0, 2)], 2));
    assert_eq!(found.next, Some(BTreeMap::from([(0, 3)])));
    let rest = desk.browse(Some(0), Start::Offset(3), 100).await;
    assert_eq!((places(&rest.messages), rest.next), (vec![(0, 3), (0, 4)], None));

    let mut since = places(&desk.browse(None, Start::Time(last - 15_000), 100).await.messages);
    since.sort_unstable();
    assert_eq!(since, [(0, 3), (0, 4), (1, 0), (1, 1)], "the first of that time or later, in every partition");
    assert_eq!(desk.browse(None, Start::Time(ago(-60)), 100).await.messages, []);
    let beyond = desk.browse(Some(0), Start::Offset(4_711), 100).await;
    assert_eq!((beyond.messages.len(), beyond.scanned, beyond.next), (0, 0, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_asked_for_is_shown() {
    let (desk, _) = written().await;
    let some = |text: &str| Some(text.to_owned());
    for (filter, expected) in [
        (Filter { user: some("ann"), ..Filter::default() }, vec![(0, 0), (0, 3)]),
        (Filter { outcome: some("SOLD_OUT"), ..Filter::default() }, vec![(0, 2), (0, 3)]),
        (Filter { user: some("ann"), outcome: some("ACCEPTED"), ..Filter::default() }, vec![(0, 0)]),
        (Filter { sku: some("IPHONE-16"), ..Filter::default() }, (0..5).map(|offset| (0, offset)).collect()),
        (Filter { sku: some("IPHONE"), ..Filter::default() }, vec![]),
        (Filter { key: some(":bob"), ..Filter::default() }, vec![(0, 1)]),
        (Filter { key: some("odd"), ..Filter::default() }, vec![(1, 0)]),
        (Filter { header: Some(("trace".into(), "x".into())), ..Filter::default() }, vec![(0, 1)]),
        (Filter { header: Some(("trace".into(), "y".into())), ..Filter::default() }, vec![]),
    ] {
        let [ascending, mut newest_first] = desk.filtered(filter.clone()).await;
        newest_first.reverse();
        assert_eq!((&ascending, &newest_first), (&expected, &expected), "{filter:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_ours_is_shown_in_hex() {
    let desk = Desk::open().await;
    let topic = unique("elsewhere");
    let spec = TopicSpec { name: topic.clone(), partitions: 1, replication: 1, settings: BTreeMap::new() };
    Admin::new(desk.ledger.streaming()).unwrap().create_missing(&[spec]).await.unwrap();
    desk.ledger.producer().deliver(&topic, b"key", Some(b"text"), &[]).await.unwrap();
    let browse = Browse { topic, partition: None, start: Start::Newest, limit: 10, filter: Filter::default() };
    let found = wait_until(PATIENCE, "the record", async || desk.operations.messages(&browse).await).await;
    let [message] = &found.messages[..] else { panic!("{found:?}") };
    assert_eq!(
        (message.key.as_deref(), message.hex.as_deref(), &message.value),
        (Some("key"), Some("74657874"), &None)
    );
    assert!(message.problem.as_ref().unwrap().contains("not ours"), "{message:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_or_partition_that_does_not_exist_is_not_found() {
    let desk = Desk::open().await;
    for (topic, partition) in [("no-such-topic", None), (desk.topic(), Some(6)), (desk.topic(), Some(-1))] {
        let browse =
            Browse { topic: topic.to_owned(), partition, start: Start::Newest, limit: 1, filter: Filter::default() };
        let unknown = desk.operations.messages(&browse).await.unwrap_err();
        assert!(matches!(unknown, Error::NotFound(_)), "{topic} {partition:?}: {unknown:?}");
    }
}
