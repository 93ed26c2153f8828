//! What an administrator fills in: the JSON of a product, field by field.

use flashsale_core::{
    Challenge, Micros, SaleConfig, SaleId, Sku,
    sale::{PRODUCT_NAME_CHARS_MAX, STOCK_MAX},
};
use flashsale_platform::ApiError;
use serde_json::{Map, Value};
use time::{
    OffsetDateTime,
    format_description::well_known::{Iso8601, Rfc3339},
};

use crate::request::Faults;

const SKU: &str = "sku";
const NAME: &str = "productName";
const STOCK: &str = "initialStock";
const START: &str = "startTime";
const END: &str = "endTime";
const CHALLENGE: &str = "challenge";

const NO_PROVIDER: &str = "needs a CAPTCHA provider: set FLASHSALE_CHALLENGE__CAPTCHA_VERIFY_URL, \
    FLASHSALE_CHALLENGE__CAPTCHA_SITE_KEY and FLASHSALE_CHALLENGE__CAPTCHA_SECRET, for ingest and api alike";

/// Fields of a product; which of them must be there depends on the request.
#[derive(Debug, Default)]
struct Fields {
    sku: Option<Sku>,
    name: Option<String>,
    stock: Option<u64>,
    start: Option<Micros>,
    end: Option<Micros>,
    challenge: Option<Challenge>,
}

impl Fields {
    fn read(object: &Map<String, Value>, known: &[&str], has_captcha: bool, faults: &mut Faults) -> Self {
        faults.unknown(object, known);
        let given = |name: &str| object.get(name).filter(|_| known.contains(&name));
        Self {
            sku: given(SKU).and_then(|value| faults.note(SKU, sku(value))),
            name: given(NAME).and_then(|value| faults.note(NAME, name(value))),
            stock: given(STOCK).and_then(|value| faults.note(STOCK, stock(value))),
            start: given(START).and_then(|value| faults.note(START, instant(value))),
            end: given(END).and_then(|value| faults.note(END, instant(value))),
            challenge: given(CHALLENGE).and_then(|value| faults.note(CHALLENGE, challenge(value, has_captcha))),
        }
    }
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| "must be a string".to_owned())
}

fn sku(value: &Value) -> Result<Sku, String> {
    Sku::new(text(value)?).map_err(|error| error.to_string())
}

fn name(value: &Value) -> Result<String, String> {
    let name = text(value)?;
    if name.trim().is_empty() {
        return Err("must not be blank".to_owned());
    }
    if name.chars().count() > PRODUCT_NAME_CHARS_MAX {
        return Err(format!("must be at most {PRODUCT_NAME_CHARS_MAX} characters"));
    }
    if name.chars().any(char::is_control) {
        return Err("must not contain control characters".to_owned());
    }
    Ok(name.to_owned())
}

fn stock(value: &Value) -> Result<u64, String> {
    let stock = value.as_u64().filter(|stock| (1..=STOCK_MAX).contains(stock));
    stock.ok_or_else(|| format!("must be a whole number from 1 to {STOCK_MAX}"))
}

fn challenge(value: &Value, has_captcha: bool) -> Result<Challenge, String> {
    let names = || format!("must be one of {}", Challenge::ALL.map(Challenge::as_str).join(", "));
    match Challenge::parse(text(value)?).ok_or_else(names)? {
        Challenge::Captcha if !has_captcha => Err(NO_PROVIDER.to_owned()),
        challenge => Ok(challenge),
    }
}

/// ISO 8601 with an offset; what is finer than a millisecond is cut off, as that is all Redis compares.
fn instant(value: &Value) -> Result<Micros, String> {
    instant_millis(text(value)?).map(Micros::from_millis)
}

/// The same of a text, in milliseconds since 1970.
pub(crate) fn instant_millis(text: &str) -> Result<i64, String> {
    let at = OffsetDateTime::parse(text, &Rfc3339).or_else(|_| OffsetDateTime::parse(text, &Iso8601::DEFAULT));
    let at = at.map_err(|_| "must be ISO 8601 with an offset, such as 2026-11-23T12:00:00.000Z".to_owned())?;
    let at = Micros::from_utc(at);
    // An offset may lead out of the years that answers can show.
    if Micros::from_utc(at.to_utc()) != at || !(0..=9_999).contains(&at.to_utc().year()) {
        return Err("must lie in the years 0000 to 9999 of UTC".to_owned());
    }
    Ok(at.as_millis())
}

/// The rules of the window; `now` is the Redis clock's.
fn check_window(start: Option<Micros>, end: Option<Micros>, now: Option<Micros>, faults: &mut Faults) {
    let Some(end) = end else { return };
    if start.is_some_and(|start| end <= start) {
        faults.add(END, "must be after startTime");
    } else if now.is_some_and(|now| end <= now) {
        faults.add(END, "must be in the future");
    }
}

/// A product to be.
#[derive(Debug)]
pub(crate) struct NewProduct {
    pub(crate) sku: Sku,
    name: String,
    stock: u64,
    start: Micros,
    end: Micros,
    challenge: Challenge,
}

