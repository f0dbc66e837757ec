//! `session.start`: who is it, and what is in their list. Events flow only after the answer is
//! queued, so a client never sees one of a conversation it doesn't know.

use std::{collections::BTreeMap, rc::Rc};

use harkara_domain::{ConversationId, Entry, Seq, limits};
use harkara_protocol::{
    client::{
        ErrorWord, Id, RequestId, RpcError,
        notifications::Change,
        replies::{ConversationEntry, Limits, SessionStarted},
        requests::SessionStart,
    },
    time,
};

use super::{
    lists,
    open::{Live, Open, Reply},
};
use crate::{auth::Identity, config::Config, hub::Hub, peer::Peer};

/// Runs `session.start` and answers it. True when the session is live.
pub async fn start(
    open: Rc<Open>,
    id: RequestId,
    params: SessionStart,
    granted: Option<Identity>,
) -> bool {
    match prepare(&open, params, granted).await {
        Ok((started, plans)) => {
            open.reply(&id, Ok(started));
            if let Some(live) = open.live.get() {
                plans.into_iter().for_each(|plan| plan.follow(&open.gateway.hub, live));
                open.gateway.hub.started(live.key);
            }
            true
        }
        Err(error) => {
            open.refuse(Some(&id), &error);
            false
        }
    }
}

/// Where a session takes up one conversation.
struct Plan {
    conversation: ConversationId,
    cursor: Option<Seq>,
    /// From where on it is given events; none while the owner is silent.
    place: Option<(Seq, Seq)>,
}

impl Plan {
    fn follow(self, hub: &Rc<Hub>, live: &Live) {
        let Self { conversation, cursor, place } = self;
        match place {
            Some((from, at)) => hub.follow(live.key, conversation, from, at),
            None => {
                let later = resolve_later(Rc::clone(hub), live.key, conversation, cursor);
                actix_rt::spawn(later);
            }
        }
    }
}

/// The owner was silent at the start: a `conversation` notification brings the entry (and with it
/// the head) when it speaks.
pub(super) async fn resolve_later(
    hub: Rc<Hub>,
    key: crate::hub::Key,
    conversation: ConversationId,
    cursor: Option<Seq>,
) {
    hub.resolving(key, conversation);
    let entry = hub.entry_patiently(key, conversation).await;
    hub.resolved(key, conversation);
    let Some(peer) = hub.peer(key) else { return };
    let Some(entry) = entry else {
        // It was in the list, and is not any more.
        return hub.tell_change(&peer, conversation, Change::Removed, None);
    };
    let taken = take_up(&entry, cursor, hub.config.catch_up_events_max);
    hub.tell_change(&peer, conversation, Change::Changed, Some(&entry));
    hub.follow(key, conversation, entry.from, taken.at);
}

/// Where to take up a conversation, given the client's cursor.
struct TakeUp {
    at: Seq,
    behind: bool,
    reset: bool,
}

fn take_up(entry: &Entry, cursor: Option<Seq>, catch_up_max: usize) -> TakeUp {
    let live = |behind, reset| TakeUp { at: entry.head, behind, reset };
    match cursor {
        None => live(false, false),
        Some(cursor) if cursor > entry.head => live(false, true),
        Some(cursor) => {
            let at = cursor.max(entry.from - 1);
            let missing = usize::try_from(entry.head - at).unwrap_or(usize::MAX);
            if missing > catch_up_max {
                live(true, false)
            } else {
                TakeUp { at, ..live(false, false) }
            }
        }
    }
}

