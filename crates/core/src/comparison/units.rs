//! The sold units of all stores, side by side in sequence order.

use std::{cell::OnceCell, collections::HashMap, fmt, ops::RangeInclusive};

use super::{Class, Found, HotSale, LISTED_MAX, Sides};
use crate::{
    Micros, Receipt, RequestId, SaleId, UserId,
    history::{History, Unit},
    invariants::Sold,
};

/// Compares every unit that some store has; returns how many these are.
pub(super) fn compare(sides: &Sides<'_>, redis: Option<&HotSale>, found: &mut Found) -> u64 {
    let mut walk = Walk::new(sides, redis);
    walk.run(found);
    walk.compared
}

/// One unit as one store tells it; Redis' buyers have no request ids.
#[derive(Debug, Clone, Copy)]
struct Told<'a> {
    sale_id: &'a SaleId,
    sequence: u64,
    user: &'a UserId,
    request_id: Option<&'a RequestId>,
    decided_at: Micros,
}

impl<'a> Told<'a> {
    fn sold(unit: &'a Sold) -> Self {
        let Sold { user, request_id, receipt: Receipt { sale_id, sequence, decided_at } } = unit;
        Self { sale_id, sequence: *sequence, user, request_id: Some(request_id), decided_at: *decided_at }
    }

    fn logged(sale_id: &'a SaleId, (sequence, unit): (u64, &'a Unit)) -> Self {
        let Unit { user, request_id, decided_at } = unit;
        Self { sale_id, sequence, user, request_id: Some(request_id), decided_at: *decided_at }
    }

    /// Whether both say the same, as far as both say it.
    fn agrees(&self, other: &Self) -> bool {
        let same_request =
            self.request_id.is_none() || other.request_id.is_none() || self.request_id == other.request_id;
        let mine = (self.sequence, self.user, self.decided_at, self.sale_id);
        same_request && mine == (other.sequence, other.user, other.decided_at, other.sale_id)
    }

    fn receipt(&self) -> Receipt {
        Receipt { sale_id: self.sale_id.clone(), sequence: self.sequence, decided_at: self.decided_at }
    }
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, user, decided_at, .. } = self;
        write!(f, "unit {sequence} of {user} at {}", decided_at.0)?;
        self.request_id.map_or(Ok(()), |request_id| write!(f, " by request {request_id}"))
    }
}

/// One store's units in sequence order.
struct Store<'a> {
    name: &'static str,
    /// What it is called when it has no unit that the log has; none when it need not have it.
    missing: Option<Class>,
    units: Vec<Told<'a>>,
    next: usize,
    /// User to place in `units`; made when first needed, which is never when all agree.
    users: OnceCell<HashMap<&'a UserId, usize>>,
}

impl<'a> Store<'a> {
    fn new(name: &'static str, missing: Option<Class>, mut units: Vec<Told<'a>>) -> Self {
        // By user as well, so that a second look describes it the same way.
        units.sort_unstable_by_key(|told| (told.sequence, told.user));
        Self { name, missing, units, next: 0, users: OnceCell::new() }
    }

    fn next_sequence(&self) -> Option<u64> {
        self.units.get(self.next).map(|told| told.sequence)
    }

    /// Everything this store says of unit `sequence`, once all before it was asked for.
    fn take(&mut self, sequence: u64) -> &[Told<'a>] {
        let first = self.next;
        while self.next_sequence() == Some(sequence) {
            self.next += 1;
        }
        &self.units[first..self.next]
    }

    fn users(&self) -> &HashMap<&'a UserId, usize> {
        self.users.get_or_init(|| self.units.iter().enumerate().map(|(place, told)| (told.user, place)).collect())
    }

    fn unit_of(&self, user: &UserId) -> Option<Told<'a>> {
        self.users().get(user).map(|place| self.units[*place])
    }

    /// Whether some user has two units here.
    fn has_doubles(&self) -> bool {
        self.users().len() < self.units.len()
    }
}

/// Walks through log and stores in sequence order.
struct Walk<'a> {
    log: &'a History,
    others: [Store<'a>; 2],
    outbox: Store<'a>,
    /// Units sold by Redis' counter.
    counted: u64,
    compared: u64,
}

