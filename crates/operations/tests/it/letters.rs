//! Dead letters: by cause, one by one, and given up.

use flashsale_operations::{Error, Letter, LetterState, LetterVerdict, RedrivePlan, Selection, Source, Trial};
use flashsale_schemas::{Topic, events::PurchaseDecision};
use flashsale_sql::{Applied, Apply, Entry, Read};
use flashsale_streaming::Rejection;

use crate::{Desk, GARBAGE, ago, decided, kim, refused, sold};

/// A desk with dead letters. Each is known by its key, which is its own.
pub(crate) struct Graveyard {
    pub(crate) desk: Desk,
    pub(crate) trial: Trial,
}

impl Graveyard {
    pub(crate) async fn open() -> Self {
        let desk = Desk::open().await;
        let trial = desk.trial().await;
        Self { desk, trial }
    }

    /// Buries a record that stood at `offset`, as the sink does.
    pub(crate) async fn bury(&self, key: &str, offset: i64, payload: &[u8], class: &'static str) {
        let mut record = self.desk.record(key, payload, ago(0));
        record.position.offset = offset;
        let rejection = Rejection::new(class, format!("{key} could not be used"));
        self.desk.ledger.dead_letters("sink-postgres").bury(&record, &rejection).await.unwrap();
    }

    /// Has Postgres hold what a decision says.
    pub(crate) async fn hold(&self, decision: &PurchaseDecision) {
        let decided = decided(decision);
        let read = Read { topic: "elsewhere", partition: 0, next: 1, consumed: 1, rejected: 0, skipped: 0 };
        let entries = vec![Entry { read: 0, offset: 0, decided: &decided, origin: None }];
        let applied = self.desk.store.apply(&decision.user_id, &Apply { reads: vec![read], entries }).await.unwrap();
        assert_eq!(applied, Applied::Written(vec![(1, 0)]));
    }

    /// The newest letter with this key.
    pub(crate) async fn letter(&self, key: &str) -> Letter {
        let found = self.desk.operations.letters(None, None, 100).await.unwrap();
        found.letters.into_iter().find(|letter| letter.key.as_deref() == Some(key)).unwrap()
    }

    /// The ids of the newest letters with these keys.
    pub(crate) async fn ids(&self, keys: &[&str]) -> Selection {
        let mut ids = Vec::new();
        for key in keys {
            ids.push(self.letter(key).await.id);
        }
        Selection::Ids(ids)
    }

    pub(crate) async fn redrive(&self, selection: &Selection, how: (bool, bool)) -> RedrivePlan {
        self.desk.operations.redrive(selection, self.trial.clone(), &kim(), how).await.unwrap()
    }

    pub(crate) async fn open_letters(&self) -> u64 {
        let listed = self.desk.operations.letters(None, None, 100).await.unwrap().open;
        assert_eq!(self.desk.operations.letters_open().await.unwrap(), listed, "counted and listed");
        listed
    }
}

