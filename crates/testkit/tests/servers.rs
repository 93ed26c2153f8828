//! The shared servers, the private ones, and the binary that shares them among processes.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::Path,
    process::Command,
    time::Duration,
};

use flashsale_localstack::psql;
use flashsale_testkit::{database, private_redis, redis, unique, wait_until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const PATIENCE: Duration = Duration::from_secs(60);

async fn ask(url: &str, command: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(url.trim_start_matches("redis://")).await?;
    stream.write_all(format!("{command}\r\n").as_bytes()).await?;
    let mut answer = [0; 256];
    let length = stream.read(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

fn runs(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn with_servers() -> Command {
    Command::new(env!("CARGO_BIN_EXE_with-servers"))
}

/// The process ids of the servers below a temporary directory.
fn servers_in(dir: &Path) -> Vec<String> {
    let data_dirs = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let files = data_dirs.filter(|path| path.is_dir()).flat_map(|dir| fs::read_dir(dir).into_iter().flatten());
    files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "pid"))
        .map(|path| fs::read_to_string(path).unwrap().split(' ').next().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_shared_server_is_one_and_names_keep_tests_apart() {
    let first = redis().await;
    assert_eq!(first, redis().await);
    assert_eq!(ask(first, "PING").await.unwrap(), "+PONG\r\n");
    assert_ne!(unique("a"), unique("a"));

    let (one, other) = (database().await, database().await);
    assert_ne!(one, other);
    psql(&one, "CREATE TABLE orders (id int)").unwrap();
    psql(&other, "CREATE TABLE orders (id int)").unwrap();
}

#[tokio::test]
async fn a_private_server_comes_back_with_its_data() {
    let server = private_redis().await;
    ask(server.url(), "SET stock 7").await.unwrap();
    server.kill();
    assert!(ask(server.url(), "GET stock").await.is_err());
    server.restart().unwrap();
    let stock = wait_until(PATIENCE, "the stock", async || ask(server.url(), "GET stock").await).await;
    assert_eq!(stock, "$1\r\n7\r\n");
}

#[tokio::test]
async fn with_servers_names_them_and_passes_the_exit_code_on() {
    let check =
        r#"kcat -L -b "$TEST_BROKERS" | grep -q '1 brokers' && [ -n "$TEST_REDIS_URL$TEST_DATABASE_URL" ] && exit 7"#;
    let status = with_servers().args(["--", "sh", "-c", check]).status().unwrap();
    assert_eq!(status.code(), Some(7));

    let given = [("TEST_BROKERS", "a:1"), ("TEST_REDIS_URL", "redis://a:2"), ("TEST_DATABASE_URL", "postgres://a:3/b")];
    let status = with_servers().envs(given).args(["sh", "-c", "[ $TEST_BROKERS = a:1 ] && kill -9 $$"]).status();
    assert_eq!(status.unwrap().code(), Some(128 + 9));
}

#[tokio::test]
async fn with_servers_killed_leaves_no_process_behind() {
    killed_by(9, None, false).await;
}

#[tokio::test]
async fn with_servers_stopped_leaves_no_process_and_no_file_behind() {
    killed_by(15, Some(128 + 15), true).await;
}

async fn killed_by(signal: i32, code: Option<i32>, tidy: bool) {
    let dir = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().unwrap();
    let noted = dir.path().join("command-pid");
    let mut process = with_servers()
        .env("TMPDIR", dir.path())
        .env("DOCKER_HOST", "unix:///nonexistent") // processes, also where there is an engine
        .env_remove("TEST_BROKERS")
        .env_remove("TEST_REDIS_URL")
        .env_remove("TEST_DATABASE_URL")
        .args(["sh", "-c", "echo $$ >$0.new && mv $0.new $0 && exec sleep 600"])
        .arg(&noted)
        .spawn()
        .unwrap();
    wait_until(PATIENCE, "the command", async || noted.exists()).await;
    let mut pids = servers_in(dir.path());
    pids.push(fs::read_to_string(&noted).unwrap().trim().to_owned());
    assert_eq!(pids.len(), 4, "three servers and the command");
    assert!(pids.iter().all(|pid| runs(pid)));

    let pid = nix::unistd::Pid::from_raw(process.id().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::try_from(signal).unwrap()).unwrap();
    let status = process.wait().unwrap();
    assert_eq!(status.code(), code);
    assert_eq!(status.signal().is_some(), code.is_none());
    wait_until(PATIENCE, "the end of all", async || {
        let left: Vec<_> = pids.iter().filter(|pid| runs(pid)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    if tidy {
        let left = fs::read_dir(dir.path()).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir()).count();
        assert_eq!(left, 0);
    }
}
