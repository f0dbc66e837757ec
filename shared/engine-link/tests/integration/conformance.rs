//! The suite of `harkara-engine`, with both ends in one process and a socket between them.
//!
//! The suite takes it that a serving and an endpoint are known on the other side as soon as they
//! exist, as within one process. Over a socket that takes a moment, in which pushes say "gone"
//! and questions "unreachable"; the link below waits for it.

use std::{net::TcpListener, sync::Arc, time::Duration};

use async_trait::async_trait;
use harkara_domain::Partition;
use harkara_engine::{
    Link,
    conformance::{self, link::LinkFactory},
    link::{Down, EndpointId, GatewayLink, Up, WorkerLink},
};
use harkara_engine_link::{Options, TcpLink};
use harkara_service_runtime::entropy::SystemEntropy;
use tokio::sync::mpsc;

use crate::support::{Owned, PARTITIONS, options};

struct Patient {
    link: TcpLink,
    _owned: Owned,
}

/// Blocks its thread; the link's tasks run on others.
fn until(is: impl Fn() -> bool) {
    for _ in 0..100_000 {
        if is() {
            return;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    panic!("the other end did not learn of it");
}

impl Link for Patient {
    fn gateway(&self) -> (EndpointId, Arc<dyn GatewayLink>, mpsc::Receiver<Arc<Down>>) {
        let made = self.link.gateway();
        until(|| self.link.hears(made.0));
        made
    }

    fn serve(&self, partition: Partition) -> mpsc::Receiver<(EndpointId, Up)> {
        let before = self.link.reaches(partition);
        let queue = self.link.serve(partition);
        until(|| self.link.reaches(partition) > before);
        queue
    }

    fn worker(&self) -> Arc<dyn WorkerLink> {
        self.link.worker()
    }
}

pub struct Factory(pub Options);

#[async_trait]
impl LinkFactory for Factory {
    async fn make(&self) -> Arc<dyn Link> {
        let (owned, listener) = (Owned::new(), TcpListener::bind("127.0.0.1:0").expect("a port"));
        let address = listener.local_addr().expect("an address");
        for partition in 0..PARTITIONS {
            owned.claim(partition, 1, address);
        }
        let (owners, entropy) = (owned.watch(), SystemEntropy::shared());
        let link = TcpLink::open(self.0.clone(), Some(listener), Some(owners), entropy);
        let link = Patient { link: link.expect("a link"), _owned: owned };
        drop(link.gateway());
        Arc::new(link)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn link() {
    conformance::link::all(&Factory(options())).await;
}

/// Where the network's queue is the smaller one, drops happen at the worker.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn link_with_little_room() {
    let options = Options {
        gateway_bytes: 128 * 1024,
        endpoint_bytes: 32 * 1024,
        endpoint_frames: 128,
        ask_bytes: 64 * 1024,
        partition_frames: 64,
        ..options()
    };
    conformance::link::all(&Factory(options)).await;
}
