//! The path that stores nothing: `typing.set` in place of messages. A notice carries no text, so it
//! is known by who types and by whether they began or stopped: each session does both in turn and has
//! one notice under way at most.
//!
//! A server passes the begin on once in two seconds, so a session can be asked for a notice a second,
//! and a rate needs as many sessions ([`check`]).

use std::{
    cell::RefCell,
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::ensure;
use serde::Deserialize;

use super::plan::Plan;
use crate::{ids::Id, system::Stamp};

/// Begins that come sooner after one another are answered and not passed on.
const BEGINS_APART: Duration = Duration::from_secs(2);

/// Between two notices of a session: half of that, and a twentieth so that a begin that left late is
/// not followed too soon.
const NOTICES_APART: Duration = Duration::from_millis(1_050);

/// A notice that is not everywhere by then is lost: nothing promises that it comes.
const LOST_AFTER: Duration = Duration::from_secs(6);

/// Members of a room at most: beyond it, typing is not told.
const ROOM_MAX: usize = 1_000;

/// The reasons for which a notice is not sent.
const TOO_SOON: &str = "not sent: it would come too soon after the last one";
const UNDER_WAY: &str = "not sent: the last one is not everywhere yet";

/// Refuses what sessions can't be asked for.
///
/// # Errors
/// A sentence.
pub fn check(plan: &Plan) -> anyhow::Result<()> {
    let (sessions, room) = (plan.shape.sessions, plan.shape.room);
    ensure!(
        (2..=ROOM_MAX).contains(&room),
        "typing is told to the others, in rooms of up to {ROOM_MAX}: ask for rooms of 2 to {ROOM_MAX}"
    );
    let apart = NOTICES_APART.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "sessions below 2^53")]
    let most = sessions as f64 / apart;
    ensure!(
        plan.rate <= most,
        "{sessions} sessions can tell {most:.0} times a second that they type, each once in {apart} s: \
         ask for that --rate, or for {:.0} --sessions",
        (plan.rate * apart).ceil()
    );
    Ok(())
}

/// What is under way.
#[derive(Debug)]
pub struct Typing {
    /// The sessions of users.
    places: HashMap<Id, usize>,
    room: usize,
    typists: RefCell<Vec<Typist>>,
}

#[derive(Debug, Clone, Default)]
struct Typist {
    active: bool,
    begun: Option<Instant>,
    /// The last end and the last begin.
    notices: [Option<Notice>; 2],
}

#[derive(Debug, Clone)]
struct Notice {
    stamp: Stamp,
    sent: Instant,
    left: usize,
}

impl Notice {
    fn is_under_way(&self, now: Instant) -> bool {
        self.left > 0 && now.saturating_duration_since(self.sent) < LOST_AFTER
    }
}

#[derive(Deserialize)]
struct Frame<'a> {
    method: &'a str,
    params: Told,
}

#[derive(Deserialize)]
struct Told {
    user: Id,
    active: bool,
}

impl Typing {
    /// For the users of the sessions, in order.
    #[must_use]
    pub fn new(users: impl Iterator<Item = Id>, room: usize) -> Self {
        let places: HashMap<_, _> = users.enumerate().map(|(place, user)| (user, place)).collect();
        let typists = RefCell::new(vec![Typist::default(); places.len()]);
        Self { places, room, typists }
    }

    /// Session `place` is about to send a notice: whether it begins or ends typing.
    ///
    /// # Errors
    /// A reason for which it must not now.
    pub fn send(&self, place: usize, stamp: Stamp, now: Instant) -> Result<bool, &'static str> {
        let mut typists = self.typists.borrow_mut();
        let typist = &mut typists[place];
        if typist.notices.iter().flatten().any(|notice| notice.is_under_way(now)) {
            return Err(UNDER_WAY);
        }
        let begins = !typist.active;
        let since = typist.begun.map(|begun| now.saturating_duration_since(begun));
        if begins && since.is_some_and(|since| since < BEGINS_APART) {
            return Err(TOO_SOON);
        }
        if begins {
            typist.begun = Some(now);
        }
        typist.active = begins;
        typist.notices[usize::from(begins)] =
            Some(Notice { stamp, sent: now, left: self.room - 1 });
        Ok(begins)
    }

    /// A frame that session `place` read: the stamp of the notice that it is.
    #[must_use]
    pub fn read(&self, place: usize, frame: &[u8]) -> Option<Stamp> {
        let frame: Frame<'_> = serde_json::from_slice(frame).ok()?;
        let typist = *self.places.get(&frame.params.user)?;
        let same_room = typist / self.room == place / self.room;
        if frame.method != "typing" || !same_room || typist == place {
            return None;
        }
        let mut typists = self.typists.borrow_mut();
        let notice = typists[typist].notices[usize::from(frame.params.active)].as_mut()?;
        notice.left = notice.left.checked_sub(1)?;
        Some(notice.stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{system::Shape, times};

    fn stamp(number: u32) -> Stamp {
        Stamp { intended: 0, number }
    }

    fn frame(user: Id, active: bool) -> Vec<u8> {
        let params = serde_json::json!({"conversation": user, "user": user, "active": active});
        serde_json::json!({"jsonrpc": "2.0", "method": "typing", "params": params})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn notices_find_their_messages() {
        let users: Vec<Id> = (0..6).map(|_| times::new_id()).collect();
        let typing = Typing::new(users.iter().copied(), 3);
        let start = times::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(typing.send(1, stamp(10), start), Ok(true));
        assert_eq!(typing.read(0, &frame(users[1], true)), Some(stamp(10)));
        assert_eq!(typing.read(0, &frame(users[1], false)), None, "nothing ended");
        assert_eq!(typing.read(4, &frame(users[1], true)), None, "another room");
        assert_eq!(typing.send(1, stamp(11), at(1_050)), Err(UNDER_WAY));
        assert_eq!(typing.read(2, &frame(users[1], true)), Some(stamp(10)));
        assert_eq!(typing.read(2, &frame(users[1], true)), None, "one copy too many");
        assert_eq!(typing.send(1, stamp(11), at(1_050)), Ok(false));
        for place in [0, 2] {
            assert_eq!(typing.read(place, &frame(users[1], false)), Some(stamp(11)));
        }
        assert_eq!(typing.send(1, stamp(12), at(1_990)), Err(TOO_SOON));
        assert_eq!(typing.send(1, stamp(12), at(2_100)), Ok(true));
        assert_eq!(typing.send(1, stamp(13), at(8_000)), Err(UNDER_WAY));
        assert_eq!(typing.send(1, stamp(13), at(8_100)), Ok(false), "lost ones don't block");
    }

    #[test]
    fn what_sessions_cannot_do_is_refused() {
        let plan = |sessions, room, rate| {
            let shape = Shape { sessions, room, bytes: 200 };
            check(&Plan { shape, rate, warm_up: 1, seconds: 1 })
        };
        assert!(plan(1_170, 10, 1_112.0).is_ok());
        let error = plan(1_000, 10, 1_112.0).unwrap_err().to_string();
        assert!(
            error.contains("952 times a second") && error.contains("1168 --sessions"),
            "{error}"
        );
        assert!(plan(100, 1, 1.0).is_err() && plan(4_000, 2_000, 1.0).is_err());
    }
}
