//! `flashsale up` on servers of its own, for what only the real services can show.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long it may take until it runs.
const START_MAX: Duration = Duration::from_secs(180);
/// A debug build beside other tests is slow.
const PATIENT: [(&str, &str); 3] = [
    ("FLASHSALE_INGEST__LATENCY_TARGET_MS", "5000"),
    ("FLASHSALE_INGEST__DECIDE_TIMEOUT_MS", "30000"),
    ("FLASHSALE_INGEST__CONFIRM_TIMEOUT_MS", "30000"),
];

/// A running stack; ended with all its data when dropped.
pub(crate) struct Up {
    binary: PathBuf,
    folder: TempDir,
    child: Child,
    pub(crate) url: String,
}

impl Up {
    /// Starts one and waits until it says that it runs; none where only this package was built, and so no services.
    pub(crate) fn start() -> Option<Self> {
        // Of another package; beside ours whenever the workspace was built, as `make test` does.
        let binary = Path::new(env!("CARGO_BIN_EXE_flashsale-load")).with_file_name("flashsale");
        if !binary.exists() {
            assert!(std::env::var_os("CI").is_none(), "there is no {}", binary.display());
            eprintln!("skipped: there is no {}; `cargo build --package flashsale` makes it", binary.display());
            return None;
        }
        let folder = tempfile::Builder::new().prefix("flashsale-load-").tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = tool(&binary, "up", folder.path())
            .arg("--no-demo")
            .envs(PATIENT)
            .env("FLASHSALE_HTTP_ADDRESS", format!("127.0.0.1:{port}"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let up = Self { binary, folder, child, url: format!("http://127.0.0.1:{port}") };
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Nobody listens once it runs; it goes on writing.
                drop(tell.send(line));
            }
        });
        let (began, mut said) = (Instant::now(), String::new());
        while let Ok(line) = told.recv_timeout(START_MAX.saturating_sub(began.elapsed())) {
            said.push_str(&line);
            said.push('\n');
            if line.starts_with("Ctrl-C") {
                return Some(up);
            }
        }
        panic!("it did not start within {START_MAX:?}: {said}");
    }

    /// Where its data is.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        drop(tool(&self.binary, "down", self.folder.path()).output());
        drop(self.child.kill());
        drop(self.child.wait());
        // Where its user may not read this folder, the data of Postgres is in another one.
        drop(tool(&self.binary, "reset", self.folder.path()).arg("--yes").output());
    }
}

/// A command of the binary about the stack in `folder`, without the settings of whoever runs the tests.
fn tool(binary: &Path, command: &str, folder: &Path) -> Command {
    let mut tool = Command::new(binary);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FLASHSALE_")) {
        tool.env_remove(name);
    }
    tool.arg(command).arg("--data-dir").arg(folder).stdin(Stdio::null());
    tool
}
