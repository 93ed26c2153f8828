//! Calls that set up, change and end a sale.

use crate::{
    HotState, Result,
    reply::{Fields, number, odd},
    script::{self, Script},
};
use std::time::Instant;

use flashsale_core::{
    Challenge, EndReason, Micros, SaleConfig, SaleId, SaleState, SaleStatus, Sku, UserId, decision::Change,
    receipt::Receipt,
};

/// A state change as it stands in the outbox until the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaleChange {
    /// Its outbox entry, to settle once published.
    pub outbox_id: String,
    /// What changed.
    pub change: Change,
    /// The sale after the change.
    pub status: SaleStatus,
}

impl SaleChange {
    pub(crate) fn read(script: &'static str, sku: &Sku, outbox_id: &str, flat: &[String]) -> Result<Self> {
        let fields = Fields::new(script, flat);
        let millis = |name| fields.number(name).map(Micros::from_millis);
        let reason = fields.text("reason")?;
        Ok(Self {
            outbox_id: outbox_id.to_owned(),
            change: fields.parse("kind", Change::parse)?,
            status: SaleStatus {
                config: SaleConfig {
                    sale_id: fields.parse("sale", |id| SaleId::new(id).ok())?,
                    sku: sku.clone(),
                    product_name: fields.text("name")?.to_owned(),
                    initial_stock: fields.number("initial")?,
                    start: millis("start")?,
                    end: millis("end")?,
                    challenge: match fields.optional("challenge") {
                        Some(name) => {
                            Challenge::parse(name).ok_or_else(|| odd(script, format!("challenge `{name}`")))?
                        }
                        // Written by a version that knew of none.
                        None => Challenge::None,
                    },
                },
                state: fields.parse("state", SaleState::parse)?,
                end_reason: EndReason::parse(reason),
                paused: fields.text("paused")? == "1",
                as_of_sequence: fields.number("seq")?,
                as_of_event: fields.number("n")?,
                as_of: Micros(fields.number("at")?),
            },
        })
    }
}

/// What a script said of a sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaleReply {
    /// It is as wanted.
    Ok,
    /// Another sale holds the SKU.
    Exists,
    /// No such sale.
    Missing,
    /// Only an upcoming sale may be modified.
    NotModifiable,
    /// The sale has ended.
    Ended,
}

/// A reply and the state changes that the call made; each must be published, then settled.
#[derive(Debug, Clone)]
pub struct ChangedSale {
    /// What the script said.
    pub reply: SaleReply,
    /// The time it used.
    pub now: Micros,
    /// The state afterwards, when there is a sale.
    pub state: Option<SaleState>,
    /// What changed, in order.
    pub changes: Vec<SaleChange>,
    /// When Redis was asked: what it said then must not be told to the log much later.
    pub asked: Instant,
}

/// What Redis holds of a sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Which sale.
    pub sale_id: SaleId,
    /// Its state when last touched.
    pub state: SaleState,
    /// Units left.
    pub stock: u64,
    /// Units sold.
    pub sequence: u64,
    /// Shoppers that hold a unit, counted.
    pub buyers: u64,
    /// Whether an operator stopped it.
    pub paused: bool,
    /// Units for sale in all.
    pub initial_stock: u64,
    /// Number of the last state change.
    pub events: u64,
}

impl HotState {
    async fn change(&self, script: &'static Script, sku: &Sku, args: &[String]) -> Result<ChangedSale> {
        let asked = Instant::now();
        let reply = script.call(&self.link, &self.keys.of_sale(sku), args).await?;
        changed_sale(script.name(), sku, reply, asked)
    }

    /// Sets up a sale; the same sale again changes nothing.
    pub async fn create(&self, config: &SaleConfig) -> Result<ChangedSale> {
        // First, so that the clock and the relay look after whatever the script leaves behind.
        self.watch(&config.sku).await?;
        self.change(&script::CREATE, &config.sku, &config_args(config)).await
    }

    /// Replaces the configuration of an upcoming sale.
    pub async fn update(&self, config: &SaleConfig) -> Result<ChangedSale> {
        self.change(&script::UPDATE, &config.sku, &config_args(config)).await
    }

    /// Stops a sale for now, or lets it go on.
    pub async fn pause(&self, sku: &Sku, sale: &SaleId, paused: bool) -> Result<ChangedSale> {
        self.change(&script::PAUSE, sku, &[sale.to_string(), u8::from(paused).to_string()]).await
    }

    /// Removes a sale with its buyers.
    pub async fn delete(&self, sku: &Sku, sale: &SaleId) -> Result<ChangedSale> {
        // The relay may have let go of a sale that ended long ago; the removal is its business again.
        self.watch(sku).await?;
        self.change(&script::DELETE, sku, &[sale.to_string()]).await
    }

    /// Makes the transitions that the time demands.
    pub async fn transition(&self, sku: &Sku) -> Result<ChangedSale> {
        self.change(&script::TRANSITION, sku, &[]).await
    }

