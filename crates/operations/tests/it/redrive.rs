//! Dead letters that are sent again: planned, once, and counted once.

use std::sync::Arc;

use flashsale_operations::{
    Browse, Error, Filter, LetterState, LetterVerdict, Message, Operations, PlannedLetter, RedrivePlan, Selection,
    Start, Trial,
};
use flashsale_schemas::Topic;
use flashsale_streaming::Outcome;
use flashsale_testkit::wait_until;

use crate::{GARBAGE, PATIENCE, kim, letters::Graveyard, reader, reader::Reader, refused, sold};

/// Header of a record that was sent again.
const REDRIVEN: &str = "dlq.redriven_at_ms";

impl Graveyard {
    /// What a plan says of the newest letter with this key.
    async fn said(&self, plan: &RedrivePlan, key: &str) -> PlannedLetter {
        let id = self.letter(key).await.id;
        plan.letters.iter().find(|one| one.id == id).unwrap_or_else(|| panic!("{key} in {plan:?}")).clone()
    }

    /// What was sent again so far.
    async fn sent(&self) -> Vec<Message> {
        let (topic, filter) = (self.desk.topic().to_owned(), Filter::default());
        let browse = Browse { topic, partition: None, start: Start::Offset(0), limit: 500, filter };
        let mut messages = self.desk.operations.messages(&browse).await.unwrap().messages;
        messages.retain(|message| message.headers.contains_key(REDRIVEN));
        messages
    }
}

