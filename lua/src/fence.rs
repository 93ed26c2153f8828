//! The fence: which server may decide, and how a recovery makes one fit to.
//!
//! A key names the `run_id` of the server that was verified against the log. A restart, or a replica that took
//! over, has another, so that server decides nothing until a recovery has repaired it from the log and named
//! it. At most one recovers at a time: it holds a [`Claim`], a key that expires, and each of its scripts does
//! nothing without it. Whoever stood still and lost the claim can do no harm when he goes on.

use std::time::Duration;

use flashsale_core::{
    Micros, Receipt, RequestId, SaleId, SaleStatus, Sku, UserId, comparison::HotSale, invariants::Sold,
};

use crate::{
    ATTEMPTS_MAX, ChangedSale, Entry, Error, HotState, Result, SaleReply,
    link::field,
    reply::odd,
    sale::{changed_sale, read_held},
    script,
};

/// A claim is over this long after it was last renewed.
const CLAIM_MS: u64 = 30_000;
/// Most users of one batch that is restored.
pub const RESTORE_MAX: usize = ATTEMPTS_MAX;
/// Most users that one call forgets.
const FORGET_MAX: usize = 1_000;
/// Buyers that are read at once; more would hold Redis up.
const SCAN_COUNT: usize = 2_000;
/// Outbox entries that are read at once.
const OUTBOX_COUNT: usize = 1_000;
/// What the key holds while somebody has closed the fence: no `run_id` looks like this.
const CLOSED: &str = "closed";

/// The fence of the server that answers now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The server process.
    pub run_id: String,
    /// Whether this very process was verified.
    pub verified: bool,
    /// Whether any process ever was: not so on a new or an emptied server.
    pub known: bool,
    /// Since when the process runs.
    pub uptime: Duration,
}

/// The right to recover, until it is given up, expires, or opens the fence.
#[derive(Debug)]
pub struct Claim {
    hot: HotState,
    token: String,
    run_id: String,
}

/// Units of one batch: consecutive sequences, one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoredBatch {
    /// Sequence of the first.
    pub first: u64,
    /// When they were decided.
    pub decided_at: Micros,
    /// Users and their request ids, in sequence order.
    pub buyers: Vec<(UserId, RequestId)>,
}

impl HotState {
    /// Looks at the fence.
    pub async fn fence(&self) -> Result<Fence> {
        let mut look = redis::pipe();
        look.cmd("INFO").arg("server").get(self.keys.fence());
        let (info, verified): (String, Option<String>) = self.link.pipeline("look at the fence", &look).await?;
        let run_id = field(&info, "run_id").to_owned();
        if run_id.is_empty() {
            return Err(odd("INFO", "no run_id"));
        }
        let seconds = field(&info, "uptime_in_seconds").parse().unwrap_or(0);
        Ok(Fence {
            verified: verified.as_deref() == Some(run_id.as_str()),
            known: verified.is_some(),
            uptime: Duration::from_secs(seconds),
            run_id,
        })
    }

    /// Takes the right to recover as `token`, unless somebody has it. One who had it before the server restarted
    /// has it no more.
    pub async fn claim(&self, token: &str) -> Result<Option<Claim>> {
        let run_id = self.fence().await?.run_id;
        let claim = Claim { hot: self.clone(), token: format!("{run_id}:{token}"), run_id };
        let args = [claim.token.clone(), claim.run_id.clone(), CLAIM_MS.to_string()];
        let taken: u8 = script::CLAIM.call_unverified(&self.link, &[self.keys.claim()], &args).await?;
        Ok((taken == 1).then_some(claim))
    }

    /// Opens the fence of a server that nothing was ever decided on, as in a test or a new installation.
    ///
    /// # Errors
    /// [`Error::ClaimLost`] while somebody recovers.
    pub async fn open_new(&self, token: &str) -> Result<()> {
        self.claim(token).await?.ok_or(Error::ClaimLost)?.open().await
    }

