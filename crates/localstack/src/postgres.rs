//! Postgres: `initdb` on first use, a user of its own when we are root, reachable from loopback only.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Component, Path, PathBuf},
    process::{Command, Stdio},
};

use nix::{
    sys::signal::Signal,
    unistd::{Uid, User},
};

use crate::{
    Config, Error, Kind, Stage, Tls, ports, program,
    server::{self, Spec},
};

/// The superuser and the database that the URL names. Postgres listens on loopback and trusts who comes from there.
const NAME: &str = "flashsale";
/// Where Debian keeps a directory for each version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Data that its user cannot reach in the data directory goes below this one.
const ELSEWHERE: &str = "/var/lib/flashsale";

pub(crate) fn spec(config: &Config, tell: &dyn Fn(Stage)) -> Result<Spec, Error> {
    let user = own_user()?;
    let home = home(config, user.as_ref(), tell)?;
    let data = home.join("data");
    let version = fs::read_to_string(data.join("PG_VERSION")).ok();
    let program = server_program("postgres", version.as_deref())?;
    if version.is_none() {
        tell(Stage::Preparing);
        init(config, &home, &data, user.as_ref())?;
    }
    // No server runs here: the caller has seen to that. A file left by a killed one would stop this one if its
    // process id were taken by another program by now. Orphaned backends are still found, by their shared memory.
    remove_if_there(&data.join("postmaster.pid"))?;

    let port = ports::one("postgres", config.ports.postgres)?;
    let mut arguments = arguments(&data, port, config.durable);
    let (server, parameters) = match &config.tls {
        None => (format!("{NAME}@127.0.0.1:{port}"), String::new()),
        Some(tls) => {
            arguments.extend(encrypted(tls, &home, user.as_ref())?);
            let server = format!("{NAME}:{}@{}:{port}", tls.password, tls.host);
            (server, format!("?sslmode=verify-full&sslrootcert={}", tls.ca_file.display()))
        }
    };
    let url_of = |database: &str| format!("postgres://{server}/{database}{parameters}");
    let (url, probe) = (url_of(NAME), probe(url_of(NAME), url_of("postgres")));
    Ok(Spec {
        kind: Kind::Postgres,
        url,
        program,
        arguments,
        home,
        user,
        orphan_signal: server::orphan_signal(Kind::Postgres),
        stop_signal: Signal::SIGINT, // fast shutdown: does not wait for clients
        probe,
        passing: &["pre-existing shared memory block"],
    })
}

fn arguments(data: &Path, port: u16, durable: bool) -> Vec<OsString> {
    let mut settings = vec![
        format!("port={port}"),
        "listen_addresses=127.0.0.1".into(),
        // No socket file: its path may be at most 107 bytes long.
        "unix_socket_directories=".into(),
        // Tests run side by side, each with a pool.
        "max_connections=300".into(),
        "timezone=UTC".into(),
        "log_timezone=UTC".into(),
    ];
    if !durable {
        // A commit is still written before it is acknowledged: it survives a kill, though not a power cut.
        settings.extend(["fsync=off", "full_page_writes=off"].map(Into::into));
    }
    let mut arguments = vec!["-D".into(), data.into()];
    arguments.extend(settings.into_iter().flat_map(|setting| [OsString::from("-c"), setting.into()]));
    arguments
}

/// The settings for TLS. Nobody comes in without it, and without the password.
fn encrypted(tls: &Tls, home: &Path, user: Option<&User>) -> Result<Vec<OsString>, Error> {
    let read = |file: &Path| fs::read_to_string(file).map_err(Error::io(format!("read {}", file.display())));
    let mut arguments = vec!["-c".into(), "ssl=on".into()];
    for (setting, name, text) in [
        ("ssl_cert_file", "server.pem", read(&tls.certificate_file)?),
        ("ssl_key_file", "server.key", read(&tls.key_file)?),
        ("hba_file", "hba.conf", "hostssl all all 127.0.0.1/32 scram-sha-256\n".into()),
    ] {
        let file = home.join(name);
        write_owned(&file, &text, user)?;
        arguments.extend(["-c".into(), format!("{setting}={}", file.display()).into()]);
    }
    Ok(arguments)
}

/// Writes what only the user of Postgres may read.
fn write_owned(file: &Path, text: &str, user: Option<&User>) -> Result<(), Error> {
    let failed = |error| Error::io(format!("write {}", file.display()))(error);
    fs::write(file, text).map_err(failed)?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    let Some(user) = user else { return Ok(()) };
    chown(file, Some(user.uid.as_raw()), Some(user.gid.as_raw())).map_err(failed)
}

/// Postgres refuses to run as root.
fn own_user() -> Result<Option<User>, Error> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        let found = User::from_name(name)
            .map_err(|errno| Error::Io { what: format!("look up the user {name}"), source: errno.into() })?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Err(Error::Missing { what: "the user postgres".into() })
}

/// A directory that the user of Postgres owns and can reach.
fn home(config: &Config, user: Option<&User>, tell: &dyn Fn(Stage)) -> Result<PathBuf, Error> {
    let home = config.home(Kind::Postgres);
    make_owned(&home, user)?;
    let Some(user) = user else { return Ok(home) };
    if reaches(user, &home)? {
        return Ok(home);
    }
    let elsewhere = Path::new(ELSEWHERE).join(flat_name(&config.data_dir));
    let moved = elsewhere.join("postgres");
    make_owned(&moved, Some(user))?;
    for dir in [Path::new(ELSEWHERE), &elsewhere] {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755))
            .map_err(Error::io(format!("open up {}", dir.display())))?;
    }
    tell(Stage::MovedTo(moved.clone()));
    Ok(moved)
}

