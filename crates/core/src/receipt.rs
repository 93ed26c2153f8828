//! The receipt of one sold unit.

use std::fmt;

use crate::{Micros, SaleId};

/// Proof that a shopper holds unit `sequence` of a sale.
///
/// Its number is a pure function of these three, so Redis, the log, Postgres and every answer show
/// the same one without ever storing it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt {
    /// The sale.
    pub sale_id: SaleId,
    /// 1 for the first unit sold, and so on without holes.
    pub sequence: u64,
    /// When Redis decided.
    pub decided_at: Micros,
}

impl Receipt {
    /// `PUR-20261123-06C5HN3T8Q2Z-000042`: UTC day, sale, sequence of six or more digits.
    pub fn number(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = self.decided_at.date();
        write!(
            f,
            "PUR-{:04}{:02}{:02}-{}-{:06}",
            day.year(),
            u8::from(day.month()),
            day.day(),
            self.sale_id,
            self.sequence
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pr_8_number_names_day_sale_and_sequence() {
        let receipt = Receipt {
            sale_id: SaleId::new("06C5HN3T8Q2Z").unwrap(),
            sequence: 42,
            decided_at: Micros(1_795_435_200_123_987),
        };
        assert_eq!(receipt.number(), "PUR-20261123-06C5HN3T8Q2Z-000042");
        let later = Receipt { sequence: 1_234_567, ..receipt };
        assert_eq!(later.number(), "PUR-20261123-06C5HN3T8Q2Z-1234567");
    }
}
