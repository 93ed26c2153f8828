//! A record becomes what Postgres is to hold of it.

use flashsale_core::{Micros, NotActive, Receipt, RequestId, SaleId, Sku, UserId, ids::InvalidId, invariants::Sold};
use flashsale_schemas::{
    Decoder,
    events::{Outcome as Decision, PurchaseDecision},
};
use flashsale_sql::{Answer, Decided};
use flashsale_streaming::{Outcome, Record, Rejection};

/// Class of a record without a value, which this topic never has.
const TOMBSTONE: &str = "tombstone";
/// Class of a record that fits its schema and still says something that cannot be.
const INVALID_FIELD: &str = "invalid_field";

/// Decodes and checks one record. Skips outcomes that are newer than this build.
pub fn stage(decoder: Decoder<PurchaseDecision>) -> impl Fn(&Record) -> Outcome<Decided> {
    move |record| {
        let Some(payload) = &record.payload else {
            return Outcome::Reject(Rejection::new(TOMBSTONE, "a decision cannot be taken back"));
        };
        match decoder.decode_borrowed(payload) {
            Ok(decision) => match decided(&decision) {
                Ok(Some(decided)) => Outcome::Emit(decided),
                Ok(None) => Outcome::Skip,
                Err(problem) => Outcome::Reject(Rejection::new(INVALID_FIELD, problem)),
            },
            Err(error) if error.is_data_error() => Outcome::Reject(Rejection::new(error.class(), chain(&error))),
            Err(error) => Outcome::Fail(chain(&error)),
        }
    }
}

/// Checks what is stored and nothing else: a refusal is only counted.
pub(super) fn decided<Text: AsRef<str>>(decision: &PurchaseDecision<Text>) -> Result<Option<Decided>, String> {
    let answer = match decision.outcome {
        Decision::Accepted => Answer::Accepted,
        Decision::AlreadyPurchased => Answer::AlreadyPurchased,
        Decision::SoldOut => Answer::SoldOut,
        Decision::SaleNotActive => Answer::NotActive(reason(decision.reason.as_ref().map(AsRef::as_ref))?),
        Decision::Unknown => return Ok(None),
    };
    let sale_id = valid("sale_id", SaleId::new(decision.sale_id.as_ref()))?;
    let decided_at = time(decision.decided_at)?;
    if answer != Answer::Accepted {
        return Ok(Some(Decided::Refused { sale_id, answer, decided_at }));
    }
    let sequence = decision.sequence.ok_or("field sequence: an accepted purchase has one")?;
    let sequence = u64::try_from(sequence).ok().filter(|sequence| *sequence >= 1);
    let unit = Sold {
        user: valid("user_id", UserId::new(decision.user_id.as_ref()))?,
        request_id: valid("request_id", RequestId::new(decision.request_id.as_ref()))?,
        receipt: Receipt { sale_id, sequence: sequence.ok_or("field sequence: must be 1 or more")?, decided_at },
    };
    Ok(Some(Decided::Sold { sku: valid("sku", Sku::new(decision.sku.as_ref()))?, unit }))
}

fn reason(name: Option<&str>) -> Result<NotActive, String> {
    let name = name.ok_or("field reason: must say why the sale was not active")?;
    // One that is newer than this build can be driven again once the build knows it.
    NotActive::parse(name).ok_or_else(|| format!("field reason: {name:?} is not known"))
}

fn valid<T>(field: &str, id: Result<T, InvalidId>) -> Result<T, String> {
    id.map_err(|problem| format!("field {field}: {problem}"))
}

/// A time that the calendar and a receipt number can show.
fn time(at: Micros) -> Result<Micros, String> {
    if at.0 > 0 && Micros::from_utc(at.to_utc()) == at {
        return Ok(at);
    }
    Err(format!("field decided_at: {} µs is no time of a sale", at.0))
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |error| error.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
