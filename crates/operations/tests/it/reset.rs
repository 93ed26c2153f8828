//! Consumers that are put elsewhere.

use std::collections::BTreeSet;

use flashsale_operations::{Error, Reset, ResetPlan, Target};
use flashsale_testkit::{unique, wait_until};

use crate::{Desk, PATIENCE, ago, kim, reader::Reader, refused, set};

fn whole(consumer: &str, to: Target) -> Reset {
    Reset { consumer: consumer.to_owned(), to, topic: None, partitions: BTreeSet::new() }
}

impl Desk {
    async fn planned(&self, reset: &Reset) -> ResetPlan {
        let plan = self.operations.reset(reset, &kim(), true).await.unwrap();
        assert!(plan.dry_run);
        plan
    }

    /// Where the sink goes on in partition 0, as it stands beside its rows.
    async fn stored(&self, consumer: &str) -> Option<i64> {
        let rows = self.store.offsets(consumer, &[(self.topic(), 0)]).await.unwrap();
        rows.first().map(|row| row.next_offset)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_is_repeated_and_left_out_and_changes_nothing() {
    let desk = Desk::open().await;
    let sink = desk.sink();
    desk.crowd(10, ago(0)).await;
    desk.store.set_offsets(&sink, &[(desk.topic(), 0, 6)]).await.unwrap();
    let back = desk.planned(&whole(&sink, Target::Earliest)).await;
    let first = &back.partitions[0];
    assert_eq!((first.partition, first.from, first.to, first.replays, first.skips), (0, Some(6), 0, 6, 0));
    assert_eq!((back.partitions.len(), back.replays, back.skips, back.members), (6, 6, 0, 0));
    assert!(back.warnings.iter().any(|warning| warning.contains("duplicates")), "{:?}", back.warnings);
    let ahead = desk.planned(&whole(&sink, Target::Latest)).await;
    assert_eq!((ahead.partitions[0].to, ahead.replays, ahead.skips), (10, 0, 4));
    assert!(ahead.warnings.iter().any(|warning| warning.contains("missing in Postgres")), "{:?}", ahead.warnings);

    assert_eq!((desk.stored(&sink).await, desk.committed(&sink)), (Some(6), None));
    assert_eq!(desk.operations.acts(10).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_runs_is_not_put_elsewhere() {
    let desk = Desk::open().await;
    let sink = desk.sink();
    desk.crowd(3, ago(0)).await;
    desk.store.set_offsets(&sink, &[(desk.topic(), 0, 3)]).await.unwrap();
    let reader = Reader::join(&desk, &sink).await;
    let reset = whole(&sink, Target::Earliest);
    let plan =
        wait_until(PATIENCE, "the member", async || Some(desk.planned(&reset).await).filter(|plan| plan.members == 1))
            .await;
    assert!(plan.warnings.iter().any(|warning| warning.contains("1 member")), "{:?}", plan.warnings);
    let refused = desk.operations.reset(&reset, &kim(), false).await.unwrap_err();
    assert!(matches!(&refused, Error::Running(why) if why.contains("1 member")), "{refused:?}");
    assert_eq!(desk.stored(&sink).await, Some(3));

    reader.leave().await;
    let done = desk.operations.reset(&reset, &kim(), false).await.unwrap();
    assert_eq!((done.dry_run, done.replays, desk.stored(&sink).await), (false, 3, Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_target_puts_the_sink_where_the_plan_said_in_postgres_and_on_the_brokers() {
    let desk = Desk::open().await;
    let (sink, other) = (desk.sink(), unique("other"));
    let (payload, begun) = (desk.encode(&refused("crowd")), ago(100));
    let records = (0..10).map(|second| desk.record("crowd", &payload, begun + second * 1_000));
    desk.write(0, records).await;
    desk.commit(&other, 7).await;
    for (to, expected) in [
        (Target::Latest, 10),
        (Target::Earliest, 0),
        (Target::Offset(4), 4),
        (Target::Offset(4_711), 10),
        (Target::Time(begun + 2_500), 3),
        (Target::Time(ago(-60)), 10),
        (Target::Group(other.clone()), 7),
    ] {
        let reset = whole(&sink, to.clone());
        let plan = desk.planned(&reset).await;
        let done = desk.operations.reset(&reset, &kim(), false).await.unwrap();
        assert_eq!(done, ResetPlan { dry_run: false, ..plan }, "{to:?}");
        let brokers = desk.committed(&sink);
        assert_eq!(
            (done.partitions[0].to, desk.stored(&sink).await, brokers),
            (expected, Some(expected), Some(expected))
        );
    }
    let acts = desk.operations.acts(10).await.unwrap();
    assert_eq!((acts.len(), acts[0].action.as_str(), acts[0].target.as_str()), (7, "RESET", sink.as_str()));
    assert_eq!(acts[0].detail.as_ref().unwrap()["partitions"][0]["to"], 7);
    assert_eq!(desk.committed(&other), Some(7), "the other group stays where it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_group_is_put_elsewhere_on_the_brokers_alone() {
    let desk = Desk::open().await;
    let (sink, other) = (desk.sink(), unique("other"));
    desk.crowd(10, ago(0)).await;
    desk.store.set_offsets(&sink, &[(desk.topic(), 0, 6)]).await.unwrap();
    desk.commit(&other, 8).await;
    let reset =
        Reset { partitions: set(&[0]), topic: Some(desk.topic().to_owned()), ..whole(&other, Target::Offset(2)) };
    let done = desk.operations.reset(&reset, &kim(), false).await.unwrap();
    let [moved] = &done.partitions[..] else { panic!("only the partition that was named: {done:?}") };
    assert_eq!((moved.from, moved.to, done.replays, done.warnings.len()), (Some(8), 2, 6, 0));
    assert_eq!((desk.committed(&other), desk.stored(&other).await), (Some(2), None));
    assert_eq!((desk.committed(&sink), desk.stored(&sink).await), (None, Some(6)), "the sink stays where it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_not_reset() {
    let desk = Desk::open().await;
    let (sink, nobody) = (desk.sink(), unique("nobody"));
    let refused = async |reset: Reset| desk.operations.reset(&reset, &kim(), false).await.unwrap_err();
    let unknown = refused(whole(&nobody, Target::Earliest)).await;
    assert!(matches!(&unknown, Error::NotFound(why) if why.contains(&nobody)), "{unknown:?}");
    let nowhere = refused(whole(&sink, Target::Group(nobody))).await;
    assert!(matches!(nowhere, Error::Refused(_)), "a group without positions leads nowhere: {nowhere:?}");
    let partition = refused(Reset { partitions: set(&[99]), ..whole(&sink, Target::Latest) }).await;
    assert!(matches!(partition, Error::Refused(_)), "{partition:?}");
    let topic = refused(Reset { topic: Some(unique("topic")), ..whole(&sink, Target::Latest) }).await;
    assert!(matches!(topic, Error::NotFound(_)), "{topic:?}");
    assert_eq!(desk.operations.acts(10).await.unwrap(), []);
}
