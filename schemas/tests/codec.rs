//! The codec against anything that may lie in a log.
#![allow(clippy::unwrap_used)] // as in unit tests

use std::borrow::Cow;

use apache_avro::{Schema, reader::datum::GenericDatumReader, writer::datum::GenericDatumWriter};
use flashsale_core::{Micros, SaleId};
use flashsale_schemas::{
    DecodeError, Decoder, Encoder, Event, Registry, Topic,
    events::{
        ConsumerControl, ConsumerPositions, DecidedBy, OperatorAct, Outcome, PurchaseDecision, Reconciliation,
        SaleEvent, SaleStatusRecord, accepted_id, event_id,
    },
};
use proptest::prelude::*;

const OWN_ID: u32 = 0x0102_0304;

/// What must hold for any bytes: an answer, and never a "try again" from a registry without IO.
fn survives<T: Event>(record: &[u8]) {
    if let Err(error) = Decoder::<T>::new(OWN_ID, Registry::builtin()).decode(record) {
        assert!(error.is_data_error(), "{error}");
    }
}

fn all_survive(record: &[u8]) {
    survives::<PurchaseDecision>(record);
    survives::<SaleEvent>(record);
    survives::<SaleStatusRecord>(record);
    survives::<Reconciliation>(record);
    survives::<ConsumerControl>(record);
    survives::<OperatorAct>(record);
    survives::<ConsumerPositions>(record);
}

fn decisions() -> impl Strategy<Value = PurchaseDecision> {
    use prop::option::of;
    let outcome = prop_oneof![
        Just(Outcome::Accepted),
        Just(Outcome::AlreadyPurchased),
        Just(Outcome::SoldOut),
        Just(Outcome::SaleNotActive),
        Just(Outcome::Unknown),
    ];
    let decided_by = prop_oneof![Just(DecidedBy::Redis), Just(DecidedBy::Edge), Just(DecidedBy::Unknown)];
    let ids = (".*", ".*", ".*", ".*", ".*", ".*");
    let counts = (of(any::<i64>()), of(any::<i64>()), of(any::<i64>()), any::<i64>(), of(any::<i64>()));
    (ids, outcome, of(".*"), counts, decided_by).prop_map(|(ids, outcome, reason, counts, decided_by)| {
        let (decision_id, sale_id, sku, user_id, request_id, ingest_id) = ids;
        let (sequence, as_of_sequence, remaining_stock, decided_at, received_at) = counts;
        PurchaseDecision {
            decision_id,
            sale_id,
            sku,
            user_id,
            request_id,
            outcome,
            reason,
            sequence,
            as_of_sequence,
            remaining_stock,
            decided_at: Micros(decided_at),
            received_at: received_at.map(Micros),
            decided_by,
            ingest_id,
        }
    })
}

proptest! {
    #[test]
    fn every_decision_round_trips(decision in decisions()) {
        let encoder = Encoder::new(OWN_ID);
        let mut out = b"before".to_vec();
        encoder.encode_into(&decision, &mut out).unwrap();
        prop_assert_eq!(&out[..11], b"before\x00\x01\x02\x03\x04");
        let decoder = Decoder::<PurchaseDecision>::new(OWN_ID, Registry::builtin());
        prop_assert_eq!(&decoder.decode(&out[6..]).unwrap(), &decision);
        let borrowed = decoder.decode_borrowed(&out[6..]).unwrap();
        prop_assert!(matches!(borrowed.user_id, Cow::Borrowed(_)), "nothing is copied");
        prop_assert_eq!(Encoder::<PurchaseDecision>::new(OWN_ID).encode_decision(&borrowed), &out[6..]);
        prop_assert_eq!(borrowed.map(Cow::into_owned), decision);
    }

    #[test]
    fn a_decision_by_hand_is_byte_for_byte_what_its_schema_says(decision in decisions()) {
        let schema = &Schema::parse_str(Topic::PurchaseDecisions.schema_text().unwrap()).unwrap();
        let mut theirs = Vec::new();
        let writer = GenericDatumWriter::builder(schema).human_readable(false).build().unwrap();
        writer.write_ser(&mut theirs, &decision).unwrap();
        let record = Encoder::new(OWN_ID).encode(&decision).unwrap();
        prop_assert_eq!(&record[5..], theirs.as_slice());
        let reader = GenericDatumReader::builder(schema).human_readable(false).build().unwrap();
        let read: PurchaseDecision = reader.read_deser(&mut theirs.as_slice()).unwrap();
        prop_assert_eq!(read, decision);
    }

    #[test]
    fn garbage_is_an_error(
        bytes in prop::collection::vec(any::<u8>(), 0..200), id in prop_oneof![Just(OWN_ID), 0u32..8],
    ) {
        all_survive(&bytes);
        all_survive(&[&[0], id.to_be_bytes().as_slice(), &bytes].concat());
    }

    #[test]
    fn a_damaged_record_is_an_error_or_another_decision(
        decision in decisions(), at in any::<prop::sample::Index>(), with in any::<u8>(),
    ) {
        let mut record = Encoder::new(OWN_ID).encode(&decision).unwrap();
        let at = at.index(record.len());
        record[at] = with;
        all_survive(&record);
    }
}

#[test]
fn a_length_that_asks_for_the_moon_gets_nothing() {
    for length in [i64::MAX, 1 << 40, 1 << 24, -1, i64::MIN] {
        let zigzag = (length << 1) ^ (length >> 63);
        let mut record = vec![0, 1, 2, 3, 4];
        let mut rest = zigzag.cast_unsigned();
        while rest > 0x7f {
            record.push(0x80 | (rest & 0x7f) as u8);
            rest >>= 7;
        }
        record.push(rest as u8);
        let decoder = Decoder::<PurchaseDecision>::new(OWN_ID, Registry::builtin());
        assert!(matches!(decoder.decode(&record), Err(DecodeError::Datum { .. })), "{length}");
        all_survive(&record);
    }
}

#[test]
fn a_bad_frame_says_what_is_bad() {
    let decode = |bytes: &[u8]| Decoder::<SaleEvent>::new(OWN_ID, Registry::builtin()).decode(bytes).unwrap_err();
    assert_eq!(decode(&[]).to_string(), "a record of 0 bytes is too short for a schema id");
    assert_eq!(decode(b"{\"a\":1}").to_string(), "the record starts with the byte 0x7b, not with 0x00");
    assert_eq!(decode(&[0, 0, 0, 0, 99, 9]).to_string(), "the registry has no usable schema 99");
    assert_eq!(decode(&[0, 1, 2, 3, 4]).class(), "malformed_datum");
}

#[test]
fn ids_of_repeats_are_equal() {
    let sale = SaleId::new("06C5HN3T8Q2Z").unwrap();
    assert_eq!(accepted_id(&sale, 42), "06C5HN3T8Q2Z-42");
    assert_eq!(event_id(&sale, 3), "06C5HN3T8Q2Z-e3");
    assert_eq!(PurchaseDecision::TOPIC, Topic::PurchaseDecisions);
}
