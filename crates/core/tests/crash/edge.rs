//! One ingest: each of its tasks stands at an await point and can be killed there.

use std::collections::{BTreeMap, BTreeSet};

use flashsale_core::{Attempt, Decision, LoggedDecision, LoggedOutcome, Micros, Outcome, UserId, invariants::Sold};

use crate::{
    log::{Delivery, Record},
    redis::{Failed, Reply, accepted, sale_id},
    shop::{Answer, Shop},
};

/// A call whose reply was lost is made this often.
const TRIES: u32 = 3;

/// One attempt at an edge.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    attempt: Attempt,
    /// Not when its deadline has passed.
    waits: bool,
}

/// The await point at which a task stands. A batch gathers in [`Edge::gathering`] before the first.
#[derive(Debug)]
enum Point {
    /// The call to Redis is sent; with a reply, it was executed and that is on its way back.
    Decide { jobs: Vec<Job>, tries: u32, reply: Option<Reply> },
    /// The reply is there, and nothing done with it yet.
    Publish { jobs: Vec<Job>, reply: Reply },
    /// Winners wait for the log, and so do the entries that are to leave the outbox.
    WaitAck { winners: Vec<Sold>, delivery: u32, entries: Vec<i64> },
    /// Answers are to be written to their sockets.
    Answer(Vec<(Attempt, Answer)>),
    /// The log has what these entries hold.
    Settle(Vec<i64>),
}

#[derive(Debug)]
pub(crate) struct Edge {
    name: usize,
    connection: Option<u32>,
    /// The next batch.
    gathering: Vec<Job>,
    tasks: Vec<Point>,
    /// Final answers by attempt.
    memory: BTreeMap<(String, String), Answer>,
    losers: BTreeSet<UserId>,
}

fn key(attempt: &Attempt) -> (String, String) {
    (attempt.user.to_string(), attempt.request_id.to_string())
}

fn attempt_of(unit: &Sold) -> Attempt {
    Attempt { user: unit.user.clone(), request_id: unit.request_id.clone() }
}

/// What the log is told of a refusal; the edge itself does not know what the sale looks like.
fn refusal(attempt: &Attempt, outcome: &Outcome, at: Micros, after: Option<(u64, u64)>) -> LoggedDecision {
    LoggedDecision {
        attempt: attempt.clone(),
        sale_id: sale_id(),
        outcome: LoggedOutcome::from(outcome),
        decided_at: at,
        as_of_sequence: after.map(|(sold, _)| sold),
        remaining: after.map(|(_, left)| left),
    }
}

impl Edge {
    pub(crate) fn start(name: usize) -> Self {
        Self {
            name,
            connection: None,
            gathering: Vec::new(),
            tasks: Vec::new(),
            memory: BTreeMap::new(),
            losers: BTreeSet::new(),
        }
    }

    /// Takes a request, as the first with its key or behind it.
    pub(crate) fn ask(&mut self, shop: &mut Shop, attempt: Attempt) {
        if let Some(answer) = self.memory.get(&key(&attempt)) {
            shop.tell(self.name, &attempt, &answer.clone());
        } else if shop.log.has_ended() && self.losers.contains(&attempt.user) {
            shop.log.send_refusal(refusal(&attempt, &Outcome::SoldOut, shop.redis.now, None));
            self.tasks.push(Point::Answer(vec![(attempt, Answer::SoldOut)]));
        } else if !self.is_under_way(&attempt) {
            self.gathering.push(Job { attempt, waits: true });
        }
    }

    fn is_under_way(&self, attempt: &Attempt) -> bool {
        let asks = |jobs: &[Job]| jobs.iter().any(|job| job.waits && job.attempt == *attempt);
        asks(&self.gathering)
            || self.tasks.iter().any(|task| match task {
                Point::Decide { jobs, .. } | Point::Publish { jobs, .. } => asks(jobs),
                Point::WaitAck { winners, .. } => winners.iter().any(|unit| attempt_of(unit) == *attempt),
                Point::Answer(answers) => answers.iter().any(|(answered, _)| answered == attempt),
                Point::Settle(_) => false,
            })
    }

    /// One call to Redis at a time.
    fn decides(&self) -> bool {
        self.tasks.iter().any(|task| matches!(task, Point::Decide { .. } | Point::Publish { .. }))
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.tasks.is_empty() && self.gathering.is_empty()
    }

