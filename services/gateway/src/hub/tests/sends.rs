//! Acceptance that waits for delivery.

use harkara_domain::RejectCode;
use harkara_engine::link::Outcome;
use harkara_protocol::client::RequestId;

use super::*;

fn request(n: usize) -> RequestId {
    serde_json::from_str(&n.to_string()).expect("an id")
}

/// A session with as many undecided sends as may be in flight is not read from, before one of them
/// comes back as an event, as a refusal, or not at all for too long.
#[test]
fn a_session_is_read_from_while_its_sends_are_decided() {
    on_a_thread(async {
        let mut thread = Thread::new();
        thread.run_hub();
        let (key, client) = thread.session(9);
        thread.follow(key).await;
        let peer = thread.hub.peer(key).expect("a session");
        let most = thread.hub.config.requests_in_flight_max;
        // The room's next event is one of them.
        let mine = |n: usize| ClientId::caused(ROOM, n as u64, UserId::from_bytes([9; 16]));
        for n in 1..=most {
            assert!(!client.held.get(), "held before it is full");
            peer.owe_accepted(ROOM, mine(n), request(n), thread.hub.clock.elapsed_ns());
        }
        assert!(client.held.get());
        peer.accepted(&request(1));
        assert!(client.held.get(), "accepted is not delivered");

        let event = thread.message().await;
        thread.push(1, What::Event(event));
        eventually(|| !client.held.get()).await;

        peer.owe_accepted(ROOM, mine(1), request(most + 1), thread.hub.clock.elapsed_ns());
        assert!(client.held.get());
        let device = DeviceId::from_bytes([9; 16]);
        let outcome = Outcome::Rejected(RejectCode::Forbidden);
        thread.push(1, What::Outcome { device, client_id: mine(2), outcome });
        eventually(|| !client.held.get()).await;

        peer.owe_accepted(ROOM, mine(2), request(most + 2), thread.hub.clock.elapsed_ns());
        (1..=most + 2).for_each(|n| peer.accepted(&request(n)));
        assert!(client.held.get());
        peer.expire(u64::MAX);
        assert!(!client.held.get(), "a lost outcome is not waited for");
        assert!(thread.hub.load.is_idle());
    });
}
