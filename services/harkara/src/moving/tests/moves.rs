//! Everything arrives, in one go or in pieces.

use std::{fs, path::Path};

use harkara_domain::{Generation, Position};
use harkara_engine::Store;

use super::{
    faulty::Faulty,
    world::{CHUNK, Dice, Dir, Picture, group, quiet, record, run, text},
};
use crate::moving::{
    archive::{Archive, Manifest},
    export::export,
    import::{Imported, Shift, import},
    settle,
};

async fn bring(archive: &Path, to: &dyn Store, file: &Path) -> anyhow::Result<Imported> {
    import(&Archive::open(archive)?, to, file, &quiet()).await
}

/// Nothing of a moved history differs, and life goes on behind it.
#[test]
fn everything_reads_the_same_after_a_move() {
    run(async {
        for seed in 1..=4 {
            let source = Dir::full(seed).await;
            let archive = source.path("archive");
            let counts = source.export(&archive).await.expect("exports");
            assert!(counts.conversations >= 8 && counts.events > 100, "{counts:?}");
            assert!(Archive::open(&archive).expect("whole").manifest.chunks.len() > 5);

            let target = Dir::new();
            let store = target.embedded.store();
            let file = source.path("progress");
            let imported = bring(&archive, &*store, &file).await.expect("imports");
            assert_eq!(imported.written, counts.events);
            let picture = Picture::of(&source).await;
            assert_eq!(Picture::of(&target).await, picture, "seed {seed}");
            for dir in [&source, &target] {
                let report = dir.verify().await;
                assert!(report.is_well(), "seed {seed}: {:?}", report.findings());
                assert_eq!(report.counts().events, counts.events);
            }

            let state = &picture.conversations[&group(0)].1;
            let member = state.members.keys().next().expect("a member").as_bytes()[0];
            let again = record(group(0), member.into(), 7_777_777, text("here we are", None));
            target.append(&[again]).await;
            target.append(&[super::world::create(50, &[1])]).await;
            target.settle().await;
            let last = target.events(group(0)).await.pop().expect("events");
            assert_eq!(last.seq, state.head + 1);
            assert_eq!(last.position.generation, target.embedded.generation());
            let report = target.verify().await;
            assert!(report.is_well(), "seed {seed}: {:?}", report.findings());
            assert!(report.counts().caused_events >= 2);
        }
    });
}

#[test]
fn what_is_in_the_log_only_becomes_events_first() {
    run(async {
        let source = Dir::new();
        source.append(&super::world::history(&mut Dice(5), 50)).await;
        let refused = source.export(&source.path("archive")).await.unwrap_err();
        assert!(format!("{refused:#}").contains("not stored as events yet"), "{refused:#}");
        assert!(source.settle().await > 350);
        assert_eq!(source.settle().await, 0, "nothing is left to do");
        source.export(&source.path("archive")).await.expect("exports");
    });
}

#[test]
fn a_log_that_nobody_works_on_is_told() {
    run(async {
        let source = Dir::new();
        source.append(&[super::world::create(0, &[1])]).await;
        let log = source.embedded.log_scan();
        let told = settle::finish(&*log, 3).await.expect_err("nobody works on it");
        assert!(told.to_string().contains("1 records that do not become events"), "{told}");
    });
}

/// Wherever it is cut off, it ends with the same archive, byte for byte.
#[test]
fn an_export_goes_on_where_it_was_cut_off() {
    run(async {
        let source = Dir::full(11).await;
        let whole = source.path("whole");
        source.export(&whole).await.expect("exports");
        let wanted = Manifest::read(&whole).expect("reads").expect("there");
        let pieces = source.path("pieces");
        let log = source.embedded.log_scan();
        let mut cuts = 0;
        for calls in (1..).step_by(2) {
            let store = Faulty::ending(source.embedded.store_scan(), calls);
            // A chunk that was being written.
            fs::create_dir_all(&pieces).expect("made");
            if cuts > 0 {
                fs::write(pieces.join("chunk-000099.new"), b"half").expect("written");
            }
            match export(&store, &*log, &pieces, CHUNK, &quiet()).await {
                Ok(_) => break,
                Err(error) => assert!(format!("{error:#}").contains("pulled the plug")),
            }
            let refused = Archive::open(&pieces).err().expect("not whole");
            assert!(refused.to_string().contains("was not finished"), "{refused}");
            cuts += 1;
        }
        assert!(cuts > 3, "only {cuts} cuts");
        assert_eq!(Manifest::read(&pieces).expect("reads").expect("there"), wanted);
        for chunk in &wanted.chunks {
            let read = |dir: &Path| fs::read(dir.join(&chunk.file)).expect("reads");
            assert_eq!(read(&pieces), read(&whole), "{}", chunk.file);
        }
    });
}

