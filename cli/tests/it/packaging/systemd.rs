//! deploy/systemd: its units.

use std::{collections::BTreeSet, fs, process::Command};

use super::{Variables, files, is_command, path, read, stop_ms};

const FOLDER: &str = "deploy/systemd";
const COMMON: &str = "flashsale-.service.d/flashsale.conf";
const BINARY: &str = "/usr/local/bin/flashsale";

/// `Key=value` lines of a unit, in their order.
fn keys(file: &str) -> Vec<(String, String)> {
    let text = read(&format!("{FOLDER}/{file}"));
    let lines = text.lines().filter(|line| !line.starts_with(['#', '['])).filter_map(|line| line.split_once('='));
    lines.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn values<'a>(keys: &'a [(String, String)], key: &str) -> Vec<&'a str> {
    keys.iter().filter(|(name, _)| name == key).map(|(_, value)| value.as_str()).collect()
}

fn units() -> Vec<String> {
    files(FOLDER).into_iter().filter(|file| file.ends_with(".service")).collect()
}

#[test]
fn there_is_a_unit_for_every_part() {
    let mut parts = BTreeSet::new();
    for unit in units() {
        let keys = keys(&unit);
        let command = values(&keys, "ExecStart");
        let command = command[0].strip_prefix(BINARY).unwrap().trim();
        is_command(&command.split(' ').collect::<Vec<_>>());
        assert_eq!(values(&keys, "EnvironmentFile")[0], "/etc/flashsale/flashsale.env", "{unit}");
        if !unit.contains('@') {
            assert_eq!((unit.as_str(), values(&keys, "Type")), ("flashsale-migrate.service", vec!["oneshot"]));
            continue;
        }
        assert_eq!(unit, format!("flashsale-{}@.service", command.replace(' ', "-")));
        assert_eq!(values(&keys, "Restart"), ["on-failure"], "{unit}");
        assert!(values(&keys, "Environment").contains(&"FLASHSALE_HTTP_ADDRESS=127.0.0.1:%i"), "{unit}");
        assert!(values(&keys, "Environment").contains(&"FLASHSALE_INSTANCE=%H-%i"), "{unit}");
        parts.insert(command.to_owned());
    }
    assert_eq!(parts, ["api", "ingest", "processor", "sink postgres", "sink sse"].map(str::to_owned).into());
}

#[test]
fn a_unit_may_little_and_has_time_to_drain() {
    let keys = keys(COMMON);
    for (key, value) in [
        ("DynamicUser", "yes"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("CapabilityBoundingSet", ""),
        ("SystemCallArchitectures", "native"),
    ] {
        assert_eq!(values(&keys, key), [value], "{key}");
    }
    let stop = values(&keys, "TimeoutStopSec")[0].strip_suffix('s').unwrap().parse::<u64>().unwrap();
    assert!(stop * 1_000 >= stop_ms(&Variables::new()), "killed while it stops");
    let files = values(&keys, "LimitNOFILE")[0].parse::<u64>().unwrap();
    assert!(files >= 65_536, "each open page is a file");
    assert!(values(&keys, "WatchdogSec").is_empty(), "the binary pets no watchdog");
}

#[test]
fn systemd_reads_the_units() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("skipped: there is no systemd-analyze on this machine");
        return;
    }
    // As installed, but with the binary under test.
    let folder = tempfile::tempdir().unwrap();
    for unit in units() {
        let text = read(&format!("{FOLDER}/{unit}")).replace(BINARY, env!("CARGO_BIN_EXE_flashsale"));
        fs::write(folder.path().join(&unit), text).unwrap();
    }
    let common = folder.path().join(COMMON);
    fs::create_dir(common.parent().unwrap()).unwrap();
    fs::copy(path(&format!("{FOLDER}/{COMMON}")), common).unwrap();
    let started = units().into_iter().map(|unit| unit.replace('@', "@8081"));
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args(started.map(|unit| folder.path().join(unit)))
        .env("SYSTEMD_UNIT_PATH", format!("{}:", folder.path().display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && !said.contains("flashsale-"), "{said}");
}
