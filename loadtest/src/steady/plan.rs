//! When which message is to be sent, and by whom: fixed before the run begins, so that nothing that
//! the system does can change it.

use std::time::Duration;

use anyhow::ensure;

use crate::system::{Shape, Stamp};

/// Messages of one round at most: what the books about them take stays below 100 MB.
const MESSAGES_MAX: f64 = 2e7;

/// A round of steady load.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The sessions that send and get.
    pub shape: Shape,
    /// Messages a second, over all sessions.
    pub rate: f64,
    /// Seconds of load before anything counts.
    pub warm_up: u32,
    /// Seconds of load that count.
    pub seconds: u32,
}

impl Plan {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// A sentence.
    pub fn check(&self) -> anyhow::Result<()> {
        let Shape { sessions, room, bytes } = self.shape;
        ensure!(room > 0 && sessions > 0, "ask for one session or more, in rooms of one or more");
        ensure!(
            sessions.is_multiple_of(room),
            "{sessions} sessions do not fill rooms of {room}: ask for a multiple of {room}"
        );
        ensure!(
            bytes >= Stamp::LEN,
            "a message carries its time: ask for {} bytes or more",
            Stamp::LEN
        );
        ensure!(self.seconds > 0, "ask for one second or more");
        let messages = self.rate * f64::from(self.warm_up + self.seconds);
        ensure!(
            self.rate > 0.0 && messages <= MESSAGES_MAX,
            "{messages} messages in a round are out of range: ask for up to {MESSAGES_MAX}"
        );
        Ok(())
    }

    /// From the begin of the warm-up to the end of the load.
    #[must_use]
    pub fn length(&self) -> Duration {
        Duration::from_secs(u64::from(self.warm_up) + u64::from(self.seconds))
    }

    /// Messages in all, those of the warm-up too.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive and below 2e7, as checked"
    )]
    pub fn messages(&self) -> u32 {
        (self.rate * self.length().as_secs_f64()).ceil() as u32
    }

    /// When the `n`th message is to be sent, since the round began: `n / rate`.
    #[must_use]
    pub fn intended(&self, n: u32) -> Duration {
        Duration::from_secs_f64(f64::from(n) / self.rate)
    }

    /// Whether the `n`th message counts.
    #[must_use]
    pub fn counts(&self, n: u32) -> bool {
        self.intended(n) >= Duration::from_secs(self.warm_up.into())
    }

    /// The session that sends the `n`th message. One room after the other, and in each room one
    /// member after the other: everybody sends equally often, as far apart as can be.
    #[must_use]
    pub fn sender(&self, n: u32) -> usize {
        let (n, Shape { sessions, room, .. }) = (n as usize, self.shape);
        let rooms = sessions / room;
        n % rooms * room + n / rooms % room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan {
        shape: Shape { sessions: 12, room: 4, bytes: 200 },
        rate: 3.0,
        warm_up: 2,
        seconds: 5,
    };

    #[test]
    fn messages_have_their_times_before_the_round_begins() {
        assert_eq!(PLAN.messages(), 21);
        let times: Vec<_> = [0, 1, 3, 20].map(|n| PLAN.intended(n).as_micros()).into();
        assert_eq!(times, [0, 333_333, 1_000_000, 6_666_666]);
        assert!(!PLAN.counts(5) && PLAN.counts(6) && PLAN.counts(20));
        let odd = Plan { rate: 2.5, warm_up: 0, seconds: 1, ..PLAN };
        assert_eq!(odd.messages(), 3);
        assert!(odd.intended(2) < odd.length() && odd.intended(3) >= odd.length());
    }

    #[test]
    fn rooms_and_members_send_in_turn() {
        let senders: Vec<_> = (0..12).map(|n| PLAN.sender(n)).collect();
        assert_eq!(senders, [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
        assert_eq!(PLAN.sender(12), 0);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(PLAN.check().is_ok());
        let shape = |sessions, room, bytes| Plan { shape: Shape { sessions, room, bytes }, ..PLAN };
        let bad = [
            shape(13, 4, 200),
            shape(0, 4, 200),
            shape(12, 0, 200),
            shape(12, 4, Stamp::LEN - 1),
            Plan { rate: 0.0, ..PLAN },
            Plan { rate: 1e7, ..PLAN },
            Plan { seconds: 0, ..PLAN },
        ];
        assert!(bad.iter().all(|plan| plan.check().is_err()));
    }
}