#[test]
fn an_import_goes_on_where_it_was_cut_off_and_twice_changes_nothing() {
    run(async {
        let source = Dir::full(12).await;
        let archive = source.path("archive");
        source.export(&archive).await.expect("exports");
        let whole = Picture::of(&source).await;
        let target = Dir::new();
        let file = source.path("progress");
        let mut cuts = 0;
        for calls in (3..).step_by(7) {
            let store = Faulty::ending(target.embedded.store_scan(), calls);
            match bring(&archive, &store, &file).await {
                Ok(_) => break,
                Err(error) => {
                    assert!(format!("{error:#}").contains("pulled the plug"), "{error:#}")
                }
            }
            lists_name_what_is_there(&target, &whole).await;
            cuts += 1;
        }
        assert!(cuts > 3, "only {cuts} cuts");
        assert_eq!(Picture::of(&target).await, whole);
        // Again, with and without what it remembers.
        let store = target.embedded.store();
        let again = bring(&archive, &*store, &file).await.expect("imports");
        assert_eq!((again.written, again.chunks), (0, 1));
        fs::remove_file(&file).expect("there");
        let again = bring(&archive, &*store, &file).await.expect("imports");
        assert_eq!((again.written, again.there > 100), (0, true));
        assert_eq!(Picture::of(&target).await, whole);
        assert!(target.verify().await.is_well());
    });
}

/// Whatever is in a list can be read to its end, with its state and its cursors.
async fn lists_name_what_is_there(target: &Dir, whole: &Picture) {
    let now = Picture::of(target).await;
    for (user, conversation, ..) in &now.memberships {
        let (there, wanted) = (now.conversations.get(conversation), &whole.conversations);
        assert_eq!(there, wanted.get(conversation), "in the list of {user}");
    }
}

/// What it remembers may be more than what the store still has.
#[test]
fn an_import_goes_back_to_what_the_store_has() {
    run(async {
        let source = Dir::full(13).await;
        let archive = source.path("archive");
        source.export(&archive).await.expect("exports");
        let file = source.path("progress");
        let millis = 1_700_000_000_000;
        let lost = Dir::made_at(millis);
        bring(&archive, &*lost.embedded.store(), &file).await.expect("imports");
        // Another store that calls itself the same, as one that lost its newest writes does.
        let target = Dir::made_at(millis);
        assert_eq!(lost.embedded.generation(), target.embedded.generation());
        bring(&archive, &*target.embedded.store(), &file).await.expect("imports");
        assert_eq!(Picture::of(&target).await.memberships, Picture::of(&source).await.memberships);
        assert!(target.verify().await.is_well());
    });
}

/// A target whose log was made before the source's: all positions are lower than its own.
#[test]
fn an_older_target_takes_a_younger_source() {
    run(async {
        let source = Dir::full(14).await;
        let archive = source.path("archive");
        source.export(&archive).await.expect("exports");
        let target = Dir::made_at(1_600_000_000_000);
        assert!(target.embedded.generation() < source.embedded.generation());
        let file = source.path("progress");
        let store = target.embedded.store();
        bring(&archive, &*store, &file).await.expect("imports");
        fs::remove_file(&file).expect("there");
        let again = bring(&archive, &*store, &file).await.expect("imports");
        assert_eq!(again.written, 0);
        let (theirs, ours) = (source.events(group(0)).await, target.events(group(0)).await);
        assert_eq!(theirs.len(), ours.len());
        for (theirs, ours) in theirs.iter().zip(&ours) {
            assert!(ours.position.generation < target.embedded.generation());
            assert_eq!((theirs.chain, &theirs.body), (ours.chain, &ours.body));
        }
        let picture = Picture::of(&target).await;
        let state = &picture.conversations[&group(0)].1;
        let member = state.members.keys().next().expect("a member").as_bytes()[0];
        target.append(&[record(group(0), member.into(), 7_777_778, text("later", None))]).await;
        target.settle().await;
        assert_eq!(target.events(group(0)).await.len(), ours.len() + 1);
        let report = target.verify().await;
        assert!(report.is_well(), "{:?}", report.findings());
    });
}

#[test]
fn positions_are_lowered_together() {
    let at = |generation, offset| Position { generation: Generation(generation), offset };
    let shift = Shift::between(Generation(10), Generation(20));
    assert_eq!(shift.lower(at(10, 3)).expect("fits"), at(10, 3));
    let shift = Shift::between(Generation(20), Generation(20));
    assert_eq!(shift.lower(at(20, 3)).expect("fits"), at(20, 3));
    let shift = Shift::between(Generation(25), Generation(20));
    assert_eq!(shift.lower(at(25, 3)).expect("fits"), at(19, 3));
    assert_eq!(shift.lower(at(24, 9)).expect("fits"), at(18, 9));
    let refused = shift.lower(at(5, 0)).expect_err("no room");
    assert!(refused.to_string().contains("harkara migrate"), "{refused}");
}