    /// All that Redis holds of a sale, or nothing. Read piece by piece: what is decided meanwhile may be half
    /// in it, unless the fence is closed.
    pub async fn whole(&self, sku: &Sku) -> Result<Option<HotSale>> {
        let Some(sale) = self.snapshot(sku).await? else { return Ok(None) };
        let mut whole = HotSale {
            sale_id: sale.sale_id,
            initial_stock: sale.initial_stock,
            stock: sale.stock,
            held: sale.buyers,
            sequence: sale.sequence,
            state: sale.state,
            paused: sale.paused,
            events: sale.events,
            buyers: std::collections::HashMap::with_capacity(usize::try_from(sale.buyers).unwrap_or(0)),
            pending: Vec::new(),
            pending_changes: Vec::new(),
        };
        let mut cursor = String::from("0");
        loop {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(self.keys.buyers(sku)).arg(&cursor).arg("COUNT").arg(SCAN_COUNT);
            let (next, held): (String, Vec<(String, String)>) = self.link.command("read the buyers", &scan).await?;
            for (user, held) in held {
                match (UserId::new(&user), read_held(&held)) {
                    (Ok(user), Ok(unit)) => drop(whole.buyers.insert(user, unit)),
                    // No script wrote it. The counts tell that something is there.
                    _ => tracing::error!(%sku, user, held, "unreadable buyer"),
                }
            }
            if next == "0" {
                break;
            }
            cursor = next;
        }
        for entry in self.whole_outbox(sku).await? {
            match entry.entry {
                Entry::Sold { units, .. } => {
                    whole.pending.extend(units.into_iter().filter(|unit| unit.receipt.sale_id == whole.sale_id));
                }
                Entry::Change(change) if change.status.config.sale_id == whole.sale_id => {
                    whole.pending_changes.push(change.status.as_of_event);
                }
                Entry::Change(_) => {}
            }
        }
        Ok(Some(whole))
    }

    /// Every entry of an outbox, oldest first.
    pub async fn whole_outbox(&self, sku: &Sku) -> Result<Vec<crate::OutboxEntry>> {
        let mut all = Vec::new();
        let mut after = String::from("-");
        loop {
            let (page, last) = self.outbox_after(sku, &after, OUTBOX_COUNT).await?;
            all.extend(page);
            let Some(last) = last else { return Ok(all) };
            after = format!("({last}");
        }
    }

    /// What a buyer holds, with the id of the request that bought it.
    pub async fn unit_of(&self, sku: &Sku, sale_id: &SaleId, user: &UserId) -> Result<Option<Sold>> {
        let [_, buyers, _, requests] = self.keys.of_sale(sku);
        let mut look = redis::cmd("HGET");
        let held: Option<String> = self.link.command("look at a buyer", look.arg(buyers).arg(user.as_str())).await?;
        let Some(held) = held else { return Ok(None) };
        let (sequence, decided_at) = read_held(&held)?;
        let mut parts = held.split('|');
        let (n, first) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let mut look = redis::cmd("HGET");
        let ids: Option<String> = self.link.command("look at request ids", look.arg(requests).arg(first)).await?;
        let n: usize = crate::reply::number("buyer", n)?;
        let ids = ids.unwrap_or_default();
        let Some(id) = n.checked_sub(1).and_then(|index| ids.lines().nth(index)) else { return Ok(None) };
        Ok(Some(Sold {
            user: user.clone(),
            request_id: RequestId::new(id).map_err(|error| odd("request ids", error))?,
            receipt: Receipt { sale_id: sale_id.clone(), sequence, decided_at },
        }))
    }
}

