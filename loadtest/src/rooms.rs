//! Rooms for measurements: who is in which, and making them on the server. `idle`, `ramp` and
//! `sync` put everybody into the same number of rooms.

use anyhow::{Context as _, bail};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::json;

use crate::{
    ids::Id,
    times,
    wire::{caller::Caller, token::Account},
};

/// Members of a room where nothing else is asked for.
pub const ROOM: usize = 10;

/// Users named in one request at most, as the protocol has it.
pub const USERS_PER_REQUEST: usize = 1_000;

/// Users who make their rooms at the same time.
const AT_ONCE: usize = 16;

/// A room: its members' places in the list of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Makes it, and is a member.
    pub maker: usize,
    /// The other members.
    pub others: Vec<usize>,
}

impl Room {
    /// All members' places.
    pub fn members(&self) -> impl Iterator<Item = usize> {
        self.others.iter().copied().chain([self.maker])
    }
}

/// Rooms of `size` for `users`: everybody is in `layers` of them, each time with others where
/// there are enough. The last room of a layer may be smaller.
#[must_use]
pub fn plan(users: usize, layers: usize, size: usize) -> Vec<Room> {
    let mut rooms = Vec::new();
    for layer in 0..layers {
        let stride = (0..).map(|i| layer * 7 + 1 + i).find(|&s| is_coprime(s, users)).unwrap_or(1);
        let order: Vec<usize> = (0..users).map(|i| i * stride % users).collect();
        for room in order.chunks(size.max(1)) {
            // The maker differs from layer to layer, so that the work is spread.
            let maker = room[layer % room.len()];
            let others = room.iter().copied().filter(|&user| user != maker).collect();
            rooms.push(Room { maker, others });
        }
    }
    rooms
}

fn is_coprime(mut a: usize, mut b: usize) -> bool {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a == 1
}

/// Makes the rooms, each with `also` as members besides its own; gives their ids in the same order.
///
/// # Errors
/// When one can't be made.
pub async fn make(
    url: &str,
    accounts: &[Account],
    rooms: &[Room],
    also: &[Id],
) -> anyhow::Result<Vec<Id>> {
    let largest = rooms.iter().map(|room| room.others.len() + also.len()).max().unwrap_or(0);
    if largest > USERS_PER_REQUEST {
        bail!(
            "a room is made with {USERS_PER_REQUEST} others at most, not {largest}: ask for fewer"
        );
    }
    let mut work = vec![Vec::new(); accounts.len()];
    rooms.iter().enumerate().for_each(|(at, room)| work[room.maker].push(at));
    let makers = work.into_iter().enumerate().filter(|(_, work)| !work.is_empty());
    let made = makers.map(|(maker, work)| async move {
        let mut caller = Caller::start(url, &accounts[maker]).await?;
        let mut ids = Vec::with_capacity(work.len());
        for at in work {
            let others = rooms[at].others.iter().map(|&place| accounts[place].user);
            ids.push((at, create(&mut caller, others.chain(also.iter().copied())).await?));
        }
        caller.close().await;
        anyhow::Ok(ids)
    });
    let made: Vec<Vec<(usize, Id)>> =
        futures_util::stream::iter(made).buffer_unordered(AT_ONCE).try_collect().await?;
    let mut made: Vec<(usize, Id)> = made.into_iter().flatten().collect();
    made.sort_unstable();
    Ok(made.into_iter().map(|(_, id)| id).collect())
}

async fn create(caller: &mut Caller, members: impl Iterator<Item = Id>) -> anyhow::Result<Id> {
    let members: Vec<Id> = members.collect();
    let params = json!({
        "client_id": times::new_id(), "kind": "group", "title": "measured", "members": members,
    });
    let made = caller.ask("conversation.create", params).await.context("making a room")?;
    let id = made["conversation"].as_str().context("a room without an id")?;
    Ok(id.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times_in_rooms(users: usize, rooms: &[Room]) -> Vec<usize> {
        let mut times = vec![0; users];
        rooms.iter().flat_map(Room::members).for_each(|user| times[user] += 1);
        times
    }

    #[test]
    fn everybody_is_in_as_many_rooms() {
        let rooms = plan(100, 10, ROOM);
        assert!(rooms.iter().all(|room| room.others.len() == ROOM - 1));
        assert!(times_in_rooms(100, &rooms).iter().all(|&n| n == 10));
        assert_ne!(rooms[0].members().collect::<Vec<_>>(), rooms[10].members().collect::<Vec<_>>());
    }

    #[test]
    fn few_users_share_all_rooms() {
        let rooms = plan(7, 20, 300);
        assert_eq!(rooms.len(), 20);
        assert!(times_in_rooms(7, &rooms).iter().all(|&n| n == 20));
        let makers: std::collections::HashSet<_> = rooms.iter().map(|room| room.maker).collect();
        assert!(makers.len() > 2, "the work is spread");
    }

    #[test]
    fn a_rest_has_a_room_of_its_own() {
        let rooms = plan(25, 2, 10);
        assert_eq!(rooms.len(), 6);
        assert!(times_in_rooms(25, &rooms).iter().all(|&n| n == 2));
    }
}
