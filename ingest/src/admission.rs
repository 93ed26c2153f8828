//! Who may try now: a budget of requests, room in the log's queue, and a limit a user.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use flashsale_core::UserId;
use flashsale_platform::ApiError;
use flashsale_streaming::Producer;
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    state::keyed::DefaultKeyedStateStore,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Config, hash::UserHash, metrics};

type Limiter = RateLimiter<u64, DefaultKeyedStateStore<u64>, DefaultClock>;

/// Seconds after which an overloaded edge is worth another try.
const RETRY_AFTER: u64 = 1;

/// Admission before the decision. After it nothing is refused for want of room.
#[derive(Debug)]
pub(crate) struct Admission {
    permits: Arc<Semaphore>,
    permits_max: usize,
    limiter: Option<Limiter>,
    users: AtomicUsize,
    users_max: usize,
    user_hash: UserHash,
    log_has_room: AtomicBool,
    producer: Producer,
}

impl Admission {
    pub(crate) fn new(config: &Config, producer: Producer) -> Self {
        let interval = Duration::from_millis(config.user_interval_ms);
        // GCRA: a refused try takes nothing, so trying does not lengthen the wait (NF-10).
        let limiter = Quota::with_period(interval).map(|quota| RateLimiter::keyed(quota.allow_burst(NonZeroU32::MIN)));
        Self {
            permits: Arc::new(Semaphore::new(config.in_flight_max)),
            permits_max: config.in_flight_max,
            limiter,
            users: AtomicUsize::new(0),
            users_max: config.users_max,
            user_hash: UserHash::default(),
            log_has_room: AtomicBool::new(true),
            producer,
        }
    }

    /// At most one attempt of a user in the interval; the error says when the next is due.
    pub(crate) fn check_user(&self, user: &UserId) -> Result<(), ApiError> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        if self.users.load(Ordering::Relaxed) >= self.users_max {
            metrics::refused("users");
            return Err(ApiError::unavailable(RETRY_AFTER));
        }
        limiter.check_key(&self.user_hash.of(user)).map_err(|not_until| {
            metrics::refused("rate_limited");
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            ApiError::rate_limited(wait.as_millis().div_ceil(1_000).try_into().unwrap_or(1).max(1))
        })
    }

    /// A place among the requests under way, as long as the log could take what is decided.
    pub(crate) fn admit(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        if !self.log_has_room.load(Ordering::Relaxed) {
            metrics::refused("log_queue_full");
            return Err(ApiError::unavailable(RETRY_AFTER));
        }
        self.permits.clone().try_acquire_owned().map_err(|_| {
            metrics::refused("in_flight");
            ApiError::unavailable(RETRY_AFTER)
        })
    }

    /// Looks at the queue, forgets users whose wait is over. Called often.
    pub(crate) fn keep(&self) {
        // Room for all that is admitted already, and as much again for what arrives until the next look.
        let room = self.producer.room() as usize >= 2 * self.permits_max.min(50_000);
        self.log_has_room.store(room && !self.producer.is_fatal(), Ordering::Relaxed);
        metrics::load(self.permits_max - self.permits.available_permits(), self.producer.in_flight());
    }

    /// Forgets users whose wait is over.
    pub(crate) fn forget_users(&self) {
        if let Some(limiter) = &self.limiter {
            limiter.retain_recent();
            limiter.shrink_to_fit();
            self.users.store(limiter.len(), Ordering::Relaxed);
        }
    }
}
