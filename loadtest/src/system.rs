//! What `steady` needs of a system under load, so that the same program with the same clock drives
//! harkara and the servers it is compared with. An adapter (`steady/harkara.rs`, `peer/*.rs`) opens
//! the sessions and puts messages on the wire; intended times, latencies and counts are the
//! driver's.
//!
//! Everything runs on one thread. A message's text carries a [`Stamp`]; whoever reads hands each
//! whole frame to the [`Sink`], which finds the stamp wherever the system put it.

use std::rc::Rc;

/// What to set up: `sessions` in rooms of `room`, each session in one room and on a connection of
/// its own; session `i` is in room `i / room`.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Sessions in all: a multiple of `room`.
    pub sessions: usize,
    /// Members of a room. Each gets each message of the room, the sender too.
    pub room: usize,
    /// Bytes of a message's text, the stamp included.
    pub bytes: usize,
}

/// A system under load.
pub trait System {
    /// One connected session.
    type Session: Session;

    /// `harkara`, `mosquitto`.
    fn name(&self) -> String;

    /// The processes whose processor time and memory count: all of them, stores and brokers too.
    fn pids(&self) -> Vec<u32>;

    /// Deliveries of one message: all of the room, unless the sender does not get its own.
    fn copies(&self, shape: Shape) -> usize {
        shape.room
    }

    /// Opens all sessions in order, joined to their rooms and being read; ready for messages.
    ///
    /// # Errors
    /// When one can't be opened.
    fn open(
        &mut self,
        shape: Shape,
        sink: Rc<dyn Sink>,
    ) -> impl Future<Output = anyhow::Result<Vec<Self::Session>>>;
}

/// A session that sends. Dropping it closes the connection.
pub trait Session {
    /// Writes one message to the session's room and returns once it is in the socket's buffer; its
    /// confirmation, where there is one, is told to the sink.
    ///
    /// # Errors
    /// The connection's.
    fn send(&mut self, text: &str) -> impl Future<Output = anyhow::Result<()>>;
}

/// Where readers hand what they read. Cheap: it is called for each delivery.
pub trait Sink {
    /// A whole frame (packet, stanza) that session `session` read. Without a [`Stamp`] in it it is
    /// no delivery and ignored.
    fn frame(&self, session: usize, bytes: &[u8]) {
        if let Some(stamp) = Stamp::find(bytes) {
            self.delivered(session, stamp);
        }
    }

    /// Session `session` got the message: for systems that find the stamp otherwise than in the text.
    fn delivered(&self, session: usize, stamp: Stamp);

    /// The system confirmed the oldest send of this session that is not answered: for systems that
    /// confirm in the order of the sends.
    fn confirmed(&self, session: usize);

    /// The system answered the send of the message of this number: it confirmed it, or did not take
    /// it, for the reason named in a word.
    fn answered(&self, session: usize, number: u32, outcome: Result<(), &str>);

    /// A session ended that nobody asked to.
    fn ended(&self, session: usize, why: &str);
}

/// A message's intended time and number in its text: `~20 digits.10 digits~`, nanoseconds since the
/// run began and the message's number. Made of what no system escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// When it should have been sent, nanoseconds since the run began.
    pub intended: u64,
    /// The message's number in the run.
    pub number: u32,
}

const MARK: u8 = b'~';
const TIME: usize = 20;
const NUMBER: usize = 10;

impl Stamp {
    /// Length of its text.
    pub const LEN: usize = TIME + NUMBER + 3;

    /// The text of a message: the stamp, filled up to `bytes`.
    #[must_use]
    pub fn text(self, bytes: usize) -> String {
        let stamp = format!("~{:0TIME$}.{:0NUMBER$}~", self.intended, self.number);
        format!("{stamp:x<bytes$}")
    }

    /// The stamp in a frame, if there is one.
    #[must_use]
    pub fn find(frame: &[u8]) -> Option<Self> {
        let mut rest = frame;
        loop {
            let at = rest.iter().position(|&byte| byte == MARK)?;
            rest = &rest[at..];
            if let Some(stamp) = Self::parse(rest.get(..Self::LEN)?) {
                return Some(stamp);
            }
            rest = &rest[1..];
        }
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let (time, rest) = text.get(1..)?.split_at_checked(TIME)?;
        let number = rest.strip_prefix(b".")?.strip_suffix(&[MARK])?;
        let digits = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<u64>().ok();
        Some(Self { intended: digits(time)?, number: digits(number)?.try_into().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_found_wherever_it_stands() {
        let stamp = Stamp { intended: 12_345_678_901, number: 77 };
        let text = stamp.text(200);
        assert_eq!(text.len(), 200);
        let frame = format!("{{\"a~b\":\"~~{text}\"}}");
        assert_eq!(Stamp::find(frame.as_bytes()), Some(stamp));
        assert_eq!(Stamp::find(&text.as_bytes()[..Stamp::LEN]), Some(stamp));
        assert_eq!(Stamp::find(&text.as_bytes()[..Stamp::LEN - 1]), None);
        assert_eq!(Stamp::find(b"nothing ~ here"), None);
    }
}
