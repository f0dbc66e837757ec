//! Waits for a point in time to some ten microseconds. The runtime's own timers count milliseconds,
//! which is as long as a delivery takes.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use crate::times;

/// A timer of the kernel, which the runtime polls like a socket.
#[derive(Debug)]
pub struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    /// # Errors
    /// The kernel's.
    #[expect(unsafe_code, reason = "the runtime can't know that a descriptor stays open")]
    pub fn new() -> anyhow::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // SAFETY: an OwnedFd gives the same descriptor each time and is open until it is dropped,
        // which happens inside the AsyncFd.
        Ok(Self(unsafe { AsyncFd::register(timer) }?))
    }

    /// Waits until `due`; not at all if that is over.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn until(&self, due: Instant) -> anyhow::Result<()> {
        loop {
            let wait = due.saturating_duration_since(times::now());
            if wait.is_zero() {
                return Ok(());
            }
            self.wait(wait).await?;
        }
    }

    async fn wait(&self, wait: Duration) -> anyhow::Result<()> {
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let once = Itimerspec { it_interval: never, it_value: wait.try_into()? };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
        loop {
            let mut guard = self.0.readable().await?;
            let mut expirations = [0; 8];
            let read = guard.try_io(|timer| Ok(rustix::io::read(timer, &mut expirations)?));
            if let Ok(read) = read {
                read?;
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_never_rings_early_and_rings_again() {
        let timer = Timer::new().unwrap();
        let start = times::now();
        for step in 1..=20 {
            let due = start + Duration::from_micros(300 * step);
            timer.until(due).await.unwrap();
            assert!(times::now() >= due);
        }
        timer.until(start).await.unwrap();
    }
}