/// One letter of each fate: `fresh` and `refusal` would change something, `stored` is in Postgres already, `garbage`
/// cannot be decoded, `conflict` contradicts a unit, and `homeless` does not say where it came from.
async fn fates() -> Graveyard {
    let yard = Graveyard::open().await;
    let (stored, conflict) = (sold(2, "bob"), sold(3, "eve"));
    yard.hold(&stored).await;
    yard.hold(&sold(3, "dan")).await;
    for (offset, key, payload, class) in [
        (0, "fresh", yard.desk.encode(&sold(1, "ann")), "constraint"),
        (1, "refusal", yard.desk.encode(&refused("cy")), "invalid_field"),
        (2, "stored", yard.desk.encode(&stored), "constraint"),
        (3, "garbage", GARBAGE.to_vec(), "bad_magic"),
        (4, "conflict", yard.desk.encode(&conflict), "conflict"),
    ] {
        yard.bury(key, offset, &payload, class).await;
    }
    let letters = yard.desk.ledger.topic(Topic::PurchaseDecisionsDlq);
    yard.desk.ledger.producer().deliver(letters, b"homeless", Some(GARBAGE), &[]).await.unwrap();
    yard
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_what_would_become_of_each_letter_and_sends_nothing() {
    use LetterVerdict::{StillFailing, UnknownLetter, WouldApply, WouldBeDuplicate};
    let yard = fates().await;
    let plan = yard.redrive(&Selection::All, (true, false)).await;
    for (key, verdict, detail) in [
        ("fresh", WouldApply, ""),
        ("refusal", WouldApply, ""),
        ("stored", WouldBeDuplicate, ""),
        ("garbage", StillFailing, "bad_magic"),
        ("conflict", StillFailing, "postgres holds unit 3 of dan"),
        ("homeless", UnknownLetter, "does not say"),
    ] {
        let said = yard.said(&plan, key).await;
        assert_eq!((said.verdict, said.sent), (verdict, false), "{key}: {said:?}");
        assert!(said.detail.unwrap_or_default().contains(detail), "{key}: {plan:?}");
    }
    let counts = (plan.would_apply, plan.would_be_duplicate, plan.still_failing, plan.not_open);
    assert_eq!((counts, plan.dry_run, plan.sent, plan.more), ((2, 1, 2, 1), true, 0, false));

    let of_class = yard.redrive(&Selection::Class("constraint".into()), (true, false)).await;
    assert_eq!((of_class.letters.len(), of_class.would_apply, of_class.would_be_duplicate), (2, 1, 1));
    assert_eq!((yard.sent().await.len(), yard.open_letters().await), (0, 6));
    assert_eq!(yard.desk.store.purchases(&crate::sale()).await.unwrap().len(), 2, "it was only tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn f_25_what_is_sent_again_is_sent_once_and_marked() {
    let yard = fates().await;
    let done = yard.redrive(&Selection::All, (false, false)).await;
    assert_eq!((done.dry_run, done.sent, yard.open_letters().await), (false, 3, 3));
    let mut sent: Vec<String> = yard.sent().await.into_iter().filter_map(|message| message.key).collect();
    sent.sort();
    assert_eq!(sent, ["fresh", "refusal", "stored"], "what would come back stays");
    let letter = yard.letter("fresh").await;
    let act = letter.act.unwrap();
    assert_eq!((letter.state, act.action.as_str(), act.by.as_str()), (LetterState::Redriven, "REDRIVE", "kim"));

    let again = yard.redrive(&yard.ids(&["fresh", "refusal"]).await, (false, true)).await;
    assert_eq!((again.not_open, again.sent), (2, 0));
    let said = yard.said(&again, "fresh").await;
    assert_eq!(said.verdict, LetterVerdict::NotOpen);
    assert!(said.detail.unwrap().starts_with("REDRIVE by kim at "));
    let rest = yard.redrive(&Selection::All, (false, false)).await;
    assert_eq!((rest.letters.len(), rest.sent, yard.sent().await.len()), (3, 0, 3));

    let acts = yard.desk.operations.acts(10).await.unwrap();
    assert_eq!(acts.iter().map(|act| act.action.as_str()).collect::<Vec<_>>(), ["REDRIVE"; 3]);
    let detail = acts.iter().find(|act| act.target == letter.id).unwrap().detail.as_ref().unwrap();
    assert_eq!((&detail["class"], &detail["source"]["offset"]), (&"constraint".into(), &0.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn f_25_what_is_sent_although_it_fails_comes_back_with_one_attempt_more() {
    let yard = fates().await;
    let before = yard.letter("garbage").await;
    let selection = yard.ids(&["garbage", "homeless"]).await;
    let kept = yard.redrive(&selection, (false, false)).await;
    assert_eq!((kept.still_failing, kept.not_open, kept.sent), (1, 1, 0));
    let sent = yard.redrive(&selection, (false, true)).await;
    assert!(yard.said(&sent, "garbage").await.sent && !yard.said(&sent, "homeless").await.sent, "{sent:?}");
    assert_eq!((sent.sent, yard.sent().await.len()), (1, 1), "a letter without a source goes nowhere");

    let consumer = Reader::join(&yard.desk, &yard.desk.sink()).await;
    let back = wait_until(PATIENCE, "the letter to come back", async || {
        let letter = yard.letter("garbage").await;
        if letter.id == before.id { Err(letter) } else { Ok(letter) }
    })
    .await;
    assert_eq!((back.state, back.attempts, back.consumer.as_str()), (LetterState::Open, 2, reader::NAME));
    assert_eq!((&back.class, &back.first_seen), (&before.class, &before.first_seen), "first seen when it was first");
    let shown = yard.desk.operations.letter(&back.id).await.unwrap();
    assert_eq!(shown.record.headers["dlq.origin"], format!("{}[0]@3", yard.desk.topic()), "where it stood first");
    let old = yard.desk.operations.letter(&before.id).await.unwrap().letter;
    assert_eq!((old.state, old.attempts), (LetterState::Redriven, 1));
    assert_eq!(yard.open_letters().await, 6);
    consumer.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_without_a_source_or_from_elsewhere_is_never_sent() {
    let yard = Graveyard::open().await;
    let letters = yard.desk.ledger.topic(Topic::PurchaseDecisionsDlq).to_owned();
    let payload = yard.desk.encode(&sold(1, "ann"));
    let elsewhere = [("dlq.topic".to_owned(), yard.desk.ledger.topic(Topic::SaleEvents).into())];
    yard.desk.ledger.producer().deliver(&letters, b"homeless", Some(&payload), &[]).await.unwrap();
    yard.desk.ledger.producer().deliver(&letters, b"foreign", Some(&payload), &elsewhere).await.unwrap();
    let plan = yard.redrive(&Selection::All, (false, true)).await;
    assert!(plan.letters.iter().all(|one| one.verdict == LetterVerdict::UnknownLetter && !one.sent), "{plan:?}");
    assert_eq!((plan.letters.len(), plan.sent, plan.not_open, yard.open_letters().await), (2, 0, 2, 2));
    assert_eq!(yard.letter("homeless").await.source, None);
    let unknown = yard.redrive(&Selection::Ids(vec!["nonsense".into(), "99-0".into()]), (false, true)).await;
    assert_eq!((unknown.not_open, unknown.letters[0].verdict), (2, LetterVerdict::UnknownLetter));
    let records = yard.desk.operations.topics(Some(yard.desk.topic())).await.unwrap()[0].records;
    assert_eq!((records, yard.desk.operations.acts(10).await.unwrap().len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn f_25_two_letters_of_one_refusal_count_once() {
    let yard = Graveyard::open().await;
    let refusal = yard.desk.encode(&refused("cy"));
    for key in ["one", "other"] {
        yard.bury(key, 7, &refusal, "schema_pending").await;
    }
    yard.bury("third", 8, &refusal, "schema_pending").await;
    let plan = yard.redrive(&Selection::All, (true, false)).await;
    assert_eq!((plan.would_apply, plan.would_be_duplicate), (2, 1), "by where each stood first: {plan:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_tried_now_is_refused_and_stays_open() {
    let yard = fates().await;
    let failing: Trial = Arc::new(|_| Outcome::Fail("the registry is away".into()));
    let without_postgres = Operations::open(yard.desk.ledger.clone(), None).await.unwrap();
    for refused in [
        yard.desk.operations.redrive(&Selection::All, failing, &kim(), (false, true)).await,
        without_postgres.redrive(&Selection::All, yard.trial.clone(), &kim(), (false, true)).await,
    ] {
        assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    }
    assert_eq!((yard.sent().await.len(), yard.open_letters().await), (0, 6));
}
