//! Consumers as they are seen on real brokers.

use std::{collections::BTreeSet, time::Duration};

use flashsale_core::Micros;
use flashsale_operations::{Consumer, PartitionView, Paused, Sampler, Verdict, Watcher, WatcherConfig, positions_at};
use flashsale_schemas::{Topic, events::PartitionPosition};
use flashsale_sql::Store;
use flashsale_testkit::{unique, wait_until};
use tokio_util::sync::CancellationToken;

use crate::{CLIENT, Desk, PATIENCE, ago, kim, reader::Reader};

/// By how much of the past is judged, and how long a lag must be watched for that.
const JUDGED: (Duration, Duration) = (Duration::from_millis(1_500), Duration::from_millis(500));

/// Looks at one group, again and again.
struct Watch {
    sampler: Sampler,
    group: String,
}

impl Watch {
    /// Without a store the sink stands where it told the brokers.
    fn over(desk: &Desk, group: &str, store: Option<Store>) -> Self {
        let orders = desk.operations.orders().clone();
        let sampler = Sampler::new(desk.ledger.clone(), store, orders, JUDGED).unwrap();
        Self { sampler, group: group.to_owned() }
    }

    async fn look(&mut self) -> Result<Consumer, String> {
        let seen = self.sampler.look(Some(&self.group)).await.map_err(|error| format!("{error:?}"))?;
        seen.into_iter().next().ok_or_else(|| "no such group".to_owned())
    }

    async fn until(&mut self, what: &str, holds: impl Fn(&Consumer) -> bool) -> Consumer {
        wait_until(PATIENCE, what, async || checked(self.look().await?, &holds)).await
    }
}

/// What was seen, as an error when it is not what is waited for.
fn checked(seen: Consumer, holds: impl Fn(&Consumer) -> bool) -> Result<Consumer, String> {
    if holds(&seen) { Ok(seen) } else { Err(format!("{} {}; {:?}", seen.verdict.as_str(), seen.why, seen.partitions)) }
}

