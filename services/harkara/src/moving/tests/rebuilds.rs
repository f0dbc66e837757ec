//! Rebuilding from the log: whatever a store lost comes back the same, as far as the log reaches,
//! and what it does not reach is said and left alone. The log is one directory's, the store another
//! one that was given some of the rows: a backup, or what a disaster left.

use std::{collections::BTreeMap, sync::Arc};

use harkara_domain::{
    ConversationId, Cursor, Event, Membership, Partition, Position, Rejection, Seq, State, UserId,
};
use harkara_engine::{LogScan, store::Step};
use harkara_fanout::inbox;

use super::{
    faulty::{Faulty, FaultyLog},
    world::{
        Dice, Dir, PARTITIONS, Picture, TENANT, config, create, group, quiet, record, run, text,
    },
};
use crate::moving::{
    rebuild::{Report, held::Held, rebuild},
    verify::verify,
};

/// All rows of a conversation.
#[derive(Clone, Default)]
struct Rows {
    events: Vec<Event>,
    rejections: Vec<Rejection>,
    snapshot: Option<State>,
    lists: Vec<Membership>,
    cursors: Vec<(UserId, Cursor)>,
}

/// What a store holds, and the directory whose log it belongs to.
struct Backup {
    rows: BTreeMap<ConversationId, Rows>,
}

impl Backup {
    async fn of(dir: &Dir) -> Self {
        let store = dir.embedded.store_scan();
        let mut rows = BTreeMap::new();
        for id in store.all_conversations(None, 1_000).await.expect("reads").rows {
            let one = Rows {
                events: dir.events(id).await,
                rejections: store.rejections(id, None).await.expect("reads"),
                snapshot: store.snapshot(id).await.expect("reads"),
                lists: Vec::new(),
                cursors: store.cursors(id).await.expect("reads"),
            };
            rows.insert(id, one);
        }
        let nobody = group(99);
        let rejections = store.rejections(nobody, None).await.expect("reads");
        rows.insert(nobody, Rows { rejections, ..Rows::default() });
        for row in store.all_memberships(None, 1_000).await.expect("reads").rows {
            rows.get_mut(&row.conversation).expect("it has events").lists.push(row);
        }
        Self { rows }
    }

    /// As it was when the log stood there, all tables alike.
    fn at(mut self, until: impl Fn(Partition) -> u64) -> Self {
        for (id, rows) in &mut self.rows {
            let until = until(Partition::of(*id, PARTITIONS));
            let before = |position: Position| position.offset < until;
            rows.events.retain(|event| before(event.position));
            rows.rejections.retain(|rejection| before(rejection.position));
            rows.snapshot = rows.snapshot.take().filter(|state| state.applied.is_some_and(before));
            rows.lists = lists(*id, &rows.events);
            let head = rows.events.len() as Seq;
            rows.cursors.retain(|(_, cursor)| cursor.seq <= head);
        }
        self
    }

    /// With a change to one conversation.
    fn but(mut self, id: ConversationId, change: impl FnOnce(&mut Rows)) -> Self {
        change(self.rows.get_mut(&id).expect("there"));
        self
    }

    /// Into a directory of its own.
    async fn restored(self) -> Dir {
        let dir = Dir::new();
        let store = dir.embedded.store();
        for (id, rows) in self.rows {
            let Rows { events, rejections, snapshot, lists, cursors } = rows;
            let events = events.into_iter().map(Arc::new).collect();
            let snapshot = snapshot.map(Arc::new);
            // The snapshot first: with it go the rejections that it has.
            let first = Step { snapshot, ..Step::default() };
            store.write(TENANT, id, first).await.expect("written");
            let step = Step { events, rejections, memberships: lists, snapshot: None };
            store.write(TENANT, id, step).await.expect("written");
            store.advance(id, cursors).await.expect("written");
        }
        dir
    }
}

fn lists(id: ConversationId, events: &[Event]) -> Vec<Membership> {
    let rows = events.iter().flat_map(|event| inbox::memberships(TENANT, id, event));
    let newest: BTreeMap<UserId, Membership> = rows.map(|row| (row.user, row)).collect();
    newest.into_values().collect()
}