    /// One task goes on to its next await point.
    pub(crate) fn step(&mut self, shop: &mut Shop, pick: usize) {
        if !self.gathering.is_empty() && !self.decides() {
            let jobs = std::mem::take(&mut self.gathering);
            self.tasks.push(Point::Decide { jobs, tries: 1, reply: None });
            return;
        }
        let Some(place) = pick.checked_rem(self.tasks.len()) else { return };
        match self.tasks.remove(place) {
            Point::Decide { jobs, tries, reply: None } => self.call(shop, jobs, tries),
            Point::Decide { jobs, reply: Some(reply), .. } => self.tasks.push(Point::Publish { jobs, reply }),
            Point::Publish { jobs, reply } => self.publish(shop, jobs, reply),
            Point::WaitAck { winners, delivery, entries } => self.acknowledged(shop, winners, delivery, entries),
            Point::Answer(answers) => self.answer(shop, answers),
            Point::Settle(entries) => shop.redis.settle(&mut self.connection, &entries),
        }
    }

    /// Redis executes the call, unless it is another Redis by now.
    fn call(&mut self, shop: &mut Shop, jobs: Vec<Job>, tries: u32) {
        let attempts: Vec<Attempt> = jobs.iter().map(|job| job.attempt.clone()).collect();
        match shop.redis.decide(&mut self.connection, &attempts) {
            Ok(reply) => {
                for (attempt, (decision, _)) in attempts.iter().zip(&reply.decided) {
                    let (user, key) = (&attempt.user, &attempt.request_id);
                    let outcome = LoggedOutcome::from(&decision.outcome);
                    shop.note(format!(
                        "Redis {} answers {user}/{key} at edge {}: {outcome}",
                        shop.redis.run, self.name
                    ));
                }
                self.tasks.push(Point::Decide { jobs, tries, reply: Some(reply) });
            }
            Err(Failed::Cut) => self.again(shop, jobs, tries),
            Err(Failed::Closed | Failed::Missing) => self.undecided(jobs),
        }
    }

    fn again(&mut self, shop: &mut Shop, jobs: Vec<Job>, tries: u32) {
        if tries < TRIES {
            self.tasks.push(Point::Decide { jobs, tries: tries + 1, reply: None });
        } else {
            shop.note(format!("edge {} asks Redis no more", self.name));
            self.undecided(jobs);
        }
    }

    fn undecided(&mut self, jobs: Vec<Job>) {
        let waiting = jobs.into_iter().filter(|job| job.waits);
        self.tasks.push(Point::Answer(waiting.map(|job| (job.attempt, Answer::Unavailable)).collect()));
    }