async fn prepare(
    open: &Rc<Open>,
    params: SessionStart,
    granted: Option<Identity>,
) -> Reply<(SessionStarted, Vec<Plan>)> {
    let identity = identify(open, params.token.as_deref(), granted)?;
    let live = register(open, &identity);
    let started = (live.peer.tenant, live.peer.user, live.peer.device);
    if started != (identity.tenant, identity.user, identity.device) {
        let message = "this session was started by somebody else: connect anew";
        return Err(RpcError::word(ErrorWord::Forbidden, message));
    }
    // Of the token that counts: an attempt before may have failed with another one.
    open.expires_at_ms.set(identity.expires_at_ms);
    open.signed_by.set(identity.signed_by);
    open.gateway.keep_name(&identity).await;
    // Before the list is read, so that nothing falls between.
    open.gateway.hub.watch_inbox(live.key, live.inbox).await;
    let page = lists::page(open, None, open.gateway.config.conversations_per_page_max).await?;
    let cursors: BTreeMap<ConversationId, Seq> = params
        .cursors
        .unwrap_or_default()
        .into_iter()
        .map(|(conversation, seq)| (conversation.0, seq.0))
        .collect();
    let mut wanted = page.conversations;
    let named = cursors.keys().copied().filter(|id| !wanted.contains(id));
    let named: Vec<_> = named.collect();
    wanted.extend(named);
    let entries = lists::subscribe_all(open, &wanted).await?;
    let mut started = answer(open, live, page.next);
    let mut plans = Vec::with_capacity(wanted.len());
    for (conversation, entry) in entries {
        let cursor = cursors.get(&conversation).copied();
        match entry {
            Ok(Some(entry)) => {
                let taken = take_up(&entry, cursor, open.gateway.config.catch_up_events_max);
                if taken.reset {
                    started.reset.push(Id(conversation));
                }
                let shown = ConversationEntry::new(conversation, Some(&entry), taken.behind);
                started.conversations.push(shown);
                let place = Some((entry.from, taken.at));
                plans.push(Plan { conversation, cursor, place });
            }
            // The list and the owner disagree for moments around a removal: the owner is right.
            Ok(None) if cursor.is_some() => started.unknown.push(Id(conversation)),
            Ok(None) => {}
            Err(_) => {
                started.conversations.push(ConversationEntry::new(conversation, None, false));
                plans.push(Plan { conversation, cursor, place: None });
            }
        }
    }
    Ok((started, plans))
}

fn identify(open: &Open, token: Option<&str>, granted: Option<Identity>) -> Reply<Identity> {
    let unauthenticated = |m: String| RpcError::word(ErrorWord::Unauthenticated, m);
    match (token, granted) {
        (Some(token), _) => {
            open.gateway.verify(token).map_err(|error| unauthenticated(error.to_string()))
        }
        (None, Some(identity)) => Ok(identity),
        (None, None) => {
            let message = "no token: send it in params.token or as Authorization: Bearer";
            Err(unauthenticated(message.to_owned()))
        }
    }
}

/// Makes the session somebody's.
fn register<'a>(open: &'a Open, identity: &Identity) -> &'a Live {
    open.live.get_or_init(|| {
        let gateway = &open.gateway;
        let peer = Rc::new(Peer::new(
            gateway.new_session_id(),
            (identity.tenant, identity.user, identity.device),
            Rc::new(open.socket.clone()),
            gateway.metrics.clone(),
            Rc::clone(&gateway.hub.load),
        ));
        let inbox = ConversationId::inbox(identity.tenant, identity.user);
        let key = gateway.hub.register(Rc::clone(&peer));
        Live { peer, key, inbox }
    })
}

fn answer(open: &Open, live: &Live, next: Option<ConversationId>) -> SessionStarted {
    SessionStarted {
        session: Id(live.peer.session),
        user: Id(live.peer.user),
        device: Id(live.peer.device),
        server_time: time::format(open.gateway.clock.now_ms()),
        limits: wire_limits(&open.gateway.config),
        conversations: Vec::new(),
        next: next.map(Id),
        reset: Vec::new(),
        unknown: Vec::new(),
    }
}

fn wire_limits(config: &Config) -> Limits {
    Limits {
        frame_bytes_max: config.frame_bytes_max as u64,
        content_bytes_max: limits::CONTENT_BYTES_MAX as u64,
        requests_in_flight_max: config.requests_in_flight_max as u64,
        sends_per_second_max: config.sends_per_second_max.map(u64::from),
        conversations_per_page_max: config.conversations_per_page_max as u64,
        catch_up_events_max: config.catch_up_events_max as u64,
        timeline_page_max: limits::TIMELINE_PAGE_MAX as u64,
        users_per_request_max: limits::USERS_PER_REQUEST_MAX as u64,
        members_max: limits::MEMBERS_MAX as u64,
        dedup_window: limits::WINDOW_SENDS as u64,
        heartbeat_ms: config.heartbeat.as_millis(),
    }
}
