//! What only a real group does: members come and go, offsets outlive topics.

use flashsale_streaming::{Error, View, ViewConfig};
use flashsale_testkit::wait_until;

use crate::{
    contract::{Live, Log, Member, PATIENCE, texts},
    memory::Memory,
};

#[tokio::test(flavor = "multi_thread")]
async fn f_16_members_join_and_leave_and_every_record_is_written_once() {
    let live = Live::open().await;
    let memory = Memory::with_own_offsets();
    let first = Member::start(live.join().await, &memory, live.dead_letters());
    live.append(&texts(0, 500)).await;
    wait_until(PATIENCE, "the first member", async || memory.len() == 500).await;
    let second = Member::start(live.join().await, &memory, live.dead_letters());
    for round in 1..6 {
        live.append(&texts(round * 500, (round + 1) * 500)).await;
    }
    wait_until(PATIENCE, "both members", async || memory.len() == 3_000).await;
    first.stop().await;
    live.append(&texts(3_000, 3_500)).await;
    wait_until(PATIENCE, "the one that is left", async || memory.len() == 3_500).await;
    second.stop().await;
    assert_eq!(memory.repeats(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_past_the_end_of_the_log_stops_the_consumer_with_the_way_out() {
    let live = Live::open().await;
    live.append(&texts(0, 10)).await;
    let memory = Memory::with_own_offsets();
    memory.pretend(&live.partition(0), 1_000_000);
    let member = Member::start(live.join().await, &memory, live.dead_letters());
    let Error::Stopped(reason) = member.ended().await else { panic!("stopped for another reason") };
    assert!(reason.contains("1000000") && reason.contains("consumer_offsets"), "{reason}");
    assert_eq!(memory.len(), 0, "nothing was left out silently");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_reads_all_says_when_and_goes_on() {
    let live = Live::open().await;
    live.append(&texts(0, 100)).await;
    let (seen_tx, seen) = tokio::sync::watch::channel(0);
    let config = ViewConfig { name: "test".into(), topics: vec![live.topic.clone()] };
    let view = View::start(&live.config, config, move |_| seen_tx.send_modify(|seen| *seen += 1)).unwrap();
    view.caught_up().await;
    assert_eq!(*seen.borrow(), 100);
    live.append(&texts(100, 150)).await;
    wait_until(PATIENCE, "what came later", async || *seen.borrow() == 150).await;
}