/// Folders that hold data of the stack of `data_dir`: itself, and where Postgres had to go.
pub fn data_folders(data_dir: &Path) -> Vec<PathBuf> {
    [data_dir.to_owned(), Path::new(ELSEWHERE).join(flat_name(data_dir))]
        .into_iter()
        .filter(|dir| dir.exists())
        .collect()
}

fn make_owned(dir: &Path, user: Option<&User>) -> Result<(), Error> {
    fs::create_dir_all(dir).map_err(Error::io(format!("make {}", dir.display())))?;
    let Some(user) = user else { return Ok(()) };
    chown(dir, Some(user.uid.as_raw()), Some(user.gid.as_raw())).map_err(Error::io(format!(
        "give {} to {}",
        dir.display(),
        user.name
    )))
}

/// A directory may belong to a user who may not pass the ones above it; only trying tells.
fn reaches(user: &User, dir: &Path) -> Result<bool, Error> {
    let mut test = program::tied(Path::new("/usr/bin/test"), Some(user), Signal::SIGKILL)?;
    let status = test.arg("-w").arg(dir).current_dir("/").status().map_err(Error::io(format!(
        "look at {} as {}",
        dir.display(),
        user.name
    )))?;
    Ok(status.success())
}

/// `/home/me/shop/.flashsale` becomes `home-me-shop-.flashsale`.
fn flat_name(path: &Path) -> String {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_string_lossy()),
        _ => None,
    });
    names.collect::<Vec<_>>().join("-")
}

/// Makes the cluster in a directory aside and renames it: an `initdb` that was killed leaves nothing behind.
fn init(config: &Config, home: &Path, data: &Path, user: Option<&User>) -> Result<(), Error> {
    let partial = home.join("data.partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(Error::io(format!("remove {}", partial.display())))?;
    }
    let initdb = server_program("initdb", None)?;
    let mut command = program::tied(&initdb, user, Signal::SIGKILL)?;
    command.arg("-D").arg(&partial).arg(format!("--username={NAME}")).current_dir(home);
    command.args(["--auth=trust", "--encoding=UTF8", "--no-locale", "--no-instructions"]);
    if !config.durable {
        command.arg("--no-sync");
    }
    if let Some(tls) = &config.tls {
        let file = home.join("password");
        write_owned(&file, &tls.password, user)?;
        command.arg("--pwfile").arg(file);
    }
    program::prepare(Kind::Postgres, &initdb, command)?;
    fs::rename(&partial, data).map_err(Error::io(format!("make {}", data.display())))
}

fn remove_if_there(file: &Path) -> Result<(), Error> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove {}", file.display()))(error))
        }
        _ => Ok(()),
    }
}

/// Asks through the server's own client, and makes the database on the first answer.
fn probe(url: String, admin: String) -> server::Probe {
    let ask = move || match psql(&url, "SELECT 1") {
        Err(Error::Sql { output }) if output.contains("does not exist") => {
            psql(&admin, &format!("CREATE DATABASE {NAME}"))?;
            psql(&url, "SELECT 1")
        }
        answer => answer,
    };
    Box::new(move || ask().map(drop).map_err(|error| error.to_string()))
}

/// Runs SQL by `psql` on any Postgres and returns what it prints: rows a line each, columns between bars.
///
/// # Errors
/// [`Error::Sql`] with what the server, or `psql` about the server, said.
pub fn psql(url: &str, sql: &str) -> Result<String, Error> {
    let psql = server_program("psql", None)?;
    let mut command = Command::new(&psql);
    // Settings of the caller's shell are meant for other servers. A password is only given when one is asked for.
    let foreign = |name: &OsString| {
        let name = name.to_string_lossy();
        name.starts_with("PG") && !name.starts_with("PGPASS")
    };
    for (name, _) in std::env::vars_os().filter(|(name, _)| foreign(name)) {
        command.env_remove(name);
    }
    let output = command
        .env("PGCONNECT_TIMEOUT", "5")
        .args(["-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql])
        .stdin(Stdio::null())
        .output()
        .map_err(Error::io(format!("run {}", psql.display())))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(Error::Sql { output: program::last_lines(&String::from_utf8_lossy(&output.stderr)) })
    }
}

/// Finds a program of one Postgres version, or of the newest that is there.
fn server_program(name: &str, version: Option<&str>) -> Result<PathBuf, Error> {
    let mut versions: Vec<u32> = fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|version| program_of(*version, name).is_file())
        .collect();
    versions.sort_unstable();
    let wanted: Option<u32> = version.and_then(|version| version.trim().parse().ok());
    versions
        .iter()
        .find(|version| Some(**version) == wanted)
        .or(versions.last())
        .map(|version| program_of(*version, name))
        .or_else(|| program::find(name))
        .ok_or_else(|| Error::Missing { what: format!("{name} (Postgres)") })
}

fn program_of(version: u32, name: &str) -> PathBuf {
    Path::new(DEBIAN).join(version.to_string()).join("bin").join(name)
}
