//! Acknowledgements of batches, also when the broker is away.

use std::time::{Duration, Instant};

use flashsale_streaming::{Config, Delivery, NotDelivered, Producer, ProducerConfig};
use rdkafka::mocking::MockCluster;

use crate::contract::Live;

#[tokio::test(flavor = "multi_thread")]
async fn one_acknowledgement_serves_a_batch_and_all_who_wait() {
    let live = Live::open().await;
    let delivery = Delivery::begin();
    for n in 0..10_000 {
        let text = format!("{n}");
        live.producer.send(&delivery, &live.topic, text.as_bytes(), Some(text.as_bytes()), &[]);
    }
    delivery.seal();
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let delivery = delivery.clone();
            tokio::spawn(async move { delivery.wait().await })
        })
        .collect();
    for waiter in waiting {
        assert_eq!(waiter.await.unwrap(), Ok(()));
    }
    assert_eq!(delivery.wait().await, Ok(()), "and those who come later");
    // The last report is counted a moment before it leaves the queue.
    flashsale_testkit::wait_until(Duration::from_secs(5), "the queue to be empty", async || {
        live.producer.in_flight() == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f_12_a_full_queue_fails_at_once_and_a_broker_that_is_away_after_the_timeout() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let settings =
        ProducerConfig { queue_max: 100, delivery_timeout: Duration::from_millis(500), ..ProducerConfig::default() };
    let producer = Producer::new(&Config::new(cluster.bootstrap_servers(), "test"), &settings).unwrap();
    // A new idempotent producer takes half a second to get its id from the broker.
    let healthy = async || producer.deliver("t", b"k", Some(b"v"), &[]).await;
    flashsale_testkit::wait_until(Duration::from_secs(20), "a first delivery", healthy).await;

    cluster.broker_down(1).unwrap();
    let began = Instant::now();
    let delivery = Delivery::begin();
    for _ in 0..150 {
        producer.send(&delivery, "t", b"k", Some(b"v"), &[]);
    }
    delivery.seal();
    assert!(began.elapsed() < Duration::from_secs(1), "sending never waits, it took {:?}", began.elapsed());
    assert_eq!(producer.room(), 0);
    assert_eq!(delivery.wait().await, Err(NotDelivered));

    cluster.broker_up(1).unwrap();
    flashsale_testkit::wait_until(Duration::from_secs(20), "the broker to be back", healthy).await;
    assert!(!producer.is_fatal());
}
