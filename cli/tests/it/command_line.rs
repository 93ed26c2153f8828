//! Arguments, configuration, exit codes, and the tools against a running installation.

use std::process::{Command, Output};

use crate::process::{ADMIN_KEY, Installation, Service, flashsale};

fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

#[test]
fn configuration_errors_name_the_key_and_the_fix() {
    let (code, _, error) = run(flashsale().arg("ingest"));
    assert_eq!(code, 64);
    assert!(error.contains("`brokers`") && error.contains("FLASHSALE_BROKERS"), "{error}");
    let (code, _, error) = run(flashsale().args(["config", "check"]).env("FLASHSALE_INGEST__CONFIRM", "never"));
    assert_eq!(code, 64);
    assert!(error.contains("ingest.confirm") && error.contains("FLASHSALE_INGEST__CONFIRM"), "{error}");
    let (code, _, error) = run(flashsale().args(["config", "check"]).env("FLASHSALE_COLOUR", "red"));
    assert!(code == 64 && error.contains("colour"), "{error}");
    let (code, _, error) = run(flashsale().args(["--set", "admin_key=short", "api"]).envs([
        ("FLASHSALE_BROKERS", "127.0.0.1:1"),
        ("FLASHSALE_REDIS_URL", "redis://127.0.0.1:1"),
        ("FLASHSALE_DATABASE_URL", "postgres://127.0.0.1:1/x"),
    ]));
    assert!(code == 64 && error.contains("16 characters"), "{error}");
}

#[test]
fn config_print_shows_what_is_in_force_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flashsale.toml");
    std::fs::write(&file, "http_address = \"127.0.0.1:9\"\n[ingest]\nconfirm = \"redis\"\n").unwrap();
    let (code, shown, _) = run(flashsale()
        .args(["config", "print", "--set", "ingest.in_flight_max=7", "--config"])
        .arg(&file)
        .env("FLASHSALE_ADMIN_KEY", "a-very-secret-admin-key")
        .env("FLASHSALE_HTTP_ADDRESS", "127.0.0.1:10"));
    assert_eq!(code, 0);
    assert!(shown.contains("http_address = \"127.0.0.1:10\""), "the environment wins over the file: {shown}");
    assert!(shown.contains("confirm = \"redis\"") && shown.contains("in_flight_max = 7"), "{shown}");
    assert!(!shown.contains("very-secret"), "{shown}");
}

#[test]
fn completions_are_there_for_every_common_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, _) = run(flashsale().args(["completions", shell]));
        assert!(code == 0 && script.contains("flashsale"), "{shell}");
    }
}

#[test]
fn the_page_is_built_from_the_document_that_is_served() {
    let (code, document, _) = run(flashsale().arg("openapi"));
    let built_from = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../frontend/openapi.json")).unwrap();
    let fix = "run: cargo run -p flashsale -- openapi > frontend/openapi.json; cd frontend; npm run types";
    assert!(code == 0 && document == built_from, "frontend/openapi.json is out of date; {fix}");
}

fn sale(api: &Service, arguments: &[&str]) -> (i32, String, String) {
    run(flashsale().args(["sale", "--url", &api.url, "--admin-key", ADMIN_KEY]).args(arguments))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sale_tool_steers_a_sale_through_its_life() {
    let shop = Installation::new().await;
    let _processor = shop.start(&["processor"]).await;
    let api = shop.start(&["api"]).await;
    let (code, empty, _) = sale(&api, &["list"]);
    assert!(code == 0 && empty.contains("There are no sales"), "{empty}");
    let (code, created, error) =
        sale(&api, &["create", "TOOL", "--name", "A tool", "--stock", "3", "--start", "+1h", "--end", "+2h"]);
    assert!(code == 0 && created.contains("UPCOMING"), "{created}{error}");
    let (code, _, error) = sale(&api, &["create", "TOOL", "--name", "A tool", "--stock", "3"]);
    assert!(code == 69 && error.contains("ALREADY_EXISTS"), "{error}");
    let (_, shown, _) = sale(&api, &["--json", "update", "TOOL", "--stock", "5"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["initialStock"], 5);
    let (_, paused, _) = sale(&api, &["--json", "pause", "TOOL"]);
    assert!(paused.contains("\"paused\": true"), "{paused}");
    assert!(sale(&api, &["resume", "TOOL"]).0 == 0);
    let (code, dry, _) = sale(&api, &["delete", "TOOL"]);
    assert!(code == 64 && dry.contains("Nothing was deleted"), "{dry}");
    assert_eq!(sale(&api, &["delete", "TOOL", "--yes"]).0, 0);
    assert_eq!(sale(&api, &["show", "TOOL"]).0, 69);
    let (code, _, error) =
        run(flashsale().args(["sale", "--url", &api.url, "--admin-key", "a-wrong-admin-key", "list"]));
    assert!(code == 69 && error.contains("FLASHSALE_ADMIN_KEY"), "{error}");
    let (code, _, error) = run(flashsale().args(["sale", "--url", "http://127.0.0.1:1", "list"]));
    assert!(code == 69 && error.contains("make up"), "{error}");
}
