//! The link with mutual TLS: the contract, strangers at either end, and certificates that change.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use harkara_domain::Partition;
use harkara_engine::{Link as _, conformance};
use harkara_engine_link::{Options, TcpLink};
use tokio::io::AsyncWriteExt as _;
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    certificates::{Authority, Process},
    conformance::Factory,
    proxy::{Proxy, Wire},
    support::{DEADLINE, Hub, Owned, Raw, down, eventually, gateway, options, soon, up, worker},
};

const NAME: &str = "harkara-link";

/// Log lines of this thread.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Collects until the guard is dropped.
    fn collect() -> (Self, tracing::subscriber::DefaultGuard) {
        let lines = Self::default();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(lines.clone()).finish();
        (lines, tracing::subscriber::set_default(subscriber))
    }

    async fn say(&self, line: &str, what: &str) {
        let told = |text: &str| text.lines().any(|it| it.contains(line) && it.contains(what));
        let read = || String::from_utf8_lossy(&self.0.lock().expect("lines")).into_owned();
        let waiting = tokio::time::timeout(DEADLINE, async {
            while !told(&read()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        waiting.await.unwrap_or_else(|_| panic!("no {line:?} with {what:?} in\n{}", read()));
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("lines").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn link_with_certificates() {
    let process = Process::new(&Authority::named("one"), NAME);
    conformance::link::all(&Factory(process.options())).await;
}

/// A gateway that asks, and a worker that answers.
async fn speak(worker: &TcpLink, owner: &mut Questions, hub: &mut Hub, request: u64) {
    hub.send(0, request).await;
    loop {
        let asked = soon(owner.recv(), "a question").await.expect("it is served");
        if asked == (hub.id, up(request)) {
            break;
        }
    }
    assert_eq!(worker.worker().push(&[hub.id], down(0, request)), []);
    while hub.epoch().await != request {}
}

type Questions = tokio::sync::mpsc::Receiver<(harkara_engine::EndpointId, harkara_engine::Up)>;

#[tokio::test]
async fn strangers_are_refused_and_both_ends_say_why() {
    let (one, other) = (Authority::named("one"), Authority::named("other"));
    let at_home = Process::new(&one, NAME);
    let foreign = Process::new(&other, NAME);
    let named = Process::new(&one, "somebody.test");
    let asks_for_certificate = "the other end refused: it asks for a certificate of this end";
    let unknown_here = "of an authority that is not known here";
    let unknown_there = "it does not know the authority of this end's certificate";
    let wrong_name = "certificate not valid for name \"harkara-link\"";
    let not_pleased = "this end's certificate does not please it";
    let known = at_home.options();
    for (at_worker, at_gateway, worker_says, gateway_says) in [
        (
            known.clone(),
            at_home.options_without_certificate(),
            "showed no certificate",
            asks_for_certificate,
        ),
        (known.clone(), foreign.options(), unknown_there, unknown_here),
        (foreign.options(), known.clone(), unknown_there, unknown_here),
        // A gateway that believes the worker, and is not believed.
        (at_home.options_for_gateways_of(&foreign), known.clone(), unknown_here, unknown_there),
        (known.clone(), named.options(), wrong_name, not_pleased),
        (named.options(), known.clone(), not_pleased, wrong_name),
        (known.clone(), options(), "does not speak TLS", "the other end speaks TLS"),
        (options(), known.clone(), "the other end speaks TLS", "does not speak TLS"),
    ] {
        let (lines, _collected) = Lines::collect();
        let (worker, address) = worker(at_worker);
        let owned = Owned::new();
        owned.claim(0, 1, address);
        let gateway = gateway(at_gateway, &owned);
        lines.say("no link taken", worker_says).await;
        lines.say("no link to a worker", gateway_says).await;
        eventually("both count it", || worker.counts().refused > 0 && gateway.counts().refused > 0)
            .await;
        assert_eq!((worker.counts().gateways, gateway.counts().workers), (0, 0));
        assert_eq!(gateway.reaches(Partition(0)), None);
    }
}

#[tokio::test]
async fn a_worker_may_be_known_by_the_host_it_claims_with() {
    let authority = Authority::named("one");
    let (at_worker, at_gateway) =
        (Process::new(&authority, "localhost"), Process::new(&authority, "gateway-7.test"));
    let (lines, _collected) = Lines::collect();
    let (worker, address) = worker(at_worker.options_for(""));
    let mut owner = worker.serve(Partition(0));
    let owned = Owned::new();
    owned.claim(0, 1, address);
    let link = gateway(at_gateway.options_for(""), &owned);
    lines.say("no link to a worker", "not valid for name").await;
    // A name is looked up when it is dialed.
    owned.claim_with(0, 2, &format!("localhost:{}", address.port()));
    speak(&worker, &mut owner, &mut Hub::new(&link), 1).await;
    assert_eq!((worker.counts().gateways, link.counts().workers), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_counts_from_the_next_connection_on() {
    let (one, other) = (Authority::named("one"), Authority::named("other"));
    let (at_worker, at_gateway) = (Process::new(&one, NAME), Process::new(&one, NAME));
    let (worker, address) = worker(at_worker.options());
    let mut owner = worker.serve(Partition(0));
    let (owned, proxy) = (Owned::new(), Proxy::to(address).await);
    owned.claim(0, 1, proxy.address);
    let link = gateway(at_gateway.options(), &owned);
    let mut hub = Hub::new(&link);
    speak(&worker, &mut owner, &mut hub, 1).await;

    at_worker.certify(&other, NAME);
    // It is looked for once a second at most; until then others connect.
    loop {
        let other = gateway(at_gateway.options(), &owned);
        let tried = || other.counts().refused > 0 || other.counts().workers > 0;
        eventually("it connects or does not", tried).await;
        if other.counts().refused > 0 {
            break;
        }
    }
    speak(&worker, &mut owner, &mut hub, 2).await;
    assert_eq!(link.counts().reconnects, 0, "the old connection stands");

    proxy.set(Wire::Cut);
    eventually("a cut", || link.reaches(Partition(0)).is_none()).await;
    proxy.set(Wire::Whole);
    eventually("the gateway refuses it now, too", || link.counts().refused > 0).await;
    at_worker.certify(&one, NAME);
    speak(&worker, &mut owner, &mut hub, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_and_broken_handshakes_hold_up_nobody() {
    let process = Process::new(&Authority::named("one"), NAME);
    let silence = Duration::from_millis(500);
    let options = Options { silence, beat: silence / 3, ..process.options() };
    let (worker, address) = worker(options.clone());
    let mut owner = worker.serve(Partition(0));
    let mut silent = Vec::new();
    for _ in 0..20 {
        let mut raw = Raw::connect(address).await;
        raw.0.write_all(&[22, 3, 1, 0, 200, 1]).await.expect("it reads");
        silent.push(raw);
    }
    let mut broken = Raw::connect(address).await;
    broken.0.write_all(&[0xff; 64]).await.expect("it reads");
    let owned = Owned::new();
    owned.claim(0, 1, address);
    let link = gateway(Options { silence: DEADLINE, ..options }, &owned);
    speak(&worker, &mut owner, &mut Hub::new(&link), 1).await;
    eventually("all are let go", || worker.counts().refused == 21).await;
    assert_eq!(worker.counts().gateways, 1);
}
