//! What must not go back, looked at over all devices of a user: read cursors that were answered, and
//! the head of a conversation at the start of a session. Unread counts are the truth.

use std::{collections::BTreeMap, rc::Rc};

use harkara_domain::{Body, ConversationId, Seq, UserId, invariants::CURSOR_IS_MONOTONIC};
use harkara_fanout::conversation::view;

use super::{
    Breach,
    history::{History, Stored},
};
use crate::{
    device::{Device, witness::Saw},
    engine::store::tables::Rows,
};

type Key = (UserId, ConversationId);

/// What users were told, with the number of the note, by conversation.
#[derive(Default)]
struct Told {
    /// Read cursors that are written.
    answered: BTreeMap<Key, Vec<(u64, Seq)>>,
    /// Events that stand.
    seen: BTreeMap<Key, Vec<(u64, Seq)>>,
}

impl Told {
    fn of(devices: &[Rc<Device>]) -> Self {
        let mut told = Self::default();
        for device in devices {
            let user = device.who.user;
            for note in device.witness.notes().iter() {
                let (kind, conversation, seq) = match note.saw {
                    Saw::Advanced(conversation, seq) => (&mut told.answered, conversation, seq),
                    Saw::Event(conversation, seq, _) | Saw::Settled(conversation, _, seq) => {
                        (&mut told.seen, conversation, seq)
                    }
                    _ => continue,
                };
                kind.entry((user, conversation)).or_default().push((note.number, seq));
            }
        }
        told
    }
}

/// The most that was told before a note.
fn most(told: &BTreeMap<Key, Vec<(u64, Seq)>>, key: Key, before: u64) -> Seq {
    let told = told.get(&key).into_iter().flatten();
    told.filter(|(number, _)| *number < before).map(|(_, seq)| *seq).max().unwrap_or(0)
}

/// Checks all devices together: a user's devices move one cursor.
#[must_use]
pub fn check(devices: &[Rc<Device>], stored: &Stored, rows: &Rows) -> Vec<Breach> {
    let told = Told::of(devices);
    let mut breaches = Vec::new();
    for (key, answered) in &told.answered {
        let (user, conversation) = *key;
        let answered = answered.iter().map(|(_, seq)| *seq).max().unwrap_or(0);
        let cursor = rows.cursors.get(&(conversation, user)).copied().unwrap_or_default();
        let history = stored.histories.get(&conversation);
        let read = history.and_then(|h| view::read(&h.state, &[(user, cursor)].into(), user));
        // Who is no member any more has none.
        let Some(is) = read.map(|cursor| cursor.seq) else { continue };
        if is < answered {
            let what = format!("{conversation}: {user} read {answered}, and stored is {is}");
            breaches.push(Breach::of(CURSOR_IS_MONOTONIC.name, what));
        }
    }
    for device in devices {
        let mut opened = 0;
        for note in device.witness.notes().iter() {
            match note.saw {
                Saw::Opened => opened = note.number,
                Saw::Entry { conversation, read, head, unread, .. } => {
                    let key = (device.who.user, conversation);
                    let mut breach = |what: &str| {
                        let what = format!("device {}, {conversation}: {what}", device.who.number);
                        breaches.push(Breach::of(CURSOR_IS_MONOTONIC.name, what));
                    };
                    let least = most(&told.answered, key, opened);
                    if read < least {
                        breach(&format!("{least} was read, and then only {read}"));
                    }
                    let least = most(&told.seen, key, opened);
                    if head < least {
                        breach(&format!("{least} was there, and then only {head}"));
                    }
                    let history = stored.histories.get(&conversation);
                    let truth = history.map(|history| unread_after(history, read, head));
                    if truth.is_some_and(|truth| truth != unread) {
                        let between = format!("{unread} unread between {read} and {head}");
                        breach(&format!("{between}, the truth is {truth:?}"));
                    }
                }
                _ => {}
            }
        }
    }
    breaches
}

/// Messages behind a cursor.
fn unread_after(history: &History, read: Seq, head: Seq) -> u64 {
    let behind = history.events.iter().filter(|event| event.seq > read && event.seq <= head);
    behind.filter(|event| matches!(event.body, Body::Message { .. })).count() as u64
}
