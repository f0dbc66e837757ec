//! What an export or an import does not do, and how it says so.

use std::fs;

use super::world::{Dir, Picture, create, group, quiet, record, run, text};
use crate::moving::{
    archive::{Archive, Row, chunk},
    import::import,
};

#[test]
fn a_damaged_chunk_is_refused_as_a_whole() {
    run(async {
        let source = Dir::full(21).await;
        let archive = source.path("archive");
        source.export(&archive).await.expect("exports");
        let opened = Archive::open(&archive).expect("whole");
        let index = opened.manifest.chunks.len() / 2;
        let path = archive.join(&opened.manifest.chunks[index].file);
        let whole = fs::read(&path).expect("there");
        let mut events = Vec::new();
        let mut of = None;
        for row in opened.chunk(index).expect("whole") {
            match row {
                Row::Conversation(head) => of = Some(head.conversation),
                Row::Event(event) => events.push((of.expect("a conversation"), event.seq)),
                _ => {}
            }
        }
        assert!(!events.is_empty());
        for at in [0, whole.len() / 2, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&path, &bytes).expect("written");
            let target = Dir::new();
            let store = target.embedded.store();
            let refused = import(&opened, &*store, &source.path(&format!("p{at}")), &quiet()).await;
            let refused = format!("{:#}", refused.expect_err("damaged"));
            assert!(refused.contains("is damaged") && refused.contains("chunk-"), "{refused}");
            for (conversation, seq) in &events {
                let found = store.events(*conversation, seq - 1, *seq, 1).await.expect("reads");
                assert!(found.is_empty(), "event {seq} of a damaged chunk was written");
            }
            // The right bytes make all good again.
            fs::write(&path, &whole).expect("written");
            import(&opened, &*store, &source.path(&format!("p{at}")), &quiet())
                .await
                .expect("imports");
            assert!(target.verify().await.is_well());
        }
        fs::remove_file(&path).expect("there");
        let target = Dir::new();
        let refused = import(&opened, &*target.embedded.store(), &source.path("p"), &quiet()).await;
        assert!(format!("{:#}", refused.expect_err("missing")).contains("can't read the chunk"));
    });
}

#[test]
fn another_history_of_a_conversation_is_refused() {
    run(async {
        let source = Dir::new();
        let same = [create(0, &[1, 2]), record(group(0), 1, 1, text("one", None))];
        source.append(&same).await;
        source.append(&[record(group(0), 1, 2, text("two", None))]).await;
        source.settle().await;
        let archive = source.path("archive");
        source.export(&archive).await.expect("exports");
        let archive = Archive::open(&archive).expect("whole");

        let target = Dir::new();
        target.append(&same).await;
        target.append(&[record(group(0), 2, 3, text("something else", None))]).await;
        target.settle().await;
        let before = Picture::of(&target).await;
        let store = target.embedded.store();
        let refused = import(&archive, &*store, &source.path("p"), &quiet()).await;
        let refused = format!("{:#}", refused.expect_err("another history"));
        assert!(refused.contains("the target has another event"), "{refused}");
        assert!(refused.contains(&group(0).to_string()), "{refused}");
        assert_eq!(Picture::of(&target).await, before, "nothing was written");
    });
}

/// A target that went on after an import keeps what it has.
#[test]
fn a_target_that_went_on_stays_as_it_is() {
    run(async {
        let source = Dir::full(22).await;
        let archive = source.path("archive");
        source.export(&archive).await.expect("exports");
        let archive = Archive::open(&archive).expect("whole");
        let target = Dir::new();
        let store = target.embedded.store();
        import(&archive, &*store, &source.path("p"), &quiet()).await.expect("imports");
        target.append(&[record(group(0), 0, 91, text("later", None))]).await;
        target.append(&[record(group(1), 0, 92, harkara_domain::Command::Leave)]).await;
        target.settle().await;
        let before = Picture::of(&target).await;
        let imported = import(&archive, &*store, &source.path("q"), &quiet()).await;
        assert_eq!(imported.expect("imports").written, 0);
        assert_eq!(Picture::of(&target).await, before);
        assert!(target.verify().await.is_well());
    });
}

#[test]
fn an_export_does_not_mix_with_anything_else() {
    run(async {
        let source = Dir::full(23).await;
        let archive = source.path("archive");
        fs::create_dir_all(&archive).expect("made");
        fs::write(archive.join("letter.txt"), "dear asha").expect("written");
        let refused = source.export(&archive).await.expect_err("not empty");
        assert!(refused.to_string().contains("is not empty"), "{refused}");
        fs::remove_file(archive.join("letter.txt")).expect("there");
        // What an export leaves that was killed before its first file was whole.
        fs::write(archive.join("manifest.json.new"), "{").expect("written");
        source.export(&archive).await.expect("exports");
        // The same again does nothing; a later state is another export.
        let manifest = fs::read(archive.join("manifest.json")).expect("there");
        source.export(&archive).await.expect("exports");
        assert_eq!(fs::read(archive.join("manifest.json")).expect("there"), manifest);
        source.append(&[record(group(0), 0, 93, text("later", None))]).await;
        source.settle().await;
        let refused = source.export(&archive).await.expect_err("moved on");
        assert!(refused.to_string().contains("another log, or of an earlier state"), "{refused}");
    });
}

#[test]
fn what_is_no_archive_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let told = || Archive::open(dir.path()).err().expect("no archive").to_string();
    assert!(told().contains("is no archive"), "{}", told());
    let path = dir.path().join("manifest.json");
    fs::write(&path, "{").expect("written");
    assert!(told().contains("manifest.json is damaged"), "{}", told());
    fs::write(&path, r#"{"format": 9}"#).expect("written");
    assert!(told().contains("has the form 9, this build reads up to 1"), "{}", told());
}

#[test]
fn bytes_that_are_no_chunk_are_told() {
    let told = |bytes: &[u8]| format!("{:#}", chunk::read(bytes).expect_err("no chunk"));
    assert!(told(b"something").contains("does not begin as a chunk does"));
    assert!(told(b"harkara\0\x09").contains("has the form 9"));
    let row = |kind: u8, fields: &[u8]| {
        let length = u32::try_from(fields.len() + 1).expect("short").to_be_bytes();
        [b"harkara\0\x01".as_slice(), &length, &[kind], fields].concat()
    };
    assert!(told(&row(9, b"")).contains("belongs to no conversation"));
    assert!(told(&row(1, b"short")).contains("too short"));
    assert!(told(&row(2, &[0; 40])).contains("belongs to no conversation"));
    let whole = row(6, &[1; 44]);
    assert_eq!(chunk::read(&whole).expect("a profile").len(), 1);
    assert!(told(&whole[..whole.len() - 1]).contains("cut off"));
}
