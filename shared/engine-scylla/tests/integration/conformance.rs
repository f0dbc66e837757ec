//! The suite of `harkara-engine`, and reading everything.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use harkara_domain::{Membership, Profile};
use harkara_engine::{
    Store, StoreError, StoreScan,
    conformance::{self, store::StoreFactory},
    scan::Page,
    store::Step,
};
use harkara_engine_scylla::Config;
use harkara_test_engines::{Cassandra, engines_or_skip};

use crate::support::{config, conversation, events, made, open, tenant, user, write};

#[derive(Default)]
struct Factory {
    open: Mutex<HashMap<usize, Config>>,
}

/// A store is known by where it is.
fn address(store: &Arc<dyn Store>) -> usize {
    Arc::as_ptr(store).cast::<()>() as usize
}

impl Factory {
    async fn give(&self, config: Config) -> Arc<dyn Store> {
        let store: Arc<dyn Store> = Arc::new(open(&config).await);
        self.open.lock().expect("the lock is whole").insert(address(&store), config);
        store
    }
}

#[async_trait]
impl StoreFactory for Factory {
    async fn make(&self) -> Arc<dyn Store> {
        let config = config(Cassandra::shared().contact_points());
        drop(made(&config).await);
        self.give(config).await
    }

    async fn reopen(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        let config = self.open.lock().expect("the lock is whole").remove(&address(&store));
        drop(store);
        self.give(config.expect("a store of this factory")).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store() {
    engines_or_skip!();
    conformance::store::all(&Factory::default()).await;
}

/// All pages of a size.
async fn pages<T>(
    size: usize,
    read: impl AsyncFn(Option<Vec<u8>>, usize) -> Result<Page<T>, StoreError>,
) -> Vec<T> {
    let (mut all, mut from) = (Vec::new(), None);
    loop {
        let page = read(from, size).await.expect("a page can be read");
        assert!(page.rows.len() <= size, "a page is not larger than asked for");
        all.extend(page.rows);
        from = page.next;
        if from.is_none() {
            return all;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_store_by_pages() {
    engines_or_skip!();
    let store = made(&config(Cassandra::shared().contact_points())).await;
    let numbers = BTreeSet::from([0, 3, 7, 9, 255]);
    for n in &numbers {
        // Two partitions of the timeline each; one conversation is in a list only.
        if *n != 9 {
            write(&store, *n, events([1, 2, 5_000])).await.expect("a write");
        }
        let (user, conversation) = (user(*n), conversation(*n));
        let memberships = vec![Membership {
            tenant: tenant(),
            user,
            conversation,
            present: n % 2 == 1,
            cause: 5,
        }];
        write(&store, *n, Step { memberships, ..Step::default() }).await.expect("a write");
        let profile = Profile { tenant: tenant(), user, name: format!("user {n}"), at: 1 };
        store.put_profile(profile).await.expect("a write");
    }
    for size in [1, 2, 5, 100] {
        let mut all = pages(size, |from, size| store.all_conversations(from, size)).await;
        all.sort_unstable();
        assert_eq!(all, [0, 3, 7, 255].map(conversation), "once each, by {size}");
        let all = pages(size, |from, size| store.all_memberships(from, size)).await;
        let lists: BTreeSet<_> = all.iter().map(|m| (m.user, m.present)).collect();
        let expected = numbers.iter().map(|n| (user(*n), n % 2 == 1)).collect();
        assert_eq!((all.len(), lists), (5, expected), "present or not, by {size}");
        let all = pages(size, |from, size| store.all_profiles(from, size)).await;
        let names: BTreeSet<_> = all.iter().map(|profile| profile.name.clone()).collect();
        let expected = numbers.iter().map(|n| format!("user {n}")).collect();
        assert_eq!((all.len(), names), (5, expected), "every profile once, by {size}");
    }
}
