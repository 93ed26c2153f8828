//! Topics, and whether they are as their papers say.

use std::collections::BTreeMap;

use flashsale_operations::{Error, PartitionEnds, TopicView};
use flashsale_schemas::Topic;
use flashsale_streaming::{Admin, TopicSpec, replace_settings};
use flashsale_testkit::{unique, wait_until};

use crate::{Desk, PATIENCE, ago};

impl Desk {
    async fn shown(&self, topic: Topic) -> TopicView {
        self.operations.topics(Some(self.ledger.topic(topic))).await.unwrap().remove(0)
    }

    /// Replaces the settings of a topic, and waits until it is shown to differ in these.
    async fn differs(&self, topic: Topic, settings: &[(&str, &str)], expected: &[(&str, &str, &str)]) {
        let settings: BTreeMap<String, String> =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        replace_settings(self.ledger.streaming(), self.ledger.topic(topic), &settings).await.unwrap();
        wait_until(PATIENCE, "the difference", async || {
            let drift = self.shown(topic).await.drift;
            let named: Vec<(&str, &str, &str)> =
                drift.iter().map(|one| (one.setting.as_str(), one.wanted.as_str(), one.actual.as_str())).collect();
            if named == expected { Ok(()) } else { Err(format!("{named:?}")) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_as_migrate_makes_them_are_as_their_papers_say() {
    let desk = Desk::open().await;
    desk.crowd(5, ago(0)).await;
    for topic in Topic::ALL {
        let shown = desk.shown(topic).await;
        assert_eq!(shown.name, desk.ledger.topic(topic));
        assert_eq!(shown.summary.as_ref(), Some(&topic.paper().summary));
        assert_eq!((shown.partitions.len(), shown.replication), (topic.paper().partitions as usize, 1), "{topic}");
        assert_eq!((shown.internal, &shown.drift[..]), (false, &[][..]), "{topic}");
    }
    let decisions = desk.shown(Topic::PurchaseDecisions).await;
    assert_eq!((decisions.records, &decisions.partitions[0]), (5, &PartitionEnds { partition: 0, first: 0, end: 5 }));
    assert_eq!(decisions.settings["cleanup.policy"], "delete");

    let all = desk.operations.topics(None).await.unwrap();
    assert!(all[..Topic::ALL.len()].iter().all(|topic| topic.summary.is_some()), "ours first");
    assert!(all.iter().all(|topic| !topic.internal), "without those of the brokers");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_is_not_as_the_paper_says_is_named_with_both_values() {
    let desk = Desk::open().await;
    let retention = [("retention.ms", "2592000000", "86400000")];
    desk.differs(Topic::PurchaseDecisions, &[("retention.ms", "86400000")], &retention).await;
    let defaults = [("cleanup.policy", "compact", "delete"), ("segment.ms", "3600000", "604800000")];
    desk.differs(Topic::SaleStatus, &[], &defaults).await;
    let paper = [("cleanup.policy", "compact"), ("segment.ms", "3600000")];
    desk.differs(Topic::SaleStatus, &paper, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_ours_has_no_paper_and_one_that_is_none_is_not_found() {
    let desk = Desk::open().await;
    let name = unique("elsewhere");
    let spec = TopicSpec { name: name.clone(), partitions: 2, replication: 1, settings: BTreeMap::new() };
    Admin::new(desk.ledger.streaming()).unwrap().create_missing(&[spec]).await.unwrap();
    let shown =
        wait_until(PATIENCE, "the new topic", async || desk.operations.topics(Some(&name)).await).await.remove(0);
    assert_eq!((shown.summary, shown.drift, shown.records, shown.partitions.len()), (None, vec![], 0, 2));
    let unknown = desk.operations.topics(Some("no-such-topic")).await.unwrap_err();
    assert!(matches!(&unknown, Error::NotFound(why) if why.contains("no-such-topic")), "{unknown:?}");
}
