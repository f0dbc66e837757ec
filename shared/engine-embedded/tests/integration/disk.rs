//! A disk that is nearly full, and one that is really full.

use std::{path::Path, process::Command};

use bytes::Bytes;
use harkara_engine::{Log, LogError, StoreError};
use harkara_engine_embedded::{Embedded, Options};
use harkara_service_runtime::clock::SystemClock;

use crate::support::{append, eventually, options, read_all};

/// A small file system in memory, until dropped.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(mebibytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let size = format!("size={mebibytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "harkara-test"])
            .arg(dir.path())
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(dir));
        }
        println!("SKIPPED: mounting a small file system needs root");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "the file system must go");
    }
}

fn record() -> Bytes {
    // Noise, so that it is not compressed.
    let mut state = 1_u64;
    let byte = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as u8
    };
    Bytes::from_iter(std::iter::repeat_with(byte).take(60_000))
}

/// Appends until it fails; how many succeeded.
async fn fill(log: &dyn Log) -> (u64, LogError) {
    for n in 0..10_000 {
        if let Err(error) = append(log, 0, record()).await {
            return (n, error);
        }
    }
    panic!("600 MB must not fit");
}

#[tokio::test]
async fn a_nearly_full_disk_refuses_and_recovers_by_itself() {
    let Some(disk) = Small::mount(24) else { return };
    let options = Options { disk_reserve_bytes: 8 << 20, ..options() };
    let embedded =
        Embedded::open(&disk.path().join("data"), options, SystemClock::shared()).expect("opens");
    let (log, store) = (embedded.log(), embedded.store());
    let (mut taken, error) = fill(&*log).await;
    assert!(matches!(&error, LogError::Unknown(why) if why.contains("nearly full")), "{error:?}");
    let ready = log.ready().await;
    assert!(matches!(&ready, Err(LogError::Unknown(why)) if why.contains("free some space")));
    assert!(matches!(store.ready().await, Err(StoreError::Retry(_))), "the store says so, too");
    // The other way round: somebody else had filled the disk, and goes.
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![1; 4 << 20]).expect("the reserve is free");
    assert!(log.ready().await.is_err(), "still full");
    std::fs::remove_file(&ballast).expect("removing works");
    assert!(log.ready().await.is_err(), "the log itself took the rest");
    let resized = Command::new("mount")
        .args(["-o", "remount,size=48m"])
        .arg(disk.path())
        .status()
        .expect("mount runs");
    assert!(resized.success(), "the disk can be made larger");
    eventually("it goes on by itself", async || log.ready().await.is_ok()).await;
    append(&*log, 0, record()).await.expect("appends work again");
    taken += 1;
    assert_eq!(read_all(&*log, 0).await.len() as u64, taken, "what was taken is there");
}

/// Without a reserve fjall meets the end of the disk and takes nothing more until a restart.
#[tokio::test]
async fn a_full_disk_stops_until_a_restart() {
    let Some(disk) = Small::mount(8) else { return };
    let dir = disk.path().join("data");
    let embedded = Embedded::open(&dir, options(), SystemClock::shared()).expect("opens");
    let log = embedded.log();
    let (taken, error) = fill(&*log).await;
    assert!(matches!(error, LogError::Unknown(_)), "nobody knows what is on the disk: {error:?}");
    let again = append(&*log, 0, Bytes::from_static(b"again")).await;
    assert!(matches!(&again, Err(LogError::Stop(why)) if why.contains("restart")), "{again:?}");
    assert!(matches!(log.ready().await, Err(LogError::Stop(_))), "and it says so");
    assert!(embedded.close().await.is_err(), "closing tells that not everything was written");
    drop(embedded);
    let resized = Command::new("mount").args(["-o", "remount,size=32m"]).arg(disk.path()).status();
    assert!(resized.is_ok_and(|status| status.success()), "the disk can be made larger");
    let embedded = Embedded::open(&dir, options(), SystemClock::shared()).expect("opens again");
    let there = read_all(&*embedded.log(), 0).await.len() as u64;
    assert!(there >= taken, "{taken} were acknowledged, {there} are there");
}
