//! Who may try now: a budget of requests, room in the log's queue, and a limit a user.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use flashsale_core::UserId;
use flashsale_platform::{ApiError, RateLimit};
use flashsale_streaming::Producer;
use tokio::time::Instant;

use crate::{
    Config,
    adaptive::{Limit, Window, wait_choices},
    metrics,
};

/// Between two looks at how decisions go.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Seconds between two tries of a refused client, until a look has told better.
const WAIT_CHOICES: u64 = 2;

/// Admission before the decision. After it nothing is refused for want of room.
#[derive(Debug)]
pub(crate) struct Admission {
    limit: Mutex<Limit>,
    limit_now: AtomicUsize,
    in_flight: AtomicUsize,
    in_flight_max: usize,
    latency_target: Duration,
    counts: Counts,
    /// All times below are microseconds since then.
    started: Instant,
    looked_at: AtomicU64,
    limit_cut_at: AtomicU64,
    wait_choices: AtomicU64,
    wait_hash: RandomState,
    users: Option<RateLimit>,
    log_has_room: AtomicBool,
    producer: Producer,
}

/// What happened since the last look.
#[derive(Debug, Default)]
struct Counts {
    in_flight_most: AtomicUsize,
    answered: AtomicU64,
    refused: AtomicU64,
    decided: AtomicU64,
    late: AtomicU64,
}

/// A place among the requests under way; free again when dropped.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    admission: &'a Admission,
    began: Instant,
    is_decided: bool,
}

impl Permit<'_> {
    /// Notes that the decision is there, or was given up.
    pub(crate) fn decided(&mut self) {
        self.is_decided = true;
        self.admission.decided(self.began);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.admission.in_flight.fetch_sub(1, Ordering::Relaxed);
        // The client gave up before.
        if !self.is_decided && self.began.elapsed() > self.admission.latency_target {
            self.admission.decided(self.began);
        }
    }
}

impl Admission {
    pub(crate) fn new(config: &Config, producer: Producer) -> Self {
        let limit = Limit::new(config.in_flight_min, config.in_flight_max);
        let interval = Duration::from_millis(config.user_interval_ms);
        Self {
            limit_now: AtomicUsize::new(limit.now()),
            limit: Mutex::new(limit),
            in_flight: AtomicUsize::new(0),
            in_flight_max: config.in_flight_max,
            latency_target: config.latency_target(),
            counts: Counts::default(),
            started: Instant::now(),
            looked_at: AtomicU64::new(0),
            limit_cut_at: AtomicU64::new(0),
            wait_choices: AtomicU64::new(WAIT_CHOICES),
            wait_hash: RandomState::new(),
            users: (!interval.is_zero()).then(|| RateLimit::new(interval, 1, config.users_max)),
            log_has_room: AtomicBool::new(true),
            producer,
        }
    }

    /// How much of what is admitted at once is under way: 1 when others are refused.
    pub(crate) fn load(&self) -> f32 {
        self.in_flight.load(Ordering::Relaxed) as f32 / self.limit_now.load(Ordering::Relaxed).max(1) as f32
    }

    /// At most one attempt of a user in the interval; the error says when the next is due.
    pub(crate) fn check_user(&self, user: &UserId) -> Result<(), ApiError> {
        let Some(users) = &self.users else { return Ok(()) };
        users.check(user).map_err(|seconds| {
            metrics::refused("rate_limited");
            ApiError::rate_limited(seconds)
        })
    }

    /// Whether there is room just now. Asked before anything is done or remembered for a request: most that are refused
    /// for want of room cost no more than this, and do not use up the user's turn.
    pub(crate) fn check_room(&self, user: &UserId) -> Result<(), ApiError> {
        if !self.log_has_room.load(Ordering::Relaxed) {
            return Err(self.refuse("log_queue_full", user));
        }
        if self.in_flight.load(Ordering::Relaxed) >= self.limit_now.load(Ordering::Relaxed) {
            return Err(self.refuse("in_flight", user));
        }
        Ok(())
    }

    /// A place among the requests under way, as long as the log could take what is decided.
    pub(crate) fn admit(&self, user: &UserId, began: Instant) -> Result<Permit<'_>, ApiError> {
        self.check_room(user)?;
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let permit = Permit { admission: self, began, is_decided: false };
        if before >= self.limit_now.load(Ordering::Relaxed) {
            return Err(self.refuse("in_flight", user));
        }
        self.counts.in_flight_most.fetch_max(before + 1, Ordering::Relaxed);
        Ok(permit)
    }

    fn decided(&self, began: Instant) {
        let counts = &self.counts;
        counts.answered.fetch_add(1, Ordering::Relaxed);
        // What came in under a higher limit says nothing of this one.
        if self.micros(began) < self.limit_cut_at.load(Ordering::Relaxed) {
            return;
        }
        counts.decided.fetch_add(1, Ordering::Relaxed);
        if began.elapsed() > self.latency_target {
            counts.late.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Looks at the queue and at how decisions go. Called often, by one.
    pub(crate) fn keep(&self) {
        // Room for all that is admitted already, and as much again for what arrives until the next look.
        let room = self.producer.room() as usize >= 2 * self.in_flight_max.min(50_000);
        self.log_has_room.store(room && !self.producer.is_fatal(), Ordering::Relaxed);
        let now = Instant::now();
        if self.micros(now) >= self.looked_at.load(Ordering::Relaxed) + LOOK_EVERY.as_micros() as u64 {
            self.look(now);
        }
        let (in_flight, limit) = (self.in_flight.load(Ordering::Relaxed), self.limit_now.load(Ordering::Relaxed));
        metrics::load(in_flight, limit, self.producer.in_flight());
    }

    fn look(&self, now: Instant) {
        let counts = &self.counts;
        self.looked_at.store(self.micros(now), Ordering::Relaxed);
        // The late first: each of them is among the decided.
        let late = counts.late.swap(0, Ordering::Relaxed);
        let decided = counts.decided.swap(0, Ordering::Relaxed);
        let in_flight = counts.in_flight_most.swap(self.in_flight.load(Ordering::Relaxed), Ordering::Relaxed);
        let mut limit = self.limit.lock().unwrap_or_else(PoisonError::into_inner);
        if limit.follow(Window { decided, late, in_flight }) {
            self.limit_cut_at.store(self.micros(now), Ordering::Relaxed);
        }
        self.limit_now.store(limit.now(), Ordering::Relaxed);
        let refused = counts.refused.swap(0, Ordering::Relaxed);
        let choices = wait_choices(refused, counts.answered.swap(0, Ordering::Relaxed));
        self.wait_choices.store(choices, Ordering::Relaxed);
    }

    /// 503, and when to come back: not all in one moment, and not the same ones first each time.
    fn refuse(&self, reason: &'static str, user: &UserId) -> ApiError {
        metrics::refused(reason);
        self.counts.refused.fetch_add(1, Ordering::Relaxed);
        let chance = self.wait_hash.hash_one((user, self.looked_at.load(Ordering::Relaxed)));
        ApiError::unavailable(1 + chance % self.wait_choices.load(Ordering::Relaxed).max(1))
    }

    fn micros(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.started).as_micros() as u64
    }
}
