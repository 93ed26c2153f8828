//! Choosing ports, and keeping to them: clients and Kafka's own metadata hold the addresses of the last run.

use std::{
    collections::HashSet,
    fs,
    hash::{BuildHasher, Hasher, RandomState},
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{Error, Kind};

/// Below the ephemeral range (32768 and up on Linux). A port inside it can be taken by any outgoing connection while
/// its server restarts, even by a client that connects to itself.
const RANGE: Range<u16> = 20_000..32_000;

/// A port for each listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ports {
    /// Kafka, for clients.
    pub kafka: Option<u16>,
    /// Kafka, for itself: the controller.
    pub kafka_controller: Option<u16>,
    /// Redis.
    pub redis: Option<u16>,
    /// Postgres.
    pub postgres: Option<u16>,
}

impl Ports {
    /// Fills in all ports: what is given here, else what `file` remembers if it is free, else free ones. `file` is
    /// written anew.
    pub(crate) fn settle(self, file: &Path) -> Result<Self, Error> {
        let remembered: Self =
            fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let mut taken = HashSet::new();
        let mut choose = |server, fixed: Option<u16>, remembered: Option<u16>| {
            let port = choose(server, fixed, remembered, &taken)?;
            taken.insert(port);
            Ok::<_, Error>(Some(port))
        };
        let settled = Self {
            kafka: choose("kafka", self.kafka, remembered.kafka)?,
            kafka_controller: choose("the kafka controller", self.kafka_controller, remembered.kafka_controller)?,
            redis: choose("redis", self.redis, remembered.redis)?,
            postgres: choose("postgres", self.postgres, remembered.postgres)?,
        };
        let json = serde_json::to_vec_pretty(&settled)
            .map_err(|error| Error::Io { what: "write the ports".into(), source: error.into() })?;
        fs::write(file, json).map_err(Error::io(format!("write {}", file.display())))?;
        Ok(settled)
    }
}

/// The servers that the stack of this data directory runs, and where each answers; none when nothing runs here.
pub fn running(data_dir: &Path) -> Option<Vec<(Kind, String)>> {
    crate::owner(data_dir).ok().flatten()?;
    let ports: Ports = serde_json::from_slice(&fs::read(data_dir.join("ports.json")).ok()?).ok()?;
    let urls = [
        (Kind::Kafka, ports.kafka.map(|port| format!("127.0.0.1:{port}"))),
        (Kind::Redis, ports.redis.map(|port| format!("redis://127.0.0.1:{port}"))),
        (Kind::Postgres, ports.postgres.map(|port| format!("postgres://flashsale@127.0.0.1:{port}/flashsale"))),
    ];
    // A server that is somebody else's has a port here too, but no process.
    let ours = urls.into_iter().filter(|(kind, _)| data_dir.join(format!("{kind}.pid")).exists());
    Some(ours.filter_map(|(kind, url)| Some((kind, url?))).collect())
}

/// The port to listen on: the fixed one, or any free one.
pub(crate) fn one(server: &'static str, fixed: Option<u16>) -> Result<u16, Error> {
    choose(server, fixed, None, &HashSet::new())
}

/// A free port that is none of these.
pub(crate) fn besides(server: &'static str, taken: [u16; 2]) -> Result<u16, Error> {
    choose(server, None, None, &HashSet::from(taken))
}

fn choose(
    server: &'static str,
    fixed: Option<u16>,
    remembered: Option<u16>,
    taken: &HashSet<u16>,
) -> Result<u16, Error> {
    let usable = |port: &u16| !taken.contains(port) && is_free(*port);
    match fixed {
        Some(port) if usable(&port) => Ok(port),
        Some(port) => Err(Error::PortTaken { server, port }),
        None => remembered
            .filter(usable)
            .or_else(|| shuffled().find(usable))
            .ok_or(Error::PortTaken { server, port: RANGE.start }),
    }
}

/// All ports of the range from a random one on: processes that start together seldom try the same.
fn shuffled() -> impl Iterator<Item = u16> {
    let length = RANGE.end - RANGE.start;
    let random = RandomState::new().build_hasher().finish() % u64::from(length);
    let first = u16::try_from(random).unwrap_or_default();
    (0..length).map(move |offset| RANGE.start + (first + offset) % length)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_distinct_and_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ports.json");
        let first = Ports::default().settle(&file).unwrap();
        let all = [first.kafka, first.kafka_controller, first.redis, first.postgres];
        assert!(all.iter().all(|port| port.is_some_and(|port| RANGE.contains(&port))));
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 4);
        assert_eq!(Ports::default().settle(&file).unwrap(), first);
    }

    #[test]
    fn a_remembered_port_gives_way_and_a_fixed_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ports.json");
        let first = Ports::default().settle(&file).unwrap();
        let redis = first.redis.unwrap();
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, redis)).unwrap();
        let second = Ports::default().settle(&file).unwrap();
        assert_ne!(second.redis, first.redis);
        assert_eq!(second.kafka, first.kafka);
        let fixed = Ports { redis: Some(redis), ..Ports::default() };
        assert!(matches!(fixed.settle(&file), Err(Error::PortTaken { port, .. }) if port == redis));
    }
}