impl<'a> Walk<'a> {
    fn new(sides: &Sides<'a>, redis: Option<&'a HotSale>) -> Self {
        let sale_id = sides.log.sale_id();
        let buyer = |(user, held): (&'a UserId, &(u64, Micros))| {
            let (sequence, decided_at) = *held;
            Told { sale_id, sequence, user, request_id: None, decided_at }
        };
        let buyers = redis.map(|hot| hot.buyers.iter().map(buyer).collect()).unwrap_or_default();
        let pending = redis.map(|hot| hot.pending.iter().map(Told::sold).collect()).unwrap_or_default();
        let rows = sides.rows.iter().map(Told::sold).collect();
        Self {
            log: sides.log,
            others: [
                // A missing sale was reported as one; its units are not missing one by one.
                Store::new("Redis", redis.map(|_| Class::MissingInRedis), buyers),
                Store::new("Postgres", Some(Class::MissingInPostgres), rows),
            ],
            outbox: Store::new("the outbox", None, pending),
            counted: redis.map_or(0, |hot| hot.sequence),
            compared: 0,
        }
    }

    fn run(&mut self, found: &mut Found) {
        let log = self.log;
        let mut logged = log.units().map(|unit| Told::logged(log.sale_id(), unit)).peekable();
        let mut expected = 1;
        loop {
            let stores = self.others.iter().chain([&self.outbox]).filter_map(Store::next_sequence);
            let Some(sequence) = stores.chain(logged.peek().map(|told| told.sequence)).min() else { break };
            self.leaked(expected..=sequence.saturating_sub(1), found);
            expected = sequence.saturating_add(1);
            self.compared += 1;
            match logged.next_if(|told| told.sequence == sequence) {
                Some(unit) => self.in_log(unit, found),
                None => self.not_in_log(sequence, found),
            }
        }
        self.leaked(expected..=self.counted, found);
    }

    /// Units that later ones, or Redis' counter, prove sold, and that nobody holds.
    fn leaked(&self, range: RangeInclusive<u64>, found: &mut Found) {
        let sale_id = self.log.sale_id();
        let end = *range.end();
        for (listed, sequence) in range.enumerate() {
            if listed == LISTED_MAX {
                // The counter of a broken Redis may be anything: no walk through all of it.
                found.add_unlisted(Class::LeakedUnit, end - sequence + 1);
                return;
            }
            found.add(Class::LeakedUnit, format_args!("{sale_id}-{sequence}"), || {
                format!("unit {sequence} is neither in the log nor in Redis, its outbox or Postgres")
            });
        }
    }

    /// What the stores say of a unit that the log has. A conflict is one, however many stores are in it.
    fn in_log(&mut self, unit: Told<'a>, found: &mut Found) {
        let mut others = Vec::new();
        for store in self.others.iter_mut().chain([&mut self.outbox]) {
            let name = store.name;
            let here = store.take(unit.sequence);
            others.extend(here.iter().filter(|other| !unit.agrees(other)).map(|other| (name, *other)));
            let (true, Some(missing)) = (here.is_empty(), store.missing) else { continue };
            match store.unit_of(unit.user) {
                Some(elsewhere) => others.push((name, elsewhere)),
                None => found.add(missing, unit.receipt(), || format!("the log has {unit}; {name} has not")),
            }
        }
        if !others.is_empty() {
            found.add(Class::Conflict, unit.receipt(), || format!("the log has {unit}{}", listing(&others)));
        }
    }

    /// What the stores say of a unit that the log has not. With the outbox it is on its way there.
    fn not_in_log(&mut self, sequence: u64, found: &mut Found) {
        let name = self.outbox.name;
        let pending = self.outbox.take(sequence);
        let first = pending.first().copied();
        let mut others: Vec<_> = pending.iter().skip(1).map(|other| (name, *other)).collect();
        for store in &mut self.others {
            let name = store.name;
            let here = store.take(sequence).to_vec();
            for other in here {
                // A user whose unit in the log is another one: that is a conflict, and told there.
                let told_there = self.log.unit_of(other.user).is_some() && !store.has_doubles();
                if !told_there && !first.is_some_and(|pending| pending.agrees(&other)) {
                    others.push((name, other));
                }
            }
        }
        let Some((_, subject)) = others.first() else { return };
        match first {
            Some(pending) => found.add(Class::Conflict, pending.receipt(), || {
                format!("the log has no unit {sequence}; the outbox has {pending}{}", listing(&others))
            }),
            None => found.add(Class::MissingInLog, subject.receipt(), || {
                format!("the log has no unit {sequence}{}", listing(&others))
            }),
        }
    }
}

fn listing(others: &[(&str, Told<'_>)]) -> String {
    others.iter().map(|(name, told)| format!("; {name} has {told}")).collect()
}