impl NewProduct {
    /// Reads a complete product. Without `now`, when Redis does not tell it, only the rest is checked.
    pub(crate) fn read(object: &Map<String, Value>, now: Option<Micros>, has_captcha: bool) -> Result<Self, ApiError> {
        const REQUIRED: [&str; 5] = [SKU, NAME, STOCK, START, END];
        let mut faults = Faults::default();
        let fields = Fields::read(object, &[REQUIRED.as_slice(), &[CHALLENGE]].concat(), has_captcha, &mut faults);
        for field in REQUIRED.into_iter().filter(|field| !object.contains_key(*field)) {
            faults.add(field, "is missing");
        }
        check_window(fields.start, fields.end, now, &mut faults);
        let challenge = fields.challenge.unwrap_or_default();
        match fields {
            Fields {
                sku: Some(sku), name: Some(name), stock: Some(stock), start: Some(start), end: Some(end), ..
            } => faults.check().map(|()| Self { sku, name, stock, start, end, challenge }),
            _ => Err(faults.error()),
        }
    }

    /// As a sale.
    pub(crate) fn into_config(self, sale_id: SaleId) -> SaleConfig {
        let Self { sku, name: product_name, stock: initial_stock, start, end, challenge } = self;
        SaleConfig { sale_id, sku, product_name, initial_stock, start, end, challenge }
    }
}

/// What shall be different about a product.
#[derive(Debug)]
pub(crate) struct ProductPatch(Fields);

impl ProductPatch {
    /// Reads at least one field.
    pub(crate) fn read(object: &Map<String, Value>, has_captcha: bool) -> Result<Self, ApiError> {
        let mut faults = Faults::default();
        let fields = Fields::read(object, &[NAME, STOCK, START, END, CHALLENGE], has_captcha, &mut faults);
        if object.is_empty() {
            faults.add("body", format!("must have one or more of {NAME}, {STOCK}, {START}, {END}, {CHALLENGE}"));
        }
        check_window(fields.start, fields.end, None, &mut faults);
        faults.check().map(|()| Self(fields))
    }

    /// The configuration with the changes; `now` is the Redis clock's.
    pub(crate) fn apply(&self, config: &SaleConfig, now: Micros) -> Result<SaleConfig, ApiError> {
        let Fields { name, stock, start, end, challenge, .. } = &self.0;
        let (start, end) = (start.unwrap_or(config.start), end.unwrap_or(config.end));
        let mut faults = Faults::default();
        check_window(Some(start), Some(end), Some(now), &mut faults);
        // The rule is about both; it is told of the one that was sent.
        if faults.has(END) && self.0.end.is_none() && self.0.start.is_some() {
            return Err(ApiError::invalid(START, "must be before endTime"));
        }
        faults.check()?;
        Ok(SaleConfig {
            product_name: name.clone().unwrap_or_else(|| config.product_name.clone()),
            initial_stock: stock.unwrap_or(config.initial_stock),
            start,
            end,
            challenge: challenge.unwrap_or(config.challenge),
            ..config.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_taken_with_an_offset_and_kept_in_milliseconds() {
        let noon = Micros(1_795_435_200_123_000);
        for text in ["2026-11-23T12:00:00.123Z", "2026-11-23T13:00:00.123999+01:00", "20261123T120000.1239Z"] {
            assert_eq!(instant(&json!(text)), Ok(noon), "{text}");
        }
        for text in ["2026-11-23T12:00:00", "2026-11-23", "tomorrow", "", "2026-02-30T12:00:00Z"] {
            assert!(instant(&json!(text)).is_err(), "{text}");
        }
        for text in ["0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "-000001-01-01T00:00:00Z"] {
            assert!(instant(&json!(text)).is_err(), "{text} is in no year of four digits");
        }
        for text in ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"] {
            assert_eq!(instant(&json!(text)).map(|at| at.to_string()[..4].to_owned()).as_deref(), Ok(&text[..4]));
        }
        assert!(instant(&json!(1_795_435_200)).is_err());
    }

    #[test]
    fn stock_is_a_whole_number_that_every_store_holds() {
        for good in [json!(1), json!(STOCK_MAX)] {
            assert!(stock(&good).is_ok(), "{good}");
        }
        for bad in [json!(0), json!(-1), json!(1.5), json!(1.0), json!("1"), json!(null), json!(STOCK_MAX + 1)] {
            assert!(stock(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_challenge_is_one_that_somebody_can_check() {
        for (name, read) in [("NONE", Challenge::None), ("PROOF_OF_WORK", Challenge::ProofOfWork)] {
            assert_eq!(challenge(&json!(name), false), Ok(read));
        }
        assert_eq!(challenge(&json!("CAPTCHA"), true), Ok(Challenge::Captcha));
        let unconfigured = challenge(&json!("CAPTCHA"), false).unwrap_err();
        assert!(unconfigured.contains("FLASHSALE_CHALLENGE__CAPTCHA_VERIFY_URL"), "{unconfigured}");
        for bad in [json!("captcha"), json!("UNKNOWN"), json!(""), json!(null), json!(1)] {
            assert!(challenge(&bad, true).is_err(), "{bad}");
        }
    }
}
