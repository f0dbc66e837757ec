//! Everything is read once, by pages of any size, while log and store go on.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use harkara_domain::{
    Body, ClientId, ConversationId, DeviceId, Event, Fingerprint, Generation, Hash, Kind,
    Membership, Partition, Position, Profile, TenantId, UserId,
};
use harkara_engine::{
    LogScan, Store, StoreError, StoreScan,
    scan::{Bounds, Page},
    store::Step,
};

use crate::support::{append, open};

fn id(n: u8) -> [u8; 16] {
    let mut id = [n; 16];
    id[15] = 0xff;
    id
}

fn event(seq: u64) -> Arc<Event> {
    Arc::new(Event {
        tenant: TenantId::from_bytes(id(1)),
        seq,
        ordinal: 0,
        at: 1,
        sender: UserId::from_bytes(id(2)),
        device: DeviceId::from_bytes(id(3)),
        client_id: ClientId::from_bytes(id(4)),
        fingerprint: Fingerprint([0; 8]),
        position: Position { generation: Generation(1), offset: seq },
        body: Body::Updated { kind: Kind::Group, title: None },
        chain: Hash([0; 32]),
    })
}

async fn fill(store: &dyn Store) {
    let tenant = TenantId::from_bytes(id(1));
    for n in [7, 255, 3, 0, 9] {
        let conversation = ConversationId::from_bytes(id(n));
        let user = UserId::from_bytes(id(n));
        let present = n % 2 == 1;
        let memberships = vec![Membership { tenant, user, conversation, present, cause: 5 }];
        // Two buckets of a timeline, and one conversation that has a list's row only.
        let seqs: &[u64] = if n == 9 { &[] } else { &[1, 2, 5_000] };
        for seq in seqs {
            let step = Step { events: vec![event(*seq)], ..Step::default() };
            store.write(tenant, conversation, step).await.expect("writing works");
        }
        let step = Step { memberships, ..Step::default() };
        store.write(tenant, conversation, step).await.expect("writing works");
        let name = format!("user {n}");
        let profile = Profile { tenant, user, name, at: 1 };
        store.put_profile(profile).await.expect("writing works");
    }
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

#[tokio::test]
async fn the_whole_store_by_pages() {
    let dir = tempfile::tempdir().expect("a directory for the test");
    let embedded = open(dir.path());
    let scan: Arc<dyn StoreScan> = embedded.store_scan();
    assert!(pages(2, |from, size| scan.all_conversations(from, size)).await.is_empty());
    fill(&*embedded.store()).await;
    for size in [1, 2, 4, 5, 100] {
        let conversations = pages(size, |from, size| scan.all_conversations(from, size)).await;
        let expected = [0, 3, 7, 255].map(|n| ConversationId::from_bytes(id(n)));
        assert_eq!(conversations, expected, "those with events, once each, by {size}");
        let lists = pages(size, |from, size| scan.all_memberships(from, size)).await;
        let lists: Vec<_> = lists.iter().map(|m| (m.user, m.present)).collect();
        let of = |n: u8| (UserId::from_bytes(id(n)), n % 2 == 1);
        assert_eq!(lists, [0, 3, 7, 9, 255].map(of), "present or not, by {size}");
        let profiles = pages(size, |from, size| scan.all_profiles(from, size)).await;
        let names: BTreeSet<_> = profiles.iter().map(|p| p.name.as_str()).collect();
        assert_eq!((profiles.len(), names.len()), (5, 5), "every profile once, by {size}");
    }
    embedded.close().await.expect("closing works");
}

#[tokio::test]
async fn the_whole_log_without_the_group() {
    let dir = tempfile::tempdir().expect("a directory for the test");
    let embedded = open(dir.path());
    let (log, scan): (_, Arc<dyn LogScan>) = (embedded.log(), embedded.log_scan());
    assert_eq!((scan.partitions(), scan.generation()), (4, log.generation()));
    let at = Partition(2);
    let bounds = scan.bounds(at).await.expect("bounds can be read");
    assert_eq!(bounds, Bounds { start: 0, first: 0, end: 0, committed: 0 }, "nothing yet");
    assert_eq!(scan.read(at, 0, 10).await.expect("reading works"), [], "nothing yet");
    for n in 0..10_u8 {
        append(&*log, 2, Bytes::from(vec![n])).await.expect("appending works");
    }
    let mut assignments = log.consume().await.expect("consuming works");
    for _ in 0..4 {
        let reader = assignments.next().await.expect("all are ours");
        if reader.partition() == at {
            reader.committer().commit(4).await.expect("committing works");
        }
    }
    let bounds = scan.bounds(at).await.expect("bounds can be read");
    assert_eq!(bounds, Bounds { start: 0, first: 0, end: 10, committed: 4 });
    for (from, max, expected) in
        [(0, 3, vec![0, 1, 2]), (8, 9, vec![8, 9]), (5, 0, vec![5]), (10, 9, vec![])]
    {
        let read = scan.read(at, from, max).await.expect("reading works");
        let offsets: Vec<_> = read.iter().map(|entry| entry.offset).collect();
        assert_eq!(offsets, expected, "from {from}, at most {max}");
        assert!(read.iter().all(|entry| u64::from(entry.record[0]) == entry.offset));
    }
    assert!(scan.bounds(Partition(4)).await.is_err(), "there are four");
    embedded.close().await.expect("closing works");
    assert!(scan.bounds(at).await.is_err(), "closed");
}
