//! One more ingest beside an installation, a process of its own.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command},
};

use flashsale_localstack::Kind;

/// A running one; killed when dropped.
pub struct Edge {
    child: Child,
    pub server: SocketAddr,
}

impl Drop for Edge {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Edge {
    /// Starts it with the servers of the installation in `folder`, and waits until it listens.
    pub fn start(folder: &Path) -> Self {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(super::binary());
        command.arg("ingest").env("FLASHSALE_HTTP_ADDRESS", server.to_string()).env("RUST_LOG", "warn");
        for (kind, url) in flashsale_localstack::running(folder).unwrap() {
            let name = match kind {
                Kind::Kafka => "FLASHSALE_BROKERS",
                Kind::Redis => "FLASHSALE_REDIS_URL",
                Kind::Postgres => "FLASHSALE_DATABASE_URL",
            };
            command.env(name, url);
        }
        let mut edge = Self { child: command.spawn().unwrap(), server };
        super::until_listening(&mut edge.child, server);
        edge
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}
