//! Shoppers: they try until they know, with one idempotency key each, and remember every answer.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use crate::client::{Answer, Client};

/// Longest wait of a shopper for one answer; then the same request again.
const PATIENCE: Duration = Duration::from_secs(8);
/// A shopper who knows nothing after this long gives up, and the drill has failed.
const GIVE_UP: Duration = Duration::from_secs(90);
/// Waits before a repetition, in milliseconds.
const AGAIN_MS: std::ops::Range<u64> = 100..400;

/// One answer, or none.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) user: String,
    pub(crate) key: String,
    pub(crate) answer: Result<Answer, String>,
    pub(crate) took: Duration,
}

impl Told {
    /// Whether the shopper knows now.
    pub(crate) fn is_final(&self) -> bool {
        matches!(&self.answer, Ok(answer) if matches!(answer.status, 200 | 202))
    }

    /// Whether it was a success: accepted, or accepted and on its way to the log.
    pub(crate) fn is_success(&self) -> bool {
        matches!(&self.answer, Ok(answer) if matches!(answer.status, 200 | 202) && answer.body["success"] == true)
    }
}

/// Everything that shoppers were told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Diary(Arc<Mutex<Vec<Told>>>);

impl Diary {
    pub(crate) fn note(&self, told: Told) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(told);
    }

    /// A copy of all that was noted.
    pub(crate) fn all(&self) -> Vec<Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many shoppers were told of a success so far.
    pub(crate) fn successes(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|told| told.is_success()).count()
    }

    /// How many answers were noted.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Who comes, and how fast.
#[derive(Debug, Clone)]
pub(crate) struct Crowd {
    /// In front of every name.
    pub(crate) name: String,
    /// How many.
    pub(crate) shoppers: usize,
    /// How many arrive a second; 0 for all at once.
    pub(crate) a_second: u32,
    /// Where they may buy; each try at another.
    pub(crate) urls: Vec<String>,
    pub(crate) sku: String,
    pub(crate) seed: u64,
}

/// A crowd at work.
#[derive(Debug)]
pub(crate) struct Rush {
    tasks: JoinSet<()>,
    known: Arc<AtomicUsize>,
    shoppers: usize,
}

impl Crowd {
    /// Sends them.
    pub(crate) fn go(self, client: &Client, diary: &Diary) -> Rush {
        let known = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        let began = Instant::now();
        let shoppers = self.shoppers;
        for number in 0..shoppers {
            let (crowd, client, diary) = (self.clone(), client.clone(), diary.clone());
            let known = known.clone();
            tasks.spawn(async move {
                if crowd.a_second > 0 {
                    sleep_until(began + Duration::from_secs(1).mul_f64(number as f64 / f64::from(crowd.a_second)))
                        .await;
                }
                if crowd.shop(number, &client, &diary).await {
                    known.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Rush { tasks, known, shoppers }
    }

    /// One shopper; returns whether they know in the end.
    async fn shop(&self, number: usize, client: &Client, diary: &Diary) -> bool {
        let mut random = StdRng::seed_from_u64(self.seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (user, key) = (format!("{}-{number}", self.name), format!("{}-key-{number}", self.name));
        let began = Instant::now();
        loop {
            let asked = Instant::now();
            let url = &self.urls[random.random_range(0..self.urls.len())];
            let answer = client.buy(url, &self.sku, &user, &key, PATIENCE).await;
            let told = Told {
                user: user.clone(),
                key: key.clone(),
                answer: answer.map_err(|error| format!("{error:#}")),
                took: asked.elapsed(),
            };
            let knows = told.is_final();
            diary.note(told);
            if knows {
                return true;
            }
            if began.elapsed() > GIVE_UP {
                return false;
            }
            sleep(Duration::from_millis(random.random_range(AGAIN_MS))).await;
        }
    }
}

impl Rush {
    /// Waits until everybody came and knows.
    pub(crate) async fn finish(mut self) -> Result<()> {
        while self.tasks.join_next().await.is_some() {}
        let known = self.known.load(Ordering::Relaxed);
        ensure!(known == self.shoppers, "{known} of {} shoppers know what became of them", self.shoppers);
        Ok(())
    }
}
