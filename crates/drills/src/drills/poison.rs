//! What becomes of records that the sink cannot use.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use flashsale_schemas::Topic;
use flashsale_streaming::{Record, redrive};

use crate::{
    Arena, Drill, Outcome,
    installation::until,
    rows::{position, rows, sold, until_written},
    stage::{Cast, Stage},
    topics::{header, letters, letters_buried, place_of, records, refuse_records, take_records},
    verdict::Expected,
};

/// What every dead letter says about itself.
const HEADERS: [&str; 9] = [
    "dlq.topic",
    "dlq.partition",
    "dlq.offset",
    "dlq.class",
    "dlq.message",
    "dlq.attempts",
    "dlq.first_seen_ms",
    "dlq.last_seen_ms",
    "dlq.consumer",
];
/// A header that a poisoned record has of its own.
const OWN_HEADER: (&str, &str) = ("traceparent", "00-drill");
/// How long until the sink has dealt with what it was given.
const PATIENCE: Duration = Duration::from_secs(30);
const FAILURES: &str = "flashsale_consumer_failures_total";

pub(crate) const DRILLS: &[Drill] = &[
    Drill {
        fault: "F20",
        name: "poison-in-the-decisions",
        broken: "three records in the decisions: a bad magic byte, an unknown schema id, Avro that is cut off",
        checked: "exactly these three in the dead letters, byte for byte, with all headers; their neighbours applied",
        quick: true,
        play: |arena, seed| Box::pin(poison_in_the_decisions(arena, seed)),
    },
    Drill {
        fault: "F21",
        name: "one-row-of-500",
        broken: "a constraint in Postgres that one of 500 shoppers violates",
        checked: "499 rows, one dead letter; a reconciliation puts the row back once the constraint is gone",
        quick: true,
        play: |arena, seed| Box::pin(one_row_of_500(arena, seed)),
    },
    Drill {
        fault: "F22",
        name: "dead-letters-refused",
        broken: "the brokers refuse dead letters while a poisoned record waits",
        checked: "the offset stays before it until the letter is in the log, then the line goes on",
        quick: true,
        play: |arena, seed| Box::pin(dead_letters_refused(arena, seed)),
    },
    Drill {
        fault: "F25",
        name: "redriven-twice",
        broken: "dead letters sent again twice, some of them still bad",
        checked: "no unit twice; what is still bad comes back with one attempt more each time",
        quick: true,
        play: |arena, seed| Box::pin(redriven_twice(arena, seed)),
    },
];

/// A value that the sink cannot use, and what it calls that.
struct Poison {
    class: &'static str,
    value: Vec<u8>,
}

/// One of each sort; the last is the beginning of a record that is in the log.
async fn poisons(stage: &Stage) -> Result<[Poison; 3]> {
    let known = records(stage, Topic::PurchaseDecisions).await?;
    let (.., whole) = known.first().context("the log holds no decision")?;
    let datum = whole.get(5..).context("a decision without a header")?;
    let cut = whole.get(..15).context("a decision of less than 15 bytes")?;
    Ok([
        Poison { class: "bad_magic", value: [&[7, 0, 0, 0, 1][..], datum].concat() },
        // 9999
        Poison { class: "unknown_schema", value: [&[0, 0, 0, 0x27, 0x0f][..], datum].concat() },
        Poison { class: "malformed_datum", value: cut.to_vec() },
    ])
}

/// Writes poisoned records into the decisions, each under the key of a shopper who is none.
async fn send(stage: &Stage, poisons: &[Poison]) -> Result<()> {
    let ledger = &stage.shop.ledger;
    let topic = ledger.topic(Topic::PurchaseDecisions);
    let headers = [(OWN_HEADER.0.to_owned(), OWN_HEADER.1.as_bytes().to_vec())];
    for poison in poisons {
        let key = format!("{}:poison-{}", stage.sale.sale_id, poison.class);
        ledger.producer().deliver(topic, key.as_bytes(), Some(&poison.value), &headers).await?;
    }
    Ok(())
}

