//! Operators' orders: what is held is not read, and nothing is lost or repeated by it.

use std::{collections::BTreeSet, time::Duration};

use flashsale_streaming::{ConsumerConfig, Delivery, Hold, KafkaSource, Observer, Partition, Position};
use flashsale_testkit::wait_until;
use tokio::{sync::watch, time::Instant};

use crate::{
    contract::{Live, Log, Member, PATIENCE, texts},
    memory::Memory,
};

/// Whatever is to be held is held after this, and then nothing more is read for as long.
const EFFECT_MAX: Duration = Duration::from_secs(2);

struct Held {
    live: Live,
    memory: Memory,
    order: watch::Sender<Hold>,
}

impl Held {
    async fn open(hold: Hold) -> Self {
        Self { live: Live::open().await, memory: Memory::with_own_offsets(), order: watch::channel(hold).0 }
    }

    fn join(&self) -> Member {
        let consumer = ConsumerConfig::new(self.group(), [self.live.topic.clone()]);
        let source = KafkaSource::start(&self.live.config, &consumer, self.order.subscribe()).unwrap();
        Member::start(source, &self.memory, self.live.dead_letters())
    }

    fn group(&self) -> String {
        format!("{}-group", self.live.topic)
    }

    /// Writes `count` records to each partition, in order.
    async fn fill(&self, from: usize, count: usize) {
        let delivery = Delivery::begin();
        for text in texts(from, from + count) {
            for number in [0, 1] {
                let record = flashsale_streaming::Record {
                    position: Position { partition: self.live.partition(number), offset: 0 },
                    key: None,
                    payload: Some(text.clone().into()),
                    headers: Vec::new(),
                    timestamp_ms: 1_795_435_200_000,
                };
                self.live.producer.send_copy(&delivery, &self.live.topic, Some(number), &record);
            }
        }
        delivery.seal();
        delivery.wait().await.unwrap();
    }

    async fn holds_still_at(&self, rows: usize) {
        let until = Instant::now() + EFFECT_MAX;
        while Instant::now() < until {
            assert_eq!(self.memory.len(), rows, "more was read than ordered");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn reach(&self, rows: usize, what: &str) {
        wait_until(PATIENCE, what, async || self.memory.len() == rows).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_holds_within_two_seconds_and_ends_without_loss_or_repetition() {
    let held = Held::open(Hold::Nothing).await;
    let member = held.join();
    held.fill(0, 100).await;
    held.reach(200, "what came before the order").await;
    held.order.send_replace(Hold::Pause(BTreeSet::new()));
    tokio::time::sleep(EFFECT_MAX).await;
    held.fill(100, 100).await;
    held.holds_still_at(200).await;
    held.order.send_replace(Hold::Nothing);
    held.reach(400, "what was held").await;
    member.stop().await;
    assert_eq!(held.memory.repeats(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_stood_before_the_start_holds_from_the_first_record_on_and_by_partition() {
    let held = Held::open(Hold::Pause(BTreeSet::from([1]))).await;
    held.fill(0, 50).await;
    let member = held.join();
    held.reach(50, "the partition that is not held").await;
    held.holds_still_at(50).await;
    // A second member takes one of the two over; the held one stays held whoever owns it.
    let second = held.join();
    held.fill(50, 50).await;
    held.reach(100, "the partition that is not held, after a rebalance").await;
    held.holds_still_at(100).await;
    held.order.send_replace(Hold::Nothing);
    held.reach(200, "what was held").await;
    second.stop().await;
    member.stop().await;
    assert_eq!(held.memory.repeats(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_to_run_to_an_offset_stops_exactly_there() {
    let held = Held::open(Hold::Until(BTreeSet::new(), 30)).await;
    held.fill(0, 50).await;
    let member = held.join();
    held.reach(60, "thirty of each partition").await;
    held.holds_still_at(60).await;
    held.order.send_replace(Hold::Until(BTreeSet::from([0]), 40));
    held.reach(90, "ten more of one, all of the other").await;
    held.holds_still_at(90).await;
    held.order.send_replace(Hold::Nothing);
    held.reach(100, "the rest").await;
    member.stop().await;
    assert_eq!(held.memory.repeats(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_sees_members_positions_and_ages_without_joining() {
    let held = Held::open(Hold::Nothing).await;
    held.fill(0, 50).await;
    let member = held.join();
    held.reach(100, "everything").await;
    let (live, group) = (held.live.clone(), held.group());
    let partitions: BTreeSet<Partition> = [0, 1].map(|number| live.partition(number)).into();
    let mut observer = Observer::new(&live.config).unwrap();
    wait_until(PATIENCE, "the group as its brokers see it", async || {
        let seen = tokio::task::block_in_place(|| observer.groups()).unwrap();
        let Some(seen) = seen.into_iter().find(|seen| seen.name == group) else { return false };
        let owned: BTreeSet<Partition> = seen.members.iter().flat_map(|member| member.partitions.clone()).collect();
        let committed = tokio::task::block_in_place(|| observer.committed(&group, &partitions)).unwrap();
        seen.state == "Stable" && owned == partitions && committed.values().eq(&[50, 50])
    })
    .await;
    tokio::task::block_in_place(|| {
        let start = partitions.iter().map(|partition| (partition.clone(), 0)).collect();
        assert!(observer.commit(&group, &start).is_err(), "a group with members was moved");
        assert!(observer.partitions().unwrap().is_superset(&partitions));
        let ends = observer.ends(&partitions);
        assert!(partitions.iter().all(|partition| ends[partition] == (0, 50)), "{ends:?}");
        let first = Position { partition: live.partition(0), offset: 3 };
        let past = Position { partition: live.partition(1), offset: 50 };
        let written = observer.written_at(&[first, past]);
        assert_eq!(written, [(live.partition(0), 1_795_435_200_000)].into(), "the time of a copy is the original's");
    });
    member.stop().await;
    tokio::task::block_in_place(|| {
        assert!(observer.group(&group).unwrap().unwrap().members.is_empty());
        assert_eq!(observer.group("no-such-group").unwrap(), None);
        let moved = partitions.iter().map(|partition| (partition.clone(), 7)).collect();
        observer.commit(&group, &moved).unwrap();
        assert_eq!(observer.committed(&group, &partitions).unwrap(), moved);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_shown_with_its_settings() {
    let live = Live::open().await;
    live.append(&texts(0, 10)).await;
    let topics = flashsale_streaming::topics(&live.config, Some(&live.topic)).await.unwrap();
    let [topic] = &topics[..] else { panic!("{topics:?}") };
    assert_eq!(topic.partitions.values().map(|(first, end)| end - first).sum::<i64>(), 10);
    assert_eq!((topic.replication, &topic.own_settings[..]), (1, &["cleanup.policy".to_owned()][..]));
    assert_eq!(topic.settings["cleanup.policy"], "delete");
    assert!(flashsale_streaming::topics(&live.config, Some("no-such-topic")).await.is_err());
}
