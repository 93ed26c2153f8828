//! The header of a record: `0x00 | schema id`, and where a record ends.

use std::sync::LazyLock;

use flashsale_ledger::schema_id;
use flashsale_schemas::events::PurchaseDecision;

use crate::avro::Codec;

static DECISIONS: LazyLock<Codec<PurchaseDecision>> = LazyLock::new(Codec::new);

/// Places at which a good record is cut.
const CUTS: usize = 8;

/// Feeds a record to the reader of decisions: the header is read the same everywhere, and a record is whole or none.
pub fn wire(data: &[u8]) {
    let id = schema_id(data);
    assert_eq!(id.is_some(), data.len() >= 5 && data[0] == 0);
    if let Some(id) = id {
        assert_eq!(id.to_be_bytes(), data[1..5]);
    }
    if DECISIONS.read(data).is_some() {
        for part in 0..CUTS {
            let cut = data.len() * part / CUTS;
            assert!(DECISIONS.read(&data[..cut]).is_none(), "a record of {} bytes is one at {cut} too", data.len());
        }
        let all_but_one = &data[..data.len() - 1];
        assert!(DECISIONS.read(all_but_one).is_none(), "its last byte does not count");
        assert!(DECISIONS.read(&[data, &[0]].concat()).is_none(), "a byte after its end does not count");
    }
}
