//! What every link must do: keep the order, stay bounded, and never lose a frame silently.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use harkara_domain::{ConversationId, Epoch, Partition, UserId};
use tokio::sync::mpsc;

use super::{eventually, soon};
use crate::link::{Down, EndpointId, GatewayLink, Link, Up, What, WorkerLink};

/// Frames after which a queue that is not emptied must have refused one.
const FLOOD: u64 = 2_000_000;

/// Makes links.
#[async_trait]
pub trait LinkFactory: Send + Sync {
    /// A link of at least four partitions that nobody uses yet.
    async fn make(&self) -> Arc<dyn Link>;
}

/// Runs the suite.
pub async fn all(factory: &dyn LinkFactory) {
    frames_keep_their_order_both_ways(&*factory.make().await).await;
    unserved_partitions_are_unreachable(&*factory.make().await).await;
    full_owners_are_unreachable(&*factory.make().await).await;
    a_lost_frame_is_noticed_at_once(&*factory.make().await).await;
    a_lost_frame_is_noticed_in_silence(&*factory.make().await).await;
    losses_do_not_touch_others(&*factory.make().await).await;
    a_new_owner_is_noticed(&*factory.make().await).await;
    an_owner_that_goes_is_noticed(&*factory.make().await).await;
    endpoints_that_go_are_returned(&*factory.make().await).await;
    floods_from_many_threads_are_noticed(factory.make().await).await;
}

fn conversation(n: u8) -> ConversationId {
    ConversationId::from_bytes([n; 16])
}

fn user() -> UserId {
    UserId::from_bytes([9; 16])
}

fn typing(active: bool) -> What {
    What::Typing { user: user(), active }
}

fn down(epoch: u64, what: What) -> Arc<Down> {
    Arc::new(Down {
        partition: Partition(1),
        epoch: Epoch(epoch),
        conversation: conversation(1),
        what,
    })
}

fn up(request: u64) -> Up {
    Up::Entry { request, conversation: conversation(1), user: user() }
}

struct Gateway {
    id: EndpointId,
    link: Arc<dyn GatewayLink>,
    frames: mpsc::Receiver<Arc<Down>>,
}

impl Gateway {
    fn new(link: &dyn Link) -> Self {
        let (id, link, frames) = link.gateway();
        Self { id, link, frames }
    }

    async fn epoch(&mut self) -> Option<u64> {
        soon(self.frames.recv(), "a frame must arrive").await.map(|down| down.epoch.0)
    }

    /// Takes what has arrived; how many.
    fn drain(&mut self) -> u64 {
        std::iter::from_fn(|| self.frames.try_recv().ok()).map(|_| 1).sum()
    }

    /// Reads up to a frame of this epoch.
    async fn read_to(&mut self, epoch: u64) {
        while self.epoch().await != Some(epoch) {}
    }

    /// Forgets what was told about losses so far.
    async fn settle(&self) {
        eventually("a loss must be told only once", || !self.link.take_lost()).await;
    }
}

async fn received(queue: &mut mpsc::Receiver<(EndpointId, Up)>) -> Option<(EndpointId, Up)> {
    soon(queue.recv(), "a frame must arrive at the owner").await
}

