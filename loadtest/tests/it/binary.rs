//! The binary as its users run it: against nobody, against a shop that only the test knows, and against the real one.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Output, Stdio},
    sync::Mutex,
};

use serde_json::{Value, json};

use crate::{
    server::{NOBODY, answer, server},
    up::Up,
};

const SCENARIOS: [&str; 6] = ["stampede", "duplicates", "status", "mixed", "soldout", "soak"];
/// Of wrong usage, and of an installation that does not answer.
const USAGE: Option<i32> = Some(64);
const UNAVAILABLE: Option<i32> = Some(69);
/// A file that takes nothing.
const FULL_DISK: &str = "/dev/full";
/// What is not checked where there are no attempts to look at.
const WITHOUT_ATTEMPTS: [&str; 6] = ["I4", "I6", "I7", "I8", "I9", "I13"];
/// A debug build beside other tests is slow.
const PATIENT: [&str; 4] = ["--answer-max", "60", "--threshold", "max<60s"];

/// Runs the tool where no settings of whoever runs the tests reach it, and the local stack, if any, is in `data_dir`.
fn load(data_dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flashsale-load"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FLASHSALE_")) {
        command.env_remove(name);
    }
    command.args(arguments).env("FLASHSALE_DATA_DIR", data_dir).stdin(Stdio::null()).output().unwrap()
}

/// The same where nothing runs: exit code, stdout and stderr.
fn alone(arguments: &[&str]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = load(folder.path(), arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The report of a run that passed.
fn report(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    let json = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}\n{json}");
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}\n{said}"))
}

/// How many requests of a route came to what.
fn outcomes(report: &Value, route: &str) -> BTreeMap<String, u64> {
    let routes = report["routes"].as_array().unwrap();
    let Some(route) = routes.iter().find(|one| one["route"] == route) else { return BTreeMap::new() };
    serde_json::from_value(route["outcomes"].clone()).unwrap()
}

#[test]
fn help_names_the_scenarios() {
    let (code, said, _) = alone(&["--help"]);
    assert_eq!(code, Some(0), "{said}");
    for scenario in SCENARIOS {
        let is_listed = said.lines().any(|line| line.split_whitespace().next() == Some(scenario));
        assert!(is_listed, "{scenario} in\n{said}");
        let (code, said, _) = alone(&[scenario, "--help"]);
        assert!(code == Some(0) && said.contains("--connections") && said.contains("--json"), "{said}");
    }
}

#[test]
fn wrong_usage_is_one_clear_message() {
    for (line, named) in [
        ("stampede --nonsense", "unexpected argument '--nonsense'"),
        ("nonsense", "unrecognized subcommand 'nonsense'"),
        ("stampede --buyers 1000000000", "1000000000 is not in 1..=1000000"),
        ("mixed --rate 0", "it must be more than 0 and at most 10000000"),
        ("mixed --connections many", "'many' for '--connections <CONNECTIONS>'"),
        ("duplicates --buyers 10001 --dry-run", "--buyers must be 1 to 10000 here"),
        ("stampede --url https://127.0.0.1", "does not begin with http://"),
        ("stampede --url http://192.0.2.1", "--yes says that you may"),
        ("stampede --html /nowhere/report.html", "write /nowhere/report.html"),
        // Who wants a proof learns before the load that there can be none, and the way out.
        ("stampede", "--no-verdict"),
    ] {
        let arguments: Vec<&str> = line.split(' ').collect();
        let (code, out, said) = alone(&arguments);
        assert_eq!((code, out.as_str()), (USAGE, ""), "{line}: {said}");
        assert!(said.contains(named), "{named} in: {said}");
    }
}

#[test]
fn where_nobody_answers_it_says_what_to_do() {
    let url = format!("http://{NOBODY}");
    let (code, out, said) = alone(&["stampede", "--no-verdict", "--url", &url]);
    assert_eq!((code, out.as_str()), (UNAVAILABLE, ""), "{said}");
    for part in [url.as_str(), "make up", "--url"] {
        assert!(said.contains(part), "{part} in: {said}");
    }
}

#[test]
fn a_dry_run_sends_nothing() {
    let url = format!("http://{NOBODY}");
    let (code, said, _) = alone(&["soak", "--dry-run", "--url", &url]);
    assert!(code == Some(0) && said.contains("200 requests a second for 3600 s"), "{said}");
    assert!(said.ends_with("Nothing was sent.\n"), "{said}");
}

