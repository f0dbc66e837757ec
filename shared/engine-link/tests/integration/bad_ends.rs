//! Ends that are of another release or cluster, broken, or hostile: their connection ends with a
//! reason that both sides know, and everybody else goes on.

use std::{net::SocketAddr, time::Duration};

use harkara_domain::Partition;
use harkara_engine::Link as _;
use harkara_engine_link::Options;
use harkara_protocol::link::{self, Frame};
use tokio::net::TcpListener;

use crate::support::{CLUSTER, Hub, Owned, Raw, gateway, hello, options, soon, up, user, worker};

/// The worker takes a gateway, and its questions.
async fn lives(address: SocketAddr, owner: &mut tokio::sync::mpsc::Receiver<Question>) {
    let owned = Owned::new();
    owned.claim(0, 1, address);
    let link = gateway(options(), &owned);
    let hub = Hub::new(&link);
    hub.send(0, 1).await;
    assert_eq!(soon(owner.recv(), "a question").await, Some((hub.id, up(1))));
}

type Question = (harkara_engine::EndpointId, harkara_engine::Up);

fn says(reason: &str, what: &str) {
    assert!(reason.contains(what), "{reason:?} does not say {what:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_of_elsewhere_are_refused() {
    let (link, address) = worker(options());
    let mut owner = link.serve(Partition(0));
    let cluster = || CLUSTER.to_owned();
    let hello = |protocol, cluster, gateway| Frame::Hello { protocol, cluster, gateway };
    for (frame, what) in [
        (hello(2, cluster(), 7), "version 2 of the link does not fit version 1"),
        (hello(0, cluster(), 7), "version 0 of the link does not fit version 1"),
        (hello(1, "other".to_owned(), 7), "cluster \"other\" does not fit cluster \"loopback\""),
        (hello(1, cluster(), 1 << 48), "is no gateway's number"),
        (Frame::Beat, "a gateway begins with its hello"),
        (hello(1, "x".repeat(5_000), 7), "over the limit of 4096"),
    ] {
        let mut raw = Raw::connect(address).await;
        raw.say(&frame).await;
        says(&raw.reason().await, what);
    }
    let mut raw = Raw::connect(address).await;
    // A form that this build does not know.
    raw.bytes(&[0, 0, 0, 2, 9, 0]).await;
    says(&raw.reason().await, "written in version 9");
    lives(address, &mut owner).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_of_elsewhere_are_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let owned = Owned::new();
    owned.claim(0, 1, listener.local_addr().expect("an address"));
    let link = gateway(options(), &owned);
    let hub = Hub::new(&link);
    let (window, cluster) = (1_000, || CLUSTER.to_owned());
    for (welcome, what) in [
        (Frame::Welcome { protocol: 2, cluster: cluster(), window }, "version 2 of the link"),
        (Frame::Welcome { protocol: 1, cluster: "other".to_owned(), window }, "cluster \"other\""),
        (Frame::Beat, ""),
        (Frame::Ended { reason: "no".to_owned() }, ""),
        // And one that fits.
        (Frame::Welcome { protocol: 1, cluster: cluster(), window }, "a worker does not say"),
    ] {
        let accepted = soon(listener.accept(), "it tries again").await.expect("a connection");
        let mut raw = Raw(accepted.0);
        assert!(matches!(raw.hear().await, Some(Frame::Hello { protocol: 1, .. })));
        assert!(hub.link.send(Partition(0), up(1)).is_err(), "nobody serves it");
        raw.say(&welcome).await;
        if !matches!(what, "" | "version 2 of the link" | "cluster \"other\"") {
            raw.say(&Frame::Resume { lane: 1 }).await;
        }
        says(&raw.reason().await, what);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_frames_end_a_connection_and_nothing_else() {
    let (link, address) = worker(options());
    let mut owner = link.serve(Partition(0));
    let garbage = [&[0, 0, 0, 40, 1][..], &[0xff; 39]].concat();
    let mut beat = link::encode(&Frame::Beat);
    beat.push(0);
    let longer = [&[0, 0, 0, 3][..], &beat].concat();
    for (bytes, what) in [
        (&[0xff, 0xff, 0xff, 0xff][..], "a frame of 4294967295 bytes is over the limit of 1048576"),
        (&[0, 0x10, 0, 1], "a frame of 1048577 bytes is over the limit of 1048576"),
        (&[0, 0, 0, 0], "no version byte"),
        (&[0, 0, 0, 1, 0], "no version byte"),
        (&[0, 0, 0, 2, 2, 3], "written in version 2"),
        (&garbage, "malformed"),
        (&longer, "1 bytes too many"),
        (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", "over the limit"),
    ] {
        let mut raw = Raw::gateway(address, 7).await;
        raw.bytes(bytes).await;
        says(&raw.reason().await, what);
    }
    lives(address, &mut owner).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_frame_and_then_silence_ends_a_connection() {
    let silence = Duration::from_millis(300);
    let (_link, address) = worker(Options { silence, ..options() });
    for bytes in [&[][..], &[0], &[0, 0, 0, 9], &[0, 0, 0, 9, 1, 2]] {
        let mut greeted = Raw::gateway(address, 7).await;
        greeted.bytes(bytes).await;
        says(&greeted.reason().await, "the other end was silent for 300ms");
        let mut stranger = Raw::connect(address).await;
        stranger.bytes(bytes).await;
        says(&stranger.reason().await, "the other end was silent for 300ms");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_breaks_the_rules_is_cut_off() {
    let (link, address) = worker(Options { ask_bytes: 4_096, partition_frames: 1, ..options() });
    let mut owner = link.serve(Partition(0));
    let mut raw = Raw::gateway(address, 7).await;
    raw.say(&Frame::Serving { partition: 0, serving: 1 }).await;
    says(&raw.reason().await, "a gateway does not say");

    // More questions than there is room for, though nobody takes them.
    let mut raw = Raw::gateway(address, 7).await;
    assert_eq!(raw.hear().await, Some(Frame::Serving { partition: 0, serving: 1 }));
    let user = *user().as_bytes();
    let ask = link::Ask::Entry { request: 1, conversation: user, user };
    for _ in 0..100 {
        raw.say(&Frame::Ask { lane: 1, partition: 0, serving: 1, ask: ask.clone() }).await;
    }
    says(&raw.reason().await, "more questions than");
    while owner.try_recv().is_ok() {}

    // One for a serving that is over is not handed on.
    let mut raw = Raw::gateway(address, 7).await;
    raw.say(&Frame::Ask { lane: 1, partition: 0, serving: 0, ask }).await;
    let mut again = Raw::connect(address).await;
    again.say(&hello(7)).await;
    says(&raw.reason().await, "connected again");
    while owner.try_recv().is_ok() {}
    lives(address, &mut owner).await;
}
