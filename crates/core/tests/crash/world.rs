//! Plays a schedule, heals everything, and lets every shopper ask until he knows.

use crate::{
    edge::Edge,
    keepers::{Recovery, Relay},
    log::PARTITIONS,
    redis::{Entry, attempt},
    schedule::{Action, EDGES, Schedule},
    shop::{Listener, Protocol, Shop, edge_of},
};

/// Rounds after which a healthy system must be quiet.
const ROUNDS_MAX: usize = 200;

struct World {
    shop: Shop,
    users: u8,
    edges: Vec<Edge>,
    relay: Relay,
    recovery: Recovery,
    /// What a recovery that stands still was about to publish, and whether another waited since.
    stalled: Option<(Vec<Entry>, bool)>,
}

/// Plays `schedule` to its end; returns the shop when all is quiet.
pub(crate) fn play(schedule: &Schedule, protocol: Protocol) -> Shop {
    let mut world = World {
        shop: Shop::new(schedule, protocol),
        users: schedule.users,
        edges: (0..EDGES).map(Edge::start).collect(),
        relay: Relay::default(),
        recovery: Recovery::default(),
        stalled: None,
    };
    for action in &schedule.actions {
        world.shop.pass();
        world.act(*action);
    }
    world.shop.note("from here on all is well".into());
    world.heal();
    world.everybody_asks();
    world.heal();
    world.shop
}

impl World {
    fn act(&mut self, action: Action) {
        let shop = &mut self.shop;
        match action {
            Action::Ask { user, tab, edge } => self.ask(user % self.users, tab, edge_of(edge)),
            Action::GiveUp { user } => {
                let user = format!("u{}", user % self.users);
                shop.listeners.retain(|listener| listener.attempt.user.as_str() != user);
            }
            Action::Step { edge, task } => self.edges[edge_of(edge)].step(shop, task.into()),
            Action::LoseReply { edge } => self.edges[edge_of(edge)].lose_reply(shop),
            Action::TimeOut { edge, task } => self.edges[edge_of(edge)].time_out(shop, task.into()),
            Action::KillEdge { edge } => self.edges[edge_of(edge)].kill(shop),
            Action::CrashRedis { lost, replica } => {
                shop.redis.crash(lost.into(), replica);
                let sold = shop.redis.hot().map_or(0, |hot| hot.buyers.len());
                shop.note(format!("Redis dies; Redis {} knows {sold} units", shop.redis.run));
            }
            Action::Land { record, fate } => {
                if let Some(unit) = shop.log.land(record.into(), fate).as_ref().and_then(crate::log::Record::sold) {
                    let (sequence, user) = (unit.receipt.sequence, unit.user);
                    shop.note(format!("the record of unit {sequence}, {user}: {fate:?}"));
                }
            }
            Action::Relay => self.relay.step(shop),
            Action::KillRelay => self.relay = Relay::default(),
            Action::Recover { landed, stalled } => self.recover(landed, stalled),
            Action::KillRecovery => self.recovery = Recovery::default(),
            Action::StallRecovery => {
                if let Some(publish) = self.recovery.stall() {
                    shop.note("the recovery stands still".into());
                    self.stalled = Some((publish, false));
                }
            }
            Action::WakeRecovery => self.wake(),
            Action::Sink { partition } => {
                shop.postgres.read(&shop.log, usize::from(partition) % PARTITIONS, 3);
            }
        }
    }

    fn ask(&mut self, user: u8, tab: u8, edge: usize) {
        let key = if tab == 0 { "first" } else { "second" };
        let attempt = attempt(&format!("u{user}"), key);
        self.shop.listeners.retain(|listener| listener.attempt != attempt);
        self.shop.listeners.push(Listener { edge, attempt: attempt.clone() });
        self.edges[edge].ask(&mut self.shop, attempt);
    }

    fn recover(&mut self, landed: u8, stalled: u8) {
        let waited = matches!(self.recovery, Recovery::Waiting { .. });
        self.recovery.step(&mut self.shop, (&mut self.edges, &mut self.relay), landed, stalled);
        if let Some((_, late)) = &mut self.stalled {
            *late |= waited;
        }
    }

    /// A recovery goes on that stood still. To Redis it can do nothing any more; the log takes whatever comes.
    fn wake(&mut self) {
        let Some((publish, late)) = self.stalled.take() else { return };
        if late && self.shop.protocol.late_recovery_dropped {
            return;
        }
        self.shop.note("the recovery that stood still publishes".into());
        let records = publish.iter().flat_map(|entry| entry.records(self.shop.stock)).collect();
        self.shop.log.send(records);
    }

    /// Everything works, until nothing is left to do.
    fn heal(&mut self) {
        self.wake();
        for _ in 0..ROUNDS_MAX {
            self.shop.pass();
            self.shop.log.heal();
            for edge in &mut self.edges {
                edge.step(&mut self.shop, 0);
            }
            self.relay.step(&mut self.shop);
            self.recover(u8::MAX, 0);
            if self.is_quiet() {
                break;
            }
        }
        for partition in 0..PARTITIONS {
            self.shop.postgres.read(&self.shop.log, partition, usize::MAX);
        }
    }

    fn is_quiet(&self) -> bool {
        let outbox_empty = self.shop.redis.hot().is_some_and(|hot| hot.outbox.is_empty());
        let relayed = self.relay.is_idle() && (outbox_empty || !self.shop.protocol.relay);
        self.shop.redis.is_open()
            && matches!(self.recovery, Recovery::Idle)
            && relayed
            && self.edges.iter().all(Edge::is_idle)
    }

    /// Every shopper asks, at edges that remember nothing, until the answer is final.
    fn everybody_asks(&mut self) {
        self.edges = (0..EDGES).map(Edge::start).collect();
        for user in 0..self.users {
            for _ in 0..ROUNDS_MAX {
                let before = self.shop.told.len();
                self.ask(user, 0, usize::from(user) % EDGES);
                self.heal();
                if self.shop.told[before..].iter().any(|(_, answer)| answer.is_final()) {
                    break;
                }
            }
        }
    }
}