fn receipt(unit: usize) -> String {
    let number = format!("PUR-20261123-06C5HN3T8Q2Z-{:06}", unit + 1);
    format!(r#"{{"success":true,"data":{{"purchaseNo":"{number}","purchasedAt":"2026-11-23T12:00:00.123Z"}}}}"#)
}

fn refusal(code: &str) -> String {
    format!(r#"{{"error":{{"code":"{code}","message":"No."}},"success":false}}"#)
}

/// What the shop says to a request; `holders` are those who have bought, the first unit's first.
fn decide(request: &str, holders: &mut Vec<String>, units: usize) -> (&'static str, String) {
    let user = request.lines().find_map(|line| line.strip_prefix("x-user-id: ")).unwrap_or_default();
    let unit = holders.iter().position(|holder| holder == user);
    match request.split('?').next().unwrap_or_default() {
        line if line.starts_with("POST /api/v1/products ") => ("201 Created", r#"{"success":true}"#.to_owned()),
        "GET /api/v1/sales" => {
            let data = format!(r#"{{"state":"ACTIVE","initialStock":{units}}}"#);
            ("200 OK", format!(r#"{{"success":true,"data":{data}}}"#))
        }
        "GET /api/v1/purchases" => match unit {
            Some(unit) => ("200 OK", receipt(unit)),
            None => ("404 Not Found", refusal("NOT_FOUND")),
        },
        _ if holders.len() == units => ("200 OK", refusal("SOLD_OUT")),
        _ => {
            holders.push(user.to_owned());
            ("200 OK", receipt(holders.len() - 1))
        }
    }
}

/// A shop that sells `units`, whatever the sale, and keeps no books.
fn shop(units: usize) -> SocketAddr {
    let holders = Mutex::new(Vec::<String>::new());
    server(move |mut peer| {
        peer.answer(|request| {
            let (status, body) = decide(request, &mut holders.lock().unwrap(), units);
            answer(status, "", &body)
        });
    })
}

#[test]
fn a_stampede_is_measured_without_the_stores() {
    let (folder, url) = (tempfile::tempdir().unwrap(), format!("http://{}", shop(20)));
    let page = folder.path().join("report.html");
    let size = ["stampede", "--url", url.as_str(), "--buyers", "200", "--units", "20", "--connections", "20"];
    let to = ["--seed", "7", "--no-verdict", "--json", "-", "--html", page.to_str().unwrap()];
    let report = report(&load(folder.path(), &[&size[..], &PATIENT, &to].concat()));
    let sold = BTreeMap::from([("purchased".to_owned(), 20), ("sold-out".to_owned(), 180)]);
    assert_eq!(outcomes(&report, "purchase"), sold);
    assert_eq!((&report["verdict"], &report["seed"]), (&Value::Null, &json!(7)));
    assert_eq!((&report["unsent"], &report["thresholds"][0]["holds"]), (&json!(0), &json!(true)));
    assert!(fs::read_to_string(page).unwrap().contains("Within the limits"));
}

#[test]
fn what_a_long_run_records_is_in_the_file_and_has_no_gap() {
    let (folder, url) = (tempfile::tempdir().unwrap(), format!("http://{}", shop(10)));
    let file = folder.path().join("attempts.jsonl");
    let size = ["soak", "--url", url.as_str(), "--rate", "100", "--seconds", "3"];
    let to = ["--no-verdict", "--json", "-", "--record", file.to_str().unwrap()];
    let report = report(&load(folder.path(), &[&size[..], &PATIENT, &to].concat()));
    let total = |route: &str| outcomes(&report, route).values().sum::<u64>();
    assert_eq!(["purchase", "status", "receipt"].map(total), [45, 240, 15]);
    let text = fs::read_to_string(file).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (attempts, lookups): (Vec<&Value>, Vec<&Value>) = lines.iter().partition(|line| line.get("key").is_some());
    assert_eq!((attempts.len(), lookups.len()), (45, 15), "{text}");
    // Each shopper is named after the request, and one is due each hundredth of a second.
    for attempt in attempts {
        assert_eq!(attempt["due_us"].as_u64().unwrap(), attempt["shopper"].as_u64().unwrap() * 10_000, "{attempt}");
    }
    let told = |line: &&&Value| line["receipt"].is_object();
    assert_eq!(lookups.iter().filter(told).count() as u64, outcomes(&report, "receipt")["found"]);
}

#[test]
fn a_record_that_cannot_be_written_ends_the_load_and_what_was_measured_is_told() {
    let (folder, url) = (tempfile::tempdir().unwrap(), format!("http://{}", shop(10)));
    let page = folder.path().join("report.html");
    let size = ["soak", "--url", url.as_str(), "--rate", "100", "--seconds", "60"];
    let to = ["--no-verdict", "--json", "-", "--html", page.to_str().unwrap(), "--record", FULL_DISK];
    let output = load(folder.path(), &[&size[..], &PATIENT, &to].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("error: write /dev/full: ") && said.contains("what was sent until then"), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["seconds"].as_f64().unwrap() < 30.0, "{report}");
    assert!(outcomes(&report, "purchase").values().sum::<u64>() > 0, "{report}");
    assert!(fs::read_to_string(page).unwrap().contains("</html>"));
}

/// The ids of the checks in this state.
fn checks<'a>(report: &'a Value, state: &str) -> Vec<&'a str> {
    let checks = report["verdict"]["checks"].as_array().unwrap();
    checks.iter().filter(|check| check["state"] == state).filter_map(|check| check["id"].as_str()).collect()
}

#[test]
fn nf_1_a_stampede_against_the_real_services_is_proven() {
    let Some(up) = Up::start() else { return };
    let run = |arguments: &[&str]| {
        let common = ["--url", up.url.as_str(), "--json", "-"];
        report(&load(up.folder(), &[arguments, &common, &PATIENT].concat()))
    };
    let stampede = run(&["stampede", "--buyers", "200", "--units", "20"]);
    let verdict = &stampede["verdict"];
    assert_eq!((&verdict["proven"], checks(&stampede, "holds").len()), (&json!(true), 12), "{verdict}");
    assert_eq!(checks(&stampede, "not-checked"), ["I8"], "each shopper comes once: {verdict}");
    for store in ["redis", "log", "postgres"] {
        assert_eq!(verdict[store], json!({"sold": 20, "of": 20}), "{store} of {verdict}");
    }

    // Who looks up what they bought is shown what the log has.
    let mixed = run(&["mixed", "--rate", "100", "--seconds", "4", "--units", "20", "--listeners", "5"]);
    let verdict = &mixed["verdict"];
    let answered = outcomes(&mixed, "receipt");
    let compared: u64 = ["found", "not-found"].into_iter().filter_map(|outcome| answered.get(outcome)).sum();
    assert_eq!((&verdict["proven"], &verdict["lookedUp"]), (&json!(true), &json!(compared)), "{verdict}");
    assert!(compared > 0, "{answered:?}");

    // What a long run records is read back for the proof.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("attempts.jsonl");
    let soak = ["soak", "--rate", "100", "--seconds", "3", "--sales", "2", "--record"];
    let recorded = run(&[&soak[..], &[file.to_str().unwrap()]].concat());
    let verdict = &recorded["verdict"];
    assert_eq!((&verdict["proven"], checks(&recorded, "not-checked")), (&json!(true), vec!["I8"]), "{verdict}");
    // Where it cannot be written, what needs the attempts is not checked.
    let to = [FULL_DISK, "--url", up.url.as_str(), "--json", "-"];
    let output = load(up.folder(), &[&soak[..], &to, &PATIENT].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("error: write /dev/full: "), "{said}");
    assert!(said.contains("reads /dev/full back into memory, about 200 bytes"), "{said}");
    let full: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(checks(&full, "not-checked"), WITHOUT_ATTEMPTS, "{full}");
    assert_eq!((checks(&full, "broken"), &full["verdict"]["proven"]), (vec![], &json!(false)));

    // Where nobody buys nothing is proven of buying.
    let status = run(&["status", "--rate", "50", "--seconds", "1"]);
    assert_eq!(checks(&status, "not-checked"), WITHOUT_ATTEMPTS, "{status}");
    assert_eq!((checks(&status, "broken"), &status["verdict"]["proven"]), (vec![], &json!(false)));
}
