//! A file that is read again when it has changed, so that keys are given and taken away without a restart.
//!
//! What is read is compared whole: files are small, and neither time nor length tells every change. A file that cannot
//! be used changes nothing: what was read before stays in force.

use std::{
    fmt,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use metrics::{describe_gauge, gauge};
use tokio_util::sync::CancellationToken;

const REFUSED: &str = "flashsale_file_refused";
/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A look may take this long; after it the disk is said to hang.
const LOOK_MAX: Duration = Duration::from_secs(10);

type Parse<T> = Box<dyn Fn(&[u8]) -> Result<T, String> + Send + Sync>;

/// A file that cannot be used, and why. It never says what is in the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} {why}")]
pub struct Unusable {
    path: String,
    why: String,
}

/// What a file says, as of a second ago. A clone shares it.
pub struct Reloaded<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    path: PathBuf,
    name: &'static str,
    bytes_max: u64,
    parse: Parse<T>,
    current: RwLock<Arc<T>>,
    /// What was found last, of use or not, so that each change is told of once.
    found: Mutex<Result<Vec<u8>, String>>,
}

impl<T> Clone for Reloaded<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<T> fmt::Debug for Reloaded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloaded").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

impl<T: Send + Sync + 'static> Reloaded<T> {
    /// Reads a file of at most `bytes_max`. `name` is what metrics and logs call it; the errors of `parse` go on after
    /// the path, as in "has no keys".
    ///
    /// # Errors
    /// When the file cannot be read or used.
    pub fn open(
        path: impl Into<PathBuf>,
        name: &'static str,
        bytes_max: u64,
        parse: impl Fn(&[u8]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, Unusable> {
        let path = path.into();
        let unusable = |why| Unusable { path: path.display().to_string(), why };
        let bytes = read(&path, bytes_max).map_err(unusable)?;
        let first = parse(&bytes).map_err(unusable)?;
        describe_gauge!(REFUSED, "1 while a file on disk cannot be used, and what was read before is in force");
        gauge!(REFUSED, "file" => name).set(0.0);
        let (current, found) = (RwLock::new(Arc::new(first)), Mutex::new(Ok(bytes)));
        Ok(Self { inner: Arc::new(Inner { path, name, bytes_max, parse: Box::new(parse), current, found }) })
    }

    /// What is in force.
    pub fn current(&self) -> Arc<T> {
        self.inner.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at the file each second until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        while tokio::time::timeout(LOOK_EVERY, shutdown.cancelled()).await.is_err() {
            let file = self.clone();
            // Beside: a disk may not answer.
            let mut looking = tokio::task::spawn_blocking(move || file.look());
            let mut looked = tokio::select! {
                () = shutdown.cancelled() => break,
                looked = tokio::time::timeout(LOOK_MAX, &mut looking) => looked.ok(),
            };
            if looked.is_none() {
                self.hangs();
                looked = tokio::select! {
                    () = shutdown.cancelled() => break,
                    looked = looking => Some(looked),
                };
            }
            if let Some(Err(error)) = looked {
                tracing::error!(file = self.inner.name, %error, "a file was not read again");
            }
        }
    }

    /// What is in force is old, and nobody knows what the file says now.
    fn hangs(&self) {
        let (file, path) = (self.inner.name, self.inner.path.display());
        tracing::error!(file, %path, "the disk does not answer; what was read before stays in force");
        gauge!(REFUSED, "file" => file).set(1.0);
        // The next look, if there is one, must say what it finds.
        if let Ok(mut found) = self.inner.found.try_lock() {
            *found = Err("the disk did not answer".to_owned());
        }
    }

    fn look(&self) {
        let Inner { path, name, bytes_max, parse, current, found } = self.inner.as_ref();
        let bytes = read(path, *bytes_max);
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        if *found == bytes {
            return;
        }
        let parsed = bytes.as_deref().map_err(Clone::clone).and_then(parse);
        *found = bytes;
        let refused = match parsed {
            Ok(new) => {
                *current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
                tracing::info!(file = name, path = %path.display(), "a changed file is in force");
                0.0
            }
            Err(why) => {
                let path = path.display();
                tracing::error!(file = name, %path, why, "a changed file cannot be used; the old one stays in force");
                1.0
            }
        };
        gauge!(REFUSED, "file" => *name).set(refused);
    }
}

fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let reading = File::open(path).and_then(|file| file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes));
    match reading {
        Err(error) => Err(format!("cannot be read: {error}")),
        Ok(_) if bytes.len() as u64 > bytes_max => Err(format!("is larger than {bytes_max} bytes")),
        Ok(_) => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use flashsale_testkit::wait_until;

    use super::*;

    fn number(bytes: &[u8]) -> Result<u32, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
        text.trim().parse().map_err(|_| "is not a number".to_owned())
    }

    #[test]
    fn what_changes_is_in_force_and_what_cannot_be_used_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        fs::write(&path, "1").unwrap();
        let file = Reloaded::open(&path, "test", 8, number).unwrap();
        assert_eq!(*file.current(), 1);
        for (content, expected) in [("2", 2), ("two", 2), ("3", 3), ("123456789", 3), ("", 3), ("4", 4)] {
            fs::write(&path, content).unwrap();
            file.look();
            assert_eq!(*file.current(), expected, "after {content:?}");
        }
        fs::remove_file(&path).unwrap();
        file.look();
        assert_eq!(*file.current(), 4);
        fs::write(&path, "5").unwrap();
        file.look();
        assert_eq!(*file.current(), 5);
    }

    #[test]
    fn a_file_that_cannot_be_used_from_the_start_is_refused_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        let refused = |content: Option<&str>| {
            content.iter().for_each(|content| fs::write(&path, content).unwrap());
            Reloaded::open(&path, "test", 8, number).unwrap_err().to_string()
        };
        for (content, why) in
            [(None, "cannot be read"), (Some("two"), "is not a number"), (Some("123456789"), "is larger than 8 bytes")]
        {
            let error = refused(content);
            assert!(error.contains(why) && error.contains("number"), "{error}");
        }
    }

    #[tokio::test]
    async fn the_file_is_looked_at_until_the_shutdown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        fs::write(&path, "1").unwrap();
        let file = Reloaded::open(&path, "test", 8, number).unwrap();
        let stop = CancellationToken::new();
        let looking = tokio::spawn(file.clone().run(stop.clone()));
        fs::write(&path, "2").unwrap();
        wait_until(LOOK_EVERY * 10, "the file to be read again", async || *file.current() == 2).await;
        stop.cancel();
        looking.await.unwrap();
    }
}
