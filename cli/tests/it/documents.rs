//! The commands of the documents work as they stand: who follows the runbook or the analysts' guide types these.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
};

use crate::{process::flashsale, up::Up};

/// In the order in which they are run, on one stack; the last one stops it.
const DOCUMENTS: [&str; 3] = ["docs/operators.md", "docs/analysts.md", "docs/getting-started.md"];
/// Where the documents take the stack to be.
const ADDRESS: &str = "127.0.0.1:8080";
/// How long one block may take.
const BLOCK_MAX: &str = "300s";

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// The packages that the analysts' guide has its reader install.
const PACKAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/documents-requirements.txt");
/// Under `target/`, so that the packages are fetched once.
const VENV: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/documents-venv");

/// Commands of a document, and the line on which they begin.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    line: usize,
    text: String,
}

/// The blocks marked `sh`; all others are not to be run.
fn blocks(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = (1..).zip(document.lines());
    while let Some((line, fence)) = lines.next() {
        let Some(kind) = fence.trim_start().strip_prefix("```") else { continue };
        let inside = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim_start() != "```");
        let text = inside.collect::<Vec<_>>().join("\n");
        if kind == "sh" {
            blocks.push(Block { line: line + 1, text });
        }
    }
    blocks
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Sees to a Python with exactly the pinned packages.
fn install_packages() {
    let (installed, python) = (format!("{VENV}/installed.txt"), format!("{VENV}/bin/python"));
    let pinned = fs::read_to_string(PACKAGES).unwrap();
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == pinned) && Path::new(&python).exists() {
        return;
    }
    run(Command::new("python3").args(["-m", "venv", "--clear", VENV]));
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--no-deps", "-r", PACKAGES]));
    fs::write(&installed, pinned).unwrap();
}

/// Runs a block in `folder` as a person would; the error has everything that it said.
fn follow(block: &Block, folder: &Path, url: &str) -> Result<(), String> {
    let text = block.text.replace(ADDRESS, url.trim_start_matches("http://"));
    let path = format!("{VENV}/bin:{}:{}", folder.join("bin").display(), std::env::var("PATH").unwrap());
    let child = Command::new("timeout")
        .args(["--kill-after=5s", BLOCK_MAX, "bash", "-euo", "pipefail", "-c", &format!("exec 2>&1\n{text}")])
        .current_dir(folder)
        .env("PATH", path)
        .env("FLASHSALE_URL", url)
        .env("FLASHSALE_DATA_DIR", folder.join(".flashsale"))
        .env_remove("FLASHSALE_CONFIG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // `timeout` makes a group of its own, for it and all that the block starts.
    let group = child.id();
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        return Ok(());
    }
    drop(Command::new("bash").args(["-c", &format!("kill -- -{group}")]).stderr(Stdio::null()).status());
    Err(format!("{}\n--- it was\n{text}\n--- it said\n{}", output.status, String::from_utf8_lossy(&output.stdout)))
}

#[test]
fn every_command_of_the_documents_works() {
    install_packages();
    let folder = tempfile::Builder::new().prefix("flashsale-documents-").tempdir().unwrap();
    let (folder, data) = (folder.path(), folder.path().join(".flashsale"));
    fs::create_dir(folder.join("bin")).unwrap();
    symlink(env!("CARGO_BIN_EXE_flashsale"), folder.join("bin/flashsale")).unwrap();
    let up = Up::start(&data);
    for document in DOCUMENTS {
        let blocks = blocks(&fs::read_to_string(Path::new(ROOT).join(document)).unwrap());
        assert!(!blocks.is_empty(), "{document} has no commands");
        for block in &blocks {
            if let Err(problem) = follow(block, folder, &up.url) {
                panic!("{document}:{} failed: {problem}", block.line);
            }
        }
    }
    // Here and not with the folder: the data of Postgres may be in another one.
    run(flashsale().args(["reset", "--yes", "--data-dir"]).arg(&data));
}

#[test]
fn only_blocks_that_are_marked_as_commands_are_run() {
    let document = "a\n```sh\nls\n\nwho\n```\n```console\n$ rm\n```\n\n```sh\nid\n```\n";
    let block = |line, text: &str| Block { line, text: text.to_owned() };
    assert_eq!(blocks(document), [block(3, "ls\n\nwho"), block(12, "id")]);
}
