//! Messages through everybody's session: in each room its members take turns to send, and each
//! message goes to all of them. Some hundred are under way at one time, which no queue notices.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use crate::{
    ids::Id,
    raw::{Reader, Tally},
    rooms::Room,
    times,
};

/// Messages that are under way at one time.
const AT_ONCE: usize = 200;

/// Bytes of text in a message: more than any frame has that is not an event with one.
const BYTES: usize = 300;

/// Longest wait for messages to be everywhere.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends `messages` through each room and waits until all of them are with all members.
///
/// # Errors
/// When one can't be sent or doesn't get everywhere.
pub async fn pass(
    readers: &[Reader],
    rooms: &[Room],
    ids: &[Id],
    tally: &Tally,
    messages: usize,
) -> anyhow::Result<()> {
    tally.least.set(BYTES as u64);
    tally.frames.set(0);
    let text = "x".repeat(BYTES);
    let mut expected = 0;
    for turn in 0..messages {
        let rooms: Vec<(&Room, &Id)> = rooms.iter().zip(ids).collect();
        for some in rooms.chunks(AT_ONCE) {
            for (room, id) in some {
                let params = json!({
                    "conversation": id, "client_id": times::new_id(),
                    "content": {"type": "text", "text": text},
                });
                let request =
                    json!({"jsonrpc": "2.0", "id": 2, "method": "message.send", "params": params});
                let sender = sender(room, turn);
                readers[sender].send(&request.to_string()).await.context("sending")?;
                expected += room.members().count() as u64;
            }
            tally.wait(expected, PATIENCE).await?;
        }
    }
    Ok(())
}

/// Whose turn it is in a room.
fn sender(room: &Room, turn: usize) -> usize {
    let size = room.members().count();
    room.members().nth(turn % size).unwrap_or(room.maker)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms;

    #[test]
    fn members_take_turns() {
        let room = &rooms::plan(10, 1, 10)[0];
        let mut senders: Vec<usize> = (0..10).map(|turn| sender(room, turn)).collect();
        assert_eq!(sender(room, 10), senders[0]);
        senders.sort_unstable();
        assert_eq!(senders, (0..10).collect::<Vec<_>>());
    }
}