/// Three letters of one cause, then one of another.
async fn two_causes() -> Graveyard {
    let yard = Graveyard::open().await;
    for (offset, key) in ["a", "b", "c"].into_iter().enumerate() {
        yard.bury(key, offset as i64, GARBAGE, "bad_magic").await;
    }
    yard.bury("d", 3, &yard.desk.encode(&sold(4, "dan")), "invalid_field").await;
    yard
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_listed_by_cause_the_newest_first() {
    let yard = two_causes().await;
    let found = yard.desk.operations.letters(Some(LetterState::Open), None, 3).await.unwrap();
    assert_eq!((found.open, found.redriven, found.discarded), (4, 0, 0));
    let causes: Vec<_> =
        found.groups.iter().map(|one| (one.class.as_str(), one.consumer.as_str(), one.count)).collect();
    assert_eq!(causes, [("bad_magic", "sink-postgres", 3), ("invalid_field", "sink-postgres", 1)], "most first");
    assert!(found.groups[0].first_seen <= found.groups[0].last_seen, "{:?}", found.groups);
    assert!(found.groups[0].message.ends_with("could not be used"), "{:?}", found.groups);
    assert_eq!((found.letters.len(), found.more), (3, true));
    assert!(found.letters.is_sorted_by(|one, next| one.last_seen >= next.last_seen), "{:?}", found.letters);

    let of_class = yard.desk.operations.letters(None, Some("invalid_field".into()), 3).await.unwrap();
    let [letter] = &of_class.letters[..] else { panic!("{of_class:?}") };
    assert_eq!((of_class.open, of_class.more), (4, false), "all are counted");
    let source = Source { topic: yard.desk.topic().to_owned(), partition: 0, offset: 3 };
    assert_eq!((letter.key.as_deref(), letter.source.as_ref()), (Some("d"), Some(&source)));
    assert_eq!((letter.state, letter.attempts, &letter.act), (LetterState::Open, 1, &None));
    assert_eq!((letter.message.as_str(), &letter.first_seen), ("d could not be used", &letter.last_seen));
    assert_eq!(yard.open_letters().await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn f_20_a_letter_shows_what_is_in_it_decoded_or_as_hex() {
    let yard = two_causes().await;
    let decodable = yard.letter("d").await;
    let shown = yard.desk.operations.letter(&decodable.id).await.unwrap();
    assert_eq!(shown.letter, decodable);
    let value = shown.record.value.unwrap();
    assert_eq!((&value["user_id"], &value["sequence"]), (&"dan".into(), &4.into()));
    assert_eq!((shown.record.schema_id, shown.record.hex, shown.record.problem), (Some(1), None, None));
    assert_eq!(shown.record.headers["dlq.class"], "invalid_field");
    assert_eq!(shown.record.headers["dlq.origin"], format!("{}[0]@3", yard.desk.topic()));

    let shown = yard.desk.operations.letter(&yard.letter("a").await.id).await.unwrap();
    assert_eq!((shown.record.value, shown.record.hex.as_deref()), (None, Some("0767617262616765")));
    assert!(shown.record.problem.as_ref().unwrap().contains("0x07"), "{:?}", shown.record.problem);
    for id in ["0-4711", "99-0", "0--1", "nonsense", ""] {
        let unknown = yard.desk.operations.letter(id).await.unwrap_err();
        assert!(matches!(unknown, Error::NotFound(_)), "{id}: {unknown:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_given_up_once_and_for_a_reason() {
    let yard = two_causes().await;
    let operations = &yard.desk.operations;
    let class = Selection::Class("bad_magic".into());
    let plan = operations.discard(&class, "a load test", &kim(), true).await.unwrap();
    assert_eq!((plan.dry_run, plan.letters.len(), plan.discarded, plan.more), (true, 3, 0, false));
    assert!(plan.letters.iter().all(|one| one.verdict == LetterVerdict::WouldDiscard), "{plan:?}");
    assert_eq!(yard.open_letters().await, 4, "a dry run changes nothing");

    let done = operations.discard(&class, "a load test", &kim(), false).await.unwrap();
    assert_eq!((done.dry_run, done.discarded, yard.open_letters().await), (false, 3, 1));
    let letter = yard.letter("a").await;
    let act = letter.act.unwrap();
    assert_eq!((letter.state, act.action.as_str(), act.by.as_str()), (LetterState::Discarded, "DISCARD", "kim"));
    assert_eq!(act.reason.as_deref(), Some("a load test"));
    let acts = operations.acts(10).await.unwrap();
    assert_eq!((acts.len(), acts.iter().filter(|act| act.target == letter.id).count()), (3, 1), "one of each letter");
    assert!(acts.iter().all(|act| act.reason.as_deref() == Some("a load test")), "{acts:?}");

    let mut ids = vec!["nonsense".to_owned(), "99-0".to_owned()];
    let Selection::Ids(known) = yard.ids(&["a", "d"]).await else { unreachable!("ids are asked for") };
    ids.extend(known);
    let again = operations.discard(&Selection::Ids(ids), "again", &kim(), false).await.unwrap();
    let mut verdicts: Vec<_> = again.letters.iter().map(|one| format!("{:?}", one.verdict)).collect();
    verdicts.sort();
    assert_eq!(verdicts, ["NotOpen", "UnknownLetter", "UnknownLetter", "WouldDiscard"]);
    assert_eq!((again.discarded, yard.open_letters().await), (1, 0));
    assert_eq!(yard.letter("a").await.act.unwrap().reason.as_deref(), Some("a load test"), "the first act stays");
    let all = operations.discard(&Selection::All, "nothing is left", &kim(), false).await.unwrap();
    assert_eq!((all.letters.len(), all.discarded), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_opens_the_books_anew_knows_what_was_settled() {
    let yard = two_causes().await;
    yard.bury("e", 4, &yard.desk.encode(&refused("eve")), "schema_pending").await;
    assert_eq!(yard.redrive(&yard.ids(&["e"]).await, (false, false)).await.sent, 1);
    yard.desk.operations.discard(&yard.ids(&["a"]).await, "why not", &kim(), false).await.unwrap();
    let anew = flashsale_operations::Operations::open(yard.desk.ledger.clone(), None).await.unwrap();
    let found = anew.letters(None, None, 100).await.unwrap();
    assert_eq!((found.open, found.redriven, found.discarded, found.letters.len()), (3, 1, 1, 5));
    assert_eq!(anew.letters_open().await.unwrap(), 3);
    for (state, count) in [(LetterState::Redriven, 1), (LetterState::Discarded, 1), (LetterState::Open, 3)] {
        let found = anew.letters(Some(state), None, 100).await.unwrap();
        assert_eq!(found.letters.len(), count, "{state:?}");
        assert!(found.letters.iter().all(|letter| letter.state == state), "{found:?}");
    }
    let topic = yard.desk.ledger.topic(Topic::PurchaseDecisionsDlq);
    assert_eq!(anew.topics(Some(topic)).await.unwrap()[0].records, 5, "the letters themselves stay");
}