async fn frames_keep_their_order_both_ways(link: &dyn Link) {
    let mut owner = link.serve(Partition(1));
    let worker = link.worker();
    let (mut a, mut b) = (Gateway::new(link), Gateway::new(link));
    assert_ne!(a.id, b.id, "two endpoints must not have one id");
    let subscribe = Up::Subscribe { conversation: conversation(1), users: vec![user()] };
    eventually("a served partition must be reachable", || {
        a.link.send(Partition(1), subscribe.clone()).is_ok()
    })
    .await;
    assert_eq!(received(&mut owner).await, Some((a.id, subscribe)), "as it was sent");
    for n in 0..100 {
        assert_eq!(a.link.send(Partition(1), up(n)), Ok(()), "100 frames must fit");
    }
    for n in 0..100 {
        assert_eq!(received(&mut owner).await, Some((a.id, up(n))), "in the order of sending");
    }
    let answer = What::Subscribed { head: 7, entries: vec![(user(), None)] };
    let answer = down(0, answer);
    assert_eq!(worker.push(&[a.id], Arc::clone(&answer)), Vec::new(), "the endpoint lives");
    assert_eq!(soon(a.frames.recv(), "the answer arrives").await, Some(answer), "as it was sent");
    for n in 1..=100 {
        assert_eq!(worker.push(&[a.id, b.id], down(n, typing(true))), Vec::new(), "both live");
    }
    for n in 1..=100 {
        assert_eq!(a.epoch().await, Some(n), "in the order of pushing");
        assert_eq!(b.epoch().await, Some(n), "in the order of pushing, to everybody");
    }
    let unsubscribe = Up::Unsubscribe { conversation: conversation(1), users: vec![user()] };
    assert_eq!(b.link.send(Partition(1), unsubscribe.clone()), Ok(()), "there is room");
    assert_eq!(received(&mut owner).await, Some((b.id, unsubscribe)), "with its own endpoint");
}

async fn unserved_partitions_are_unreachable(link: &dyn Link) {
    let gateway = Gateway::new(link);
    assert!(gateway.link.send(Partition(2), up(1)).is_err(), "nobody serves it");
    let mut owner = link.serve(Partition(2));
    eventually("a served partition must be reachable", || {
        gateway.link.send(Partition(2), up(2)).is_ok()
    })
    .await;
    assert_eq!(received(&mut owner).await, Some((gateway.id, up(2))), "only what was queued");
    assert!(gateway.link.send(Partition(3), up(1)).is_err(), "nobody serves this one");
}

async fn full_owners_are_unreachable(link: &dyn Link) {
    let mut owner = link.serve(Partition(1));
    let gateway = Gateway::new(link);
    eventually("a served partition must be reachable", || {
        gateway.link.send(Partition(1), up(0)).is_ok()
    })
    .await;
    let taken = (1..FLOOD).take_while(|n| gateway.link.send(Partition(1), up(*n)).is_ok()).count();
    assert!((taken as u64) < FLOOD - 1, "an owner that reads nothing must become unreachable");
    for n in 0..=taken as u64 {
        assert_eq!(received(&mut owner).await, Some((gateway.id, up(n))), "what was taken comes");
    }
    eventually("an owner with room must be reachable again", || {
        gateway.link.send(Partition(1), up(FLOOD)).is_ok()
    })
    .await;
    assert_eq!(received(&mut owner).await, Some((gateway.id, up(FLOOD))), "and nothing between");
}

/// Pushes until the endpoint says that frames were lost, without reading any.
fn flood(worker: &dyn WorkerLink, gateway: &Gateway) -> u64 {
    let lost = (0..FLOOD).find(|n| {
        worker.push(&[gateway.id], down(*n, typing(true)));
        gateway.link.take_lost()
    });
    assert!(lost.is_some(), "an endpoint that reads nothing must lose frames, and be told");
    lost.unwrap_or(FLOOD)
}

async fn a_lost_frame_is_noticed_at_once(link: &dyn Link) {
    let _owner = link.serve(Partition(1));
    let worker = link.worker();
    let mut gateway = Gateway::new(link);
    gateway.settle().await;
    let pushed = flood(&*worker, &gateway);
    assert!(gateway.drain() <= pushed, "a frame that was lost must not arrive later");
    gateway.settle().await;
    worker.push(&[gateway.id], down(FLOOD, typing(false)));
    gateway.read_to(FLOOD).await;
    assert!(!gateway.link.take_lost(), "nothing was lost since");
}

async fn a_lost_frame_is_noticed_in_silence(link: &dyn Link) {
    let _owner = link.serve(Partition(1));
    let worker = link.worker();
    let mut gateway = Gateway::new(link);
    gateway.settle().await;
    // How many frames are enough to lose one; then so many, without being asked in between.
    let enough = flood(&*worker, &gateway) + 1;
    gateway.drain();
    gateway.settle().await;
    for n in 0..enough.saturating_mul(2) {
        worker.push(&[gateway.id], down(n, typing(true)));
    }
    // Nothing else is ever pushed: the loss must be told all the same.
    let mut told = false;
    eventually("a loss must be told though nothing follows", || {
        gateway.drain();
        told |= gateway.link.take_lost();
        told
    })
    .await;
    gateway.settle().await;
}

