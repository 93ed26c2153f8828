//! Topics and what is in them, on a terminal.

use std::process::ExitCode;

use clap::Args;
use flashsale_operations::{Browse, Filter, Message, Start, TopicView};
use serde_json::json;

use super::{
    super::{sale_at, topic_name},
    Desk,
};
use crate::terminal::{bold, count, dim, green, say, say_json, table, yellow};

/// Lists topics.
#[derive(Debug, Args)]
pub(crate) struct TopicsArgs {
    /// Only this one, with all its settings.
    topic: Option<String>,
}

/// Looks into a topic, without any effect on those who read it: the newest records, or from an offset or time on.
#[derive(Debug, Args)]
pub(crate) struct MessagesArgs {
    /// Which; of our own also the short name, such as purchase-decisions.
    topic: String,
    /// Only this partition.
    #[arg(long)]
    partition: Option<i32>,
    /// From this offset on.
    #[arg(long, conflicts_with = "time")]
    offset: Option<i64>,
    /// From this time on: 2026-11-27T09:00:00Z, or a span such as -10m.
    #[arg(long, allow_hyphen_values = true, value_parser = sale_at::parse)]
    time: Option<flashsale_core::Micros>,
    /// At most this many records.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
    /// Only keys that contain this.
    #[arg(long)]
    key: Option<String>,
    /// Only those of this SKU.
    #[arg(long)]
    sku: Option<String>,
    /// Only those of this shopper.
    #[arg(long)]
    user: Option<String>,
    /// Only those with this outcome, such as ACCEPTED.
    #[arg(long)]
    outcome: Option<String>,
    /// Only those with this header.
    #[arg(long, value_name = "NAME=VALUE", value_parser = header)]
    header: Option<(String, String)>,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A topic by its name on the brokers, or by the short name of one of ours.
fn full_name(desk: &Desk, name: &str) -> String {
    topic_name::parse(name).map_or_else(|_| name.to_owned(), |topic| desk.ledger.topic(topic).to_owned())
}

impl TopicsArgs {
    pub(super) async fn run(self, desk: &Desk) -> anyhow::Result<ExitCode> {
        let name = self.topic.as_deref().map(|name| full_name(desk, name));
        let topics = desk.operations.topics(name.as_deref()).await?;
        if desk.json {
            say_json(&json!({ "topics": topics }))?;
        } else if name.is_some() {
            topics.iter().for_each(one);
        } else {
            let mut shown = table(["TOPIC", "PARTITIONS", "RECORDS", "COPIES", "AS ITS PAPER SAYS"]);
            for topic in &topics {
                let as_said = match (&topic.summary, topic.drift.len()) {
                    (None, _) => dim("has no paper"),
                    (Some(_), 0) => green("yes"),
                    (Some(_), drift) => yellow(&format!("no, {}", count(drift as u64, "difference"))),
                };
                shown.add_row([
                    topic.name.clone(),
                    topic.partitions.len().to_string(),
                    topic.records.to_string(),
                    topic.replication.to_string(),
                    as_said,
                ]);
            }
            say(shown);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn one(topic: &TopicView) {
    say(bold(&topic.name));
    if let Some(summary) = &topic.summary {
        say(format!("  {summary}"));
    }
    let mut shown = table(["PARTITION", "FIRST", "END"]);
    for one in &topic.partitions {
        shown.add_row([i64::from(one.partition), one.first, one.end].map(|number| number.to_string()));
    }
    say(shown);
    for (name, value) in &topic.settings {
        say(format!("  {name} = {value}"));
    }
    for drift in &topic.drift {
        say(format!("  {} {} is {}, its paper says {}", yellow("!"), drift.setting, drift.actual, drift.wanted));
    }
}

impl MessagesArgs {
    pub(super) async fn run(self, desk: &Desk) -> anyhow::Result<ExitCode> {
        let start = match (self.offset, self.time) {
            (Some(offset), _) => Start::Offset(offset),
            (_, Some(at)) => Start::Time(at.as_millis()),
            _ => Start::Newest,
        };
        let browse = Browse {
            topic: full_name(desk, &self.topic),
            partition: self.partition,
            start,
            limit: self.limit.into(),
            filter: Filter {
                key: self.key,
                sku: self.sku,
                user: self.user,
                outcome: self.outcome,
                header: self.header,
            },
        };
        let found = desk.operations.messages(&browse).await?;
        if desk.json {
            say_json(&found)?;
            return Ok(ExitCode::SUCCESS);
        }
        found.messages.iter().for_each(message);
        let how_many = count(found.messages.len() as u64, "record");
        say(dim(&format!("{how_many} of {} gone over", found.scanned)));
        if let Some(next) = &found.next {
            let places: Vec<String> =
                next.iter().map(|(partition, offset)| format!("--partition {partition} --offset {offset}")).collect();
            say(dim(&format!("There is more: {}", places.join(", or "))));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn message(message: &Message) {
    let at = message.timestamp.as_deref().unwrap_or("at an unknown time");
    let key = message.key.as_deref().unwrap_or("no key");
    say(format!("{} {at} {key}", bold(&format!("{}@{}", message.partition, message.offset))));
    for (name, value) in &message.headers {
        say(dim(&format!("  {name}: {value}")));
    }
    match (&message.value, &message.hex) {
        (Some(value), _) => say(format!("  {value}")),
        (None, Some(hex)) => {
            say(format!("  {} {}", yellow("!"), message.problem.as_deref().unwrap_or("cannot be decoded")));
            say(format!("  {hex}"));
        }
        (None, None) => say(dim("  no value: what had this key is gone")),
    }
}
