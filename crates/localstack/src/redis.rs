//! Redis (or Valkey, which takes the same arguments).

use std::{
    ffi::OsString,
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{
    Config, Error, Kind, Tls, ports, program,
    server::{self, Spec},
};

/// As in `deploy/redis/redis.conf`, which says why: what was decided is not forgotten.
const KEEPING: [[&str; 2]; 5] = [
    ["--appendonly", "yes"],
    ["--appendfsync", "everysec"],
    ["--auto-aof-rewrite-min-size", "1gb"],
    ["--save", ""],
    ["--maxmemory-policy", "noeviction"],
];

pub(crate) fn spec(config: &Config) -> Result<Spec, Error> {
    let program = program::find("redis-server")
        .or_else(|| program::find("valkey-server"))
        .ok_or_else(|| Error::Missing { what: "redis-server".into() })?;
    let port = ports::one("redis", config.ports.redis)?;
    let home = config.home(Kind::Redis);
    fs::create_dir_all(&home).map_err(Error::io(format!("make {}", home.display())))?;
    let dir = home.to_string_lossy();
    let here = [["--bind", "127.0.0.1"], ["--dir", &dir], ["--daemonize", "no"]];
    let mut arguments: Vec<OsString> = here.into_iter().chain(KEEPING).flatten().map(Into::into).collect();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let (url, probe): (_, server::Probe) = match &config.tls {
        None => {
            arguments.extend(["--port".into(), port.to_string().into()]);
            (format!("redis://127.0.0.1:{port}"), Box::new(move || ping(address)))
        }
        Some(tls) => {
            arguments.extend(encrypted(tls, port));
            let login = tls.redis_acl_file.as_ref().map(|_| format!("{}:{}@", tls.username, tls.password));
            let url = format!("rediss://{}{}:{port}", login.unwrap_or_default(), tls.host);
            (url, Box::new(move || accepts(address)))
        }
    };
    Ok(Spec {
        kind: Kind::Redis,
        url,
        program,
        arguments,
        home,
        user: None,
        orphan_signal: server::orphan_signal(Kind::Redis),
        stop_signal: Signal::SIGTERM,
        probe,
        passing: &[],
    })
}

fn encrypted(tls: &Tls, port: u16) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = ["--port", "0", "--tls-auth-clients", "no"].map(Into::into).into();
    arguments.extend(["--tls-port".into(), port.to_string().into()]);
    for (name, file) in [
        ("--tls-cert-file", Some(&tls.certificate_file)),
        ("--tls-key-file", Some(&tls.key_file)),
        ("--tls-ca-cert-file", Some(&tls.ca_file)),
        ("--aclfile", tls.redis_acl_file.as_ref()),
    ] {
        arguments.extend(file.into_iter().flat_map(|file| [name.into(), file.into()]));
    }
    arguments
}

/// Enough of a new server, which has no data to load.
fn accepts(address: SocketAddr) -> Result<(), String> {
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).map(drop).map_err(|error| error.to_string())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_configuration_keeps_as_much_as_ours() {
        let published = include_str!("../../../deploy/redis/redis.conf");
        for [name, value] in KEEPING {
            let value = if value.is_empty() { "\"\"" } else { value };
            let line = format!("{} {value}", name.trim_start_matches('-'));
            assert!(published.lines().any(|published| published == line), "{line}");
        }
    }
}
