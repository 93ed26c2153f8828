//! A timer that wakes a loop to the microsecond: epoll itself waits in milliseconds.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};

use mio::{Interest, Registry, Token, unix::SourceFd};
use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};

/// Wakes once, at the time that it was given last. Times are nanoseconds of one clock of the caller.
#[derive(Debug)]
pub(super) struct Timer {
    fd: TimerFd,
    set_to: u64,
}

impl Timer {
    /// A timer that `registry` reports as `token`. It need not be read: every expiry is an edge of its own.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let fd = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        let raw = fd.as_fd().as_raw_fd();
        registry.register(&mut SourceFd(&raw), token, Interest::READABLE)?;
        Ok(Self { fd, set_to: 0 })
    }

    /// Wakes at `at`, when it is `now`; at once if that is over.
    pub(super) fn wake_at(&mut self, at: u64, now: u64) -> io::Result<()> {
        if at > now && at == self.set_to {
            return Ok(());
        }
        // 0 would turn it off.
        let wait = Duration::from_nanos(at.saturating_sub(now).max(1));
        self.fd.set(Expiration::OneShot(TimeSpec::from(wait)), TimerSetTimeFlags::empty())?;
        self.set_to = at;
        Ok(())
    }

    /// It woke, and is no longer set.
    pub(super) fn woke(&mut self) {
        self.set_to = 0;
    }
}