    /// The receipt of a shopper in the sale that holds the SKU now.
    pub async fn receipt(&self, sku: &Sku, user: &UserId) -> Result<Option<Receipt>> {
        let mut look = redis::pipe();
        look.atomic().hget(self.keys.sale(sku), "sale_id").hget(self.keys.buyers(sku), user.as_str());
        let (sale, held): (Option<String>, Option<String>) = self.link.pipeline("look up a receipt", &look).await?;
        let (Some(sale), Some(held)) = (sale, held) else { return Ok(None) };
        let sale_id = SaleId::new(&sale).map_err(|error| odd("receipt", error))?;
        let (sequence, decided_at) = read_held(&held)?;
        Ok(Some(Receipt { sale_id, sequence, decided_at }))
    }

    /// What Redis holds of a sale, or nothing.
    pub async fn snapshot(&self, sku: &Sku) -> Result<Option<Snapshot>> {
        let names = ["sale_id", "state", "stock", "seq", "paused", "initial_stock", "events"];
        let mut look = redis::pipe();
        look.atomic().hmget(self.keys.sale(sku), &names).hlen(self.keys.buyers(sku));
        let (fields, buyers): (Vec<Option<String>>, u64) = self.link.pipeline("look at a sale", &look).await?;
        let [Some(sale), Some(state), Some(stock), Some(sequence), Some(paused), Some(initial), Some(events)] =
            fields.as_slice()
        else {
            return Ok(None);
        };
        Ok(Some(Snapshot {
            initial_stock: number("snapshot", initial)?,
            events: number("snapshot", events)?,
            sale_id: SaleId::new(sale).map_err(|error| odd("snapshot", error))?,
            state: SaleState::parse(state).ok_or_else(|| odd("snapshot", state))?,
            stock: number("snapshot", stock)?,
            sequence: number("snapshot", sequence)?,
            buyers,
            paused: paused == "1",
        }))
    }

    /// The SKUs that the clock and the relay look after.
    pub async fn open_sales(&self) -> Result<Vec<Sku>> {
        let mut members = redis::cmd("SMEMBERS");
        let skus: Vec<String> = self.link.command("list the open sales", members.arg(self.keys.open_sales())).await?;
        Ok(skus.iter().filter_map(|sku| Sku::new(sku).ok()).collect())
    }

    /// Has the clock and the relay look after a SKU.
    pub async fn watch(&self, sku: &Sku) -> Result<()> {
        self.open_sales_command("SADD", sku).await
    }

    /// Lets go of a SKU whose sale has ended or is gone, and whose outbox is empty. Taken back at once
    /// when a new sale turned up in between.
    pub async fn unwatch(&self, sku: &Sku) -> Result<()> {
        self.open_sales_command("SREM", sku).await?;
        let ended = self.snapshot(sku).await?.is_none_or(|sale| sale.state == SaleState::Ended);
        if !ended || self.outbox_len(sku).await? > 0 {
            self.watch(sku).await?;
        }
        Ok(())
    }

    async fn open_sales_command(&self, command: &'static str, sku: &Sku) -> Result<()> {
        let mut noting = redis::cmd(command);
        self.link.command("note an open sale", noting.arg(self.keys.open_sales()).arg(sku.as_str())).await
    }
}

/// What the scripts that change a sale reply: code, now, state, events.
pub(crate) type ChangeReply = (String, i64, String, Vec<Vec<String>>);

pub(crate) fn changed_sale(script: &'static str, sku: &Sku, reply: ChangeReply, asked: Instant) -> Result<ChangedSale> {
    let (code, now, state, events) = reply;
    let reply = match code.as_str() {
        "OK" => SaleReply::Ok,
        "EXISTS" => SaleReply::Exists,
        "MISSING" => SaleReply::Missing,
        "NOT_MODIFIABLE" => SaleReply::NotModifiable,
        "ENDED" => SaleReply::Ended,
        _ => return Err(odd(script, format!("code `{code}`"))),
    };
    let changes = read_changes(script, sku, &events)?;
    Ok(ChangedSale { reply, now: Micros(now), state: SaleState::parse(&state), changes, asked })
}

pub(crate) fn read_changes(script: &'static str, sku: &Sku, events: &[Vec<String>]) -> Result<Vec<SaleChange>> {
    events
        .iter()
        .map(|event| {
            let (id, fields) = event.split_first().ok_or_else(|| odd(script, "an empty event"))?;
            SaleChange::read(script, sku, id, fields)
        })
        .collect()
}

/// Sequence and time of what a buyer holds: `n|first|decided_at`, see sale.lua.
pub(crate) fn read_held(held: &str) -> Result<(u64, Micros)> {
    let parts: Vec<&str> = held.split('|').collect();
    let [n, first, decided_at] = parts[..] else { return Err(odd("buyer", held)) };
    let (n, first): (u64, u64) = (number("buyer", n)?, number("buyer", first)?);
    Ok(((first + n).saturating_sub(1), Micros(number("buyer", decided_at)?)))
}

fn config_args(config: &SaleConfig) -> [String; 6] {
    [
        config.sale_id.to_string(),
        config.product_name.clone(),
        config.initial_stock.to_string(),
        config.start.as_millis().to_string(),
        config.end.as_millis().to_string(),
        config.challenge.as_str().to_owned(),
    ]
}
