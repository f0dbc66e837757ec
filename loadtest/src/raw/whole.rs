//! Whole WebSocket frames out of a stream that comes in pieces ([`super::frames`] only counts them).
//! A frame that lies in one piece is handed on without a copy.

/// Keeps what is there of a frame that is not complete.
#[derive(Debug, Default)]
pub struct Whole {
    rest: Vec<u8>,
}

impl Whole {
    /// Takes a piece; `seen` gets opcode and payload of every frame that is complete.
    pub fn feed(&mut self, bytes: &[u8], mut seen: impl FnMut(u8, &[u8])) {
        if self.rest.is_empty() {
            let used = take(bytes, &mut seen);
            self.rest.extend_from_slice(&bytes[used..]);
            return;
        }
        self.rest.extend_from_slice(bytes);
        let used = take(&self.rest, &mut seen);
        self.rest.drain(..used);
        if self.rest.is_empty() {
            self.rest = Vec::new(); // thousands of sessions: none keeps room for its largest frame
        }
    }

    /// What is there of a frame that is not complete.
    #[must_use]
    pub fn into_rest(self) -> Vec<u8> {
        self.rest
    }
}

/// Hands on all complete frames; how many bytes they take.
fn take(bytes: &[u8], seen: &mut impl FnMut(u8, &[u8])) -> usize {
    let mut at = 0;
    while let Some((opcode, header, payload)) = parse(&bytes[at..]) {
        let begin = at + header;
        let Some(body) = bytes.get(begin..begin.saturating_add(payload)) else { break };
        seen(opcode, body);
        at = begin + payload;
    }
    at
}

/// Opcode, bytes of the header, bytes of the payload. Servers do not mask.
fn parse(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (opcode, short) = (bytes.first()? & 15, bytes.get(1)? & 127);
    let long = |range: std::ops::Range<usize>| {
        let digits = bytes.get(range)?.iter();
        usize::try_from(digits.fold(0, |n, &byte| n << 8 | u64::from(byte))).ok()
    };
    Some(match short {
        126 => (opcode, 4, long(2..4)?),
        127 => (opcode, 10, long(2..10)?),
        _ => (opcode, 2, usize::from(short)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::frames::{PING, TEXT, header};

    #[test]
    fn frames_come_whole_out_of_pieces_of_any_size() {
        let lengths = [0, 5, 125, 126, 300, 65_535, 65_536];
        let mut stream = Vec::new();
        for len in lengths {
            stream.extend(header(TEXT, len));
            stream.extend((0..len).map(|i| u8::try_from(i % 251).unwrap()));
        }
        stream.extend(header(PING, 3));
        stream.extend(b"hey");
        stream.extend([0x81, 126, 1]);
        for piece in [1, 2, 3, 7, 1000, stream.len()] {
            let mut whole = Whole::default();
            let mut seen = Vec::new();
            for bytes in stream.chunks(piece) {
                whole.feed(bytes, |opcode, body| seen.push((opcode, body.to_vec())));
            }
            assert_eq!(seen.pop(), Some((PING, b"hey".to_vec())), "pieces of {piece}");
            assert!(seen.iter().map(|(_, body)| body.len()).eq(lengths), "pieces of {piece}");
            assert_eq!(seen[4].1[299], 48);
            assert_eq!(whole.into_rest(), [0x81, 126, 1]);
        }
    }
}
