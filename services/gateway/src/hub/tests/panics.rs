//! A panic ends the sessions that it is about, not the thread.

use super::*;

#[test]
fn a_panic_over_a_conversation_ends_its_sessions_and_no_other() {
    on_a_thread(async {
        let mut thread = Thread::new();
        thread.run_hub();
        let (key, client) = thread.session(1);
        let (_, stranger) = thread.session(2);
        thread.follow(key).await;
        let event = thread.message().await;
        client.mined.set(true);
        thread.push(1, What::Event(event));
        eventually(|| client.closed.get() == Some(1011)).await;
        assert_eq!(stranger.closed.get(), None);
        // The client is back, with its cursor; the hub goes on.
        thread.hub.unregister(key, ConversationId::from_bytes([1; 16]));
        let (key, again) = thread.session(1);
        thread.follow_after(key, 0).await;
        let event = thread.message().await;
        thread.push(1, What::Event(event));
        eventually(|| again.events().len() == 2).await;
        assert_eq!(again.events(), [1, 2]);
    });
}
