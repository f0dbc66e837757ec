//! Verifying finds every kind of damage. Each is a lie about one row of a store or a log that is
//! well, so that the finding can be of nothing else.

use harkara_domain::{
    Body, Command, Content, ConversationId, Cursor, Event, Hash, Partition, Record, chain,
};
use harkara_protocol::record as wire;

use super::{
    faulty::{Faulty, FaultyLog},
    world::{Dir, PARTITIONS, create, group, quiet, record, run, text, user},
};
use crate::moving::verify::{Report, verify};

/// Six messages, a removal, a return, a refusal, a repeat.
async fn small() -> Dir {
    let dir = Dir::new();
    let mut records: Vec<Record> = vec![create(0, &[1, 2]), create(1, &[3])];
    records.extend((1..=4).map(|n| record(group(0), 1, n, text("hello", None))));
    records.push(record(group(0), 0, 5, Command::Remove { users: vec![user(2)] }));
    records.push(record(group(0), 2, 6, text("let me in", None)));
    records.push(record(group(0), 1, 4, text("hello", None)));
    records.push(record(group(0), 1, 7, text("last", None)));
    dir.append(&records).await;
    dir.settle().await;
    let cursors = vec![(user(0), Cursor { seq: 3, ordinal: 2 })];
    dir.embedded.store().advance(group(0), cursors).await.expect("written");
    let report = dir.verify().await;
    assert!(report.is_well(), "{:?}", report.findings());
    let counts = report.counts();
    assert_eq!((counts.conversations, counts.events, counts.cursors), (2, 8, 1));
    assert_eq!((counts.caused_rejections, counts.repeats, counts.inbox), (1, 1, 6));
    dir
}

/// Verifies with a lie about the store; the findings.
async fn told(dir: &Dir, lie: impl FnOnce(&mut Faulty)) -> Vec<String> {
    let mut store = Faulty::new(dir.embedded.store_scan());
    lie(&mut store);
    let report: Report = verify(&store, &*dir.embedded.log_scan(), &quiet()).await.expect("reads");
    assert_eq!(report.is_well(), report.findings().is_empty());
    report.findings()
}

/// Verifies with a lie about the first group's events.
async fn told_events(
    dir: &Dir,
    lie: impl Fn(&mut Vec<Event>) + Send + Sync + 'static,
) -> Vec<String> {
    told(dir, |store| {
        store.events = Box::new(move |(id, mut events): (ConversationId, Vec<Event>)| {
            if id == group(0) {
                lie(&mut events);
            }
            (id, events)
        });
    })
    .await
}

fn has(findings: &[String], what: &str) {
    assert!(findings.iter().any(|finding| finding.contains(what)), "{what}: {findings:?}");
}

#[test]
fn events_that_are_missing_swapped_or_altered_are_found() {
    run(async {
        let dir = small().await;
        let found = told_events(&dir, |events| events.retain(|e| e.seq != 3)).await;
        has(&found, "sequence_is_gapless: after event 2 comes 4");
        has(&found, "has neither an event nor a rejection");
        // The newest one: only others know of it.
        let found = told_events(&dir, |events| events.retain(|e| e.seq != 7)).await;
        has(&found, "has neither an event nor a rejection");
        let found = told_events(&dir, |events| {
            if events.len() > 3 {
                events.swap(2, 3);
            }
        })
        .await;
        has(&found, "sequence_is_gapless: after event 2 comes 4");
        let found = told_events(&dir, |events| other_content(events, 3)).await;
        has(&found, "chain_is_unbroken");
        has(&found, "asks for something else than event 3 says");
        let found = told_events(&dir, |events| events.clear()).await;
        has(&found, "has neither an event nor a rejection");
    });
}

fn other_content(events: &mut [Event], seq: u64) {
    for event in events.iter_mut().filter(|event| event.seq == seq) {
        if let Body::Message { content, .. } = &mut event.body {
            *content = Content::from_canonical(bytes::Bytes::from_static(b"{\"text\":\"bye\"}"));
        }
    }
}

/// A history that was forged with its chain: only the log knows.
#[test]
fn a_forged_history_disagrees_with_the_log() {
    run(async {
        let dir = small().await;
        let found = told_events(&dir, |events| {
            other_content(events, 3);
            forge(events);
        })
        .await;
        has(&found, "asks for something else than event 3 says");
        assert!(found.iter().all(|f| !f.contains("chain_is_unbroken")), "{found:?}");
        let found = told_events(&dir, |events| {
            for event in events.iter_mut().filter(|event| event.seq >= 3) {
                event.at += 60_000;
            }
            forge(events);
        })
        .await;
        has(&found, "comes to another event 3");
    });
}

fn forge(events: &mut [Event]) {
    let mut before = chain::start(group(0));
    for event in events {
        if let Body::Message { content, reply_to, salt } = &event.body {
            let (content, reply_to, salt) = (content.clone(), *reply_to, *salt);
            event.fingerprint = Command::Send { content, reply_to, salt }.fingerprint();
        }
        event.chain = chain::link(before, event);
        before = event.chain;
    }
}