/// A directory's store as that of another one's log.
fn store_of(dir: &Dir, log: &Dir) -> Faulty {
    let mut store = Faulty::new(dir.embedded.store_scan());
    store.generation = Some(log.embedded.generation());
    store
}

async fn rebuilt(dir: &Dir, of: &Dir, log: &dyn LogScan) -> Report {
    let held = Held::all(&*dir.embedded.log(), &quiet()).await.expect("nobody else");
    let pace = (&config()).into();
    rebuild((&store_of(dir, of), log), &held, pace, &quiet()).await.expect("reads and writes")
}

/// Rebuilds by the whole log: equal in every row, and again there is nothing to do.
async fn comes_back(dir: &Dir, of: &Dir) {
    let log = of.embedded.log_scan();
    let report = rebuilt(dir, of, &*log).await;
    assert!(report.is_whole(), "{:?}", report.findings());
    same(dir, of).await;
    let counts = rebuilt(dir, of, &*log).await.counts();
    assert_eq!((counts.rebuilt, counts.events, counts.findings), (0, 0, 0), "{counts:?}");
}

async fn same(dir: &Dir, of: &Dir) {
    let (mut mended, mut wanted) = (Picture::of(dir).await, Picture::of(of).await);
    for picture in [&mut mended, &mut wanted] {
        picture.profiles.clear();
        picture.found.clear();
        // In no log.
        picture.conversations.values_mut().for_each(|whole| whole.2.clear());
    }
    assert_eq!(mended, wanted);
    let report = verify(&store_of(dir, of), &*of.embedded.log_scan(), &quiet()).await;
    let report = report.expect("reads");
    assert!(report.is_well(), "{:?}", report.findings());
}

#[test]
fn what_was_restored_from_a_backup_comes_back_the_same() {
    run(async {
        let of = Dir::full(51).await;
        let nothing = Backup::of(&of).await.at(|_| 0).restored().await;
        comes_back(&nothing, &of).await;
        let mut dice = Dice(52);
        for _ in 0..6 {
            let cuts: Vec<u64> = (0..PARTITIONS).map(|_| dice.below(250)).collect();
            let backup = Backup::of(&of).await.at(|at| cuts[usize::from(at.0)]);
            comes_back(&backup.restored().await, &of).await;
        }
        let whole = Backup::of(&of).await.restored().await;
        comes_back(&whole, &of).await;
    });
}

#[test]
fn tables_of_different_moments_come_together() {
    run(async {
        let of = Dir::full(53).await;
        let mut dice = Dice(54);
        for _ in 0..6 {
            let mut backup = Backup::of(&of).await;
            for rows in backup.rows.values_mut() {
                let head = rows.events.len() as u64 + 1;
                rows.events.truncate(dice.below(head) as usize);
                if dice.below(2) == 0 {
                    rows.snapshot = None;
                }
                rows.rejections.truncate(dice.below(8) as usize);
                rows.lists.truncate(dice.below(3) as usize);
            }
            comes_back(&backup.restored().await, &of).await;
        }
    });
}

#[test]
fn holes_are_filled_in() {
    run(async {
        let of = Dir::full(55).await;
        let backup = Backup::of(&of).await.but(group(0), |rows| {
            rows.events.retain(|event| event.seq % 3 > 0);
        });
        let backup = backup.but(group(1), |rows| rows.events.clear());
        comes_back(&backup.restored().await, &of).await;
    });
}

/// Nothing is decided on a state that has a gap behind it.
#[test]
fn what_the_log_does_not_reach_is_said_and_left_alone() {
    run(async {
        let of = Dir::full(56).await;
        let log = FaultyLog::since(of.embedded.log_scan(), 20);
        let reached = Backup::of(&of).await.at(|_| 30).restored().await;
        let report = rebuilt(&reached, &of, &log).await;
        assert!(report.is_whole(), "{:?}", report.findings());
        same(&reached, &of).await;

        let old = Backup::of(&of).await.at(|_| 10).restored().await;
        let before = Picture::of(&old).await;
        let report = rebuilt(&old, &of, &log).await;
        assert_eq!(report.counts().rebuilt, 0);
        assert_eq!(Picture::of(&old).await, before);
        let said = report.findings().join("\n");
        assert!(said.contains("comes from the record at 9, the log begins at 20"), "{said}");
        assert!(said.contains("the 10 records in between"), "{said}");
        assert!(said.contains("is not reached"), "{said}");
    });
}

