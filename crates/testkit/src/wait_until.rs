//! Waiting for a condition instead of for a time.

use std::{
    fmt::Debug,
    future::Future,
    panic::Location,
    time::{Duration, Instant},
};

const POLL: Duration = Duration::from_millis(10);

/// What a look at the system gives: done with a value, or not yet with a status.
pub trait Observation {
    /// What the wait returns.
    type Value;

    /// The value, or what there is to see instead of it.
    ///
    /// # Errors
    /// The status, as long as the condition does not hold.
    fn observed(self) -> Result<Self::Value, String>;
}

impl Observation for bool {
    type Value = ();

    fn observed(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("false".into()) }
    }
}

impl<T> Observation for Option<T> {
    type Value = T;

    fn observed(self) -> Result<T, String> {
        self.ok_or_else(|| "none".into())
    }
}

/// The error is the status.
impl<T, E: Debug> Observation for Result<T, E> {
    type Value = T;

    fn observed(self) -> Result<T, String> {
        self.map_err(|error| format!("{error:?}"))
    }
}

/// Looks again and again until the condition holds, and returns what it found.
///
/// `look` gives a bool, an `Option`, or a `Result` whose error says what there is instead.
///
/// # Panics
/// After `patience`, at the caller's line, with `what` was awaited and what was seen last.
#[track_caller]
pub fn wait_until<O: Observation, F: AsyncFnMut() -> O>(
    patience: Duration,
    what: &str,
    mut look: F,
) -> impl Future<Output = O::Value> {
    let caller = Location::caller();
    async move {
        let begun = Instant::now();
        let mut last = String::from("nothing: the first look did not end");
        while let Some(left) = patience.checked_sub(begun.elapsed()) {
            match tokio::time::timeout(left, look()).await.map(Observation::observed) {
                Ok(Ok(value)) => return value,
                Ok(Err(status)) => last = status,
                Err(_) => break,
            }
            tokio::time::sleep(POLL).await;
        }
        panic!("{caller}: waited {patience:?} in vain for {what}; last seen: {last}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_returns_what_was_found() {
        let mut looks = 0;
        let found = wait_until(Duration::from_secs(5), "the third look", async || {
            looks += 1;
            if looks == 3 { Ok(looks) } else { Err(looks) }
        });
        assert_eq!(found.await, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "in vain for a miracle; last seen: \"stock 7\"")]
    async fn it_tells_what_was_seen_last() {
        wait_until(Duration::from_millis(30), "a miracle", async || Err::<(), _>("stock 7")).await;
    }

    #[tokio::test]
    #[should_panic(expected = "in vain for an answer; last seen: nothing")]
    async fn a_look_that_hangs_is_cut_short() {
        wait_until(Duration::from_millis(30), "an answer", std::future::pending::<bool>).await;
    }
}
