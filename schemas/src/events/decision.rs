//! A decision as bytes, by hand: field for field as in `avro/`.

use flashsale_core::Micros;

use super::{DecidedBy, Outcome, PurchaseDecision};
use crate::datum::{
    ByHand, Malformed, read_long, read_optional, read_symbol, read_text, write_long, write_optional, write_symbol,
    write_text,
};

pub(super) const BY_HAND: ByHand<PurchaseDecision> = ByHand { write: write::<String>, read: |datum| read(datum) };

/// In the order of the schema's symbols.
const OUTCOMES: [Outcome; 5] =
    [Outcome::Accepted, Outcome::AlreadyPurchased, Outcome::SoldOut, Outcome::SaleNotActive, Outcome::Unknown];
const DECIDERS: [DecidedBy; 3] = [DecidedBy::Redis, DecidedBy::Edge, DecidedBy::Unknown];

pub(crate) fn write<Text: AsRef<str>>(event: &PurchaseDecision<Text>, out: &mut Vec<u8>) {
    write_text(event.decision_id.as_ref(), out);
    write_text(event.sale_id.as_ref(), out);
    write_text(event.sku.as_ref(), out);
    write_text(event.user_id.as_ref(), out);
    write_text(event.request_id.as_ref(), out);
    let outcome = match event.outcome {
        Outcome::Accepted => 0,
        Outcome::AlreadyPurchased => 1,
        Outcome::SoldOut => 2,
        Outcome::SaleNotActive => 3,
        Outcome::Unknown => 4,
    };
    write_symbol(outcome, out);
    write_optional(event.reason.as_ref().map(AsRef::as_ref), out, write_text);
    write_optional(event.sequence, out, write_long);
    write_optional(event.as_of_sequence, out, write_long);
    write_optional(event.remaining_stock, out, write_long);
    write_long(event.decided_at.0, out);
    write_optional(event.received_at, out, |at, out| write_long(at.0, out));
    let decided_by = match event.decided_by {
        DecidedBy::Redis => 0,
        DecidedBy::Edge => 1,
        DecidedBy::Unknown => 2,
    };
    write_symbol(decided_by, out);
    write_text(event.ingest_id.as_ref(), out);
}

/// The texts as they lie in the datum, or copied out of it.
pub(crate) fn read<'a, Text: From<&'a str>>(datum: &mut &'a [u8]) -> Result<PurchaseDecision<Text>, Malformed> {
    Ok(PurchaseDecision {
        decision_id: read_text(datum)?,
        sale_id: read_text(datum)?,
        sku: read_text(datum)?,
        user_id: read_text(datum)?,
        request_id: read_text(datum)?,
        outcome: read_symbol(datum, &OUTCOMES)?,
        reason: read_optional(datum, read_text)?,
        sequence: read_optional(datum, read_long)?,
        as_of_sequence: read_optional(datum, read_long)?,
        remaining_stock: read_optional(datum, read_long)?,
        decided_at: Micros(read_long(datum)?),
        received_at: read_optional(datum, read_long)?.map(Micros),
        decided_by: read_symbol(datum, &DECIDERS)?,
        ingest_id: read_text(datum)?,
    })
}
