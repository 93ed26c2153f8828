//! How many streams are open, in all and from one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::metrics;

/// Why a stream is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// This process has as many as it takes.
    Full,
    /// This address has as many as it gets.
    Address,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The open streams; a clone shares them.
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    open: Arc<Mutex<Open>>,
    total_max: usize,
    per_address_max: usize,
}

impl Clients {
    pub(crate) fn new(total_max: usize, per_address_max: usize) -> Self {
        Self { open: Arc::default(), total_max, per_address_max }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more stream from `address`; it is free again when the place is dropped.
    pub(crate) fn enter(&self, address: IpAddr) -> Result<Seat, Refused> {
        let mut open = self.lock();
        if open.total >= self.total_max {
            return Err(Refused::Full);
        }
        let of_address = open.by_address.entry(address).or_default();
        if *of_address >= self.per_address_max {
            return Err(Refused::Address);
        }
        *of_address += 1;
        open.total += 1;
        metrics::clients(open.total);
        drop(open);
        Ok(Seat { clients: self.clone(), address })
    }
}

/// A place that a stream takes.
#[derive(Debug)]
pub(crate) struct Seat {
    clients: Clients,
    address: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.clients.lock();
        open.total = open.total.saturating_sub(1);
        if let Some(of_address) = open.by_address.get_mut(&self.address) {
            *of_address = of_address.saturating_sub(1);
            if *of_address == 0 {
                open.by_address.remove(&self.address);
            }
        }
        metrics::clients(open.total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nf_10_places_are_counted_by_address_and_in_all() {
        let clients = Clients::new(3, 2);
        let [one, other, third] = [1, 2, 3].map(|last| IpAddr::from([10, 0, 0, last]));
        let mut seats = vec![clients.enter(one).unwrap(), clients.enter(one).unwrap()];
        assert_eq!(clients.enter(one).unwrap_err(), Refused::Address);
        seats.push(clients.enter(other).unwrap());
        assert_eq!(clients.enter(third).unwrap_err(), Refused::Full);
        seats.remove(0);
        seats.push(clients.enter(one).unwrap());
        assert_eq!(clients.enter(one).unwrap_err(), Refused::Full, "in all comes first: it says to go elsewhere");
        drop(seats);
        let open = clients.lock();
        assert_eq!((open.total, open.by_address.len()), (0, 0), "nothing is remembered of who left");
    }
}
