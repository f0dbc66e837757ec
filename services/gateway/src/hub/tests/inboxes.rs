//! A list is whole when it was read after its inbox's owner had confirmed (ADR 3).

use harkara_domain::Membership;

use super::*;

#[test]
fn a_list_that_was_read_too_early_is_read_again_when_the_owner_confirms() {
    on_a_thread(async {
        let mut thread = Thread::new();
        thread.run_hub();
        let (key, client) = thread.session(1);
        let user = UserId::from_bytes([1; 16]);
        let inbox = ConversationId::inbox(TENANT, user);
        // The owner is silent for longer than a starting session waits.
        thread.hub.watch_inbox(key, inbox).await;
        thread.hub.started(key);
        thread.message().await;
        let row = Membership { tenant: TENANT, user, conversation: ROOM, present: true, cause: 1 };
        let step = Step { memberships: vec![row], ..Step::default() };
        thread.embedded.store().write(TENANT, ROOM, step).await.expect("written");

        let (_, asked) = thread.owner.recv().await.expect("open");
        assert!(matches!(asked, Up::SubscribeInbox { conversation, .. } if conversation == inbox));
        let what = What::Subscribed { head: 0, entries: vec![(user, None)] };
        let down = Down { partition: Partition(0), epoch: Epoch(1), conversation: inbox, what };
        thread.embedded.link().worker().push(&[thread.endpoint], Arc::new(down));

        thread.answer(1).await;
        eventually(|| client.heard("\"added\"")).await;
    });
}

#[test]
fn an_answer_from_before_the_news_is_not_taken_for_the_last_word() {
    on_a_thread(async {
        let mut thread = Thread::new();
        thread.run_hub();
        let (key, client) = thread.session(1);
        let user = UserId::from_bytes([1; 16]);
        thread.hub.started(key);
        thread.message().await;
        let appearing = Rc::clone(&thread.hub).appeared(key, ROOM, 1);
        tokio::task::spawn_local(appearing);
        let (_, asked) = thread.owner.recv().await.expect("open");
        assert!(matches!(asked, Up::Subscribe { .. }));
        // What the owner said before the event that made the user a member.
        thread.push(1, What::Subscribed { head: 0, entries: vec![(user, None)] });
        thread.answer(1).await;
        eventually(|| client.heard("\"added\"")).await;
    });
}
