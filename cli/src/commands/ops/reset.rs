//! Putting a consumer elsewhere, on a terminal.

use std::process::ExitCode;

use clap::Args;
use flashsale_operations::{Reset, ResetPlan, Target};

use super::{super::sale_at, Desk};
use crate::terminal::{count, green, or_unknown, say, say_json, table, yellow};

/// Puts a consumer elsewhere: in Postgres for the sink that keeps its offsets there, and on the brokers.
///
/// Without --yes nothing is changed: it shows for each partition where it would go on, how many records would be read
/// again and how many left out. With --yes it does it, unless the group has members.
#[derive(Debug, Args)]
pub(crate) struct ResetArgs {
    /// The group.
    consumer: String,
    /// Where it is to go on: earliest, latest, offset=N, time=T (2026-11-27T09:00:00Z or -10m), or group=NAME.
    #[arg(long, value_name = "WHERE", value_parser = target)]
    to: Target,
    /// Only this topic.
    #[arg(long)]
    topic: Option<String>,
    /// Only these partitions, such as 0,3.
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS")]
    partitions: Vec<i32>,
    /// Really do it.
    #[arg(long)]
    yes: bool,
}

fn target(text: &str) -> Result<Target, String> {
    match text.split_once('=') {
        None if text == "earliest" => Ok(Target::Earliest),
        None if text == "latest" => Ok(Target::Latest),
        Some(("offset", offset)) => {
            let offset = offset.parse().ok().filter(|offset| *offset >= 0);
            offset.map(Target::Offset).ok_or_else(|| "an offset is a whole number from 0".to_owned())
        }
        Some(("time", time)) => sale_at::parse(time).map(|at| Target::Time(at.as_millis())),
        Some(("group", group)) if !group.is_empty() => Ok(Target::Group(group.to_owned())),
        _ => Err("expected earliest, latest, offset=N, time=T or group=NAME".to_owned()),
    }
}

impl ResetArgs {
    pub(super) async fn run(self, desk: &Desk) -> anyhow::Result<ExitCode> {
        let reset = Reset {
            consumer: self.consumer,
            to: self.to,
            topic: self.topic,
            partitions: self.partitions.into_iter().collect(),
        };
        let plan = desk.operations.reset(&reset, &desk.actor, !self.yes).await?;
        if desk.json {
            say_json(&plan)?;
        } else {
            show(&plan);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn show(plan: &ResetPlan) {
    let mut shown = table(["PARTITION", "FROM", "TO", "READ AGAIN", "LEFT OUT"]);
    for one in &plan.partitions {
        shown.add_row([
            format!("{}[{}]", one.topic, one.partition),
            or_unknown(one.from),
            one.to.to_string(),
            one.replays.to_string(),
            one.skips.to_string(),
        ]);
    }
    say(shown);
    let (again, left) = (count(plan.replays, "record"), count(plan.skips, "record"));
    if plan.dry_run {
        say(format!("{} would read {again} again and leave {left} out.", plan.consumer));
    } else {
        say(format!("{} {} reads {again} again and leaves {left} out.", green("✓"), plan.consumer));
    }
    for warning in &plan.warnings {
        say(format!("{} {warning}", yellow("!")));
    }
    if plan.dry_run {
        let consumer = &plan.consumer;
        say(format!(
            "Nothing was changed. To do it: flashsale ops pause {consumer}, the same again with --yes, then \
             flashsale ops resume {consumer}."
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_word_or_a_pair() {
        assert_eq!(target("earliest"), Ok(Target::Earliest));
        assert_eq!(target("offset=7"), Ok(Target::Offset(7)));
        assert_eq!(target("time=2026-11-23T12:00:00Z"), Ok(Target::Time(1_795_435_200_000)));
        assert_eq!(target("group=g"), Ok(Target::Group("g".into())));
        for bad in ["", "first", "offset=-1", "offset=", "time=tomorrow", "group="] {
            assert!(target(bad).is_err(), "{bad}");
        }
    }
}
