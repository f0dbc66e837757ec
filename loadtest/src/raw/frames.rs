//! WebSocket frames (RFC 6455, 5.2), counted as they pass ([`super::whole`] hands them on). Pings are
//! kept to be answered.

use super::whole::Whole;

/// Opcode of a text frame.
pub const TEXT: u8 = 1;
/// Opcode of a ping.
pub const PING: u8 = 9;
/// Opcode of its answer.
pub const PONG: u8 = 10;

/// Pings waiting for their answer at most; a server that sends more gets no more.
const PINGS_MAX: usize = 8;

/// Reads a stream of frames in pieces of any size.
#[derive(Debug, Default)]
pub struct Frames {
    header: [u8; 10],
    have: usize,
    /// Payload still to come of the frame whose header is complete.
    left: u64,
    len: u64,
    ping: Vec<u8>,
    pings: Vec<Vec<u8>>,
}

impl Frames {
    /// Goes on where somebody else stopped.
    #[must_use]
    pub fn after(whole: Whole) -> Self {
        let mut frames = Self::default();
        frames.feed(&whole.into_rest(), |_, _| {});
        frames
    }

    /// Takes bytes; `seen` gets the opcode of every whole frame and its length with the header.
    pub fn feed(&mut self, mut bytes: &[u8], mut seen: impl FnMut(u8, u64)) {
        loop {
            if self.have < self.need() {
                let Some((&first, rest)) = bytes.split_first() else { return };
                self.header[self.have] = first;
                self.have += 1;
                bytes = rest;
                if self.have == self.need() {
                    self.left = self.payload();
                    self.len = self.left + self.have as u64;
                } else {
                    continue;
                }
            }
            let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            if self.header[0] & 15 == PING {
                self.ping.extend_from_slice(&bytes[..take]);
            }
            self.left -= take as u64;
            bytes = &bytes[take..];
            if self.left > 0 {
                return;
            }
            self.have = 0;
            let opcode = self.header[0] & 15;
            if opcode == PING && self.pings.len() < PINGS_MAX {
                self.pings.push(std::mem::take(&mut self.ping));
            }
            seen(opcode, self.len);
        }
    }

    /// The answer to the next ping.
    pub fn pong(&mut self) -> Option<Vec<u8>> {
        self.pings.pop().map(|payload| masked(PONG, &payload))
    }

    /// Bytes of the header, as far as is known.
    fn need(&self) -> usize {
        match (self.have, self.header[1] & 127) {
            (0 | 1, _) => 2,
            (_, 126) => 4,
            (_, 127) => 10,
            _ => 2,
        }
    }

    fn payload(&self) -> u64 {
        let big_endian = |bytes: &[u8]| bytes.iter().fold(0, |n, &b| n << 8 | u64::from(b));
        match self.header[1] & 127 {
            126 => big_endian(&self.header[2..4]),
            127 => big_endian(&self.header[2..10]),
            short => u64::from(short),
        }
    }
}

/// A whole frame from a client. The mask is zero, which is a mask like any other.
#[must_use]
pub fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(opcode, payload.len());
    frame[1] |= 128;
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// The header of a whole frame from a server.
#[must_use]
pub fn header(opcode: u8, len: usize) -> Vec<u8> {
    let mut header = vec![128 | opcode];
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(short), _) if short < 126 => header.push(short),
        (_, Ok(medium)) => {
            header.push(126);
            header.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            header.push(127);
            header.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_in_pieces_of_any_size() {
        let mut stream = Vec::new();
        let lengths = [0, 5, 125, 126, 300, 65_535, 65_536, 70_000];
        for len in lengths {
            stream.extend(header(TEXT, len));
            stream.extend(std::iter::repeat_n(b'x', len));
        }
        stream.extend(header(PING, 3));
        stream.extend(b"hey");
        for piece in [1, 2, 3, 7, 1000, stream.len()] {
            let mut frames = Frames::default();
            let mut seen = Vec::new();
            stream.chunks(piece).for_each(|c| frames.feed(c, |op, len| seen.push((op, len))));
            let texts: Vec<u64> = seen.iter().filter(|s| s.0 == TEXT).map(|s| s.1).collect();
            assert_eq!(texts, [2, 7, 127, 130, 304, 65_539, 65_546, 70_010], "pieces of {piece}");
            assert_eq!(
                frames.pong(),
                Some(vec![128 | PONG, 128 | 3, 0, 0, 0, 0, b'h', b'e', b'y'])
            );
            assert_eq!(frames.pong(), None);
        }
    }
}
