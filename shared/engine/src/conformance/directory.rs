//! What every directory must do: epochs only grow, watchers see the newest owner.

use std::{collections::BTreeSet, sync::Arc};

use harkara_domain::{Epoch, Partition};

use super::{must, soon};
use crate::{Directory, Owner};

/// Runs the suite on a fresh directory of at least four partitions.
pub async fn all(directory: Arc<dyn Directory>) {
    owners_are_seen(&*directory).await;
    epochs_grow(&*directory).await;
    concurrent_claims_differ(directory).await;
}

async fn claim(directory: &dyn Directory, partition: u16, address: &str) -> Epoch {
    must(directory.claim(Partition(partition), address).await, "a claim must succeed")
}

async fn owners_are_seen(directory: &dyn Directory) {
    let mut watch = directory.watch();
    assert!(watch.borrow().len() >= 4, "the suite needs four partitions");
    assert_eq!(watch.borrow_and_update().first(), Some(&None), "nobody owns anything at first");
    let epoch = claim(directory, 0, "a:1").await;
    let owner = Some(Owner { epoch, address: "a:1".to_owned() });
    let seen = soon(watch.wait_for(|owners| owners.first() == Some(&owner)), "a watcher sees it");
    drop(must(seen.await, "the watch must live as long as the directory"));
    let late = directory.watch();
    let mut late = late;
    let seen = soon(late.wait_for(|owners| owners.first() == Some(&owner)), "a late one, too");
    drop(must(seen.await, "the watch must live as long as the directory"));
}

async fn epochs_grow(directory: &dyn Directory) {
    let mut last = claim(directory, 1, "a:1").await;
    for (partition, address) in [(1, "b:1"), (1, "b:1"), (2, "a:1"), (1, "a:1"), (3, "")] {
        let epoch = claim(directory, partition, address).await;
        assert!(epoch > last, "{epoch:?} must be higher than every earlier one, {last:?} too");
        last = epoch;
    }
    let mut watch = directory.watch();
    let owner = Some(Owner { epoch: last, address: String::new() });
    let seen = soon(watch.wait_for(|owners| owners.get(3) == Some(&owner)), "the newest owner");
    drop(must(seen.await, "the watch must live as long as the directory"));
}

async fn concurrent_claims_differ(directory: Arc<dyn Directory>) {
    let tasks: Vec<_> = (0..32_u16)
        .map(|n| {
            let directory = Arc::clone(&directory);
            tokio::spawn(async move { claim(&*directory, n % 4, &format!("w:{n}")).await })
        })
        .collect();
    let mut epochs = BTreeSet::new();
    for task in tasks {
        epochs.insert(must(soon(task, "claims must end").await, "a claim must not panic"));
    }
    assert_eq!(epochs.len(), 32, "no two claims may get one epoch");
    let newest = epochs.last().copied();
    let mut watch = directory.watch();
    let shows = |owners: &crate::directory::Owners| {
        owners.iter().flatten().map(|owner| owner.epoch).max() == newest
    };
    let seen = soon(watch.wait_for(shows), "the highest epoch must be the one that shows").await;
    drop(must(seen, "the watch must live as long as the directory"));
}