/// Waits until there are so many dead letters.
async fn until_buried(stage: &Stage, wanted: u64) -> Result<()> {
    let buried = until("the dead letters", PATIENCE, async || {
        let letters = letters_buried(stage).await?;
        ensure!(letters == wanted, "{letters} of {wanted}");
        Ok(true)
    });
    buried.await.map(drop)
}

/// How many rows there are of shoppers whose name is like this.
async fn rows_of(stage: &Stage, users: &str) -> Result<u64> {
    let count = stage.shop.sql(&format!("SELECT count(*) FROM purchases WHERE user_id LIKE '{users}'")).await?;
    Ok(count.parse()?)
}

/// A letter says everything about the record that it was.
fn is_complete(stage: &Stage, letter: &Record, class: &str, place: (i32, i64)) -> Result<()> {
    for name in HEADERS {
        ensure!(header(letter, name).is_some_and(|value| !value.is_empty()), "a letter of {class} lacks {name}");
    }
    let topic = stage.shop.ledger.topic(Topic::PurchaseDecisions);
    let (partition, offset) = (place.0.to_string(), place.1.to_string());
    let expected = [
        OWN_HEADER,
        ("dlq.topic", topic),
        ("dlq.partition", partition.as_str()),
        ("dlq.offset", offset.as_str()),
        ("dlq.class", class),
        ("dlq.attempts", "1"),
        ("dlq.consumer", "sink-postgres"),
    ];
    for (name, value) in expected {
        let seen = header(letter, name);
        ensure!(seen == Some(value), "{name} of a letter of {class} is {seen:?}, not {value}");
    }
    Ok(())
}

async fn poison_in_the_decisions(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let stage = Stage::set(arena, seed, Cast::default(), 2_000, Duration::from_secs(600)).await?;
    let rush = stage.crowd("f20", 400, 100);
    until("a sale in full swing", PATIENCE, async || Ok(stage.diary.successes() > 100)).await?;
    let poisons = poisons(&stage).await?;
    send(&stage, &poisons).await?;
    rush.finish().await?;
    until_buried(&stage, 3).await?;
    let letters = letters(&stage).await?;
    for Poison { class, value } in &poisons {
        let letter = letters.iter().find(|letter| letter.payload.as_deref() == Some(&value[..]));
        let letter = letter.with_context(|| format!("no dead letter holds the bytes of {class}"))?;
        let place = place_of(&stage, Topic::PurchaseDecisions, value).await?;
        is_complete(&stage, letter, class, place)?;
    }
    until_written(&stage, PATIENCE).await?;
    stage.conclude(Expected { dead_letters: 3, ..Expected::default() }).await
}

async fn one_row_of_500(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let mut stage = Stage::set(arena, seed, Cast::default(), 1_000, Duration::from_secs(600)).await?;
    stage.shop.sql("ALTER TABLE purchases ADD CONSTRAINT drill CHECK (user_id <> 'f21-250')").await?;
    stage.crowd("f21", 500, 0).finish().await?;
    until_buried(&stage, 1).await?;
    until("the rows of the others", PATIENCE, async || Ok(rows_of(&stage, "f21-%").await? == 499)).await?;
    let letters = letters(&stage).await?;
    let letter = letters.first().context("there was a dead letter")?;
    let (class, message) = (header(letter, "dlq.class"), header(letter, "dlq.message").unwrap_or_default());
    ensure!(class == Some("constraint") && message.contains("drill"), "the letter says {class:?}: {message}");
    let sold = sold(&stage).await?;
    ensure!(rows(&stage).await? + 1 == sold, "more than one row of {sold} is missing");
    stage.shop.sql("ALTER TABLE purchases DROP CONSTRAINT drill").await?;
    let (code, report) = stage.shop.tool(&["reconcile", "--sku", stage.sku(), "--repair"]).await?;
    ensure!(code == 0, "the reconciliation ended with {code}: {report}");
    ensure!(rows_of(&stage, "f21-250").await? == 1, "the reconciliation did not put the row back: {report}");
    let bisected = stage.shop.metric(&stage.sinks[0], "flashsale_sink_bisected_batches_total", "").await?;
    stage.figure("batches searched", bisected);
    stage.conclude(Expected { dead_letters: 1, ..Expected::default() }).await
}

