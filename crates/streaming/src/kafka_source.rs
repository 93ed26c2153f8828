//! A group member on a thread of its own.
//!
//! The thread polls always, also while the pipeline waits for its infrastructure: then the partitions
//! are paused and only heartbeats and rebalances are served. It owns the consumer alone, so that
//! leaving the group, which blocks, never happens on an async thread.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext},
    error::KafkaError,
    types::RDKafkaRespErr,
};
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot, watch,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, ConsumerConfig, Control, Error, Hold, Partition, Position, Record, Source, SourceEvent, metrics,
    trouble::Trouble,
    view::{owned, partition_list},
    watchdog::{SILENT_MAX, Watchdog},
};

/// Most records of one event.
const CHUNK_MAX: usize = 500;
/// Most events that wait for the pipeline: at half load a chunk has a few dozen records, and those that come while one
/// transaction is written are to go into the next.
const CHUNKS_MAX: usize = 32;
/// A pipeline that is behind for longer has its partitions paused. Not sooner: a paused partition loses
/// what was fetched ahead, and the client takes up to a second to fetch again.
const PAUSE_AFTER: Duration = Duration::from_millis(500);
/// How long one poll waits; bounds how late a stop or a commit is noticed.
const POLL: Duration = Duration::from_millis(20);
/// A pipeline that cannot say where to begin for this long is given up, short of `max.poll.interval.ms`.
const RESUME_MAX: Duration = Duration::from_secs(240);
/// How long one look at a partition's end may take.
const WATERMARKS_MAX: Duration = Duration::from_secs(5);

/// How long the client may take to go back to a record of a held partition.
const SEEK_MAX: Duration = Duration::from_secs(2);

/// How long the watchdog's look at a partition's end may hold up the polling.
const STALL_LOOK_MAX: Duration = Duration::from_secs(2);

type Offsets = HashMap<Partition, i64>;

/// What the thread and its callbacks share.
struct Shared {
    to_commit: Mutex<Offsets>,
    /// Read but not yet handed over, because the pipeline is behind.
    waiting: Mutex<Vec<Record>>,
    stop: CancellationToken,
    /// Whether the pipeline is behind, so that nothing more is fetched.
    behind: AtomicBool,
    /// What an operator ordered.
    hold: watch::Receiver<Hold>,
    /// Partitions of ours that are held by that order. The client remembers a pause also while others own the
    /// partition.
    held: Mutex<HashSet<Partition>>,
    group: String,
    /// Why the callbacks stopped the source.
    reason: Mutex<Option<String>>,
    /// Where reading began, of partitions that have yielded nothing yet.
    began: Mutex<Offsets>,
}

