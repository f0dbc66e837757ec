//! What the link loses, or never had, comes from the store and in order (architecture D8, S5).

use super::*;

#[test]
fn what_the_queue_lost_comes_from_the_store() {
    on_a_thread(async {
        let mut thread = Thread::with_queue(8);
        let (key, client) = thread.session(1);
        thread.run_hub();
        thread.follow(key).await;
        let mut events = Vec::new();
        for _ in 0..100 {
            events.push(thread.message().await);
        }
        // The queue holds 8 frames, and the hub has no turn in between.
        for event in events {
            thread.push(1, What::Event(event));
        }
        // It notices the loss by itself and asks for the head.
        thread.answer(1).await;
        eventually(|| client.events().len() == 100).await;
        assert_eq!(client.events(), (1..=100).collect::<Vec<_>>(), "sequence_is_gapless");
    });
}

#[test]
fn a_gap_is_read_before_what_follows_it() {
    on_a_thread(async {
        let mut thread = Thread::new();
        thread.run_hub();
        let (key, client) = thread.session(1);
        thread.follow(key).await;
        for pushed in [true, false, false, true, true, false, true] {
            let event = thread.message().await;
            if pushed {
                thread.push(1, What::Event(Arc::clone(&event)));
                // A repeat changes nothing.
                thread.push(1, What::Event(event));
            }
        }
        eventually(|| client.events().len() >= 7).await;
        assert_eq!(client.events(), (1..=7).collect::<Vec<_>>(), "order_is_shared");
    });
}

#[test]
fn a_cursor_is_caught_up_before_live_events() {
    on_a_thread(async {
        let mut thread = Thread::new();
        thread.run_hub();
        for _ in 0..500 {
            thread.message().await;
        }
        let (key, client) = thread.session(1);
        let (live_key, live) = thread.session(2);
        thread.follow(live_key).await;
        // The one comes back with a cursor, the other is at the head.
        thread.follow_after(key, 100).await;
        for _ in 0..20 {
            let event = thread.message().await;
            thread.push(1, What::Event(event));
        }
        eventually(|| client.events().len() >= 420 && live.events().len() >= 20).await;
        assert_eq!(client.events(), (101..=520).collect::<Vec<_>>());
        assert_eq!(live.events(), (501..=520).collect::<Vec<_>>());
    });
}

/// [S5] Once a later owner has spoken, an earlier one is not heard.
#[test]
fn an_owner_of_the_past_is_not_heard() {
    on_a_thread(async {
        let mut thread = Thread::new();
        thread.run_hub();
        let (key, client) = thread.session(1);
        thread.follow(key).await;
        let event = thread.message().await;
        thread.push(7, What::Typing { user: UserId::from_bytes([2; 16]), active: true });
        thread.push(6, What::Typing { user: UserId::from_bytes([3; 16]), active: true });
        thread.push(7, What::Event(event));
        eventually(|| client.events() == [1]).await;
        assert!(client.heard("02020202"), "the later owner is heard");
        assert!(!client.heard("03030303"), "the earlier one is not");
    });
}

/// Another session of the user ends between the owner's answer and the new one's following: the
/// owner was told that the user is gone, so it is asked again.
#[test]
fn a_session_that_ends_takes_no_other_with_it() {
    on_a_thread(async {
        let mut thread = Thread::new();
        thread.run_hub();
        let ((old, _), (new, client)) = (thread.session(1), thread.session(1));
        thread.follow(old).await;
        let hub = Rc::clone(&thread.hub);
        let asked = tokio::task::spawn_local(async move { hub.subscribe(new, ROOM).await });
        thread.answer(1).await;
        let entry = asked.await.expect("joins").expect("an owner").expect("a member");
        thread.hub.unregister(old, ConversationId::from_bytes([1; 16]));
        let end = thread.owner.recv().await.expect("told").1;
        assert!(matches!(end, Up::Unsubscribe { .. }), "{end:?}");
        thread.hub.follow(new, ROOM, entry.from, entry.head);
        // What was stored while nobody listened is not lost either.
        let _unheard = thread.message().await;
        thread.answer(1).await;
        let event = thread.message().await;
        thread.push(1, What::Event(event));
        eventually(|| client.events() == [1, 2]).await;
    });
}

