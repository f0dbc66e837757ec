//! The user's list, members of a conversation, names of users.

use std::rc::Rc;

use harkara_domain::{ConversationId, Profile, UserId};
use harkara_engine::link::Answer;
use harkara_protocol::client::{
    Id, RpcError,
    replies::{
        ConversationEntry, ConversationPage, MemberEntry, MembersPage, UserEntry, UsersResult,
    },
    requests::{ConversationGet, ConversationList, MembersList, UsersFind, UsersGet},
};

use super::{
    open::{Open, Reply, limit, no_such_conversation, unavailable},
    start,
};
use crate::{
    hub::entries::{EntryAnswer, NoOwner},
    load::Stage,
};

/// Members in one page: 1,000 × ~60 bytes = 60 kB.
const MEMBERS_PAGE: usize = 1_000;

/// Users found at once: enough for a list to choose from.
const FOUND_MAX: usize = 50;

/// Longest beginning of a name to look for, bytes.
const PREFIX_BYTES_MAX: usize = 256;

/// A page of ids of the user's list.
pub struct Page {
    pub conversations: Vec<ConversationId>,
    pub next: Option<ConversationId>,
}

/// Reads a page of the user's list from the store.
pub async fn page(open: &Open, after: Option<ConversationId>, limit: usize) -> Reply<Page> {
    let peer = &open.live()?.peer;
    let rows = open.gateway.store.memberships(peer.tenant, peer.user, after, limit + 1).await;
    let rows = rows.map_err(|error| store_failed(&error))?;
    let mut conversations: Vec<_> = rows.into_iter().map(|row| row.conversation).collect();
    let more = conversations.len() > limit;
    conversations.truncate(limit);
    let next = conversations.last().copied().filter(|_| more);
    Ok(Page { conversations, next })
}

/// What an owner said of a conversation, or that it didn't.
pub type Answered = (ConversationId, EntryAnswer);

/// Asks all owners at once, and waits for each no longer than the setting says.
pub async fn subscribe_all(open: &Open, wanted: &[ConversationId]) -> Reply<Vec<Answered>> {
    let key = open.live()?.key;
    let hub = &open.gateway.hub;
    let asked = wanted.iter().map(|id| async move { (*id, hub.subscribe(key, *id).await) });
    Ok(futures_util::future::join_all(asked).await)
}

/// `conversation.list`. What is listed is live from its head on.
pub async fn list(open: Rc<Open>, params: ConversationList) -> Reply<ConversationPage> {
    let most = limit(params.limit, open.gateway.config.conversations_per_page_max)?;
    let page = page(&open, params.after.map(|id| id.0), most).await?;
    let key = open.live()?.key;
    let mut conversations = Vec::with_capacity(page.conversations.len());
    for (conversation, entry) in subscribe_all(&open, &page.conversations).await? {
        match entry {
            Ok(Some(entry)) => {
                conversations.push(ConversationEntry::new(conversation, Some(&entry), false));
                if !open.gateway.hub.knows(key, conversation) {
                    open.gateway.hub.follow(key, conversation, entry.from, entry.head);
                }
            }
            Ok(None) => {}
            Err(NoOwner) => {
                conversations.push(ConversationEntry::new(conversation, None, false));
                if !open.gateway.hub.is_resolving(key, conversation) {
                    let hub = Rc::clone(&open.gateway.hub);
                    actix_rt::spawn(start::resolve_later(hub, key, conversation, None));
                }
            }
        }
    }
    Ok(ConversationPage { conversations, next: page.next.map(Id) })
}

/// `conversation.get`.
pub async fn get(open: Rc<Open>, params: ConversationGet) -> Reply<ConversationEntry> {
    let entry = open.entry(params.conversation.0).await?;
    Ok(ConversationEntry::new(params.conversation.0, Some(&entry), false))
}

/// `members.list`.
pub async fn members(open: Rc<Open>, params: MembersList) -> Reply<MembersPage> {
    let most = limit(params.limit, MEMBERS_PAGE)?;
    open.spare(Stage::History)?;
    open.access(params.conversation.0, 0).await?;
    let user = open.live()?.peer.user;
    let after = params.after.map(|id| id.0);
    match open.gateway.hub.ask_members(params.conversation.0, user, after, most).await {
        Ok(Answer::Members(page, more)) => {
            let next = page.last().map(|(user, _)| Id(*user)).filter(|_| more);
            let entry = |(user, role): (UserId, _)| MemberEntry { user: Id(user), role };
            let members = page.into_iter().map(|(u, role)| entry((u, role.into()))).collect();
            Ok(MembersPage { members, next })
        }
        Ok(_) => Err(no_such_conversation()),
        Err(NoOwner) => Err(unavailable("the conversation's owner can't be reached")),
    }
}

/// `users.get`.
pub async fn users(open: Rc<Open>, params: UsersGet) -> Reply<UsersResult> {
    let tenant = open.live()?.peer.tenant;
    let profiles = open.gateway.store.profiles(tenant, params.users.ids()).await;
    Ok(wire(profiles.map_err(|error| store_failed(&error))?))
}

/// `users.find`.
pub async fn find(open: Rc<Open>, params: UsersFind) -> Reply<UsersResult> {
    let tenant = open.live()?.peer.tenant;
    let most = limit(params.limit, FOUND_MAX)?;
    open.spare(Stage::History)?;
    let prefix = params.prefix.trim();
    if prefix.is_empty() || prefix.len() > PREFIX_BYTES_MAX {
        let message = format!("params.prefix: must have 1 to {PREFIX_BYTES_MAX} bytes");
        return Err(RpcError::params(message));
    }
    let profiles = open.gateway.store.find_profiles(tenant, prefix, most).await;
    Ok(wire(profiles.map_err(|error| store_failed(&error))?))
}

fn wire(profiles: Vec<Profile>) -> UsersResult {
    let entry = |profile: Profile| UserEntry { id: Id(profile.user), name: profile.name };
    UsersResult { users: profiles.into_iter().map(entry).collect() }
}

/// The store's trouble is for the operator; the client only learns to try again.
pub fn store_failed(error: &harkara_engine::StoreError) -> RpcError {
    tracing::warn!(%error, "a request could not be served");
    unavailable("the store did not answer")
}