/// The partition that the tests write to.
fn first(seen: &Consumer) -> &PartitionView {
    &seen.partitions[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn who_keeps_up_is_well_who_stands_still_stalls_and_who_falls_behind_is_warned_of() {
    let desk = Desk::open().await;
    let mut watch = Watch::over(&desk, &desk.sink(), None);
    let reader = Reader::join(&desk, &desk.sink()).await;
    reader.let_through(10);
    desk.crowd(10, ago(0)).await;
    let is_done = |seen: &Consumer| seen.verdict == Verdict::Ok && first(seen).position == Some(10);
    let seen = watch.until("the end of the log", is_done).await;
    assert_eq!((seen.ours, seen.state.as_str(), seen.members.len()), (true, "STABLE", 1));
    assert_eq!((seen.lag_records, seen.lag_seconds, seen.paused), (Some(0), Some(0.0), Paused::None));
    assert_eq!((first(&seen).owner.as_deref(), first(&seen).stored), (Some(CLIENT), None));

    desk.crowd(5, ago(100)).await;
    let stalled = |seen: &Consumer| seen.verdict == Verdict::Stall && seen.lag_seconds.is_some();
    let seen = watch.until("a stall", stalled).await;
    assert_eq!((seen.lag_records, first(&seen).position), (Some(5), Some(10)));
    assert!(seen.why.contains("it did not move"), "{}", seen.why);
    let waited = seen.lag_seconds.unwrap();
    assert!((100.0..100.0 + PATIENCE.as_secs_f64()).contains(&waited), "by the time of the record: {waited}");

    let seen = wait_until(PATIENCE, "a warning", async || {
        reader.let_through(1);
        desk.crowd(20, ago(100)).await;
        checked(watch.look().await?, |seen| seen.verdict == Verdict::Warn)
    })
    .await;
    assert!(seen.why.contains("further behind"), "{}", seen.why);
    assert!(seen.per_second.is_some_and(|rate| rate > 0.0), "it moves: {seen:?}");

    reader.let_through(100_000);
    watch.until("it to catch up", |seen| seen.verdict == Verdict::Ok && seen.lag_records == Some(0)).await;
    reader.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_held_is_no_stall_who_left_is_a_stop_and_who_went_back_is_told_so() {
    let desk = Desk::open().await;
    let (sink, all) = (desk.sink(), BTreeSet::new());
    let mut watch = Watch::over(&desk, &sink, None);
    let reader = Reader::join(&desk, &sink).await;
    reader.let_through(100_000);
    desk.crowd(10, ago(0)).await;
    watch.until("the end of the log", |seen| first(seen).position == Some(10)).await;

    desk.operations.pause(&sink, &all, &kim()).await.unwrap();
    let seen = wait_until(PATIENCE, "a record that is held", async || {
        desk.crowd(1, ago(0)).await;
        checked(watch.look().await?, |seen| seen.verdict == Verdict::Warn)
    })
    .await;
    assert!(seen.why.contains("an order holds it"), "{}", seen.why);
    assert_eq!((seen.paused, seen.partitions.iter().all(|one| one.paused)), (Paused::All, true));
    let order = seen.order.unwrap();
    assert_eq!((order.action.as_str(), order.issued_by.as_str()), ("PAUSE", "kim"));

    desk.operations.resume(&sink, &all, &kim()).await.unwrap();
    let goes_on = |seen: &Consumer| seen.paused == Paused::None && seen.lag_records == Some(0);
    watch.until("what was held", goes_on).await;
    reader.leave().await;
    desk.crowd(4, ago(0)).await;
    let seen = watch.until("a stop", |seen| seen.verdict == Verdict::Stop).await;
    assert_eq!((seen.state.as_str(), seen.members.len(), seen.lag_records), ("EMPTY", 0, Some(4)));
    assert_eq!(first(&seen).owner, None);

    desk.commit(&sink, 2).await;
    let seen = watch.until("a rewind", |seen| seen.verdict == Verdict::Rewind).await;
    assert!(seen.why.contains("it went back from offset") && seen.why.ends_with("to 2"), "{}", seen.why);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_said_how_far_it_got_has_an_unknown_lag_and_not_none() {
    let desk = Desk::open().await;
    let group = unique("readers");
    let mut watch = Watch::over(&desk, &group, None);
    desk.crowd(3, ago(0)).await;
    let reader = Reader::join(&desk, &group).await;
    let partitions = Topic::PurchaseDecisions.paper().partitions as usize;
    let seen = watch.until("its partitions", |seen| seen.partitions.len() == partitions).await;
    assert_eq!((seen.ours, seen.verdict, seen.order.is_none()), (false, Verdict::Unknown, true));
    assert_eq!((seen.lag_records, seen.lag_seconds, seen.per_second), (None, None, None));
    assert_eq!((first(&seen).position, first(&seen).lag_records, first(&seen).end), (None, None, Some(3)));

    reader.let_through(3);
    let seen = watch.until("what it has done", |seen| first(seen).position == Some(3)).await;
    assert_eq!((first(&seen).committed, first(&seen).lag_records), (Some(3), Some(0)));
    assert_eq!((seen.partitions[1].lag_records, seen.lag_records), (None, None), "one that is not known, no sum");
    assert_eq!(seen.verdict, Verdict::Unknown);
    reader.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sink_stands_where_its_rows_are_and_not_where_the_brokers_think() {
    let desk = Desk::open().await;
    desk.crowd(9, ago(0)).await;
    desk.commit(&desk.sink(), 4).await;
    desk.store.set_offsets(&desk.sink(), &[(desk.topic(), 0, 7)]).await.unwrap();
    let mut watch = Watch::over(&desk, &desk.sink(), Some(desk.store.clone()));
    let seen = watch.until("both offsets", |seen| first(seen).committed == Some(4)).await;
    let first = first(&seen);
    assert_eq!((first.stored, first.position, first.lag_records), (Some(7), Some(7), Some(2)));
    assert_eq!(seen.partitions[1].position, Some(0), "never written means from the first record on");
}

#[tokio::test(flavor = "multi_thread")]
async fn f_18_without_postgres_nobody_knows_where_the_sink_stands() {
    let postgres = flashsale_testkit::private_postgres().await;
    let desk = Desk::open_on(postgres.url()).await;
    desk.crowd(9, ago(0)).await;
    desk.commit(&desk.sink(), 4).await;
    desk.store.set_offsets(&desk.sink(), &[(desk.topic(), 0, 7)]).await.unwrap();
    let mut watch = Watch::over(&desk, &desk.sink(), Some(desk.store.clone()));
    watch.until("the offset in Postgres", |seen| first(seen).position == Some(7)).await;
    tokio::task::block_in_place(|| postgres.kill());
    let seen = watch.until("Postgres to be away", |seen| first(seen).stored.is_none()).await;
    assert_eq!((first(&seen).position, first(&seen).lag_records, seen.lag_records), (None, None, None));
    assert_ne!(seen.verdict, Verdict::Rewind, "nothing went back: {}", seen.why);
}

#[tokio::test(flavor = "multi_thread")]
async fn how_far_a_consumer_had_come_is_noted_and_told_for_that_time() {
    let begun = Micros::from_millis(ago(60));
    let desk = Desk::open().await;
    let sampler = Watch::over(&desk, &desk.sink(), Some(desk.store.clone())).sampler;
    let every = Duration::from_millis(100);
    let config = WatcherConfig { every, note_every: Duration::ZERO, ..WatcherConfig::default() };
    let (watcher, seen) = Watcher::new(config, sampler, desk.operations.clone());
    let stop = CancellationToken::new();
    let watching = tokio::spawn(watcher.run(stop.clone()));
    // When the watcher saw the sink stand there.
    let saw = async |position: i64, end: i64| {
        wait_until(PATIENCE, "the watcher to see the sink there", async || {
            let seen = seen.borrow().clone();
            let sink = first(seen.consumers.iter().find(|one| one.name == desk.sink())?);
            seen.at.filter(|_| (sink.position, sink.end) == (Some(position), Some(end)))
        })
        .await
    };
    let noted = async |at: Micros| {
        let all = positions_at(&desk.ledger, at).await.unwrap();
        all.into_iter().find(|one| one.consumer == desk.sink()).map(|one| one.partitions[0].clone())
    };
    let then = |position: i64, end: i64| PartitionPosition { topic: desk.topic().into(), partition: 0, position, end };

    desk.crowd(5, ago(0)).await;
    let earlier = saw(0, 5).await;
    desk.store.set_offsets(&desk.sink(), &[(desk.topic(), 0, 3)]).await.unwrap();
    desk.crowd(4, ago(0)).await;
    let later = saw(3, 9).await;
    wait_until(PATIENCE, "the note of what was seen", async || noted(later).await == Some(then(3, 9))).await;
    assert_eq!(noted(earlier).await, Some(then(0, 5)), "what came later changes nothing");
    assert_eq!(noted(begun).await, None, "before anybody looked");
    stop.cancel();
    watching.await.unwrap();
}
