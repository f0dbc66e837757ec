//! Messages as the log and the store get them: as long as ours, and as compressible. What is the
//! same in many records of ours (tenant, room, sender, device, the filling of the load test's
//! texts) is the same here, what is drawn by chance (client id, salt, hashes) differs here.
//!
//! The engines' own tests hold the lengths against those of real records and events.

const TENANT: [u8; 16] = [0x11; 16];

/// Senders of a room.
const MEMBERS: u64 = 10;

/// Milliseconds since 1970 of the first one.
const START: u64 = 1_800_000_000_000;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The place of its room in the list of rooms.
    pub room: usize,
    /// The room's id.
    pub conversation: [u8; 16],
    /// Its sequence in the room, from 1.
    pub seq: u64,
    /// What the log keeps.
    pub record: Vec<u8>,
    /// What the store keeps.
    pub event: Vec<u8>,
}

/// Makes messages, for one room after the other.
#[derive(Debug)]
pub struct Messages {
    text: usize,
    rooms: usize,
    seed: u64,
    made: u64,
    drawn: u64,
}

impl Messages {
    /// With texts of so many bytes, in so many rooms.
    #[must_use]
    pub fn new(text: usize, rooms: usize) -> Self {
        Self { text, rooms: rooms.max(1), seed: 0, made: 0, drawn: 0 }
    }

    /// Other rooms and ids than those that another `seed` makes.
    #[must_use]
    pub const fn seeded(mut self, seed: u64) -> Self {
        self.seed = mixed(seed);
        self
    }

    /// The next one.
    pub fn make(&mut self) -> Message {
        let number = self.made;
        self.made += 1;
        let rooms = self.rooms as u64;
        let (room, seq) = (number % rooms, number / rooms + 1);
        let conversation = id(self.seed, room);
        let sender = id(self.seed, rooms + room * MEMBERS + seq % MEMBERS);
        let device = sender.map(|byte| !byte);
        let mut client_id: [u8; 16] = self.draw();
        client_id[..6].copy_from_slice(&(START + number).to_be_bytes()[2..]);
        let salt: [u8; 16] = self.draw();
        let at = [&[253][..], &(START + number).to_le_bytes()].concat();
        let content = self.content(number);
        let record = [
            &[1, 1],
            &TENANT[..],
            &conversation,
            &sender,
            &device,
            &client_id,
            &at,
            &[6],
            &content,
            &[0],
            &salt,
        ]
        .concat();
        let (fingerprint, chain): ([u8; 8], [u8; 32]) = (self.draw(), self.draw());
        let event = [
            &[1][..],
            &TENANT,
            &varint(seq),
            &at,
            &sender,
            &device,
            &client_id,
            &fingerprint,
            &[253],
            &(START << 20).to_le_bytes(),
            &varint(number),
            &chain,
            &[6],
            &content,
            &[0],
            &salt,
        ]
        .concat();
        let room = usize::try_from(room).unwrap_or(0);
        Message { room, conversation, seq, record, event }
    }

    /// Text as the load test makes it, in its canonical form, with its length in front.
    fn content(&self, number: u64) -> Vec<u8> {
        let stamp = format!("~{number:020}.{number:010}~");
        let text = format!("{stamp:x<width$.width$}", width = self.text);
        let json = format!("{{\"text\":\"{text}\",\"type\":\"text\"}}");
        [varint(json.len() as u64), json.into_bytes()].concat()
    }

    fn draw<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for piece in bytes.chunks_mut(8) {
            self.drawn += 1;
            let drawn = mixed(self.seed ^ self.drawn).to_le_bytes();
            piece.copy_from_slice(&drawn[..piece.len()]);
        }
        bytes
    }
}

fn id(seed: u64, number: u64) -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&mixed(seed ^ number << 24).to_le_bytes());
    id[8..].copy_from_slice(&mixed(!seed ^ number << 24).to_le_bytes());
    id
}

/// The finalizer of SplitMix64: numbers that look drawn, always the same ones.
const fn mixed(number: u64) -> u64 {
    let x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Numbers as bincode writes them.
fn varint(number: u64) -> Vec<u8> {
    let bytes = number.to_le_bytes();
    match number {
        0..=250 => vec![bytes[0]],
        251..=0xffff => [&[251], &bytes[..2]].concat(),
        0x1_0000..=0xffff_ffff => [&[252], &bytes[..4]].concat(),
        _ => [&[253], &bytes[..]].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_take_turns_and_keep_their_ids() {
        let mut messages = Messages::new(200, 3).seeded(7);
        let made: Vec<Message> = (0..7).map(|_| messages.make()).collect();
        let places: Vec<(usize, u64)> = made.iter().map(|m| (m.room, m.seq)).collect();
        assert_eq!(places, [(0, 1), (1, 1), (2, 1), (0, 2), (1, 2), (2, 2), (0, 3)]);
        assert_eq!(made[0].conversation, made[3].conversation);
        assert_ne!(made[0].conversation, made[1].conversation);
        assert_ne!(made[0].record, made[3].record);
        let other = Messages::new(200, 3).seeded(8).make();
        assert_ne!(other.conversation, made[0].conversation);
    }
}
