//! The relay and the recovery, as `processor` has them: each step ends at an await point.

use flashsale_core::History;

use crate::{
    edge::Edge,
    log::Delivery,
    redis::{Entry, Hot},
    shop::Shop,
};

/// The relay of the outbox.
#[derive(Debug, Default)]
pub(crate) enum Relay {
    #[default]
    Idle,
    /// The server was verified just now. What is read next may come from another.
    Checked,
    /// It has read these; it may have stood still since then.
    Read { entries: Vec<Entry>, stale: bool },
    /// It waits for the log.
    WaitAck { delivery: u32, ids: Vec<i64> },
}

impl Relay {
    pub(crate) fn step(&mut self, shop: &mut Shop) {
        if !shop.protocol.relay {
            return;
        }
        *self = match std::mem::take(self) {
            Self::Idle if shop.redis.is_open() => Self::Checked,
            Self::Idle => Self::Idle,
            Self::Checked => {
                let entries = shop.redis.hot().map(|hot| hot.outbox.clone()).unwrap_or_default();
                if entries.is_empty() { Self::Idle } else { Self::Read { entries, stale: false } }
            }
            Self::Read { stale: true, .. } if shop.protocol.late_replies_dropped => Self::Idle,
            Self::Read { entries, .. } => {
                shop.note(format!("the relay publishes {} entries", entries.len()));
                let records = entries.iter().flat_map(|entry| entry.records(shop.stock)).collect();
                let delivery = shop.log.send(records);
                Self::WaitAck { delivery, ids: entries.iter().map(|entry| entry.id).collect() }
            }
            Self::WaitAck { delivery, ids } => match shop.log.delivery(delivery) {
                Delivery::UnderWay => Self::WaitAck { delivery, ids },
                Delivery::Failed => Self::Idle,
                Delivery::Acked => {
                    shop.redis.settle(&mut None, &ids);
                    Self::Idle
                }
            },
        };
    }

    pub(crate) fn is_idle(&self) -> bool {
        matches!(self, Self::Idle)
    }

    fn outwaited(&mut self, shop: &mut Shop, stalled: bool) {
        match self {
            Self::Read { stale, .. } if stalled => *stale = true,
            Self::Read { .. } => self.step(shop),
            Self::Idle | Self::Checked | Self::WaitAck { .. } => {}
        }
    }
}

/// Where a recovery stands.
#[derive(Debug, Default)]
pub(crate) enum Recovery {
    #[default]
    Idle,
    /// It has the claim, and waits for what is under way.
    Waiting { run: u32 },
    /// It reads the log; so many units and changes it knew before.
    Reading { run: u32, known: Option<u64> },
    /// It has compared: these entries only Redis has.
    Compared { run: u32, publish: Vec<Entry>, log: History },
    /// It waits for the log to take them.
    WaitAck { run: u32, delivery: u32, log: History },
    /// Nothing was new.
    Opening { run: u32 },
}

fn size(log: &History) -> u64 {
    log.sold() + log.changes_seen() + log.known_sequence()
}

impl Recovery {
    /// One step; at the waiting `landed` and `stalled` say what becomes of what is under way.
    pub(crate) fn step(&mut self, shop: &mut Shop, others: (&mut [Edge], &mut Relay), landed: u8, stalled: u8) {
        let run = shop.redis.run;
        *self = match std::mem::take(self) {
            Self::Idle if shop.redis.is_open() => Self::Idle,
            Self::Idle => Self::Waiting { run },
            // Another server than the one it began with: it begins again.
            Self::Waiting { run: began }
            | Self::Reading { run: began, .. }
            | Self::Compared { run: began, .. }
            | Self::WaitAck { run: began, .. }
            | Self::Opening { run: began }
                if began != run =>
            {
                Self::Idle
            }
            Self::Waiting { run } => {
                if shop.protocol.recovery_waits {
                    wait(shop, others, landed, stalled);
                }
                Self::Reading { run, known: None }
            }
            Self::Reading { run, known } => {
                let log = shop.log.units();
                if known == Some(size(&log)) { Self::Opening { run } } else { compare(shop, run, log) }
            }
            Self::Compared { run, publish, log } => {
                let records = publish.iter().flat_map(|entry| entry.records(shop.stock)).collect();
                Self::WaitAck { run, delivery: shop.log.send(records), log }
            }
            Self::WaitAck { run, delivery, log } => match shop.log.delivery(delivery) {
                Delivery::UnderWay => Self::WaitAck { run, delivery, log },
                Delivery::Failed => Self::Idle,
                Delivery::Acked => {
                    let hot = Hot::recovered(shop.redis.hot(), &log, shop.redis.now, shop.protocol, shop.stock);
                    shop.redis.write(hot);
                    Self::Reading { run, known: Some(size(&log)) }
                }
            },
            Self::Opening { run } => {
                shop.note(format!("Redis {run} is verified: {} units sold", shop.log.units().sold()));
                shop.redis.open(run);
                Self::Idle
            }
        };
    }

    /// Stands still with what it has compared, and its claim is over.
    pub(crate) fn stall(&mut self) -> Option<Vec<Entry>> {
        match std::mem::take(self) {
            Self::Compared { publish, .. } => Some(publish),
            other => {
                *self = other;
                None
            }
        }
    }
}

/// What is under way to the log arrives in this time or never.
fn wait(shop: &mut Shop, (edges, relay): (&mut [Edge], &mut Relay), landed: u8, stalled: u8) {
    for (number, edge) in edges.iter_mut().enumerate() {
        edge.outwaited(shop, stalled >> number & 1 == 1);
    }
    relay.outwaited(shop, stalled & 1 == 1);
    shop.log.settle_under_way(landed);
}

fn compare(shop: &mut Shop, run: u32, log: History) -> Recovery {
    let outbox = shop.redis.hot().map(|hot| hot.outbox.clone()).unwrap_or_default();
    for unit in shop.redis.hot().into_iter().flat_map(|hot| hot.buyers.values()) {
        let waits = outbox.iter().any(|entry| entry.units.contains(unit));
        if !waits && log.unit(unit.receipt.sequence).is_none() {
            shop.broken.push(format!("I5: {} of {} was settled, and the log has it not", unit.receipt, unit.user));
        }
    }
    let publish = outbox.into_iter().filter(|entry| !entry.is_known(&log)).collect();
    Recovery::Compared { run, publish, log }
}