async fn dead_letters_refused(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let mut stage = Stage::set(arena, seed, Cast::default(), 2_000, Duration::from_secs(600)).await?;
    stage.crowd("f22-before", 200, 0).finish().await?;
    until_written(&stage, PATIENCE).await?;
    refuse_records(&stage, Topic::PurchaseDecisionsDlq).await?;
    let poisons = poisons(&stage).await?;
    send(&stage, &poisons[..1]).await?;
    let (partition, offset) = place_of(&stage, Topic::PurchaseDecisions, &poisons[0].value).await?;
    stage.crowd("f22-after", 100, 0).finish().await?;
    let tries = async || stage.shop.metric(&stage.sinks[0], FAILURES, "step=\"dead_letter\"").await;
    until("the sink to try three times", PATIENCE, async || Ok(tries().await? >= 3.0)).await?;
    let next = position(&stage, partition).await?;
    ensure!(next <= offset, "the sink is at {next}, past the record at {offset} that is nowhere");
    ensure!(letters_buried(&stage).await? == 0, "the brokers took a dead letter");
    let refused = tries().await?;
    take_records(&stage, Topic::PurchaseDecisionsDlq).await?;
    until_buried(&stage, 1).await?;
    let went_on = until_written(&stage, PATIENCE).await?;
    ensure!(position(&stage, partition).await? > offset, "the sink has not passed the record at {offset}");
    stage.figure("refused dead letters", refused);
    stage.figure("went on after", format!("{:.1} s", went_on.as_secs_f64()));
    stage.conclude(Expected { dead_letters: 1, ..Expected::default() }).await
}

/// Sends every dead letter again; returns how many.
async fn redrive_all(stage: &Stage) -> Result<usize> {
    let letters = letters(stage).await?;
    for letter in &letters {
        redrive(stage.shop.ledger.producer(), letter).await?;
    }
    Ok(letters.len())
}

async fn redriven_twice(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let mut stage = Stage::set(arena, seed, Cast::default(), 1_000, Duration::from_secs(600)).await?;
    stage.shop.sql("ALTER TABLE purchases ADD CONSTRAINT drill CHECK (user_id <> 'f25-7')").await?;
    stage.crowd("f25", 100, 0).finish().await?;
    let [bad_magic, _, cut_off] = poisons(&stage).await?;
    send(&stage, &[bad_magic, cut_off]).await?;
    until_buried(&stage, 3).await?;
    ensure!(rows_of(&stage, "f25-7").await? == 0, "the constraint was not enforced");
    stage.shop.sql("ALTER TABLE purchases DROP CONSTRAINT drill").await?;
    let first = redrive_all(&stage).await?;
    // Two are still bad.
    until_buried(&stage, 5).await?;
    until_written(&stage, PATIENCE).await?;
    let second = redrive_all(&stage).await?;
    // The two of the first time, and the two that had come back.
    until_buried(&stage, 9).await?;
    until_written(&stage, PATIENCE).await?;
    let letters = letters(&stage).await?;
    let mut attempts: Vec<&str> = letters.iter().filter_map(|letter| header(letter, "dlq.attempts")).collect();
    attempts.sort_unstable();
    ensure!(attempts == ["1", "1", "1", "2", "2", "2", "2", "3", "3"], "attempts of the letters: {attempts:?}");
    ensure!(rows_of(&stage, "f25-7").await? == 1, "the shopper whose record was redriven holds no row, or two");
    let counted = "SELECT sum(count) FROM decision_counts WHERE outcome = 'ACCEPTED'";
    let (counted, sold) = (stage.shop.sql(counted).await?, sold(&stage).await?);
    ensure!(counted == sold.to_string(), "{counted} successes are counted, {sold} units are sold");
    stage.figure("redriven", format!("{first}, then {second}"));
    stage.conclude(Expected { dead_letters: 9, ..Expected::default() }).await
}