impl Shared {
    fn stop_because(&self, reason: String) {
        *lock(&self.reason) = Some(reason);
        self.stop.cancel();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What the mutexes guard is valid after every statement, so a panic elsewhere does not spoil it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Context {
    shared: Arc<Shared>,
    control: mpsc::Sender<Control>,
    drain_timeout: Duration,
    trouble: Trouble,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.trouble.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.trouble.note(reason);
        tracing::warn!(%error, reason, "kafka consumer");
    }
}

impl Context {
    /// Asks the pipeline and waits, on the polling thread; none when it is gone or too slow.
    fn ask(&self, make: impl FnOnce(oneshot::Sender<Offsets>) -> Control, patience: Duration) -> Option<Offsets> {
        if self.shared.stop.is_cancelled() {
            return None;
        }
        let (reply, mut answer) = oneshot::channel();
        self.control.blocking_send(make(reply)).ok()?;
        let deadline = Instant::now() + patience;
        loop {
            match answer.try_recv() {
                Ok(offsets) => return Some(offsets),
                Err(oneshot::error::TryRecvError::Closed) => return None,
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
            if Instant::now() >= deadline || self.shared.stop.is_cancelled() {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn assigned(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let partitions = partitions_of(list);
        tracing::info!(partitions = partitions.len(), "partitions assigned");
        let Some(start) = self.ask(|reply| Control::Assigned(partitions.clone(), reply), RESUME_MAX) else {
            // Without a place to begin nothing may be read.
            self.shared.stop_because("nobody could say where to begin".into());
            return;
        };
        if let Some(lost) = start.iter().find_map(|(partition, next)| past_the_end(consumer, partition, *next)) {
            self.shared.stop_because(lost);
            return;
        }
        lock(&self.shared.began).extend(start.iter().map(|(partition, next)| (partition.clone(), *next)));
        let mut begin = TopicPartitionList::new();
        for partition in &partitions {
            let offset = start.get(partition).map_or(Offset::Invalid, |next| Offset::Offset(*next));
            // Fails only for a special offset, which neither of these is.
            if let Err(error) = begin.add_partition_offset(&partition.topic, partition.number, offset) {
                tracing::error!(%error, %partition, "start offset");
            }
        }
        if let Err(error) = consumer.incremental_assign(&begin) {
            tracing::error!(%error, "assign");
        }
        let hold = self.shared.hold.borrow().clone();
        let held = |partition: &&Partition| hold.first_unread(partition.number) == Some(i64::MIN);
        let (held, free): (Vec<_>, Vec<_>) = partitions.iter().partition(held);
        lock(&self.shared.held).extend(held.iter().map(|partition| (*partition).clone()));
        set_paused(consumer, &held, true);
        set_paused(consumer, &free, self.shared.behind.load(Ordering::Relaxed));
    }

    fn revoked(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let partitions = partitions_of(list);
        tracing::info!(partitions = partitions.len(), "partitions revoked");
        let gone: HashSet<&Partition> = partitions.iter().collect();
        lock(&self.shared.waiting).retain(|record| !gone.contains(&record.position.partition));
        lock(&self.shared.held).retain(|partition| !gone.contains(partition));
        if let Some(done) = self.ask(|reply| Control::Revoked(partitions.clone(), reply), self.drain_timeout) {
            lock(&self.shared.to_commit).extend(done);
        }
        commit(consumer, &self.shared, CommitMode::Sync);
        if let Err(error) = consumer.incremental_unassign(list) {
            tracing::error!(%error, "unassign");
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, list: &mut TopicPartitionList) {
        match kind {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assigned(consumer, list),
            _ => self.revoked(consumer, list),
        }
    }
}

/// Says so when a stored offset is past the end of its partition: the log was made anew while what was
/// made from it was kept. Going on would leave out every record up to that offset.
fn past_the_end(consumer: &BaseConsumer<Context>, partition: &Partition, next: i64) -> Option<String> {
    let (_, end) = consumer.fetch_watermarks(&partition.topic, partition.number, WATERMARKS_MAX).ok()?;
    (next > end).then(|| {
        format!(
            "offset {next} of {partition} is stored, but the log ends at {end}: the topic was created anew. \
             Restore the topic, or delete the rows of this consumer in consumer_offsets to read it from its start"
        )
    })
}

fn partitions_of(list: &TopicPartitionList) -> Vec<Partition> {
    list.elements()
        .iter()
        .map(|element| Partition { topic: element.topic().into(), number: element.partition() })
        .collect()
}

fn commit(consumer: &BaseConsumer<Context>, shared: &Shared, mode: CommitMode) {
    let offsets = std::mem::take(&mut *lock(&shared.to_commit));
    if offsets.is_empty() {
        return;
    }
    let list = partition_list(&offsets);
    if let Err(error) = consumer.commit(&list, mode) {
        // Display only: the next commit or the restart makes up for it.
        tracing::debug!(%error, "offset commit");
    }
}

fn poll_until_stopped(consumer: &BaseConsumer<Context>, shared: &Shared, data: &mpsc::Sender<Vec<Record>>) -> Error {
    let mut behind_since: Option<Instant> = None;
    let mut topics = HashSet::new();
    let mut watchdog = Watchdog::default();
    let mut hold = Hold::Nothing;
    while !shared.stop.is_cancelled() {
        commit(consumer, shared, CommitMode::Async);
        let waiting = std::mem::take(&mut *lock(&shared.waiting));
        if !waiting.is_empty() {
            match data.try_send(waiting) {
                Ok(()) => {}
                Err(TrySendError::Full(waiting)) => *lock(&shared.waiting) = waiting,
                Err(TrySendError::Closed(_)) => return Error::Stopped("the pipeline is gone".into()),
            }
        }
        let ordered = shared.hold.borrow().clone();
        if ordered != hold {
            hold = ordered;
            obey(consumer, shared, &hold);
        }
        let behind = !lock(&shared.waiting).is_empty();
        let since = behind.then(|| *behind_since.get_or_insert_with(Instant::now));
        behind_since = since;
        if since.is_some_and(|since| since.elapsed() < PAUSE_AFTER) {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        if shared.behind.swap(behind, Ordering::Relaxed) != behind {
            set_paused(consumer, &free(consumer, shared).iter().collect::<Vec<_>>(), behind);
        }
        let mut wait = POLL;
        let room = if behind { 1 } else { CHUNK_MAX };
        for _ in 0..room {
            match consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    let record = owned(&message, &mut topics);
                    let first_unread = hold.first_unread(record.position.partition.number);
                    if first_unread.is_some_and(|first| record.position.offset >= first) {
                        put_back(consumer, shared, &record.position);
                    } else {
                        lock(&shared.waiting).push(record);
                    }
                }
                Some(Err(error)) => tracing::warn!(%error, "kafka consumer"),
            }
            wait = Duration::ZERO;
        }
        if let Some((code, reason)) = consumer.client().fatal_error() {
            return Error::Stopped(format!("{code}: {reason}"));
        }
        if behind {
            watchdog.reset();
        } else if let Some(stalled) = stalled(consumer, shared, &mut watchdog) {
            metrics::stalled();
            return Error::Stopped(stalled);
        }
    }
    commit(consumer, shared, CommitMode::Sync);
    Error::Stopped(lock(&shared.reason).take().unwrap_or_else(|| "closed".into()))
}

/// Takes up a new order: what it holds is paused, what it lets go is read on.
fn obey(consumer: &BaseConsumer<Context>, shared: &Shared, hold: &Hold) {
    let assigned = consumer.assignment().map(|list| partitions_of(&list)).unwrap_or_default();
    let mut held = lock(&shared.held);
    let is_held = |partition: &Partition| hold.first_unread(partition.number) == Some(i64::MIN);
    let (stop, go): (Vec<_>, Vec<_>) = assigned.iter().partition(|partition| is_held(partition));
    let stop: Vec<&Partition> = stop.into_iter().filter(|partition| held.insert((*partition).clone())).collect();
    let go: Vec<&Partition> = go.into_iter().filter(|partition| held.remove(*partition)).collect();
    drop(held);
    tracing::info!(group = shared.group, ?hold, held = stop.len(), let_go = go.len(), "an operator's order");
    set_paused(consumer, &stop, true);
    set_paused(consumer, &go, shared.behind.load(Ordering::Relaxed));
}

/// A record that an order forbids to read: its partition is held, and begins with it once it is let go.
fn put_back(consumer: &BaseConsumer<Context>, shared: &Shared, position: &Position) {
    let Position { partition, offset } = position;
    if lock(&shared.held).insert(partition.clone()) {
        set_paused(consumer, &[partition], true);
    }
    if let Err(error) = consumer.seek(&partition.topic, partition.number, Offset::Offset(*offset), SEEK_MAX) {
        // It would be left out.
        shared.stop_because(format!("cannot go back to {position}: {error}"));
    }
}

/// Our partitions that no order holds.
fn free(consumer: &BaseConsumer<Context>, shared: &Shared) -> Vec<Partition> {
    let held = lock(&shared.held);
    let assigned = consumer.assignment().map(|list| partitions_of(&list)).unwrap_or_default();
    assigned.into_iter().filter(|partition| !held.contains(partition)).collect()
}

/// Says so when a partition has records and yields none.
fn stalled(consumer: &BaseConsumer<Context>, shared: &Shared, watchdog: &mut Watchdog) -> Option<String> {
    let now = Instant::now();
    if !watchdog.is_due(now) {
        return None;
    }
    let mut positions = HashMap::new();
    for element in consumer.position().ok()?.elements() {
        let partition = Partition { topic: element.topic().into(), number: element.partition() };
        if lock(&shared.held).contains(&partition) {
            continue;
        }
        let next = match element.offset() {
            Offset::Offset(next) => next,
            // Where it begins only the broker knows: nothing can be said of it yet.
            _ => match lock(&shared.began).get(&partition) {
                Some(next) => *next,
                None => continue,
            },
        };
        positions.insert(partition, next);
    }
    let (suspect, next) = watchdog.look(now, positions)?;
    match consumer.fetch_watermarks(&suspect.topic, suspect.number, STALL_LOOK_MAX) {
        Ok((low, end)) if end > next.max(low) => Some(format!(
            "{suspect} is ours and yields nothing since {SILENT_MAX:?}, although it has offsets {next} to {end}; starting anew"
        )),
        // Nothing to read, or the brokers are away, which shows elsewhere.
        _ => {
            watchdog.excuse(now, &suspect);
            None
        }
    }
}

fn set_paused(consumer: &BaseConsumer<Context>, partitions: &[&Partition], paused: bool) {
    if partitions.is_empty() {
        return;
    }
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.number);
    }
    let result = if paused { consumer.pause(&list) } else { consumer.resume(&list) };
    if let Err(error) = result {
        tracing::warn!(%error, paused, "pause or resume");
    }
}

/// A member of a consumer group.
pub struct KafkaSource {
    data: mpsc::Receiver<Vec<Record>>,
    control: mpsc::Receiver<Control>,
    stopped: oneshot::Receiver<Error>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Taken from `data` when a revocation had to look through it.
    sifted: std::collections::VecDeque<Vec<Record>>,
}

impl fmt::Debug for KafkaSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSource").finish_non_exhaustive()
    }
}

impl KafkaSource {
    /// Joins the group; the connection is made in the background. What `hold` holds is not read.
    pub fn start(config: &Config, consumer: &ConsumerConfig, hold: watch::Receiver<Hold>) -> Result<Self, Error> {
        consumer.check()?;
        metrics::consumer_begins();
        let shared = Arc::new(Shared {
            to_commit: Mutex::default(),
            waiting: Mutex::default(),
            stop: CancellationToken::new(),
            behind: AtomicBool::new(false),
            hold,
            held: Mutex::default(),
            group: consumer.group.clone(),
            reason: Mutex::default(),
            began: Mutex::default(),
        });
        let (control_tx, control) = mpsc::channel(8);
        let (data_tx, data) = mpsc::channel(CHUNKS_MAX);
        let (stopped_tx, stopped) = oneshot::channel();
        let (drain_timeout, trouble) = (consumer.drain_timeout, config.trouble.clone());
        let context = Context { shared: shared.clone(), control: control_tx, drain_timeout, trouble };
        let client: BaseConsumer<Context> =
            BaseConsumer::from_config_and_context(&consumer.client(config), context).map_err(Error::Config)?;
        let topics: Vec<&str> = consumer.topics.iter().map(String::as_str).collect();
        client.subscribe(&topics).map_err(config.failed("subscribe"))?;
        let thread = std::thread::Builder::new()
            .name(format!("poll-{}", consumer.group))
            .spawn({
                let shared = shared.clone();
                move || {
                    let why = poll_until_stopped(&client, &shared, &data_tx);
                    shared.stop.cancel();
                    drop(client);
                    // Nobody listens when the pipeline closed the source itself.
                    drop(stopped_tx.send(why));
                }
            })
            .map_err(|error| Error::Stopped(format!("no thread to poll on: {error}")))?;
        Ok(Self { data, control, stopped, shared, thread: Some(thread), sifted: Default::default() })
    }

