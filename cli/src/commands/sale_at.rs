//! `flashsale sale show SKU --at TIME`: a sale as it stood, from its log.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
    time::SystemTime,
};

use comfy_table::{Table, presets};
use flashsale_core::{Micros, Sku};
use flashsale_ledger::Ledger;
use flashsale_platform::shutdown;
use flashsale_report::{
    happened, printable,
    timetravel::{Buyer, Snapshot, StateAt},
};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{sale_log, sale_times};
use crate::terminal::{bold, count, dim, say};

/// Buyers that are shown from the front and from the end of the list.
const BUYERS_SHOWN: usize = 5;

/// A place in a partition: consumer, topic, partition, position, and where the partition ended. None is not known.
pub(super) type Position = (String, String, i32, Option<i64>, Option<i64>);

/// Reads a time that is over: `now`, a span such as -10m, or a time such as 2026-11-27T09:00:00Z.
pub(super) fn parse(text: &str) -> Result<Micros, String> {
    read(text, Micros::from_utc(OffsetDateTime::from(SystemTime::now())))
}

fn read(text: &str, now: Micros) -> Result<Micros, String> {
    if text == "now" {
        return Ok(now);
    }
    if let Some(span) = text.strip_prefix('-') {
        let at = now.0.checked_sub(sale_times::span(span)?);
        return at.filter(|at| *at > 0).map(Micros).ok_or_else(|| "too far away".to_owned());
    }
    let expected = "expected `now`, a span such as -10m, or a time such as 2026-11-27T09:00:00Z";
    let at = OffsetDateTime::parse(text, &Rfc3339).map(Micros::from_utc).map_err(|_| expected.to_owned())?;
    // What will be sold by then, nobody knows.
    if at > now { Err("must not lie in the future".to_owned()) } else { Ok(at) }
}

/// Shows the sale of `sku` as of `at`, and beside it where consumers stood. Exit code 1: there was none.
pub(super) async fn show(
    ledger: &Ledger,
    sku: &Sku,
    at: Micros,
    consumers: &[Position],
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let stop = shutdown::on_signal()?;
    let state = sale_log::read(ledger, sku, None, StateAt::new(sku.clone(), at), &stop).await?;
    let Some(snapshot) = state.build(None) else {
        drop(writeln!(std::io::stderr().lock(), "The log knows no sale of {sku} as of {at}."));
        return Ok(ExitCode::FAILURE);
    };
    if as_json {
        say(serde_json::to_string_pretty(&as_value(&snapshot, consumers)?)?);
    } else {
        summary(&snapshot);
        buyers(&snapshot);
        positions(consumers);
    }
    Ok(ExitCode::SUCCESS)
}

fn as_value(snapshot: &Snapshot, consumers: &[Position]) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(snapshot)?;
    let consumers: Vec<Value> = consumers
        .iter()
        .map(|(consumer, topic, partition, position, end)| {
            json!({"consumer": consumer, "topic": topic, "partition": partition, "position": position, "end": end})
        })
        .collect();
    value["consumers"] = consumers.into();
    Ok(value)
}

fn summary(snapshot: &Snapshot) {
    let reason = snapshot.end_reason.map(|reason| format!(", {}", reason.as_str())).unwrap_or_default();
    let paused = if snapshot.paused { ", paused" } else { "" };
    let removed = if snapshot.removed { ", removed" } else { "" };
    say(format!(
        "{}  {}  {}{reason}{paused}{removed}  as of {}",
        bold(snapshot.sku.as_str()),
        dim(snapshot.sale_id.as_str()),
        snapshot.state.as_str(),
        snapshot.at
    ));
    say(format!("  {}", printable(&snapshot.product_name)));
    let of = count(snapshot.initial_stock, "unit");
    say(format!("  {} left of {of}, {} sold", snapshot.stock, snapshot.sold));
    say(format!("  from {} to {}", snapshot.start_time, snapshot.end_time));
    let change = &snapshot.last_change;
    say(format!("  last change: {}, number {}, at {}", happened(change.kind), change.number, change.at));
}

/// The first and the last few.
fn buyers(snapshot: &Snapshot) {
    if snapshot.buyers.is_empty() {
        return say("\nNobody held a unit.");
    }
    say(format!("\n{}", bold(&count(snapshot.buyers_total, "buyer"))));
    let shown = |buyers: &[Buyer]| {
        for buyer in buyers {
            let user = printable(&buyer.user_id);
            say(format!("  {:>8}  {}  {}  {user}", buyer.sequence, buyer.decided_at, buyer.purchase_no));
        }
    };
    let listed = snapshot.buyers.as_slice();
    if listed.len() <= 2 * BUYERS_SHOWN {
        return shown(listed);
    }
    shown(&listed[..BUYERS_SHOWN]);
    let between = snapshot.buyers_total.saturating_sub(2 * BUYERS_SHOWN as u64);
    let more = if snapshot.buyers_total > listed.len() as u64 {
        format!("{between} more, of whom --json lists {}", listed.len() - 2 * BUYERS_SHOWN)
    } else {
        format!("{between} more, which --json lists")
    };
    say(format!("  {:>8}  {}", "…", dim(&more)));
    shown(&listed[listed.len() - BUYERS_SHOWN..]);
}

fn positions(consumers: &[Position]) {
    if consumers.is_empty() {
        return;
    }
    let mut table = Table::new();
    table.load_style(if std::io::stdout().is_terminal() { presets::UTF8_BORDERS_ONLY } else { presets::NOTHING });
    table.set_header(["CONSUMER", "TOPIC", "PARTITION", "POSITION", "END", "BEHIND"]);
    let known = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    for (consumer, topic, partition, position, end) in consumers {
        let behind = end.zip(*position).map(|(end, position)| end.saturating_sub(position).max(0));
        table.add_row([
            printable(consumer),
            printable(topic),
            partition.to_string(),
            known(*position),
            known(*end),
            known(behind),
        ]);
    }
    say(format!("\n{table}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_are_over() {
        let now = Micros(1_795_435_200_000_000);
        assert_eq!(read("now", now), Ok(now));
        assert_eq!(read("-90m", now).map(|at| at.to_string()), Ok("2026-11-23T10:30:00.000Z".into()));
        assert_eq!(
            read("2026-11-23T12:00:00+01:00", now).map(|at| at.to_string()),
            Ok("2026-11-23T11:00:00.000Z".into())
        );
        for bad in
            ["", "-", "-5", "+10m", "-x1m", "--5m", "-9999999999999999d", "2026-11-23", "2026-11-23T12:00:00.001Z"]
        {
            assert!(read(bad, now).is_err(), "{bad}");
        }
    }
}
