//! The decision: one atomic script call for a batch of attempts.

use flashsale_core::{Attempt, Decision, Micros, NotActive, Outcome, Receipt, SaleId, Sku};

use crate::{
    Error, HotState, Result,
    reply::{number, odd},
    sale::{SaleChange, read_changes},
    script,
};

/// Most attempts of one call: keeps a call under a millisecond and Lua's stack small.
pub const ATTEMPTS_MAX: usize = 128;

const NAME: &str = "decide";

/// The decision of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// What was decided, and the sale as it left it.
    pub decision: Decision,
    /// For a repeated attempt of an earlier call: the log may lack its unit.
    pub pending: bool,
}

/// The decisions of one call, in the order of the attempts.
#[derive(Debug, Clone)]
pub struct DecidedBatch {
    /// When, by Redis' clock.
    pub decided_at: Micros,
    /// Which sale holds the SKU.
    pub sale_id: SaleId,
    /// One for each attempt.
    pub decided: Vec<Decided>,
    /// The outbox entry with the accepted ones, to settle once the log has them.
    pub outbox_id: Option<String>,
    /// State changes that the call made, to publish and settle.
    pub changes: Vec<SaleChange>,
}

type Reply = (i64, String, String, u64, u64, String, Vec<String>, Vec<Vec<String>>);

impl HotState {
    /// Decides 1 to [`ATTEMPTS_MAX`] attempts to buy from `sale`, on behalf of ingest `ingest_id`.
    ///
    /// After an error the outcome is unknown; the same request ids again find it out.
    pub async fn decide(
        &self,
        sku: &Sku,
        sale: &SaleId,
        ingest_id: &str,
        attempts: &[Attempt],
    ) -> Result<DecidedBatch> {
        let mut requests = String::with_capacity(40 * attempts.len());
        for attempt in attempts {
            requests.push_str(attempt.request_id.as_str());
            requests.push('\n');
        }
        let mut args = Vec::with_capacity(3 + attempts.len());
        args.extend([sale.as_str(), ingest_id, &requests]);
        args.extend(attempts.iter().map(|attempt| attempt.user.as_str()));
        let reply: Reply = script::DECIDE.call(&self.link, &self.keys.of_sale(sku), &args).await?;
        read(sku, attempts.len(), reply)
    }
}

fn read(sku: &Sku, attempts: usize, reply: Reply) -> Result<DecidedBatch> {
    let (now, sale_id, statuses, sold_before, left_after, outbox_id, receipts, events) = reply;
    if statuses.starts_with('M') {
        return Err(Error::Missing(sku.clone()));
    }
    if statuses.len() != attempts {
        return Err(odd(NAME, format!("{} statuses for {attempts} attempts", statuses.len())));
    }
    let decided_at = Micros(now);
    let sale_id = SaleId::new(&sale_id).map_err(|error| odd(NAME, error))?;
    let accepted = statuses.bytes().filter(|&status| status == b'A').count() as u64;
    let mut sequence = sold_before;
    let mut receipts = receipts.iter();
    let decided = statuses
        .chars()
        .map(|status| {
            let mut pending = false;
            let outcome = match status {
                'A' => {
                    sequence += 1;
                    Outcome::Accepted(Receipt { sale_id: sale_id.clone(), sequence, decided_at })
                }
                'R' | 'D' => {
                    let text = receipts.next().ok_or_else(|| odd(NAME, "a receipt is missing"))?;
                    let (receipt, open) = read_receipt(&sale_id, text)?;
                    pending = open;
                    if status == 'R' { Outcome::Repeated(receipt) } else { Outcome::AlreadyPurchased(receipt) }
                }
                'S' => Outcome::SoldOut,
                'U' => Outcome::NotActive(NotActive::NotStarted),
                'E' => Outcome::NotActive(NotActive::TimeExpired),
                'P' => Outcome::NotActive(NotActive::Paused),
                'G' => Outcome::NotActive(NotActive::SaleReplaced),
                _ => return Err(odd(NAME, format!("status `{status}`"))),
            };
            let remaining = left_after + accepted - (sequence - sold_before);
            Ok(Decided { decision: Decision { outcome, as_of_sequence: sequence, remaining }, pending })
        })
        .collect::<Result<_>>()?;
    Ok(DecidedBatch {
        decided_at,
        sale_id,
        decided,
        outbox_id: (!outbox_id.is_empty()).then_some(outbox_id),
        changes: read_changes(NAME, sku, &events)?,
    })
}

/// Reads `sequence|decided_at_us|pending`.
fn read_receipt(sale_id: &SaleId, text: &str) -> Result<(Receipt, bool)> {
    let mut parts = text.split('|');
    let mut part = || parts.next().unwrap_or_default();
    let (sequence, decided_at) = (number(NAME, part())?, Micros(number(NAME, part())?));
    Ok((Receipt { sale_id: sale_id.clone(), sequence, decided_at }, part() == "1"))
}
