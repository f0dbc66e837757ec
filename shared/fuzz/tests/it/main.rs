//! The fuzz targets on a stable compiler: every seed, and mutations of seeds. `cargo fuzz` finds
//! more, since it sees which branches an input takes; this finds what comes back.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail like tests; the lint's exception covers test functions only"
)]

use std::{env, fs, path::Path};

use harkara_fuzz::{TARGETS, Target, corpus};
use proptest::{
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, TestRunner},
};

/// Mutations of each target: seconds without optimization.
const CASES: u32 = 4_000;

/// One thing that happens to some bytes.
#[derive(Debug, Clone)]
enum Change {
    Flip(Index, u8),
    Put(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, Index),
    Repeat(Index, Index),
    Cut(Index),
}

fn change() -> impl Strategy<Value = Change> {
    // Numbers where forms change: lengths, versions, the ends of ranges.
    let byte = prop_oneof![
        any::<u8>(),
        select(&[0_u8, 1, 2, 0x22, 0x5c, 0x7b, 0x7d, 0x7e, 0x7f, 0x80, 0xfb, 0xfc, 0xfd, 0xff][..])
    ];
    let (at, to) = (|| any::<Index>(), || any::<Index>());
    prop_oneof![
        (at(), 0_u8..8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (at(), byte.clone()).prop_map(|(at, byte)| Change::Put(at, byte)),
        (at(), prop::collection::vec(byte, 1..9)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (at(), to()).prop_map(|(at, to)| Change::Remove(at, to)),
        (at(), to()).prop_map(|(at, to)| Change::Repeat(at, to)),
        at().prop_map(Change::Cut),
    ]
}

/// At most this many bytes are removed or repeated at once.
const STRETCH: usize = 16;

fn apply(change: &Change, bytes: &mut Vec<u8>) {
    let at = |index: &Index| index.index(bytes.len().max(1)).min(bytes.len());
    let range = |from: &Index, to: &Index| {
        let from = at(from);
        from..(from + to.index(STRETCH)).min(bytes.len())
    };
    match change {
        Change::Flip(index, bit) => {
            let at = at(index);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << bit;
            }
        }
        Change::Put(index, new) => {
            let at = at(index);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = *new;
            }
        }
        Change::Insert(index, new) => {
            let at = at(index);
            bytes.splice(at..at, new.iter().copied());
        }
        Change::Remove(from, to) => {
            let range = range(from, to);
            bytes.drain(range);
        }
        Change::Repeat(from, to) => {
            let range = range(from, to);
            let end = range.end;
            let again = bytes[range].to_vec();
            bytes.splice(end..end, again);
        }
        Change::Cut(index) => {
            let at = at(index);
            bytes.truncate(at);
        }
    }
}

fn target(name: &str) -> Target {
    TARGETS.into_iter().find(|(known, _)| *known == name).unwrap()
}

/// Every seed as it is, then mutations of seeds.
fn hold(name: &str) {
    let (_, run) = target(name);
    let seeds = corpus::seeds(name);
    assert!(seeds.len() >= 3, "only {} seeds: the fixtures are gone", seeds.len());
    seeds.iter().for_each(|seed| run(seed));
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let mutated =
        (select(seeds), prop::collection::vec(change(), 1..6)).prop_map(|(mut bytes, changes)| {
            changes.iter().for_each(|change| apply(change, &mut bytes));
            bytes
        });
    let held = TestRunner::new(config).run(&mutated, |bytes| {
        run(&bytes);
        Ok(())
    });
    held.unwrap_or_else(|broken| panic!("{name}: {broken}"));
}

macro_rules! targets {
    ($($name:ident)+) => {
        $(#[test]
        fn $name() {
            hold(stringify!($name));
        })+

        #[test]
        fn every_target_is_tested() {
            let tested = [$(stringify!($name)),+];
            assert_eq!(TARGETS.map(|(name, _)| name), tested);
        }
    };
}

targets!(frames requests tokens link records snapshots settings);

#[test]
fn every_target_has_its_binary() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("targets");
    for (name, _) in TARGETS {
        let text = fs::read_to_string(folder.join(format!("{name}.rs"))).unwrap();
        assert!(text.contains(&format!("harkara_fuzz::{name}::run")), "{name}");
    }
    assert_eq!(fs::read_dir(folder).unwrap().count(), TARGETS.len());
}

#[test]
fn the_corpus_is_written_where_it_is_wanted() {
    let wanted = env::var_os("HARKARA_WRITE_CORPUS");
    let scratch = tempfile::tempdir().unwrap();
    let folder = wanted.map_or_else(|| scratch.path().to_owned(), Into::into);
    for (name, _) in TARGETS {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        for (n, seed) in corpus::seeds(name).iter().enumerate() {
            fs::write(folder.join(format!("seed-{n:03}")), seed).unwrap();
        }
        assert!(fs::read_dir(&folder).unwrap().count() >= 3, "{name}");
    }
}