    /// Queues the records of a batch, and sorts out who must wait for the log.
    fn publish(&mut self, shop: &mut Shop, jobs: Vec<Job>, reply: Reply) {
        if reply.stale && shop.protocol.late_replies_dropped {
            shop.note(format!("edge {} was too late to publish", self.name));
            shop.forgotten.extend(reply.units());
            self.undecided(jobs);
            return;
        }
        let (mut records, mut winners, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        for (Job { attempt, waits }, (decision, pending)) in jobs.into_iter().zip(&reply.decided) {
            let Decision { outcome, as_of_sequence, remaining } = decision;
            let won = outcome.receipt().cloned().map(|receipt| Sold {
                user: attempt.user.clone(),
                request_id: attempt.request_id.clone(),
                receipt,
            });
            let answer = match (outcome, won) {
                (Outcome::Accepted(_), Some(unit)) => {
                    records.push(accepted(&unit, shop.stock));
                    Err(unit)
                }
                (Outcome::Repeated(_), Some(unit)) if *pending => {
                    records.push(accepted(&unit, shop.stock));
                    Err(unit)
                }
                (Outcome::Repeated(receipt), Some(unit)) if receipt.decided_at == reply.at => Err(unit),
                (Outcome::Repeated(receipt), _) => Ok(Answer::Purchased(receipt.clone())),
                (outcome, _) => {
                    let after = Some((*as_of_sequence, *remaining));
                    shop.log.send_refusal(refusal(&attempt, outcome, reply.at, after));
                    Ok(outcome.receipt().cloned().map_or(Answer::SoldOut, Answer::AlreadyPurchased))
                }
            };
            match answer {
                Err(unit) if waits => winners.push(unit),
                Ok(answer) if waits => {
                    if answer == Answer::SoldOut {
                        self.losers.insert(attempt.user.clone());
                    }
                    answers.push((attempt, answer));
                }
                _ => {}
            }
        }
        let changes = reply.entries.iter().filter_map(|entry| entry.change.clone());
        records.extend(changes.map(|(change, after)| Record::Change(change, after)));
        let entries = reply.entries.iter().map(|entry| entry.id).collect();
        let delivery = shop.log.send(records);
        self.tasks.push(Point::Answer(answers));
        self.tasks.push(Point::WaitAck { winners, delivery, entries });
    }

    fn acknowledged(&mut self, shop: &mut Shop, winners: Vec<Sold>, delivery: u32, entries: Vec<i64>) {
        let told = |answer: fn(_) -> Answer| {
            winners.iter().map(|unit| (attempt_of(unit), answer(unit.receipt.clone()))).collect()
        };
        match shop.log.delivery(delivery) {
            Delivery::UnderWay => self.tasks.push(Point::WaitAck { winners, delivery, entries }),
            Delivery::Acked => {
                self.tasks.push(Point::Answer(told(Answer::Purchased)));
                self.tasks.push(Point::Settle(entries));
            }
            Delivery::Failed => self.tasks.push(Point::Answer(told(Answer::Pending))),
        }
    }

    fn answer(&mut self, shop: &mut Shop, answers: Vec<(Attempt, Answer)>) {
        for (attempt, answer) in answers {
            if answer.is_final() {
                self.memory.insert(key(&attempt), answer.clone());
            }
            shop.tell(self.name, &attempt, &answer);
        }
    }

    /// The connection breaks, with the call on it or the reply.
    pub(crate) fn lose_reply(&mut self, shop: &mut Shop) {
        let Some(place) = self.tasks.iter().position(|task| matches!(task, Point::Decide { .. })) else { return };
        if let Point::Decide { jobs, tries, reply } = self.tasks.remove(place) {
            self.connection = None;
            shop.note(format!("edge {} loses its connection to Redis", self.name));
            shop.forgotten.extend(reply.iter().flat_map(Reply::units));
            self.again(shop, jobs, tries);
        }
    }

    /// A deadline passes: 503 for who waits for Redis, 202 for who waits for the log.
    pub(crate) fn time_out(&mut self, shop: &mut Shop, pick: usize) {
        let mut answers = Vec::new();
        match pick.checked_rem(self.tasks.len()).map(|place| &mut self.tasks[place]) {
            Some(Point::Decide { jobs, .. } | Point::Publish { jobs, .. }) => {
                for job in jobs.iter_mut().filter(|job| job.waits) {
                    job.waits = false;
                    answers.push((job.attempt.clone(), Answer::Unavailable));
                }
            }
            Some(Point::WaitAck { winners, .. }) => {
                let late = winners.drain(..);
                answers.extend(late.map(|unit| (attempt_of(&unit), Answer::Pending(unit.receipt))));
            }
            Some(_) => {}
            // Nobody waits for them any more, so they are not sold anything.
            None => answers.extend(self.gathering.drain(..).map(|job| (job.attempt, Answer::Unavailable))),
        }
        self.answer(shop, answers);
    }

    /// Dies. Its shoppers see a broken connection; its records under way may still arrive.
    pub(crate) fn kill(&mut self, shop: &mut Shop) {
        for task in &self.tasks {
            if let Point::Decide { reply: Some(reply), .. } | Point::Publish { reply, .. } = task {
                shop.forgotten.extend(reply.units());
            }
        }
        shop.listeners.retain(|listener| listener.edge != self.name);
        shop.note(format!("edge {} dies", self.name));
        *self = Self::start(self.name);
    }

    /// A recovery waits: whoever has a reply in his hands publishes it in that time, or stands still.
    pub(crate) fn outwaited(&mut self, shop: &mut Shop, stalled: bool) {
        if stalled {
            for task in &mut self.tasks {
                if let Point::Decide { reply: Some(reply), .. } | Point::Publish { reply, .. } = task {
                    reply.stale = true;
                }
            }
            return;
        }
        let has_reply = |task: &Point| matches!(task, Point::Decide { reply: Some(_), .. } | Point::Publish { .. });
        while let Some(place) = self.tasks.iter().position(has_reply) {
            match self.tasks.remove(place) {
                Point::Decide { jobs, reply: Some(reply), .. } | Point::Publish { jobs, reply } => {
                    self.publish(shop, jobs, reply);
                }
                other => self.tasks.push(other),
            }
        }
    }
}
