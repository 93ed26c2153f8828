//! Who works at this terminal, and the word about it in the log.

use flashsale_ledger::Ledger;
use flashsale_operations::{Actor, record};
use flashsale_schemas::events::OperatorAction;
use serde_json::Value;

/// Who acts: as they say in `FLASHSALE_OPERATOR`, else the user of this machine.
pub(crate) fn whoever() -> anyhow::Result<Actor> {
    let names = ["FLASHSALE_OPERATOR", "USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    let known = names.filter_map(|name| name.parse().ok()).next();
    Ok(known.map_or_else(|| "admin".parse(), Ok)?)
}

/// Writes down what was done at this terminal.
pub(super) async fn noted(
    ledger: &Ledger,
    action: OperatorAction,
    target: &str,
    detail: Option<Value>,
) -> anyhow::Result<()> {
    Ok(record(ledger, action, target, &whoever()?, detail).await?)
}