async fn losses_do_not_touch_others(link: &dyn Link) {
    let _owner = link.serve(Partition(1));
    let worker = link.worker();
    let (full, mut other) = (Gateway::new(link), Gateway::new(link));
    full.settle().await;
    other.settle().await;
    flood(&*worker, &full);
    worker.push(&[full.id, other.id], down(FLOOD, typing(true)));
    assert_eq!(other.epoch().await, Some(FLOOD), "a full neighbor must not stand in the way");
    assert!(!other.link.take_lost(), "it lost nothing");
}

async fn a_new_owner_is_noticed(link: &dyn Link) {
    let mut old = link.serve(Partition(1));
    let gateway = Gateway::new(link);
    gateway.settle().await;
    let mut new = link.serve(Partition(1));
    eventually("a change of owners must be told", || gateway.link.take_lost()).await;
    gateway.settle().await;
    assert_eq!(received(&mut old).await, None, "the owner before must learn that it is none");
    eventually("the new owner must be reachable", || {
        gateway.link.send(Partition(1), up(1)).is_ok()
    })
    .await;
    assert_eq!(received(&mut new).await, Some((gateway.id, up(1))), "frames go to the new owner");
}

async fn an_owner_that_goes_is_noticed(link: &dyn Link) {
    let owner = link.serve(Partition(1));
    let gateway = Gateway::new(link);
    gateway.settle().await;
    drop(owner);
    eventually("an owner that went must be told", || gateway.link.take_lost()).await;
    gateway.settle().await;
    eventually("an owner that went must not be reachable", || {
        gateway.link.send(Partition(1), up(1)).is_err()
    })
    .await;
}

async fn endpoints_that_go_are_returned(link: &dyn Link) {
    let _owner = link.serve(Partition(1));
    let worker = link.worker();
    let (a, mut b) = (Gateway::new(link), Gateway::new(link));
    let gone = a.id;
    drop(a);
    eventually("an endpoint that went must be returned", || {
        worker.push(&[gone], down(1, typing(true))) == [gone]
    })
    .await;
    assert_eq!(worker.push(&[gone, b.id], down(2, typing(true))), [gone], "and only it");
    assert_eq!(b.epoch().await, Some(2), "others get their frames");
    let ids: BTreeSet<_> = (0..100).map(|_| Gateway::new(link).id).collect();
    assert_eq!(ids.len(), 100, "ids of endpoints that went must not come back");
    assert!(!ids.contains(&gone), "ids of endpoints that went must not come back");
}

/// Several owners push into one endpoint that reads now and then and asks now and then: whenever
/// fewer frames arrived than were pushed, it must have been told.
async fn floods_from_many_threads_are_noticed(link: Arc<dyn Link>) {
    let _owner = link.serve(Partition(1));
    let mut gateway = Gateway::new(&*link);
    gateway.settle().await;
    let enough = flood(&*link.worker(), &gateway);
    gateway.drain();
    gateway.settle().await;
    let each = enough.saturating_mul(2).clamp(1_000, 100_000);
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let (worker, id) = (link.worker(), gateway.id);
            tokio::task::spawn_blocking(move || {
                for n in 0..each {
                    worker.push(&[id], down(n, typing(true)));
                }
            })
        })
        .collect();
    let (mut arrived, mut told) = (0, false);
    while !threads.iter().all(tokio::task::JoinHandle::is_finished) {
        arrived += gateway.drain();
        told |= gateway.link.take_lost();
        tokio::task::yield_now().await;
    }
    let all = 3 * each;
    eventually("everything must arrive, or a loss be told", || {
        arrived += gateway.drain();
        told |= gateway.link.take_lost();
        told || arrived == all
    })
    .await;
    assert!(arrived <= all, "no frame may arrive twice");
}
