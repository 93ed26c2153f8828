//! Orders to consumers: what cannot be understood holds nobody, and what can holds exactly what it names.

use std::{collections::BTreeSet, sync::LazyLock};

use flashsale_ledger::hold_of;
use flashsale_schemas::events::{ConsumerControl, ControlAction};
use flashsale_streaming::Hold;

use crate::avro::Codec;

static ORDERS: LazyLock<Codec<ConsumerControl>> = LazyLock::new(Codec::new);

/// Named partitions of an order that are looked at.
const NUMBERS_MAX: usize = 16;

/// Feeds a record of `consumer-control`.
pub fn control(data: &[u8]) {
    let Some(order) = ORDERS.read(data) else { return };
    let named: BTreeSet<i32> = order.partitions.iter().copied().collect();
    let first_unread = match (order.action, order.until_offset) {
        (ControlAction::Pause, _) => Some(i64::MIN),
        (ControlAction::RunTo, Some(offset)) => Some(offset),
        (ControlAction::Resume, _) => None,
        (ControlAction::RunTo, None) | (ControlAction::Unknown, _) => {
            assert_eq!(hold_of(&order), None, "an order that this build does not know");
            return;
        }
    };
    let hold = hold_of(&order).expect("an order that this build knows");
    assert_eq!(hold.is_whole(), order.action == ControlAction::Pause && named.is_empty());
    assert_eq!(hold == Hold::Nothing, order.action == ControlAction::Resume);
    for number in named.iter().copied().take(NUMBERS_MAX).chain([i32::MIN, -1, 0, 1, i32::MAX]) {
        let is_concerned = named.is_empty() || named.contains(&number);
        assert_eq!(hold.first_unread(number), first_unread.filter(|_| is_concerned), "partition {number}");
    }
}
