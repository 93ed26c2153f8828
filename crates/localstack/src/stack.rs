//! The three servers of one data directory.

use std::{fs, thread};

use crate::{Config, Error, Kind, Progress, Server, owner::Owner};

/// Servers that run together in one data directory, which nobody else can use meanwhile.
///
/// Dropped, the servers are ended at once; [`Stack::stop`] ends them in order.
#[derive(Debug)]
pub struct Stack {
    servers: Vec<Server>,
    // After the servers: fields are dropped in order, and the directory is free when they are gone.
    _owner: Owner,
}

impl Stack {
    /// Takes the data directory, settles the ports, starts the servers named by `kinds` side by side and waits until
    /// each answers.
    ///
    /// # Errors
    /// [`Error::Owned`] when another process has the directory, otherwise the first failure of a server; the others
    /// are ended again.
    pub fn start(config: &Config, kinds: &[Kind], progress: Progress<'_>) -> Result<Self, Error> {
        let data_dir = &config.data_dir;
        fs::create_dir_all(data_dir).map_err(Error::io(format!("make {}", data_dir.display())))?;
        let owner = Owner::take(data_dir)?;
        Server::end_leftovers(data_dir)?;
        let ports = config.ports.settle(&data_dir.join("ports.json"))?;
        let config = Config { ports, ..config.clone() };
        let servers = thread::scope(|scope| {
            let starts: Vec<_> =
                kinds.iter().map(|kind| scope.spawn(|| Server::start(*kind, &config, progress))).collect();
            // Each is joined before the first failure is told, so that none is left starting.
            let joined: Vec<_> = starts
                .into_iter()
                .map(|start| start.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect();
            joined.into_iter().collect::<Result<Vec<_>, _>>()
        })?;
        Ok(Self { servers, _owner: owner })
    }

    /// A server, unless it was not asked for.
    pub fn server(&self, kind: Kind) -> Option<&Server> {
        self.servers.iter().find(|server| server.kind() == kind)
    }

    /// Where a server answers, unless it was not asked for. See [`Server::url`].
    pub fn url(&self, kind: Kind) -> Option<&str> {
        self.server(kind).map(Server::url)
    }

    /// Fails once a server has ended without having been asked to. To be called now and then.
    ///
    /// # Errors
    /// [`Error::Ended`], with the last lines of its log.
    pub fn check(&self) -> Result<(), Error> {
        self.servers.iter().try_for_each(Server::check)
    }

    /// Ends all in order, side by side, and waits until they are gone.
    pub fn stop(self) {
        thread::scope(|scope| {
            for server in &self.servers {
                scope.spawn(|| server.stop());
            }
        });
    }
}
