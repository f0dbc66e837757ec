//! Connections that break, fall silent, or are closed: questions find nobody, then everything
//! comes back with a loss that is told.

use std::time::Duration;

use harkara_domain::Partition;
use harkara_engine::Link as _;
use harkara_engine_link::{Options, TcpLink};

use crate::{
    proxy::{Proxy, Wire},
    support::{Hub, Owned, Raw, down, eventually, gateway, options, soon, up, worker},
};

/// A worker that serves partition 0 behind a proxy, and a hub that has asked it once.
struct Pair {
    worker: TcpLink,
    owner: tokio::sync::mpsc::Receiver<(harkara_engine::EndpointId, harkara_engine::Up)>,
    proxy: Proxy,
    gateway: TcpLink,
    hub: Hub,
    _owned: Owned,
}

impl Pair {
    async fn new(options: Options) -> Self {
        let (worker, address) = worker(options.clone());
        let mut owner = worker.serve(Partition(0));
        let (owned, proxy) = (Owned::new(), Proxy::to(address).await);
        owned.claim(0, 1, proxy.address);
        let gateway = gateway(options, &owned);
        let hub = Hub::new(&gateway);
        hub.send(0, 1).await;
        soon(owner.recv(), "a question").await;
        hub.settle().await;
        Self { worker, owner, proxy, gateway, hub, _owned: owned }
    }

    async fn is_cut(&self) {
        let refused = || self.hub.link.send(Partition(0), up(2)).is_err();
        eventually("the owner is out of reach", refused).await;
        eventually("a cut is a loss", || self.hub.link.take_lost()).await;
        let gone = || self.worker.worker().push(&[self.hub.id], down(0, 1)) == [self.hub.id];
        eventually("the worker knows that the endpoint is gone", gone).await;
        // Whatever was queued before the cut was noticed.
        self.hub.settle().await;
    }

    async fn heals(&mut self) {
        eventually("the link comes back", || self.gateway.reaches(Partition(0)).is_some()).await;
        eventually("what was missed must be asked for", || self.hub.link.take_lost()).await;
        self.hub.send(0, 9).await;
        loop {
            let asked = soon(self.owner.recv(), "a question").await.expect("it is served");
            assert_eq!(asked.0, self.hub.id, "the same endpoint");
            if asked.1 == up(9) {
                break;
            }
        }
        assert_eq!(self.worker.worker().push(&[self.hub.id], down(0, 5)), []);
        while self.hub.epoch().await != 5 {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_connection_heals() {
    let mut pair = Pair::new(options()).await;
    for _ in 0..3 {
        pair.proxy.set(Wire::Cut);
        pair.is_cut().await;
        pair.proxy.set(Wire::Whole);
        pair.heals().await;
    }
}

fn quick() -> Options {
    let (beat, silence) = (Duration::from_millis(50), Duration::from_millis(800));
    Options { beat, silence, ..options() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_connection_is_a_cut_one() {
    let mut pair = Pair::new(quick()).await;
    pair.proxy.set(Wire::Frozen);
    pair.is_cut().await;
    pair.proxy.set(Wire::Whole);
    pair.heals().await;
}

/// Nothing is said for many times the silence but beats.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_stays() {
    let mut pair = Pair::new(quick()).await;
    tokio::time::sleep(quick().silence * 3).await;
    assert!(!pair.hub.link.take_lost(), "nothing happened");
    pair.hub.send(0, 2).await;
    assert_eq!(soon(pair.owner.recv(), "a question").await, Some((pair.hub.id, up(2))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_says_so() {
    let mut pair = Pair::new(options()).await;
    let mut raw = Raw::gateway(pair.worker.address().expect("an address"), 7).await;
    soon(pair.worker.close(), "closing ends").await;
    assert!(raw.reason().await.contains("closed"), "a last word");
    assert_eq!(soon(pair.owner.recv(), "the end").await, None, "the owner's queue ends");
    let refused = || pair.hub.link.send(Partition(0), up(2)).is_err();
    eventually("the owner is out of reach", refused).await;
    eventually("a cut is a loss", || pair.hub.link.take_lost()).await;
    soon(pair.gateway.close(), "closing ends while it tries to connect").await;
}