    /// Throws away queued records of revoked partitions. The thread waits for the answer to the
    /// revocation meanwhile, so nothing new arrives.
    fn sift(&mut self, control: &Control) {
        let Control::Revoked(partitions, _) = control else { return };
        while let Ok(chunk) = self.data.try_recv() {
            self.sifted.push_back(chunk);
        }
        for chunk in &mut self.sifted {
            chunk.retain(|record| !partitions.contains(&record.position.partition));
        }
    }
}

#[async_trait]
impl Source for KafkaSource {
    async fn next(&mut self) -> SourceEvent {
        if let Ok(control) = self.control.try_recv() {
            self.sift(&control);
            return SourceEvent::Control(control);
        }
        if let Some(chunk) = self.sifted.pop_front() {
            return SourceEvent::Records(chunk);
        }
        tokio::select! {
            biased;
            Some(control) = self.control.recv() => {
                self.sift(&control);
                SourceEvent::Control(control)
            }
            Some(records) = self.data.recv() => SourceEvent::Records(records),
            why = &mut self.stopped => SourceEvent::Stopped(why.unwrap_or_else(|_| Error::Stopped("panic".into()))),
        }
    }

    async fn next_control(&mut self) -> SourceEvent {
        tokio::select! {
            biased;
            Some(control) = self.control.recv() => {
                self.sift(&control);
                SourceEvent::Control(control)
            }
            why = &mut self.stopped => SourceEvent::Stopped(why.unwrap_or_else(|_| Error::Stopped("panic".into()))),
        }
    }

    fn commit(&mut self, next: &Offsets) {
        lock(&self.shared.to_commit).extend(next.iter().map(|(partition, next)| (partition.clone(), *next)));
    }

    async fn close(&mut self) {
        self.shared.stop.cancel();
        let Some(thread) = self.thread.take() else { return };
        if tokio::task::spawn_blocking(move || thread.join()).await.is_err() {
            tracing::error!("the polling thread panicked");
        }
    }
}

impl Drop for KafkaSource {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}