impl Claim {
    /// The server that is being recovered.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    fn keys(&self, sku: &Sku) -> Vec<String> {
        self.hot.keys.of_sale(sku).into_iter().chain([self.hot.keys.claim()]).collect()
    }

    /// Closes the fence and cuts every other connection to the server, in one step: whoever connects again
    /// finds it closed, and nobody is left who did before.
    pub async fn close(&self) -> Result<()> {
        let mut close = redis::pipe();
        close.atomic().set(self.hot.keys.fence(), CLOSED).ignore();
        close.cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes").ignore();
        self.hot.link.pipeline("close the fence", &close).await
    }

    /// Keeps the claim for another while.
    pub async fn renew(&self) -> Result<()> {
        let args = [self.token.clone(), CLAIM_MS.to_string()];
        let held: u8 = script::RENEW.call_unverified(&self.hot.link, &[self.hot.keys.claim()], &args).await?;
        self.held(held)
    }

    fn held(&self, reply: u8) -> Result<()> {
        if reply == 1 { Ok(()) } else { Err(Error::ClaimLost) }
    }

    /// Gives Redis buyers back; several batches, each of at most [`RESTORE_MAX`], in one round trip.
    pub async fn restore(&self, sku: &Sku, batches: &[RestoredBatch]) -> Result<()> {
        let keys = self.keys(sku);
        let mut restore = redis::pipe();
        restore.cmd("SCRIPT").arg("LOAD").arg(script::RESTORE.text()).ignore();
        for batch in batches {
            let ids: String = batch.buyers.iter().flat_map(|(_, request)| [request.as_str(), "\n"]).collect();
            restore.cmd("EVALSHA").arg(script::RESTORE.sha()).arg(keys.len()).arg(&keys);
            restore.arg(&self.token).arg(batch.first).arg(batch.decided_at.0).arg(ids);
            for (user, _) in &batch.buyers {
                restore.arg(user.as_str());
            }
        }
        let replies: Vec<u8> = self.hot.link.pipeline("restore buyers", &restore).await?;
        replies.into_iter().try_for_each(|reply| self.held(reply))
    }

    /// Takes buyers out.
    pub async fn forget(&self, sku: &Sku, users: &[UserId]) -> Result<()> {
        for users in users.chunks(FORGET_MAX) {
            let args: Vec<&str> =
                std::iter::once(self.token.as_str()).chain(users.iter().map(UserId::as_str)).collect();
            let held: u8 = script::FORGET.call_unverified(&self.hot.link, &self.keys(sku), &args).await?;
            self.held(held)?;
        }
        Ok(())
    }

    /// Takes a whole sale out, with its buyers and its outbox.
    pub async fn forget_sale(&self, sku: &Sku) -> Result<()> {
        let args = [self.token.as_str()];
        let held: u8 = script::FORGET.call_unverified(&self.hot.link, &self.keys(sku), &args).await?;
        self.held(held)
    }

    /// Sets a sale to `status`; returns the changes that were due, which the outbox now holds.
    pub async fn repair(&self, status: &SaleStatus) -> Result<ChangedSale> {
        let config = &status.config;
        let args = [
            self.token.clone(),
            config.sale_id.to_string(),
            config.product_name.clone(),
            config.initial_stock.to_string(),
            config.start.as_millis().to_string(),
            config.end.as_millis().to_string(),
            status.state.as_str().to_owned(),
            status.end_reason.map(|reason| reason.as_str().to_owned()).unwrap_or_default(),
            u8::from(status.paused).to_string(),
            status.as_of_event.to_string(),
            status.as_of_sequence.to_string(),
            status.as_of.0.to_string(),
            config.challenge.as_str().to_owned(),
        ];
        self.hot.watch(&config.sku).await?;
        let asked = std::time::Instant::now();
        let reply = script::REPAIR.call_unverified(&self.hot.link, &self.keys(&config.sku), &args).await?;
        let changed = changed_sale(script::REPAIR.name(), &config.sku, reply, asked)?;
        if changed.reply == SaleReply::Missing { Err(Error::ClaimLost) } else { Ok(changed) }
    }

    /// Names the server as verified and gives the claim up. One that restarted meanwhile stays closed.
    pub async fn open(self) -> Result<()> {
        let keys = [self.hot.keys.claim(), self.hot.keys.fence()];
        let args = [self.token.clone(), self.run_id.clone()];
        let held: u8 = script::OPEN.call_unverified(&self.hot.link, &keys, &args).await?;
        self.held(held)?;
        self.hot.link.look_again();
        Ok(())
    }

    /// Gives the claim up and leaves the fence as it is.
    pub async fn abandon(self) -> Result<()> {
        let args = [self.token.clone(), "1".to_owned()];
        let _held: u8 = script::RENEW.call_unverified(&self.hot.link, &[self.hot.keys.claim()], &args).await?;
        Ok(())
    }
}
