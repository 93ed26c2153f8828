//! The stores of an installation, for the tools that look into them.

use std::sync::{Arc, Mutex, PoisonError};

use flashsale_ledger::Ledger;
use flashsale_lua::HotState;
use flashsale_platform::telemetry;
use flashsale_sql::Store;
use flashsale_streaming::ScanProgress;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    parts,
    settings::{Settings, Sources},
    terminal::TOOL_LOGS,
};

/// The three stores, open.
pub(super) struct Stores {
    pub(super) settings: Settings,
    pub(super) ledger: Ledger,
    pub(super) hot: HotState,
    pub(super) store: Store,
}

impl Stores {
    /// Opens the stores that the settings name; those they do not name are looked for in the local stack.
    pub(super) async fn open(sources: &Sources) -> anyhow::Result<Self> {
        let mut settings = Settings::load(sources, false)?;
        settings.fill_from_local_stack();
        settings.require(&["brokers", "redis_url", "database_url"])?;
        telemetry::init_logs(TOOL_LOGS, settings.log_json);
        let ledger = parts::open_ledger(&settings).await?;
        let hot = parts::open_hot_state(&settings).await?;
        let store = parts::open_store(&settings).await?;
        Ok(Self { settings, ledger, hot, store })
    }
}

/// A progress bar on a terminal, nothing elsewhere.
#[derive(Clone)]
pub(super) struct Bar(Arc<Mutex<ProgressBar>>);

impl Bar {
    /// A bar about what is being done.
    pub(super) fn new(doing: &'static str) -> Self {
        // On stderr, and hidden by itself when that is no terminal.
        let bar = ProgressBar::new(0);
        let style = "{msg:24} {wide_bar} {human_pos}/{human_len} {eta}";
        bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(doing);
        Self(Arc::new(Mutex::new(bar)))
    }

    /// Shows how far it is.
    pub(super) fn set(&self, doing: &str, done: u64, total: u64) {
        let bar = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bar.set_message(doing.to_owned());
        bar.set_length(total);
        bar.set_position(done);
    }

    /// Shows how far a pass over the log is.
    pub(super) fn scanned(&self, progress: ScanProgress) {
        self.set("reading the log", progress.done, progress.total);
    }

    /// Takes it away.
    pub(super) fn finish(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).finish_and_clear();
    }
}
