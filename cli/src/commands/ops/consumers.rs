//! Consumers on a terminal.

use std::{
    collections::BTreeSet,
    io::IsTerminal,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::bail;
use clap::Args;
use flashsale_operations::{Consumer, Paused, Sampler, Verdict};
use flashsale_platform::shutdown;
use serde_json::json;

use super::{super::sale_times, Desk};
use crate::terminal::{bold, count, dim, green, or_unknown, red, say, say_json, table, yellow};

/// Between two looks of a window.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long the orders that stand may take to be read; a cluster that is not ours has none.
const ORDERS_MAX: Duration = Duration::from_secs(2);

/// Shows consumer groups.
///
/// The verdict is judged by what happened while it watched, not by a threshold. OK: it keeps up. WARN: it falls
/// behind, or an order holds it. STALL: it is read and does not move. STOP: nobody reads it. REWIND: it went back.
/// UNKNOWN: nobody can say. A lag that is not known is shown as ?.
#[derive(Debug, Args)]
pub(crate) struct ConsumersArgs {
    /// Only this group, by partition.
    name: Option<String>,
    /// Look again each second, until Ctrl-C.
    #[arg(long)]
    watch: bool,
    /// How long to watch before judging.
    #[arg(long, default_value = "3s", value_name = "SPAN", value_parser = span)]
    window: Duration,
}

/// Which partitions an order is about.
#[derive(Debug, Args)]
pub(crate) struct SteerArgs {
    /// The group.
    consumer: String,
    /// Only these partitions, such as 0,3.
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS")]
    partitions: Vec<i32>,
}

fn span(text: &str) -> Result<Duration, String> {
    let micros = u64::try_from(sale_times::span(text)?).map_err(|_| "must not be negative".to_owned())?;
    match Duration::from_micros(micros) {
        span if (Duration::from_secs(1)..=Duration::from_secs(600)).contains(&span) => Ok(span),
        _ => Err("must be 1s to 10m".to_owned()),
    }
}

impl ConsumersArgs {
    pub(super) async fn run(self, desk: &Desk) -> anyhow::Result<ExitCode> {
        let stop = shutdown::on_signal()?;
        let orders = desk.operations.orders().clone();
        // Without an answer in time the orders are shown as they are known.
        drop(tokio::time::timeout(ORDERS_MAX, orders.known()).await);
        let settled = self.window.mul_f64(0.8);
        let window = if self.watch { self.window.max(Duration::from_secs(30)) } else { self.window };
        let mut sampler = Sampler::new(desk.ledger.clone(), desk.store.clone(), orders, (window, settled))?;
        let began = Instant::now();
        loop {
            let consumers = tokio::select! {
                () = stop.cancelled() => return Ok(ExitCode::SUCCESS),
                consumers = sampler.look(self.name.as_deref()) => consumers?,
            };
            if let (Some(name), true) = (&self.name, consumers.is_empty()) {
                bail!("there is no consumer group {name}; `flashsale ops consumers` lists those there are");
            }
            let is_judged = began.elapsed() >= self.window;
            if self.watch || is_judged {
                self.show(&consumers, desk.json, began)?;
            }
            if !self.watch && is_judged {
                return Ok(ExitCode::SUCCESS);
            }
            let pause = if self.watch { Duration::from_secs(1) } else { LOOK_EVERY };
            tokio::select! {
                () = stop.cancelled() => return Ok(ExitCode::SUCCESS),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn show(&self, consumers: &[Consumer], as_json: bool, began: Instant) -> anyhow::Result<()> {
        if as_json && self.watch {
            say(serde_json::to_string(&json!({ "consumers": consumers }))?);
            return Ok(());
        }
        if as_json {
            return say_json(&json!({ "windowSeconds": self.window.as_secs(), "consumers": consumers }));
        }
        if self.watch && std::io::stdout().is_terminal() {
            say("\x1b[2J\x1b[H");
        }
        if consumers.is_empty() {
            say("No group reads anything here.");
        } else if self.name.is_some() {
            consumers.iter().for_each(one);
        } else {
            all(consumers);
        }
        if self.watch {
            say(dim(&format!("watched for {} s; Ctrl-C ends it", began.elapsed().as_secs())));
        }
        Ok(())
    }
}

fn verdict(verdict: Verdict) -> String {
    match verdict {
        Verdict::Ok => green(verdict.as_str()),
        Verdict::Unknown => dim(verdict.as_str()),
        Verdict::Warn | Verdict::Rewind => yellow(verdict.as_str()),
        Verdict::Stall | Verdict::Stop => red(verdict.as_str()),
    }
}

fn seconds(seconds: Option<f64>) -> String {
    or_unknown(seconds.map(|seconds| format!("{seconds:.1}")))
}

fn all(consumers: &[Consumer]) {
    let mut shown = table(["GROUP", "STATE", "MEMBERS", "LAG", "LAG S", "PER S", "VERDICT", "HELD", "WHY"]);
    for one in consumers {
        let held = match one.paused {
            Paused::None => "",
            Paused::Some => "some",
            Paused::All => "all",
        };
        shown.add_row([
            one.name.clone(),
            one.state.clone(),
            one.members.len().to_string(),
            or_unknown(one.lag_records),
            seconds(one.lag_seconds),
            or_unknown(one.per_second.map(|rate| format!("{rate:.0}"))),
            verdict(one.verdict),
            held.to_owned(),
            one.why.clone(),
        ]);
    }
    say(shown);
}

fn one(consumer: &Consumer) {
    say(format!("{}  {}  {}: {}", bold(&consumer.name), consumer.state, verdict(consumer.verdict), consumer.why));
    for member in &consumer.members {
        say(dim(&format!(
            "  {} from {} reads {}",
            member.client_id,
            member.host,
            count(member.partitions.len() as u64, "partition")
        )));
    }
    if let Some(order) = &consumer.order {
        say(dim(&format!("  last order: {} by {} at {}", order.action, order.issued_by, order.issued_at)));
    }
    let header = ["PARTITION", "OWNER", "POSITION", "COMMITTED", "END", "LAG", "LAG S", "PER S", "VERDICT", "HELD"];
    let mut shown = table(header);
    for one in &consumer.partitions {
        shown.add_row([
            format!("{}[{}]", one.topic, one.partition),
            one.owner.clone().unwrap_or_else(|| "nobody".into()),
            or_unknown(one.position),
            or_unknown(one.committed),
            or_unknown(one.end),
            or_unknown(one.lag_records),
            seconds(one.lag_seconds),
            or_unknown(one.per_second.map(|rate| format!("{rate:.0}"))),
            verdict(one.verdict),
            if one.paused { "held".into() } else { String::new() },
        ]);
    }
    say(shown);
}

impl SteerArgs {
    pub(super) async fn run(self, desk: &Desk, pause: bool) -> anyhow::Result<ExitCode> {
        let (partitions, consumer): (BTreeSet<i32>, _) = (self.partitions.into_iter().collect(), self.consumer);
        let order = if pause {
            desk.operations.pause(&consumer, &partitions, &desk.actor).await?
        } else {
            desk.operations.resume(&consumer, &partitions, &desk.actor).await?
        };
        if desk.json {
            say_json(&json!({ "consumer": consumer, "order": order }))?;
            return Ok(ExitCode::SUCCESS);
        }
        let numbers: Vec<String> = order.partitions.iter().map(ToString::to_string).collect();
        say(match (order.action.as_str(), numbers.is_empty()) {
            ("RESUME", _) => format!("{consumer} goes on with everything."),
            (_, true) => format!("{consumer} holds all its partitions. Let it go on: flashsale ops resume {consumer}"),
            (_, false) => format!(
                "{consumer} holds partitions {}. Let it go on: flashsale ops resume {consumer}",
                numbers.join(", ")
            ),
        });
        Ok(ExitCode::SUCCESS)
    }
}
