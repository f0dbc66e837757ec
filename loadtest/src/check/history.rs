//! A conversation's history as a member reads it, and who was a member when.

use std::collections::HashMap;

use anyhow::Context as _;
use serde_json::Value;

use crate::ids::Id;

/// An event as the server gave it, with the fields that all events have.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its place.
    pub seq: u64,
    /// When, milliseconds since 1970.
    pub at: u64,
    /// Who.
    pub sender: Id,
    /// From which device.
    pub device: Id,
    /// The device's id for the request.
    pub client_id: Id,
    /// All of it.
    pub value: Value,
}

impl Event {
    /// Reads an event.
    ///
    /// # Errors
    /// When it isn't one.
    pub fn new(value: Value) -> anyhow::Result<Self> {
        let id = |name: &str| {
            let text = value[name].as_str().with_context(|| format!("{name} in {value}"))?;
            text.parse::<Id>().with_context(|| format!("{name} in {value}"))
        };
        let (sender, device, client_id) = (id("sender")?, id("device")?, id("client_id")?);
        let seq = value["seq"].as_u64().with_context(|| format!("seq in {value}"))?;
        let at = value["at"].as_str().and_then(millis).with_context(|| format!("at in {value}"))?;
        Ok(Self { seq, at, sender, device, client_id, value })
    }

    /// A field that is a word.
    #[must_use]
    pub fn word(&self, name: &str) -> &str {
        self.value[name].as_str().unwrap_or_default()
    }

    /// A field that is a list of users.
    #[must_use]
    pub fn users(&self, name: &str) -> Vec<Id> {
        let list = self.value[name].as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(|user| user.as_str()?.parse().ok()).collect()
    }
}

/// `2026-11-22T09:00:00.123Z` as milliseconds since 1970; nothing but UTC is expected.
#[must_use]
pub fn millis(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut clock = clock.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let millis: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    // Days from civil: years begin in March, so that the leap day is the last.
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    u64::try_from(seconds * 1000 + millis).ok()
}

/// A conversation's history.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// As the first member read it.
    pub events: Vec<Event>,
    /// As another one did.
    pub again: Option<Vec<Event>>,
    /// The newest sequence, as told with the last page.
    pub head: u64,
}

impl History {
    /// The event at a sequence.
    #[must_use]
    pub fn at(&self, seq: u64) -> Option<&Event> {
        let index = usize::try_from(seq.checked_sub(1)?).ok()?;
        let event = self.events.get(index).filter(|event| event.seq == seq);
        // With a hole in the history, which is a breach of its own, the place doesn't tell.
        event.or_else(|| self.events.iter().find(|event| event.seq == seq))
    }

    /// When each user was a member: first sequence, and the last one if it ended.
    #[must_use]
    pub fn spans(&self) -> HashMap<Id, Vec<(u64, Option<u64>)>> {
        let mut spans: HashMap<Id, Vec<(u64, Option<u64>)>> = HashMap::new();
        for event in &self.events {
            match (event.word("kind"), event.word("action")) {
                ("conversation", _) if event.seq == 1 => {
                    let members = event.users("members");
                    members.into_iter().for_each(|u| spans.entry(u).or_default().push((1, None)));
                }
                ("member", "added") => {
                    for user in event.users("users") {
                        spans.entry(user).or_default().push((event.seq, None));
                    }
                }
                ("member", "removed") => {
                    event.users("users").iter().for_each(|u| end(&mut spans, u, event.seq));
                }
                ("member", "left") => end(&mut spans, &event.sender, event.seq),
                _ => {}
            }
        }
        spans
    }
}

fn end(spans: &mut HashMap<Id, Vec<(u64, Option<u64>)>>, user: &Id, seq: u64) {
    if let Some(span) = spans.get_mut(user).and_then(|spans| spans.last_mut()) {
        span.1 = Some(seq);
    }
}

/// All conversations.
pub type Histories = HashMap<Id, History>;

#[cfg(test)]
mod tests {
    use super::millis;

    #[test]
    fn timestamps() {
        assert_eq!(millis("1970-01-01T00:00:00.000Z"), Some(0));
        assert_eq!(millis("2026-11-22T09:00:00.123Z"), Some(1_795_338_000_123));
        assert_eq!(millis("2024-02-29T23:59:59.9Z"), Some(1_709_251_199_900));
        assert_eq!(millis("2000-03-01T00:00:00Z"), Some(951_868_800_000));
        assert_eq!(millis("2026-11-22 09:00:00"), None);
    }
}
