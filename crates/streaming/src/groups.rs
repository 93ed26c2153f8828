//! Consumer groups as the brokers see them: members, positions, and how far they are from the end.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    config::{ClientConfig, FromClientConfig, FromClientConfigAndContext},
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::KafkaError,
    groups::GroupInfo,
};

use crate::{
    Config, Error, Partition, Position,
    assignment::partitions_in,
    view::{Client, Context},
};

/// How long one question to the brokers may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How long records are waited for whose age is asked.
const PEEK_MAX: Duration = Duration::from_millis(1_500);
/// Groups of which a client is kept; each has threads of its own.
const CLIENTS_MAX: usize = 64;
/// Topics of the brokers themselves.
const INTERNAL: &str = "__";

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name in the group.
    pub id: String,
    /// The name that the client gave itself.
    pub client_id: String,
    /// Where it connects from.
    pub host: String,
    /// What it reads.
    pub partitions: Vec<Partition>,
}

/// A consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The brokers' word for its state, such as `Stable` or `Empty`.
    pub state: String,
    /// Its members; none of a group that is empty.
    pub members: Vec<Member>,
}

/// The first offset that a partition has, and the one after its last.
pub type Ends = HashMap<Partition, (i64, i64)>;

/// Looks at groups without being a member of any. Its questions block.
pub struct Observer {
    config: Config,
    client: Client,
    /// Reads the record at a position, for its age.
    peek: Client,
    /// The brokers tell the offsets of a group to clients of its name.
    by_group: HashMap<String, BaseConsumer>,
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observer").field("groups", &self.by_group.len()).finish_non_exhaustive()
    }
}

fn client_of(config: &Config, group: &str) -> ClientConfig {
    let mut client = config.client();
    client.set("group.id", group).set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
    client
}

