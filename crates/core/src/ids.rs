//! Identifiers: each is checked once, at the edge, and trusted afterwards.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::Micros;

/// Why a text is not a valid identifier; the message is fit for the caller of the API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidId(pub &'static str);

/// Longest [`Sku`], in characters.
pub const SKU_CHARS_MAX: usize = 64;
/// Longest [`UserId`], in characters after trimming.
pub const USER_ID_CHARS_MAX: usize = 255;
/// Longest [`RequestId`], in bytes.
pub const REQUEST_ID_BYTES_MAX: usize = 255;

macro_rules! text_id {
    ($name:ident) => {
        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(&text)
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

/// A stock keeping unit: 1 to 64 characters of `A-Z a-z 0-9 -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sku(Arc<str>);
text_id!(Sku);

impl Sku {
    /// Checks and takes `text`; nothing is trimmed.
    pub fn new(text: &str) -> Result<Self, InvalidId> {
        if text.is_empty() {
            return Err(InvalidId("must not be empty"));
        }
        if text.len() > SKU_CHARS_MAX {
            return Err(InvalidId("must be at most 64 characters"));
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(InvalidId("may only contain A-Z, a-z, 0-9 and -"));
        }
        Ok(Self(text.into()))
    }
}

/// A shopper: 1 to 255 characters, surrounding blanks removed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserId(Arc<str>);
text_id!(UserId);

impl UserId {
    /// Trims and checks `text`.
    pub fn new(text: &str) -> Result<Self, InvalidId> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidId("must not be blank"));
        }
        // A character is at most four bytes, so the count is skipped for all but long names.
        if text.len() > USER_ID_CHARS_MAX && text.chars().count() > USER_ID_CHARS_MAX {
            return Err(InvalidId("must be at most 255 characters"));
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidId("must not contain control characters"));
        }
        Ok(Self(text.into()))
    }
}

/// The idempotency key of one attempt: 1 to 255 visible ASCII characters.
///
/// Two attempts of a user with equal request ids are the same attempt, and get the same answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId(Arc<str>);
text_id!(RequestId);

impl RequestId {
    /// Checks and takes `text`; nothing is trimmed.
    pub fn new(text: &str) -> Result<Self, InvalidId> {
        if text.is_empty() || text.len() > REQUEST_ID_BYTES_MAX {
            return Err(InvalidId("must be 1 to 255 characters"));
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(InvalidId("may only contain visible ASCII characters"));
        }
        Ok(Self(text.into()))
    }
}

/// One sale of a SKU: 12 characters of Crockford's base 32, in order of creation.
///
/// A SKU that is deleted and created again gets a new, greater one. It is also the sale's part of a
/// receipt number, so uniqueness of the one is uniqueness of the other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SaleId(Arc<str>);
text_id!(SaleId);

/// Crockford's base 32: no I, L, O, U. <https://www.crockford.com/base32.html>
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const SALE_ID_CHARS: u32 = 12;
/// 60 bits = 42 of milliseconds since 1970 (until the year 2109) and 18 of chance.
const SALE_ID_RANDOM_BITS: u32 = 18;

impl SaleId {
    /// The id of a sale created at `now`; `chance` tells apart two of the same millisecond.
    pub fn generate(now: Micros, chance: u64) -> Self {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        let bits = (millis << SALE_ID_RANDOM_BITS) | (chance & ((1 << SALE_ID_RANDOM_BITS) - 1));
        let text: String =
            (0..SALE_ID_CHARS).rev().map(|digit| char::from(ALPHABET[(bits >> (5 * digit)) as usize & 31])).collect();
        Self(text.into())
    }

    /// Checks and takes `text`.
    pub fn new(text: &str) -> Result<Self, InvalidId> {
        if text.len() != SALE_ID_CHARS as usize || !text.bytes().all(|b| ALPHABET.contains(&b)) {
            return Err(InvalidId("must be 12 characters of Crockford's base 32"));
        }
        Ok(Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pr_9_identifiers_are_checked() {
        assert!(Sku::new("IPHONE-16").is_ok());
        for bad in ["", "a b", "ä", "a/b", &"x".repeat(65)] {
            assert!(Sku::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(UserId::new("  bob ").map(String::from), Ok("bob".into()));
        assert!(UserId::new(&"ä".repeat(255)).is_ok());
        for bad in ["", "  \t", &"ä".repeat(256), "a\u{0}b"] {
            assert!(UserId::new(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "a b", &"k".repeat(256)] {
            assert!(RequestId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn later_sales_have_greater_ids() {
        let early = SaleId::generate(Micros::from_millis(1_763_900_000_000), u64::MAX);
        let late = SaleId::generate(Micros::from_millis(1_763_900_000_001), 0);
        assert!(early < late);
        assert_eq!(SaleId::new(early.as_str()), Ok(early));
    }
}
