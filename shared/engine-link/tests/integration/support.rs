//! A directory to write into, links on loopback, and an end whose frames are written by hand.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use harkara_domain::{ConversationId, Epoch, Partition, UserId};
use harkara_engine::{
    Link as _, Owner,
    directory::Owners,
    link::{Down, EndpointId, GatewayLink, Up, What},
};
use harkara_engine_link::{Options, TcpLink};
use harkara_protocol::link::{self, Frame};
use harkara_service_runtime::entropy::SystemEntropy;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{mpsc, watch},
};

pub const CLUSTER: &str = "loopback";
pub const PARTITIONS: u16 = 4;

/// Longer than anything takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

pub async fn soon<F: Future>(future: F, what: &str) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what}: too late"))
}

pub async fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let polled = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    soon(polled, what).await;
}

pub fn options() -> Options {
    Options { retry_min: Duration::from_millis(10), ..Options::new(CLUSTER, PARTITIONS) }
}

/// Who owns what, as a test says.
pub struct Owned(watch::Sender<Owners>);

impl Owned {
    pub fn new() -> Self {
        Self(watch::Sender::new(vec![None; usize::from(PARTITIONS)]))
    }

    pub fn claim(&self, partition: u16, epoch: u64, address: SocketAddr) {
        self.claim_with(partition, epoch, &address.to_string());
    }

    pub fn claim_with(&self, partition: u16, epoch: u64, address: &str) {
        self.0.send_modify(|owners| {
            let owner = Owner { epoch: Epoch(epoch), address: address.to_owned() };
            owners[usize::from(partition)] = Some(owner);
        });
    }

    pub fn watch(&self) -> watch::Receiver<Owners> {
        self.0.subscribe()
    }
}

pub fn worker(options: Options) -> (TcpLink, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let link = TcpLink::open(options, Some(listener), None, SystemEntropy::shared());
    let link = link.expect("a link");
    let address = link.address().expect("an address");
    (link, address)
}

pub fn gateway(options: Options, owned: &Owned) -> TcpLink {
    TcpLink::open(options, None, Some(owned.watch()), SystemEntropy::shared()).expect("a link")
}

pub fn room() -> ConversationId {
    ConversationId::from_bytes([1; 16])
}

pub fn user() -> UserId {
    UserId::from_bytes([9; 16])
}

pub fn down(partition: u16, epoch: u64) -> Arc<Down> {
    let what = What::Typing { user: user(), active: true };
    let partition = Partition(partition);
    Arc::new(Down { partition, epoch: Epoch(epoch), conversation: room(), what })
}

pub fn up(request: u64) -> Up {
    Up::Entry { request, conversation: room(), user: user() }
}

/// An endpoint of a gateway.
pub struct Hub {
    pub id: EndpointId,
    pub link: Arc<dyn GatewayLink>,
    pub frames: mpsc::Receiver<Arc<Down>>,
}

impl Hub {
    pub fn new(link: &TcpLink) -> Self {
        let (id, link, frames) = link.gateway();
        Self { id, link, frames }
    }

    pub async fn epoch(&mut self) -> u64 {
        soon(self.frames.recv(), "a frame").await.expect("the link lives").epoch.0
    }

    /// Sends until that is possible.
    pub async fn send(&self, partition: u16, request: u64) {
        let send = || self.link.send(Partition(partition), up(request)).is_ok();
        eventually("the owner must be reachable", send).await;
    }

    pub async fn settle(&self) {
        eventually("a loss must be told only once", || !self.link.take_lost()).await;
    }
}

/// An end that says what a test wants it to say.
pub struct Raw(pub TcpStream);

impl Raw {
    pub async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.expect("a connection"))
    }

    /// A gateway that has greeted, and was welcomed.
    pub async fn gateway(address: SocketAddr, number: u64) -> Self {
        let mut raw = Self::connect(address).await;
        raw.say(&hello(number)).await;
        let welcome = raw.hear().await.expect("a welcome");
        assert!(matches!(welcome, Frame::Welcome { .. }), "{welcome:?}");
        raw
    }

    pub async fn say(&mut self, frame: &Frame) {
        let bytes = link::encode(frame);
        let length = u32::try_from(bytes.len()).expect("a small frame").to_be_bytes();
        self.bytes(&[&length, &bytes[..]].concat()).await;
    }

    pub async fn bytes(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("the other end reads");
    }

    /// The next frame; none where the connection is over.
    pub async fn hear(&mut self) -> Option<Frame> {
        soon(self.next(), "a frame or the end").await
    }

    async fn next(&mut self) -> Option<Frame> {
        let length = self.0.read_u32().await.ok()?;
        let mut bytes = vec![0; length as usize];
        self.0.read_exact(&mut bytes).await.ok()?;
        Some(link::decode(&bytes).expect("a frame").0)
    }

    /// Why the other end ends the connection, which it must.
    pub async fn reason(&mut self) -> String {
        let mut reason = String::new();
        while let Some(frame) = self.hear().await {
            if let Frame::Ended { reason: told } = frame {
                reason = told;
            }
        }
        reason
    }
}

pub fn hello(gateway: u64) -> Frame {
    Frame::Hello { protocol: link::PROTOCOL, cluster: CLUSTER.to_owned(), gateway }
}
