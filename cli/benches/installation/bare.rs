//! The limit beside the figures: a bare server, as a process of its own.
//!
//! No benchmark can run another package's binary, so it runs itself again with an argument that only it knows.

use std::{
    io,
    net::SocketAddr,
    process::{Child, Command, ExitCode, Stdio},
    thread,
};

use tokio_util::sync::CancellationToken;

const ARGUMENT: &str = "bare";

/// A running one; killed when dropped.
pub struct Bare {
    child: Child,
    pub server: SocketAddr,
}

impl Drop for Bare {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Bare {
    /// Starts it and waits until it listens.
    pub fn start() -> Self {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args([ARGUMENT, &server.port().to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut bare = Self { child, server };
        super::until_listening(&mut bare.child, server);
        bare
    }
}

/// The port to serve, if this process is to be the bare server.
pub fn asked() -> Option<u16> {
    let mut arguments = std::env::args().skip(1);
    arguments.next().filter(|first| first == ARGUMENT)?;
    arguments.next()?.parse().ok()
}

/// Serves until whoever started this process is gone.
pub fn serve(port: u16) -> ExitCode {
    flashsale_platform::open_files::raise_limit();
    // As many threads as the server it is the limit of.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let stop = CancellationToken::new();
    thread::spawn({
        let stop = stop.clone();
        move || {
            // Ends with the other end of the pipe, however that ends.
            drop(io::copy(&mut io::stdin(), &mut io::sink()));
            stop.cancel();
        }
    });
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        flashsale_loadtest::bare::serve(listener, stop).await.unwrap();
    });
    ExitCode::SUCCESS
}
