//! What operators work with, given to the service by whoever puts it together: the services themselves know nothing
//! of each other.

use std::{
    collections::BTreeSet,
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use flashsale_core::Sku;
use flashsale_operations::{Consumers, Operations, Pulse, Trial};
use tokio::sync::{Mutex, watch};

/// The id of a run that compared the stores, none when there was nothing to compare.
pub type ReconcileResult = Result<Option<String>, Box<dyn Error + Send + Sync>>;
/// Compares the stores for these SKUs, and repairs when the second argument says so.
pub type Reconcile =
    Arc<dyn Fn(BTreeSet<Sku>, bool) -> Pin<Box<dyn Future<Output = ReconcileResult> + Send>> + Send + Sync>;

/// How long a count of dead letters is good enough.
const LETTERS_FRESH: Duration = Duration::from_secs(5);

/// What operators work with. A clone shares it.
#[derive(Clone)]
pub struct Tools {
    /// Consumers, topics, dead letters, acts.
    pub operations: Operations,
    /// What the watcher saw last.
    pub consumers: watch::Receiver<Arc<Consumers>>,
    /// By how much of the past consumers are judged.
    pub window: Duration,
    /// Decisions as they come.
    pub pulse: Pulse,
    /// What the consumer makes of a record.
    pub trial: Trial,
    /// Compares the stores.
    pub reconcile: Reconcile,
    /// Held by the one comparison on demand that may run.
    pub(crate) reconciling: Arc<Mutex<()>>,
    open: Arc<Mutex<Option<(Instant, u64)>>>,
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tools").field("operations", &self.operations).finish_non_exhaustive()
    }
}

impl Tools {
    /// Tools from their parts.
    pub fn new(
        operations: Operations,
        (consumers, window): (watch::Receiver<Arc<Consumers>>, Duration),
        pulse: Pulse,
        trial: Trial,
        reconcile: Reconcile,
    ) -> Self {
        let (reconciling, open) = (Arc::default(), Arc::default());
        Self { operations, consumers, window, pulse, trial, reconcile, reconciling, open }
    }

    /// How many dead letters are open, as of a moment ago: one count serves everybody who looks.
    pub(crate) async fn letters_open(&self) -> Result<u64, flashsale_operations::Error> {
        let mut known = self.open.lock().await;
        if let Some((_, open)) = known.filter(|(at, _)| at.elapsed() < LETTERS_FRESH) {
            return Ok(open);
        }
        let open = self.operations.letters_open().await?;
        *known = Some((Instant::now(), open));
        Ok(open)
    }
}