impl Observer {
    /// An observer; it connects in the background.
    ///
    /// # Errors
    /// When the configuration is not usable.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let client = Client::from_config_and_context(&client_of(config, "flashsale-observer"), Context::of(config));
        let mut peek = client_of(config, "flashsale-observer");
        peek.set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "10")
            .set("fetch.message.max.bytes", "65536")
            .set("queued.max.messages.kbytes", "1024");
        let peek = Client::from_config_and_context(&peek, Context::of(config)).map_err(Error::Config)?;
        let client = client.map_err(Error::Config)?;
        Ok(Self { config: config.clone(), client, peek, by_group: HashMap::new() })
    }

    /// Every group that reads topics.
    ///
    /// # Errors
    /// When the brokers do not answer.
    pub fn groups(&mut self) -> Result<Vec<Group>, Error> {
        let list = self.client.fetch_group_list(None, ANSWER_MAX).map_err(self.config.failed("list groups"))?;
        let readers = list.groups().iter().filter(|group| ["consumer", ""].contains(&group.protocol_type()));
        let groups: Vec<Group> = readers.map(group).collect();
        self.by_group.retain(|name, _| groups.iter().any(|group| group.name == *name));
        Ok(groups)
    }

    /// One group; none when the brokers know no such group.
    ///
    /// # Errors
    /// When the brokers do not answer.
    pub fn group(&self, name: &str) -> Result<Option<Group>, Error> {
        let list = self.client.fetch_group_list(Some(name), ANSWER_MAX);
        let list = list.map_err(self.config.failed("look at a group"))?;
        let found = list.groups().iter().find(|group| group.name() == name).map(group);
        // A group that nobody ever joined or committed to is reported as dead.
        Ok(found.filter(|group| group.state != "Dead"))
    }

    /// The partitions of every topic but the brokers' own.
    ///
    /// # Errors
    /// When the brokers do not answer.
    pub fn partitions(&self) -> Result<BTreeSet<Partition>, Error> {
        let metadata = self.client.fetch_metadata(None, ANSWER_MAX).map_err(self.config.failed("list topics"))?;
        let topics = metadata.topics().iter().filter(|topic| !topic.name().starts_with(INTERNAL));
        let partitions = topics.flat_map(|topic| {
            let name: Arc<str> = topic.name().into();
            topic.partitions().iter().map(move |one| Partition { topic: name.clone(), number: one.id() })
        });
        Ok(partitions.collect())
    }

    /// Where `group` goes on in each of `partitions`, as it told the brokers; those it never told of are absent.
    ///
    /// # Errors
    /// When the brokers do not answer.
    pub fn committed(
        &mut self,
        group: &str,
        partitions: &BTreeSet<Partition>,
    ) -> Result<BTreeMap<Partition, i64>, Error> {
        let failed = self.config.failed("read the offsets of a group");
        let client = self.client_for(group)?;
        let asked = list_of(partitions.iter());
        let answer = client.committed_offsets(asked, ANSWER_MAX).map_err(failed)?;
        let mut committed = BTreeMap::new();
        for element in answer.elements() {
            if let Offset::Offset(next) = element.offset() {
                let partition = Partition { topic: element.topic().into(), number: element.partition() };
                committed.insert(partition, next);
            }
        }
        Ok(committed)
    }

    /// Tells the brokers where `group` goes on.
    ///
    /// # Errors
    /// When they do not answer, or the group has members.
    pub fn commit(&mut self, group: &str, next: &BTreeMap<Partition, i64>) -> Result<(), Error> {
        let failed = self.config.failed("set the offsets of a group");
        let mut list = TopicPartitionList::with_capacity(next.len());
        for (partition, offset) in next {
            list.add_partition_offset(&partition.topic, partition.number, Offset::Offset(*offset)).map_err(&failed)?;
        }
        let client = self.client_for(group)?;
        client.commit(&list, CommitMode::Sync).map_err(failed)
    }

    fn client_for(&mut self, group: &str) -> Result<&BaseConsumer, Error> {
        if !self.by_group.contains_key(group) {
            if self.by_group.len() >= CLIENTS_MAX {
                // A cluster of very many groups is looked at more slowly, with no more threads.
                self.by_group.clear();
            }
            let client = BaseConsumer::from_config(&client_of(&self.config, group)).map_err(Error::Config)?;
            self.by_group.insert(group.to_owned(), client);
        }
        // Just inserted, if it was not there.
        self.by_group.get(group).ok_or_else(|| Error::Stopped("no client for the group".into()))
    }

    /// Where partitions begin and end; those that cannot be asked now are absent.
    pub fn ends<'a>(&self, partitions: impl IntoIterator<Item = &'a Partition>) -> Ends {
        let mut ends = Ends::new();
        for partition in partitions {
            match self.client.fetch_watermarks(&partition.topic, partition.number, ANSWER_MAX) {
                Ok(range) => drop(ends.insert(partition.clone(), range)),
                Err(error) => tracing::debug!(%error, %partition, "where does it end"),
            }
        }
        ends
    }

    /// When the records at these positions were written, in milliseconds since 1970; absent when they did not come
    /// in time, or carry no time. Where a compacted topic has no record at a position, the next one counts.
    pub fn written_at(&self, positions: &[Position]) -> HashMap<Partition, i64> {
        let mut written = HashMap::new();
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for Position { partition, offset } in positions {
            let added = list.add_partition_offset(&partition.topic, partition.number, Offset::Offset(*offset));
            if let Err(error) = added {
                tracing::debug!(%error, %partition, "its next record");
            }
        }
        if positions.is_empty() || self.peek.assign(&list).is_err() {
            return written;
        }
        let (until, mut answered) = (Instant::now() + PEEK_MAX, 0);
        while answered < positions.len() && Instant::now() < until {
            match self.peek.poll(Duration::from_millis(50)) {
                Some(Ok(message)) => {
                    let partition = Partition { topic: message.topic().into(), number: message.partition() };
                    written.entry(partition).or_insert_with(|| {
                        answered += 1;
                        message.timestamp().to_millis().unwrap_or(-1)
                    });
                }
                Some(Err(KafkaError::PartitionEOF(_))) => answered += 1,
                Some(Err(error)) => tracing::debug!(%error, "the next record"),
                None => {}
            }
        }
        if let Err(error) = self.peek.unassign() {
            tracing::debug!(%error, "unassign");
        }
        written.retain(|_, millis| *millis > 0);
        written
    }
}

fn group(info: &GroupInfo) -> Group {
    let members = info.members().iter().map(|member| Member {
        id: member.id().to_owned(),
        client_id: member.client_id().to_owned(),
        host: member.client_host().trim_start_matches('/').to_owned(),
        partitions: member.assignment().map(partitions_in).unwrap_or_default(),
    });
    Group { name: info.name().to_owned(), state: info.state().to_owned(), members: members.collect() }
}

fn list_of<'a>(partitions: impl Iterator<Item = &'a Partition>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(&partition.topic, partition.number);
    }
    list
}
