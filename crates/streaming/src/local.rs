//! A log in memory whose rebalances are scripted: the hard cases of a real group, on command.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::{Control, Error, Partition, Position, Record, Source, SourceEvent};

type Offsets = HashMap<Partition, i64>;

#[derive(Debug, Default)]
struct State {
    records: BTreeMap<Partition, Vec<Record>>,
    committed: HashMap<Partition, i64>,
}

/// A log in memory.
#[derive(Debug, Clone, Default)]
pub struct LocalLog {
    state: Arc<Mutex<State>>,
}

impl LocalLog {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a record; returns its offset.
    pub fn append(&self, partition: &Partition, payload: impl Into<Bytes>) -> i64 {
        let mut state = self.state();
        let records = state.records.entry(partition.clone()).or_default();
        let offset = i64::try_from(records.len()).unwrap_or(i64::MAX);
        records.push(Record {
            position: Position { partition: partition.clone(), offset },
            key: None,
            payload: Some(payload.into()),
            headers: Vec::new(),
            timestamp_ms: 0,
        });
        offset
    }

    /// What a group committed: the next offset to read.
    pub fn committed(&self, partition: &Partition) -> Option<i64> {
        self.state().committed.get(partition).copied()
    }

    fn read(&self, partition: &Partition, from: i64, count: usize) -> Vec<Record> {
        let from = usize::try_from(from).unwrap_or(0);
        let state = self.state();
        state.records.get(partition).map_or_else(Vec::new, |all| all.iter().skip(from).take(count).cloned().collect())
    }
}

/// A group member of a [`LocalLog`], steered by its [`Conductor`].
#[derive(Debug)]
pub struct LocalSource {
    log: LocalLog,
    control: mpsc::Receiver<Scripted>,
    next: BTreeMap<Partition, i64>,
    assigning: Option<(Vec<Partition>, oneshot::Receiver<Offsets>)>,
}

#[derive(Debug)]
enum Scripted {
    Assign(Vec<Partition>),
    Revoke(Vec<Partition>, oneshot::Sender<Offsets>),
    Stop(String),
}

/// Gives partitions to a [`LocalSource`] and takes them away.
#[derive(Debug, Clone)]
pub struct Conductor {
    control: mpsc::Sender<Scripted>,
}

impl Conductor {
    /// Gives partitions.
    pub async fn assign(&self, partitions: &[Partition]) {
        drop(self.control.send(Scripted::Assign(partitions.to_vec())).await);
    }

    /// Takes partitions away; returns where the member says it got to, or nothing when it is gone.
    pub async fn revoke(&self, partitions: &[Partition]) -> Option<Offsets> {
        let (reply, answer) = oneshot::channel();
        self.control.send(Scripted::Revoke(partitions.to_vec(), reply)).await.ok()?;
        answer.await.ok()
    }

    /// Ends the source as a fatal client error would.
    pub async fn stop(&self, reason: &str) {
        drop(self.control.send(Scripted::Stop(reason.to_owned())).await);
    }
}

impl LocalSource {
    /// A member that owns nothing yet.
    pub fn new(log: &LocalLog) -> (Self, Conductor) {
        let (control, receiver) = mpsc::channel(8);
        let source = Self { log: log.clone(), control: receiver, next: BTreeMap::new(), assigning: None };
        (source, Conductor { control })
    }

    fn scripted(&mut self, command: Option<Scripted>) -> SourceEvent {
        match command {
            Some(Scripted::Assign(partitions)) => {
                let (reply, answer) = oneshot::channel();
                self.assigning = Some((partitions.clone(), answer));
                SourceEvent::Control(Control::Assigned(partitions, reply))
            }
            Some(Scripted::Revoke(partitions, reply)) => {
                self.next.retain(|partition, _| !partitions.contains(partition));
                SourceEvent::Control(Control::Revoked(partitions, reply))
            }
            Some(Scripted::Stop(reason)) => SourceEvent::Stopped(Error::Stopped(reason)),
            None => SourceEvent::Stopped(Error::Stopped("the script ended".into())),
        }
    }

    fn settle_assignment(&mut self) {
        let Some((partitions, mut answer)) = self.assigning.take() else { return };
        match answer.try_recv() {
            Ok(start) => {
                for partition in partitions {
                    let committed = self.log.committed(&partition).unwrap_or(0);
                    let next = start.get(&partition).copied().unwrap_or(committed);
                    self.next.insert(partition, next);
                }
            }
            Err(oneshot::error::TryRecvError::Empty) => self.assigning = Some((partitions, answer)),
            Err(oneshot::error::TryRecvError::Closed) => {}
        }
    }
}

#[async_trait]
impl Source for LocalSource {
    async fn next(&mut self) -> SourceEvent {
        loop {
            if let Ok(command) = self.control.try_recv() {
                return self.scripted(Some(command));
            }
            self.settle_assignment();
            for (partition, next) in &mut self.next {
                let records = self.log.read(partition, *next, 7);
                if let Some(last) = records.last() {
                    *next = last.position.offset + 1;
                    return SourceEvent::Records(records);
                }
            }
            // Nothing to read: look again soon, as a poll would.
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    async fn next_control(&mut self) -> SourceEvent {
        let command = self.control.recv().await;
        self.scripted(command)
    }

    fn commit(&mut self, next: &HashMap<Partition, i64>) {
        self.log.state().committed.extend(next.iter().map(|(partition, next)| (partition.clone(), *next)));
    }

    async fn close(&mut self) {
        self.control.close();
    }
}
