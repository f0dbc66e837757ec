//! Who is no member gets nothing, whatever happens at the same time (soundness S4).

use super::*;

/// [S4] After a removal nothing more goes out, not even what comes in the same batch.
#[test]
fn a_removed_member_gets_nothing_more() {
    on_a_thread(async {
        let mut thread = Thread::new();
        thread.run_hub();
        let ((one, gone), (two, stays)) = (thread.session(1), thread.session(2));
        thread.follow(one).await;
        thread.follow(two).await;
        let removal =
            thread.store(Body::Removed { users: vec![UserId::from_bytes([1; 16])] }).await;
        let secret = thread.message().await;
        thread.push(1, What::Event(removal));
        thread.push(1, What::Event(secret));
        eventually(|| stays.events() == [1, 2]).await;
        assert_eq!(gone.events(), [1], "members_only");
        assert_eq!(thread.hub.access(one, ROOM), None);
        assert!(thread.hub.access(two, ROOM).is_some());
    });
}

/// [S4] A removal that fell between the owner's answer and the first event given out.
#[test]
fn catching_up_ends_at_the_removal() {
    on_a_thread(async {
        let mut thread = Thread::new();
        thread.run_hub();
        let ((one, gone), (two, stays)) = (thread.session(1), thread.session(2));
        thread.follow(two).await;
        let removal =
            thread.store(Body::Removed { users: vec![UserId::from_bytes([1; 16])] }).await;
        let secret = thread.message().await;
        thread.push(1, What::Event(removal));
        thread.push(1, What::Event(secret));
        eventually(|| stays.events() == [1, 2]).await;
        thread.hub.follow(one, ROOM, 1, 0);
        eventually(|| gone.events() == [1] && thread.hub.access(one, ROOM).is_none()).await;
        let event = thread.message().await;
        thread.push(1, What::Event(event));
        eventually(|| stays.events() == [1, 2, 3]).await;
        assert_eq!(gone.events(), [1], "members_only");
    });
}

/// The owner says that a user is no member any more: their sessions are told and get nothing.
#[test]
fn a_membership_that_ended_unseen_is_noticed() {
    on_a_thread(async {
        let mut thread = Thread::new();
        thread.run_hub();
        let (key, client) = thread.session(1);
        thread.follow(key).await;
        let user = UserId::from_bytes([1; 16]);
        thread.push(1, thread.subscribed(&[user], |_| false));
        eventually(|| client.heard("\"change\":\"removed\"")).await;
        assert_eq!(thread.hub.access(key, ROOM), None);
    });
}

/// A session ends while the owner is asked for it, and another takes its place on the thread.
#[test]
fn nobody_gets_what_was_asked_for_another() {
    on_a_thread(async {
        let mut thread = Thread::new();
        thread.run_hub();
        let (gone, _) = thread.session(1);
        let appearing = Rc::clone(&thread.hub).appeared(gone, ROOM, 1);
        let appearing = tokio::task::spawn_local(appearing);
        tokio::task::yield_now().await;
        thread.hub.unregister(gone, ConversationId::from_bytes([1; 16]));
        let (stranger, client) = thread.session(2);
        thread.answer(1).await;
        appearing.await.expect("joins");
        let event = thread.message().await;
        thread.push(1, What::Event(event));
        thread.push(1, What::Typing { user: UserId::from_bytes([3; 16]), active: true });
        // Whoever does follow the room hears it, so the frames have been taken.
        let (member, heard) = thread.session(3);
        thread.follow_after(member, 0).await;
        eventually(|| heard.events() == [1]).await;
        assert!(client.frames.borrow().is_empty(), "members_only");
        assert_eq!(thread.hub.access(stranger, ROOM), None);
    });
}

/// The thread lags behind what the owner told a session: nothing before its place reaches it.
#[test]
fn a_session_is_never_taken_back() {
    on_a_thread(async {
        let mut thread = Thread::new();
        thread.run_hub();
        let (old, all) = thread.session(1);
        thread.follow(old).await;
        let lost = [thread.message().await, thread.message().await];
        // Added at 3, which this thread has not heard of yet.
        let (new, late) = thread.session(2);
        thread.hub.follow(new, ROOM, 3, 3);
        assert_eq!(thread.hub.access(new, ROOM), None, "the owner must be asked");
        for event in lost {
            thread.push(1, What::Event(event));
        }
        for _ in 0..2 {
            let event = thread.message().await;
            thread.push(1, What::Event(event));
        }
        eventually(|| all.events() == [1, 2, 3, 4]).await;
        assert_eq!(late.events(), [4], "members_only");
        assert_eq!(thread.hub.access(new, ROOM), Some((3, 4)));
    });
}