/// Clients that don't read while they are caught up hold up nobody else.
#[test]
fn slow_readers_hold_up_nobody_else() {
    on_a_thread(async {
        let mut thread = Thread::new();
        thread.run_hub();
        for _ in 0..10 {
            thread.message().await;
        }
        let (key, _) = thread.session(3);
        thread.follow(key).await;
        let slow: Vec<_> = (0..100).map(|_| thread.session(1)).collect();
        for (key, client) in &slow {
            client.queued.set(usize::MAX);
            thread.hub.follow(*key, ROOM, 1, 0);
        }
        let (key, quick) = thread.session(2);
        thread.follow_after(key, 0).await;
        eventually(|| quick.events() == (1..=10).collect::<Vec<_>>()).await;
        assert!(slow.iter().all(|(_, client)| client.events().is_empty()));
        slow.iter().for_each(|(_, client)| client.queued.set(0));
        eventually(|| slow.iter().all(|(_, client)| client.events().len() == 10)).await;
    });
}

/// A conversation whose owner was silent at the start is taken up where the client is, although
/// its list is read again meanwhile: it did not just appear.
#[test]
fn what_a_session_waits_for_did_not_just_appear() {
    on_a_thread(async {
        let mut thread = Thread::new();
        thread.run_hub();
        for _ in 0..20 {
            thread.message().await;
        }
        let (key, client) = thread.session(1);
        thread.hub.resolving(key, ROOM);
        Rc::clone(&thread.hub).appeared(key, ROOM, 1).await;
        assert!(thread.hub.knows(key, ROOM) && !thread.hub.is_subscribed(key, ROOM));
        thread.hub.resolved(key, ROOM);
        thread.follow_after(key, 5).await;
        eventually(|| client.events().len() == 15).await;
        assert_eq!(client.events(), (6..=20).collect::<Vec<_>>(), "from its cursor on");
        assert!(!client.heard("\"added\""), "it was told at the start");
    });
}

/// Else the answers would overflow the link once more, and so on for ever.
#[test]
fn everything_is_subscribed_again_at_the_pace_of_the_answers() {
    const ROOMS: u16 = 3_000;
    const QUEUE: usize = 64;
    on_a_thread(async {
        let mut thread = Thread::with_queue(QUEUE);
        let (key, _client) = thread.session(1);
        let user = UserId::from_bytes([1; 16]);
        for n in 0..ROOMS {
            let [high, low] = n.to_be_bytes();
            let mut room = [0xd0; 16];
            (room[1], room[2]) = (high, low);
            thread.hub.follow(key, ConversationId::from_bytes(room), 1, 0);
            thread.owner.recv().await.expect("open");
        }
        for _ in 0..=QUEUE {
            thread.push(1, What::Typing { user, active: true });
        }
        thread.run_hub();

        let (mut rooms, mut most) = (std::collections::BTreeSet::new(), 0);
        while rooms.len() < usize::from(ROOMS) {
            let first = tokio::time::timeout(Duration::from_secs(5), thread.owner.recv()).await;
            let mut asked = vec![first.expect("asked in time").expect("open").1];
            while let Ok((_, up)) = thread.owner.try_recv() {
                asked.push(up);
            }
            most = most.max(asked.len());
            for batch in asked.chunks(QUEUE / 2) {
                for conversation in batch.iter().map(Up::conversation) {
                    rooms.insert(conversation);
                    let entries = vec![(user, Some(thread.entry()))];
                    let what = What::Subscribed { head: 0, entries };
                    let (partition, epoch) = (Partition(0), Epoch(1));
                    let down = Arc::new(Down { partition, epoch, conversation, what });
                    thread.embedded.link().worker().push(&[thread.endpoint], down);
                }
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
            }
        }
        assert!((2..=1_000).contains(&most), "{most} at one time");
    });
}
