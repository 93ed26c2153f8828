//! The stage of one drill: an installation with its services, a sale, a crowd.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use flashsale_core::SaleConfig;
use rand::{SeedableRng, rngs::StdRng};
use tokio::time::Instant;

use crate::{
    Arena, Drill, Outcome,
    installation::{Installation, Service},
    shoppers::{Crowd, Diary, Rush, Told},
    verdict::{self, Expected},
};

/// Which services play.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cast {
    pub(crate) ingests: usize,
    pub(crate) processors: usize,
    pub(crate) sinks: usize,
    /// More environment for all of them.
    pub(crate) environment: &'static [(&'static str, &'static str)],
}

impl Default for Cast {
    fn default() -> Self {
        Self { ingests: 2, processors: 1, sinks: 1, environment: &[] }
    }
}

/// Everything a drill needs.
pub(crate) struct Stage {
    pub(crate) shop: Installation,
    pub(crate) api: Service,
    pub(crate) ingests: Vec<Service>,
    pub(crate) processors: Vec<Service>,
    pub(crate) sinks: Vec<Service>,
    pub(crate) sale: SaleConfig,
    pub(crate) diary: Diary,
    pub(crate) random: StdRng,
    pub(crate) seed: u64,
    figures: Vec<(String, String)>,
    began: Instant,
}

impl Stage {
    /// Starts the services and sets up a sale of `stock` units that is on for `lasts`.
    pub(crate) async fn set(arena: Arc<Arena>, seed: u64, cast: Cast, stock: u64, lasts: Duration) -> Result<Self> {
        let began = Instant::now();
        let shop = Installation::new(arena).await?;
        let spawn = |arguments: &[&str]| shop.spawn(arguments, cast.environment);
        let processors: Vec<Service> = (0..cast.processors).map(|_| spawn(&["processor"])).collect::<Result<_>>()?;
        let sinks: Vec<Service> = (0..cast.sinks).map(|_| spawn(&["sink", "postgres"])).collect::<Result<_>>()?;
        let api = spawn(&["api"])?;
        let ingests: Vec<Service> = (0..cast.ingests).map(|_| spawn(&["ingest"])).collect::<Result<_>>()?;
        for service in processors.iter().chain(&sinks).chain([&api]).chain(&ingests) {
            shop.ready(service).await?;
        }
        let sale = shop.sale(&api, "DRILL", stock, -1_000, 1_000 + i64::try_from(lasts.as_millis())?).await?;
        let stage = Self {
            shop,
            api,
            ingests,
            processors,
            sinks,
            sale,
            diary: Diary::default(),
            random: StdRng::seed_from_u64(seed),
            seed,
            figures: Vec::new(),
            began,
        };
        stage.until_sold_at_every_edge().await?;
        Ok(stage)
    }

    /// Waits until every edge has read of the sale.
    async fn until_sold_at_every_edge(&self) -> Result<()> {
        for (number, edge) in self.ingests.iter().enumerate() {
            let patience = Duration::from_secs(20);
            crate::installation::until("the edge to know the sale", patience, async || {
                // The first shopper of each edge; what they are told counts like everybody's.
                let user = format!("first-{number}");
                let answer = self.shop.client.buy(&edge.url, self.sku(), &user, &user, patience).await?;
                let known = matches!(answer.status, 200 | 202);
                if known {
                    self.diary.note(Told { key: user.clone(), user, answer: Ok(answer), took: Duration::ZERO });
                }
                Ok(known)
            })
            .await?;
        }
        Ok(())
    }

    /// The SKU of the sale.
    pub(crate) fn sku(&self) -> &str {
        self.sale.sku.as_str()
    }

    /// A crowd of `shoppers` whose names begin with `name`; `a_second` of them arrive in each second, 0 for all at
    /// once.
    pub(crate) fn crowd(&self, name: &str, shoppers: usize, a_second: u32) -> Rush {
        let crowd = Crowd {
            name: name.to_owned(),
            shoppers,
            a_second,
            urls: self.ingests.iter().map(|edge| edge.url.clone()).collect(),
            sku: self.sku().to_owned(),
            seed: self.seed,
        };
        crowd.go(&self.shop.client, &self.diary)
    }

    /// Notes a figure for the report.
    pub(crate) fn figure(&mut self, name: &str, value: impl std::fmt::Display) {
        self.figures.push((name.to_owned(), value.to_string()));
    }

    /// Waits until the stores agree, counted from now, then checks everything.
    pub(crate) async fn conclude(self, expected: Expected) -> Result<Outcome> {
        let verdict = verdict::reach(&self, &expected).await.with_context(|| self.logs())?;
        Ok(Outcome {
            seed: self.seed,
            converged: verdict.converged,
            took: self.began.elapsed(),
            answers: verdict.answers,
            sold: verdict.sold,
            figures: self.figures,
        })
    }

    /// The end of every service's log, for a drill that failed.
    fn logs(&self) -> String {
        let all = self.processors.iter().chain(&self.sinks).chain([&self.api]).chain(&self.ingests);
        all.map(|service| format!("--- {}\n{}\n", service.url, service.log_tail())).collect()
    }
}

/// Runs one drill on `arena`, with `seed` for everything that chance decides. The arena is well again afterwards.
///
/// # Errors
/// When a promise was broken, or the drill could not be run.
pub async fn run(drill: &Drill, arena: &Arc<Arena>, seed: u64) -> Result<Outcome> {
    let played = (drill.play)(arena.clone(), seed).await;
    let arena = arena.clone();
    let healed = tokio::task::spawn_blocking(move || arena.heal()).await?;
    let outcome = played.with_context(|| format!("{} with seed {seed}", drill.name))?;
    healed.context("heal the servers after the drill")?;
    Ok(outcome)
}
