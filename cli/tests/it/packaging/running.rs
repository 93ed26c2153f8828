//! What the compose file starts, started here: the same commands with the same settings on the tests' servers.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use flashsale_testkit::wait_until;
use serde_json::Value;

use super::{
    Variables,
    compose::{arguments, environment, ours, services},
    configured, in_force, is_command, is_enough, path, stop_ms, texts,
};
use crate::process::{Installation, PATIENCE, flashsale, free_port};

/// What the tests' servers have their own of.
const OF_THE_SERVERS: [&str; 6] = [
    "FLASHSALE_BROKERS",
    "FLASHSALE_REDIS_URL",
    "FLASHSALE_DATABASE_URL",
    "FLASHSALE_SCHEMA_REGISTRY_URL",
    "FLASHSALE_REPLICATION",
    "FLASHSALE_ADMIN_KEY",
];

/// The image's health check, of the process at `url`.
fn is_healthy(url: &str) -> bool {
    let address = url.trim_start_matches("http://");
    let asked = flashsale().arg("health").env("FLASHSALE_HTTP_ADDRESS", address).output().unwrap();
    match asked.status.code() {
        Some(0) => true,
        Some(1) => false,
        _ => panic!("docker knows 0 and 1 alone: {asked:?}"),
    }
}

/// Seconds out of `60s`.
fn seconds(text: &Value) -> u64 {
    text.as_str().unwrap().strip_suffix('s').unwrap().parse().unwrap()
}

#[test]
fn every_setting_of_the_compose_file_exists_and_nothing_is_missing() {
    for (name, service) in ours() {
        let (command, settings) = (texts(&service["command"]), environment(&service));
        is_command(&command);
        in_force(&settings);
        if name != "migrate" {
            is_enough(&command.join(" "), &settings);
            let grace = seconds(&service["stop_grace_period"]) * 1_000;
            assert!(grace >= stop_ms(&settings), "{name} would be killed while it stops");
        }
    }
    let unknown = Variables::from([("FLASHSALE_COLOUR".to_owned(), "red".to_owned())]);
    let refused = configured(&unknown).args(["config", "print"]).status().unwrap();
    assert!(!refused.success(), "a setting that does not exist would be found");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_compose_file_starts_runs_becomes_healthy_and_stops_in_time() {
    let shop = Installation::new().await;
    let mut running = Vec::new();
    for (name, service) in ours() {
        let command = arguments(&service);
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        if name == "migrate" {
            let migrated = shop.tool(&command);
            assert!(migrated.status.success(), "{migrated:?}");
            continue;
        }
        let settings = environment(&service);
        let more = settings.iter().filter(|(name, _)| !OF_THE_SERVERS.contains(&name.as_str()));
        let more: Vec<(&str, &str)> = more.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        running.push((name, service, shop.launch(&command, &more)));
    }
    assert_eq!(running.len(), 6, "two edges and one of each other part");
    for (name, _, process) in &running {
        wait_until(PATIENCE, &format!("{name} to be healthy"), async || {
            tokio::task::block_in_place(|| is_healthy(&process.url))
        })
        .await;
    }
    let asked = flashsale().args(["health", "--json", "--url", &running[0].2.url]).output().unwrap();
    let answer: Value = serde_json::from_slice(&asked.stdout).unwrap();
    assert!(answer["isReady"] == true && answer["answer"]["status"] == "ready", "{answer}");
    // All at once, as `docker compose stop` does it.
    let stopping = running.into_iter().map(|(name, service, process)| {
        tokio::task::spawn_blocking(move || {
            let (url, began) = (process.url.clone(), Instant::now());
            process.stop();
            let grace = Duration::from_secs(seconds(&service["stop_grace_period"]));
            assert!(began.elapsed() < grace, "{name} took {:?} to stop", began.elapsed());
            assert!(!is_healthy(&url), "{name} is healthy although it is gone");
        })
    });
    for stopped in stopping.collect::<Vec<_>>() {
        stopped.await.unwrap();
    }
}

/// The check of a server's health, on another port than in its container.
fn check_of(server: &str, port: u16) -> Command {
    let service = services()[server].clone();
    let test: Vec<String> = texts(&service["healthcheck"]["test"]).into_iter().map(str::to_owned).collect();
    let mut command = match test[0].as_str() {
        "CMD" => Command::new(&test[1]),
        "CMD-SHELL" => Command::new("sh"),
        other => panic!("{other} is no kind of check"),
    };
    match test[0].as_str() {
        "CMD" => command.args(&test[2..]).env("PGPORT", port.to_string()),
        _ => command.args(["-c", &test[1].replace("redis-cli ", &format!("redis-cli -p {port} "))]),
    };
    command.envs(environment(&service)).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_check_of_postgres_tells_one_that_answers_from_one_that_does_not() {
    let database = flashsale_testkit::postgres().await;
    let host = database.rsplit('@').next().unwrap().split('/').next().unwrap();
    let port = host.rsplit_once(':').unwrap().1.parse().unwrap();
    tokio::task::block_in_place(|| {
        assert!(check_of("postgres", port).status().unwrap().success());
        assert!(!check_of("postgres", free_port()).status().unwrap().success());
    });
}

/// Killed when dropped.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_starts_as_the_compose_file_says_keeps_what_it_is_told_and_asks_for_the_password() {
    if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: the tests use a Redis elsewhere, and there is none on this machine");
        return;
    }
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let service = services()["redis"].clone();
    let settings = path("deploy/redis/redis.conf").display().to_string();
    let arguments = arguments(&service).into_iter().skip(1).map(|argument| match argument.as_str() {
        "/etc/redis/redis.conf" => settings.clone(),
        "0.0.0.0" => "127.0.0.1".to_owned(),
        "6379" => port.to_string(),
        "/data" => folder.path().display().to_string(),
        _ => argument,
    });
    let server = Command::new("redis-server").args(arguments).stdout(Stdio::null()).spawn().unwrap();
    let _server = Killed(server);
    wait_until(PATIENCE, "Redis to be healthy", async || {
        tokio::task::block_in_place(|| check_of("redis", port).status().unwrap().success())
    })
    .await;
    assert!(folder.path().join("appendonlydir").is_dir(), "what it is told survives it");
    let stranger = check_of("redis", port).env_remove("REDISCLI_AUTH").status().unwrap();
    assert!(!stranger.success(), "nobody gets in without the password");
}
