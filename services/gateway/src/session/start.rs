//! `session.start`: who is it, and what is in their list. Events flow only after the answer is
//! queued, so a client never sees one of a conversation it doesn't know.
//!
//! Who comes back with a ticket and names the conversations that it was told of, and whose list has
//! not changed since, costs the store nothing: what the owners have in memory is compared with the
//! cursors.

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
use crate::{
    auth::{Identity, ListMark},
    config::Config,
    hub::Hub,
    peer::Peer,
};

/// Cursors by conversation.
type Cursors = BTreeMap<ConversationId, Seq>;

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
    let (identity, known) = identify(open, &params, granted)?;
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
    let version = open.gateway.hub.watch_inbox(live.key, live.inbox).await;
    let cursors = params.cursors.unwrap_or_default();
    let cursors: Cursors = cursors.into_iter().map(|(id, seq)| (id.0, seq.0)).collect();
    let list = List::of(open, version, known, &cursors).await?;
    let entries = lists::subscribe_all(open, &list.wanted).await?;
    let mut started = answer(open, live, list.next);
    let plans = plan(open, &mut started, entries, &cursors);
    let list = list.mark(open, &started);
    started.ticket = Some(open.gateway.seal_ticket(&identity, list));
    Ok((started, plans))
}

/// What the session is about: the first page of the list and what the cursors name.
struct List {
    wanted: Vec<ConversationId>,
    next: Option<ConversationId>,
    /// Of which `wanted` has all, or more.
    version: Option<Seq>,
}

impl List {
    async fn of(
        open: &Open,
        version: Option<Seq>,
        known: Option<ListMark>,
        cursors: &Cursors,
    ) -> Reply<Self> {
        let gateway = &open.gateway;
        // What the owner knows nothing of is 0.
        let version = version.filter(|version| *version > 0);
        let is_as_it_was = |known: &ListMark| {
            known.generation == gateway.log.generation()
                && version.is_some_and(|version| version <= known.version)
                && known.names == ListMark::names(cursors.keys().copied())
        };
        match known.filter(is_as_it_was) {
            Some(known) => {
                gateway.metrics.began("known");
                let wanted = cursors.keys().copied().collect();
                Ok(Self { wanted, next: None, version: Some(known.version) })
            }
            None => Self::read(open, version, cursors).await,
        }
    }

    async fn read(open: &Open, version: Option<Seq>, cursors: &Cursors) -> Reply<Self> {
        open.gateway.metrics.began("read");
        let most = open.gateway.config.conversations_per_page_max;
        let page = lists::page(open, None, most).await?;
        let mut wanted = page.conversations;
        let named = cursors.keys().copied().filter(|id| !wanted.contains(id));
        let named: Vec<_> = named.collect();
        wanted.extend(named);
        Ok(Self { wanted, next: page.next, version })
    }

    /// What a ticket says of it; nothing where there are more pages.
    fn mark(&self, open: &Open, told: &SessionStarted) -> Option<ListMark> {
        let version = self.version.filter(|_| self.next.is_none())?;
        let mut ids: Vec<_> = told.conversations.iter().map(|entry| entry.id.0).collect();
        ids.sort_unstable();
        let names = ListMark::names(ids.into_iter());
        Some(ListMark { generation: open.gateway.log.generation(), version, names })
    }
}

/// Puts what the owners said into the answer, and tells where each conversation is taken up.
fn plan(
    open: &Open,
    started: &mut SessionStarted,
    entries: Vec<lists::Answered>,
    cursors: &Cursors,
) -> Vec<Plan> {
    let mut plans = Vec::with_capacity(entries.len());
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
    plans
}

/// Who it is, and what list their ticket says they were told. A ticket stands in for a token; beside
/// one that was verified already it only tells the list.
fn identify(
    open: &Open,
    params: &SessionStart,
    granted: Option<Identity>,
) -> Reply<(Identity, Option<ListMark>)> {
    let unauthenticated = |m: String| RpcError::word(ErrorWord::Unauthenticated, m);
    let ticket = params.ticket.as_deref().and_then(|ticket| open.gateway.open_ticket(ticket));
    let identity = match (params.token.as_deref(), granted, &ticket) {
        (_, None, Some((identity, _))) => identity.clone(),
        (Some(token), _, _) => {
            open.gateway.verify(token).map_err(|error| unauthenticated(error.to_string()))?
        }
        (None, Some(identity), _) => identity,
        (None, None, None) if params.ticket.is_some() => {
            return Err(unauthenticated("the ticket is not valid here; send a token".to_owned()));
        }
        (None, None, None) => {
            let message = "no token: send it in params.token or as Authorization: Bearer";
            return Err(unauthenticated(message.to_owned()));
        }
    };
    let same = |of: &Identity| (of.tenant, of.user, of.device);
    let list = ticket.filter(|(of, _)| same(of) == same(&identity)).and_then(|(_, list)| list);
    Ok((identity, list))
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
        ticket: None,
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
