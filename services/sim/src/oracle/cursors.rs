//! Read cursors: what was answered stays, and unread counts are the truth.

use std::{collections::BTreeMap, rc::Rc};

use harkara_domain::{Body, ConversationId, Seq, UserId, invariants::CURSOR_IS_MONOTONIC};

use super::{
    Breach,
    history::{History, Stored},
};
use crate::device::{Device, witness::Saw};

/// Checks all devices together: a user's devices move one cursor.
#[must_use]
pub fn check(devices: &[Rc<Device>], stored: &Stored) -> Vec<Breach> {
    let mut answered: BTreeMap<(UserId, ConversationId), Vec<(u64, Seq)>> = BTreeMap::new();
    for device in devices {
        for (number, saw) in device.witness.notes().iter() {
            if let Saw::Advanced(conversation, seq) = saw {
                let key = (device.who.user, *conversation);
                answered.entry(key).or_default().push((*number, *seq));
            }
        }
    }
    let mut breaches = Vec::new();
    for device in devices {
        let mut opened = 0;
        for (number, saw) in device.witness.notes().iter() {
            match saw {
                Saw::Opened => opened = *number,
                Saw::Entry { conversation, read, head, unread, .. } => {
                    let key = (device.who.user, *conversation);
                    let before = answered.get(&key).into_iter().flatten();
                    let before = before.filter(|(number, _)| *number < opened);
                    let least = before.map(|(_, seq)| *seq).max().unwrap_or(0);
                    let history = stored.histories.get(conversation);
                    let truth = history.map(|history| unread_after(history, *read, *head));
                    if *read < least {
                        breaches.push(breach(
                            device,
                            *conversation,
                            &format!("{least} was read, and then only {read}"),
                        ));
                    }
                    if truth.is_some_and(|truth| truth != *unread) {
                        breaches.push(breach(
                            device,
                            *conversation,
                            &format!(
                                "{unread} unread between {read} and {head}, the truth is {truth:?}"
                            ),
                        ));
                    }
                }
                _ => {}
            }
        }
    }
    breaches
}

fn breach(device: &Device, conversation: ConversationId, what: &str) -> Breach {
    let what = format!("device {}, {conversation}: {what}", device.who.number);
    Breach::of(CURSOR_IS_MONOTONIC.name, what)
}

/// Messages behind a cursor.
fn unread_after(history: &History, read: Seq, head: Seq) -> u64 {
    let behind = history.events.iter().filter(|event| event.seq > read && event.seq <= head);
    behind.filter(|event| matches!(event.body, Body::Message { .. })).count() as u64
}
