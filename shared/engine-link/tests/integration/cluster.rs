//! Several gateways and several workers, as separate ends in one process.

use std::{sync::Arc, time::Duration};

use harkara_domain::{Entry, Epoch, Kind, Partition, Role, TenantId};
use harkara_engine::{
    Link as _,
    link::{Down, Up, What},
};
use harkara_engine_link::Options;

use crate::{
    proxy::{Proxy, Wire},
    support::{Hub, Owned, down, eventually, gateway, options, room, soon, up, user, worker},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_and_two_workers() {
    let owned = Owned::new();
    let (a, a_address) = worker(options());
    let (b, b_address) = worker(options());
    owned.claim(0, 1, a_address);
    owned.claim(1, 2, b_address);
    let (mut at_a, mut at_b) = (a.serve(Partition(0)), b.serve(Partition(1)));
    let gateways = [gateway(options(), &owned), gateway(options(), &owned)];
    let mut hubs: Vec<Hub> =
        gateways.iter().flat_map(|link| [Hub::new(link), Hub::new(link)]).collect();
    for hub in &hubs {
        hub.send(0, 1).await;
        assert_eq!(soon(at_a.recv(), "a question").await, Some((hub.id, up(1))));
        hub.send(1, 2).await;
        assert_eq!(soon(at_b.recv(), "a question").await, Some((hub.id, up(2))));
        assert!(hub.link.send(Partition(2), up(3)).is_err(), "nobody owns it");
    }
    let all: Vec<_> = hubs.iter().map(|hub| hub.id).collect();
    assert_eq!(a.worker().push(&all, down(0, 11)), []);
    for hub in &mut hubs {
        assert_eq!(hub.epoch().await, 11, "from the first worker");
    }
    assert_eq!(b.worker().push(&all[1..], down(1, 12)), []);
    for hub in &mut hubs[1..] {
        assert_eq!(hub.epoch().await, 12, "from the second");
    }
    assert!(hubs[0].frames.try_recv().is_err(), "it was not named");

    // The second worker takes over the first one's partition.
    for hub in &hubs {
        hub.settle().await;
    }
    let mut taken = b.serve(Partition(0));
    owned.claim(0, 3, b_address);
    for hub in &hubs {
        eventually("a change of hands is a loss", || hub.link.take_lost()).await;
    }
    eventually("the route must change", || {
        gateways.iter().all(|link| link.reaches(Partition(0)) == Some(2))
    })
    .await;
    for hub in &hubs {
        hub.send(0, 4).await;
        assert_eq!(soon(taken.recv(), "a question").await, Some((hub.id, up(4))));
    }
    eventually("nobody needs the first worker", || !all.iter().any(|id| a.hears(*id))).await;
}

/// About 30 kB.
fn large(epoch: u64) -> Arc<Down> {
    let entry = Entry {
        tenant: TenantId::development(),
        kind: Kind::Group,
        title: Some("x".repeat(1_000)),
        role: Role::Member,
        from: 1,
        head: 2,
        read: 0,
        unread: 2,
        members: 3,
    };
    let what = What::Subscribed { head: 2, entries: vec![(user(), Some(entry)); 30] };
    Arc::new(Down { partition: Partition(0), epoch: Epoch(epoch), conversation: room(), what })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_does_not_read_delays_nobody_and_learns_what_it_lost() {
    let options = Options {
        gateway_bytes: 256 * 1024,
        endpoint_bytes: 128 * 1024,
        // The machine may be slow, and nothing here is about silence.
        silence: Duration::from_secs(60),
        ..options()
    };
    let (fast_owned, slow_owned) = (Owned::new(), Owned::new());
    let (link, address) = worker(options.clone());
    let proxy = Proxy::to(address).await;
    fast_owned.claim(0, 1, address);
    slow_owned.claim(0, 1, proxy.address);
    let _owner = link.serve(Partition(0));
    let (fast, slow) = (gateway(options.clone(), &fast_owned), gateway(options, &slow_owned));
    let (mut reads, mut sleeps) = (Hub::new(&fast), Hub::new(&slow));
    eventually("both connect", || link.hears(reads.id) && link.hears(sleeps.id)).await;
    reads.send(0, 1).await;
    sleeps.send(0, 1).await;
    reads.settle().await;
    sleeps.settle().await;

    proxy.set(Wire::Frozen);
    // 500 × 30 kB = 15 MB: more than queue and kernel hold for the one that sleeps.
    let push = link.worker();
    for epoch in 1..=500 {
        assert_eq!(push.push(&[reads.id, sleeps.id], large(epoch)), [], "both live");
        assert_eq!(reads.epoch().await, epoch, "the other one does not stand in the way");
    }
    assert!(!reads.link.take_lost(), "it lost nothing");
    let counts = link.counts();
    assert!((1..=500).contains(&counts.dropped), "{counts:?}");
    assert!(counts.frames_out >= 500 && counts.gateways == 2, "{counts:?}");
    assert!(fast.counts().frames_in >= 500 && fast.counts().workers == 1);

    proxy.set(Wire::Whole);
    eventually("the loss must be told", || sleeps.link.take_lost()).await;
    // It reads what was queued before, then asks to go on.
    eventually("it recovers", || {
        while sleeps.frames.try_recv().is_ok() {}
        !sleeps.link.take_lost()
    })
    .await;
    assert_eq!(push.push(&[sleeps.id], large(501)), []);
    assert_eq!(sleeps.epoch().await, 501, "it gets what comes after");
    assert!(!sleeps.link.take_lost(), "nothing was lost since");
    assert!(link.hears(sleeps.id), "its connection stood all the time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_subscription_is_asked_in_parts() {
    let owned = Owned::new();
    let (link, address) = worker(options());
    owned.claim(0, 1, address);
    let mut owner = link.serve(Partition(0));
    let gateway = gateway(options(), &owned);
    let hub = Hub::new(&gateway);
    hub.send(0, 1).await;
    soon(owner.recv(), "a question").await;
    let users: Vec<_> =
        (0..1_200_u128).map(|n| harkara_domain::UserId::from_bytes(n.to_be_bytes())).collect();
    let subscribe = Up::Subscribe { conversation: room(), users: users.clone() };
    assert_eq!(hub.link.send(Partition(0), subscribe), Ok(()));
    let mut asked = Vec::new();
    while asked.len() < users.len() {
        match soon(owner.recv(), "a part").await {
            Some((_, Up::Subscribe { users, .. })) => {
                assert!(users.len() <= 512, "the answer must fit into a frame");
                asked.extend(users);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(asked, users);
}
