//! The three real servers: they answer, keep what they hold, and end with the process that started them.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use flashsale_localstack::{Config, Error, Kind, Server, Stack, Stage, Step, down, owner, psql};

/// Names the data directory for the process that is killed.
const VICTIM_DIR: &str = "FLASHSALE_TEST_VICTIM_DIR";

/// Postgres, under its own user, must be able to reach its data.
fn data_dir(mode: u32) -> tempfile::TempDir {
    tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(mode)).tempdir().unwrap()
}

fn config(dir: &Path) -> Config {
    Config { durable: false, ..Config::new(dir) }
}

fn start(dir: &Path) -> Stack {
    Stack::start(&config(dir), &Kind::ALL, &|_| ()).unwrap()
}

fn redis(url: &str, command: &str) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("redis://")).unwrap();
    stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
    let mut answer = [0; 256];
    let length = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

fn sql(url: &str, sql: &str) -> String {
    psql(url, sql).unwrap()
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn pids(dir: &Path) -> Vec<u32> {
    let read = |kind: Kind| std::fs::read_to_string(dir.join(format!("{kind}.pid"))).unwrap();
    Kind::ALL.map(|kind| read(kind).split(' ').next().unwrap().parse().unwrap()).into()
}

fn write_data(stack: &Stack) {
    assert_eq!(redis(stack.url(Kind::Redis).unwrap(), "SET stock 7"), "+OK\r\n");
    sql(stack.url(Kind::Postgres).unwrap(), "CREATE TABLE orders AS SELECT 42 AS id");
}

fn assert_data(stack: &Stack) {
    assert_eq!(redis(stack.url(Kind::Redis).unwrap(), "GET stock"), "$1\r\n7\r\n");
    assert_eq!(sql(stack.url(Kind::Postgres).unwrap(), "SELECT id FROM orders"), "42");
}

#[test]
fn data_and_ports_survive_a_kill_of_each_server_and_a_restart_of_all() {
    let dir = data_dir(0o755);
    let steps = Mutex::new(Vec::<Step>::new());
    let stack = Stack::start(&config(dir.path()), &Kind::ALL, &|step| steps.lock().unwrap().push(step)).unwrap();
    let ready = |step: &&Step| matches!(step.stage, Stage::Ready { .. });
    assert_eq!(steps.lock().unwrap().iter().filter(ready).count(), 3);
    write_data(&stack);
    stack.check().unwrap();

    let refused = Stack::start(&config(dir.path()), &Kind::ALL, &|_| ()).unwrap_err();
    assert!(matches!(refused, Error::Owned { pid } if pid == std::process::id()), "{refused}");
    assert_eq!(owner(dir.path()).unwrap(), Some(std::process::id()));

    for kind in Kind::ALL {
        let server = stack.server(kind).unwrap();
        let (url, pid) = (server.url().to_owned(), server.pid());
        server.kill();
        assert!(!runs(pid));
        stack.check().unwrap(); // its end was asked for
        server.restart().unwrap();
        assert_eq!(server.url(), url);
        assert_ne!(server.pid(), pid);
    }
    assert_data(&stack);

    let urls = Kind::ALL.map(|kind| stack.url(kind).unwrap().to_owned());
    stack.stop();
    assert_eq!(owner(dir.path()).unwrap(), None);
    assert_eq!(down(dir.path(), Duration::from_secs(1)).unwrap(), None);
    let stack = start(dir.path());
    assert_eq!(Kind::ALL.map(|kind| stack.url(kind).unwrap().to_owned()), urls);
    assert_data(&stack);
}

#[test]
fn a_server_that_ends_by_itself_is_noticed() {
    let dir = data_dir(0o755);
    let server = Server::start(Kind::Redis, &config(dir.path()), &|_| ()).unwrap();
    let pid = nix::unistd::Pid::from_raw(server.pid().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    wait_until("the end is noticed", || server.check().is_err());
    let error = server.check().unwrap_err();
    assert!(matches!(&error, Error::Ended { status, .. } if status.signal() == Some(9)), "{error}");
    assert!(error.to_string().contains("Ready to accept connections"), "quotes the log: {error}");
    server.restart().unwrap();
    server.check().unwrap();
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let dir = data_dir(0o755);
    let mut config = config(dir.path());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    config.ports.redis = Some(listener.local_addr().unwrap().port());
    let error = Server::start(Kind::Redis, &config, &|_| ()).unwrap_err();
    assert!(matches!(error, Error::PortTaken { server: "redis", .. }), "{error}");

    config.ports.redis = None;
    std::fs::create_dir_all(dir.path().join("redis/appendonlydir")).unwrap();
    std::fs::write(dir.path().join("redis/appendonlydir/appendonly.aof.manifest"), "damaged\n").unwrap();
    let error = Server::start(Kind::Redis, &config, &|_| ()).unwrap_err();
    assert!(matches!(error, Error::Ended { .. }), "{error}");
    assert!(error.to_string().contains("AOF manifest"), "quotes the log: {error}");

    config.cache_dir = dir.path().join("no-cache");
    let error = Server::start(Kind::Kafka, &config, &|_| ()).unwrap_err();
    assert!(error.to_string().contains("make setup"), "{error}");
}

/// Not a test: the process that `servers_end_with_a_killed_owner_and_start_again` kills.
#[test]
#[ignore = "runs as the victim of another test"]
fn victim() {
    let dir = PathBuf::from(std::env::var_os(VICTIM_DIR).unwrap());
    let stack = start(&dir);
    write_data(&stack);
    std::fs::write(dir.join("ready"), "").unwrap();
    loop {
        thread::park();
    }
}

#[test]
fn servers_end_with_a_killed_owner_and_start_again() {
    let dir = data_dir(0o755);
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "victim"])
        .env(VICTIM_DIR, dir.path())
        .spawn()
        .unwrap();
    wait_until("the victim is ready", || dir.path().join("ready").exists());
    assert_eq!(owner(dir.path()).unwrap(), Some(victim.id()));
    let old = pids(dir.path());
    assert!(old.iter().all(|pid| runs(*pid)));
    victim.kill().unwrap(); // SIGKILL
    // At once: the servers may still be ending.
    let stack = start(dir.path());
    assert!(old.iter().all(|pid| !runs(*pid)));
    assert_data(&stack);
    victim.wait().unwrap();
}

#[test]
fn postgres_moves_out_of_a_directory_that_its_user_cannot_reach() {
    let dir = data_dir(0o700);
    let moved = Mutex::new(None);
    let server = Server::start(Kind::Postgres, &config(dir.path()), &|step| {
        if let Stage::MovedTo(dir) = step.stage {
            *moved.lock().unwrap() = Some(dir);
        }
    })
    .unwrap();
    assert_eq!(sql(server.url(), "SELECT 1"), "1");
    drop(server);
    let root = std::fs::metadata("/proc/self").unwrap();
    let is_root = std::os::unix::fs::MetadataExt::uid(&root) == 0;
    let moved = moved.into_inner().unwrap();
    assert_eq!(moved.is_some(), is_root, "{moved:?}");
    if let Some(moved) = moved {
        std::fs::remove_dir_all(moved.parent().unwrap()).unwrap();
    }
}
