//! Redis (or Valkey, which takes the same arguments).

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{
    Config, Error, Kind, ports, program,
    server::{self, Spec},
};

pub(crate) fn spec(config: &Config) -> Result<Spec, Error> {
    let program = program::find("redis-server")
        .or_else(|| program::find("valkey-server"))
        .ok_or_else(|| Error::Missing { what: "redis-server".into() })?;
    let port = ports::one("redis", config.ports.redis)?;
    let home = config.home(Kind::Redis);
    fs::create_dir_all(&home).map_err(Error::io(format!("make {}", home.display())))?;
    let arguments = [
        ["--bind", "127.0.0.1"],
        ["--port", &port.to_string()],
        ["--dir", &home.to_string_lossy()],
        ["--daemonize", "no"],
        // At most a second of decisions is lost in a power cut, none when the process is killed.
        ["--appendonly", "yes"],
        ["--appendfsync", "everysec"],
        // Rewriting the file forks and takes a core: not while a sale of ordinary size is on.
        ["--auto-aof-rewrite-min-size", "1gb"],
        ["--save", ""],
        // An evicted key would be a forgotten purchase.
        ["--maxmemory-policy", "noeviction"],
    ];
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Ok(Spec {
        kind: Kind::Redis,
        url: format!("redis://127.0.0.1:{port}"),
        program,
        arguments: arguments.into_iter().flatten().map(Into::into).collect(),
        home,
        user: None,
        orphan_signal: server::orphan_signal(Kind::Redis),
        stop_signal: Signal::SIGTERM,
        probe: Box::new(move || ping(address)),
        passing: &[],
    })
}

/// While it loads its data Redis accepts connections and answers each command with an error.
fn ping(address: SocketAddr) -> Result<(), String> {
    const ANSWER_MAX: Duration = Duration::from_secs(1);
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 64];
        let length = stream.read(&mut answer)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer[..length]).trim().to_owned())
    };
    match ask() {
        Ok(answer) if answer == "+PONG" => Ok(()),
        Ok(answer) => Err(format!("PING is answered by {answer:?}")),
        Err(error) => Err(format!("PING: {error}")),
    }
}
