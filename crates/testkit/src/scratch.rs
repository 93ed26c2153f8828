//! Temporary data directories, and the ones that a killed run left behind.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Once,
    time::{Duration, SystemTime},
};

use tempfile::TempDir;

const PREFIX: &str = "flashsale-testkit-";
/// Younger directories may belong to a stack that has not locked them yet.
const SWEEP_AGE_MIN: Duration = Duration::from_secs(60);

/// A fresh directory that other users can pass: Postgres may run under its own.
///
/// Servers that tests share live in statics, which Rust never drops, so their directories outlive the run. The first
/// call of each process removes those that have no owner any more.
pub(crate) fn directory() -> io::Result<TempDir> {
    static SWEEP: Once = Once::new();
    SWEEP.call_once(|| sweep(&std::env::temp_dir()));
    tempfile::Builder::new().prefix(PREFIX).permissions(fs::Permissions::from_mode(0o755)).tempdir()
}

fn sweep(parent: &Path) {
    let entries = fs::read_dir(parent).into_iter().flatten().filter_map(Result::ok);
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        if is_abandoned(&entry.path())
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            // Another process may be at it, or it is another user's.
            eprintln!("testkit: cannot remove {}: {error}", entry.path().display());
        }
    }
}

fn is_abandoned(dir: &Path) -> bool {
    let age = fs::metadata(dir.join("lock"))
        .and_then(|lock| lock.modified())
        .map(|time| SystemTime::now().duration_since(time).unwrap_or_default());
    age.is_ok_and(|age| age > SWEEP_AGE_MIN) && matches!(flashsale_localstack::owner(dir), Ok(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_old_directory_without_an_owner_is_swept() {
        let parent = tempfile::tempdir().unwrap();
        let make = |name: &str, age: Duration| {
            let dir = parent.path().join(format!("{PREFIX}{name}"));
            fs::create_dir(&dir).unwrap();
            let lock = fs::File::create(dir.join("lock")).unwrap();
            lock.set_modified(SystemTime::now() - age).unwrap();
            (dir, lock)
        };
        let (old, _) = make("old", SWEEP_AGE_MIN * 2);
        let (young, _) = make("young", Duration::ZERO);
        let (owned, lock) = make("owned", SWEEP_AGE_MIN * 2);
        lock.lock().unwrap();
        fs::write(owned.join("lock"), "1").unwrap();
        lock.set_modified(SystemTime::now() - SWEEP_AGE_MIN * 2).unwrap();
        sweep(parent.path());
        assert_eq!([old, young, owned].map(|dir| dir.exists()), [false, true, true]);
    }
}