/// One conversation lost more than the rest of its partition.
#[test]
fn a_conversation_that_is_not_reached_does_not_keep_others_from_it() {
    run(async {
        let of = Dir::full(57).await;
        let log = FaultyLog::since(of.embedded.log_scan(), 60);
        let cut = || async { Backup::of(&of).await };
        let told = |backup: Backup| async {
            let dir = backup.restored().await;
            let report = rebuilt(&dir, &of, &log).await;
            let left = dir.events(group(0)).await.len();
            assert!(left < of.events(group(0)).await.len(), "left alone: {left}");
            assert_eq!(dir.events(group(1)).await, of.events(group(1)).await);
            let findings = report.findings();
            assert_eq!(findings.len(), 1, "{findings:?}");
            assert!(findings[0].contains(&group(0).to_string()), "{findings:?}");
            findings[0].clone()
        };
        let events = of.events(group(0)).await;
        let lost = events.iter().filter(|event| event.position.offset < 60).count();
        assert!((2..events.len()).contains(&lost), "{lost} of {}", events.len());
        // Later rows are there.
        let torn = |rows: &mut Rows| drop(rows.events.remove(lost - 1));
        let found = told(cut().await.but(group(0), torn)).await;
        assert!(found.contains("backup"), "{found}");
        // The snapshot knows of more than comes out.
        let found = told(cut().await.but(group(0), |rows| rows.events.truncate(lost - 1))).await;
        assert!(found.contains("backup"), "{found}");
    });
}

#[test]
fn events_that_are_missing_before_the_log_are_named() {
    run(async {
        let dir = Dir::new();
        let mut records = vec![create(0, &[1])];
        records.extend((1..=20).map(|n| record(group(0), 1, n, text("hello", None))));
        dir.append(&records).await;
        dir.settle().await;
        let log = FaultyLog::since(dir.embedded.log_scan(), 10);
        let lost = |rows: &mut Rows| rows.events.retain(|event| !(4..=6).contains(&event.seq));
        let backup = Backup::of(&dir).await.but(group(0), lost).restored().await;
        let report = rebuilt(&backup, &dir, &log).await;
        let said = report.findings().join("\n");
        assert!(said.contains("its events 4 to 6 are missing"), "{said}");
        // Those of records that the log has are not missing for long.
        let lost = |rows: &mut Rows| rows.events.retain(|event| event.seq != 15);
        let backup = Backup::of(&dir).await.but(group(0), lost).restored().await;
        let report = rebuilt(&backup, &dir, &log).await;
        assert!(report.is_whole(), "{:?}", report.findings());
        same(&backup, &dir).await;
    });
}

/// A record of a later build: nothing of its partition is touched.
#[test]
fn a_newer_record_is_left_to_a_newer_build() {
    run(async {
        let dir = Dir::new();
        let mut newer = record(group(0), 1, 2, text("from tomorrow", None));
        newer.rules += 1;
        dir.append(&[create(0, &[1]), create(1, &[1])]).await;
        dir.settle().await;
        dir.append(&[newer]).await;
        let empty = Backup::of(&dir).await.at(|_| 0).restored().await;
        let report = rebuilt(&empty, &dir, &*dir.embedded.log_scan()).await;
        assert!(report.findings().join("\n").contains("is newer than this build"));
        assert_eq!(empty.events(group(0)).await.len(), 0);
    });
}

/// What is printed, for people and for programs.
#[test]
fn a_report_says_what_was_done() {
    run(async {
        let of = Dir::full(58).await;
        let empty = Backup::of(&of).await.at(|_| 0).restored().await;
        let report = rebuilt(&empty, &of, &*of.embedded.log_scan()).await;
        let print = |json| {
            let mut out = Vec::new();
            report.write(&mut out, json).expect("written");
            String::from_utf8(out).expect("text")
        };
        assert!(print(false).ends_with("`harkara verify` proves it\n"), "{}", print(false));
        let json: serde_json::Value = serde_json::from_str(&print(true)).expect("JSON");
        assert_eq!(json["whole"], true);
        assert!(json["counts"]["events"].as_u64() > Some(100), "{json}");
    });
}