#[test]
fn what_the_chain_does_not_cover_is_found() {
    run(async {
        let dir = small().await;
        let one = |lie: fn(&mut Event)| {
            move |events: &mut Vec<Event>| {
                events.iter_mut().filter(|event| event.seq == 3).for_each(lie);
            }
        };
        let found = told_events(&dir, one(|event| event.ordinal += 1)).await;
        has(&found, "event 3 has ordinal 3, it is message 2");
        let found = told_events(&dir, one(|event| event.position.offset += 1_000)).await;
        has(&found, "and the log ends at");
        let found = told_events(&dir, one(|event| event.position.offset = 0)).await;
        has(&found, "was caused by a record before that of the row before");
        let found = told_events(&dir, one(|event| event.position.generation.0 += 1)).await;
        has(&found, "comes from a later log");
        let found = told_events(&dir, one(|event| event.fingerprint.0[0] ^= 1)).await;
        has(&found, "another fingerprint than its body");
    });
}

#[test]
fn wrong_lists_are_found() {
    run(async {
        let dir = small().await;
        let found = told(&dir, |store| {
            store.membership =
                Box::new(|row| row.filter(|m| m.user != user(1) || m.conversation != group(0)));
        })
        .await;
        has(&found, "has no row, its events come to \"present\" by event 1");
        has(&found, "of which their list knows nothing");
        let found = told(&dir, |store| {
            store.membership = Box::new(|row| {
                row.map(|mut m| {
                    m.present |= m.user == user(2);
                    m
                })
            });
        })
        .await;
        has(&found, "\"present\" by event 6, its events come to \"not any more\" by event 6");
        let found = told(&dir, |store| {
            store.memberships = Box::new(|mut rows| {
                rows.extend(rows.first().copied().map(|mut row| {
                    row.user = user(7);
                    row
                }));
                rows
            });
        })
        .await;
        has(&found, "that event did not do it");
    });
}

#[test]
fn wrong_snapshots_cursors_and_rejections_are_found() {
    run(async {
        let dir = Dir::full(31).await;
        assert!(dir.verify().await.counts().snapshots > 3);
        let found = told(&dir, |store| {
            store.snapshot = Box::new(|state| {
                state.map(|mut state| {
                    state.members.pop_first();
                    state
                })
            });
        })
        .await;
        has(&found, "is not what its events come to (other members)");
        let found = told(&dir, |store| {
            store.snapshot = Box::new(|state| {
                state.map(|mut state| {
                    state.chain = Hash([0; 32]);
                    state
                })
            });
        })
        .await;
        has(&found, "another chain");
        let found = told(&dir, |store| {
            store.snapshot = Box::new(|state| {
                state.map(|mut state| {
                    state.rejections.pop_back();
                    state
                })
            });
        })
        .await;
        has(&found, "(other rejections)");

        let dir = small().await;
        let found = told(&dir, |store| store.rejections = Box::new(|_| Vec::new())).await;
        has(&found, "has no rejection");
        let found = told(&dir, |store| {
            store.cursors = Box::new(|_| vec![(user(1), Cursor { seq: 99, ordinal: 98 })]);
        })
        .await;
        has(&found, "has read event 99");
        let found = told(&dir, |store| {
            store.cursors = Box::new(|_| vec![(user(1), Cursor { seq: 1, ordinal: 1 })]);
        })
        .await;
        has(&found, "at event 1 has ordinal 1 for 0");
    });
}

#[test]
fn a_log_that_lost_or_changed_a_record_is_found() {
    run(async {
        let dir = small().await;
        let at = Partition::of(group(0), PARTITIONS);
        let events = dir.events(group(0)).await;
        let offset = events[3].position.offset;
        let lost = move |(partition, mut entries): (Partition, Vec<harkara_engine::Entry>)| {
            entries.retain(|entry| partition != at || entry.offset != offset);
            (partition, entries)
        };
        let found = told_log(&dir, Box::new(lost)).await;
        has(
            &found,
            &format!("event 4 comes from the record at {at}/{offset}, and it is not there"),
        );
        let other = wire::encode(&record(group(0), 1, 555, text("hello", None)));
        let changed = move |(partition, mut entries): (Partition, Vec<harkara_engine::Entry>)| {
            let of = |e: &&mut harkara_engine::Entry| partition == at && e.offset == offset;
            entries.iter_mut().filter(of).for_each(|entry| entry.record = other.clone());
            (partition, entries)
        };
        let found = told_log(&dir, Box::new(changed)).await;
        has(&found, "is another request than event 4, which names it");
    });
}

type Lie = Box<
    dyn Fn((Partition, Vec<harkara_engine::Entry>)) -> (Partition, Vec<harkara_engine::Entry>)
        + Send
        + Sync,
>;

async fn told_log(dir: &Dir, entries: Lie) -> Vec<String> {
    let log = FaultyLog { entries, ..FaultyLog::since(dir.embedded.log_scan(), 0) };
    let report = verify(&*dir.embedded.store_scan(), &log, &quiet()).await.expect("reads");
    report.findings()
}

#[test]
fn findings_are_bounded_and_counted() {
    run(async {
        let dir = Dir::full(32).await;
        let mut store = Faulty::new(dir.embedded.store_scan());
        store.events = Box::new(|(id, _)| (id, Vec::new()));
        let report = verify(&store, &*dir.embedded.log_scan(), &quiet()).await.expect("reads");
        assert_eq!(report.findings().len(), 100);
        assert!(report.counts().findings > 100);
        let mut text = Vec::new();
        report.write(&mut text, false).expect("written");
        let text = String::from_utf8(text).expect("text");
        assert!(text.contains(" more\n") && text.ends_with("findings: see above\n"), "{text}");
        let mut json = Vec::new();
        report.write(&mut json, true).expect("written");
        let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        assert_eq!(json["well"], false);
        assert_eq!(json["counts"]["findings"], report.counts().findings);
    });
}
