//! What changes a conversation. Step 3 of the message path: the record is appended, and nothing
//! is decided here. A gateway refuses early only on the word of the conversation's owner, never
//! because its own list lacks something (soundness S8).
//!
//! Danger: the order of `append` calls is the order of a session's messages (I6), so a send that
//! can be appended is appended while its frame is handled, before the next frame is looked at.

use std::{future::Future, pin::Pin, rc::Rc, time::Duration};

use harkara_domain::{
    ClientId, Command, ConversationId, Kind, Partition, Record, Role, Salt, Seq, limits,
};
use harkara_engine::{LogError, link::Outcome, log::Pending};
use harkara_protocol::{
    client::{
        ErrorWord, Id, RequestId, RpcError, SeqNo,
        fields::Users,
        replies::{Changed, Created},
        requests::{
            ConversationCreate, ConversationLeave, ConversationUpdate, MembersAdd, MembersRemove,
            MembersSetRole, MessageSend,
        },
    },
    content, record,
};
use harkara_service_runtime::{
    Step,
    sabotage::{Rule, is_broken},
};

use super::open::{Open, Reply, no_such_conversation, overloaded, unavailable};
use crate::{
    hub::notices::{error_word, reject_message},
    load::Entry,
    peer::Peer,
};

/// What is left to do for a request after its frame was handled.
pub type Rest = Pin<Box<dyn Future<Output = ()>>>;

/// `message.send`: appended now where the session follows the conversation, else after its owner
/// was asked; then the session reads nothing more until that is done.
pub fn send(open: &Rc<Open>, id: RequestId, params: MessageSend) -> Started {
    let (conversation, client_id) = (params.conversation.0, params.client_id.0);
    let command = match message(open, &params) {
        Ok(command) => command,
        Err(error) => {
            open.refuse(Some(&id), &error);
            return Started::Done;
        }
    };
    let Some(live) = open.live.get() else { return Started::Done };
    if open.gateway.hub.is_subscribed(live.key, conversation) {
        return match append_send(open, &id, conversation, client_id, command) {
            Some(rest) => Started::Running(rest),
            None => Started::Done,
        };
    }
    let open = Rc::clone(open);
    Started::Blocking(Box::pin(async move {
        match may_append(&open, conversation).await {
            Ok(()) => {
                if let Some(rest) = append_send(&open, &id, conversation, client_id, command) {
                    rest.await;
                }
            }
            Err(error) => open.refuse_send(&id, conversation, &error),
        }
    }))
}

/// How a send goes on.
pub enum Started {
    /// It is answered.
    Done,
    /// It is appended; its answer follows.
    Running(Rest),
    /// It isn't appended yet: the next frame must wait.
    Blocking(Rest),
}

fn message(open: &Open, params: &MessageSend) -> Reply<Command> {
    if params.reply_to == Some(SeqNo(0)) {
        return Err(RpcError::params("params.reply_to: must be at least 1"));
    }
    let content = content::canonical(&params.content)?;
    let salt = Salt(open.gateway.entropy.bytes16());
    Ok(Command::Send { content, reply_to: params.reply_to.map(|seq| seq.0), salt })
}

fn append_send(
    open: &Rc<Open>,
    id: &RequestId,
    conversation: ConversationId,
    client_id: ClientId,
    command: Command,
) -> Option<Rest> {
    let peer = Rc::clone(&open.live.get()?.peer);
    let start = open.gateway.clock.elapsed_ns();
    let appended = admit(open, &peer, conversation, start)
        .and_then(|()| append(open, conversation, client_id, command));
    let pending = match appended {
        Ok(pending) => pending,
        Err(error) => {
            open.refuse_send(id, conversation, &error);
            return None;
        }
    };
    peer.owe_accepted(conversation, client_id, id.clone(), start);
    if is_broken(Rule::AcceptEarly) {
        peer.accepted(id);
    }
    let (open, id) = (Rc::clone(open), id.clone());
    Some(Box::pin(async move {
        match pending.await {
            Ok(_) => peer.accepted(&id),
            // Unknown: the client's repeat finds out.
            Err(error) if peer.settle(&id) => {
                open.refuse_send(&id, conversation, &log_failed(&error));
            }
            Err(_) => {}
        }
        let nanos = open.gateway.clock.elapsed_ns().saturating_sub(start);
        open.gateway.metrics.step(Step::Append, nanos);
    }))
}

/// Has the thread room for one more? Pauses differ, so that not all come back at once.
fn admit(open: &Open, peer: &Peer, conversation: ConversationId, now: u64) -> Reply<()> {
    let (gateway, tenant) = (&open.gateway, peer.tenant);
    let send = Entry { tenant, conversation, since: now };
    let admitted = gateway.hub.load.admit(send, peer.undecided());
    admitted.map_err(|retry_ms| overloaded(retry_ms + gateway.entropy.below(retry_ms)))
}

/// May this user's record go into the conversation's log? Members and former members: what the
/// latter ask is refused at its place in the order, and what they asked before is found there
/// again (soundness S13). Everybody else learns nothing.
async fn may_append(open: &Rc<Open>, conversation: ConversationId) -> Reply<()> {
    let live = open.live()?;
    let hub = &open.gateway.hub;
    // An owner that was just lost is back in moments. What is refused meanwhile would come after
    // what its client sent behind it; what waits keeps its place.
    let patience: Duration = open.gateway.config.owner_timeout.into();
    let asked = hub.entry_patiently(live.key, conversation);
    match tokio::time::timeout(patience, asked).await {
        Ok(Some(entry)) => {
            if !hub.knows(live.key, conversation) {
                hub.introduce(live.key, &live.peer, conversation, &entry);
            }
            Ok(())
        }
        Ok(None) => {
            let (tenant, user) = (live.peer.tenant, live.peer.user);
            let row = open.gateway.store.membership(tenant, user, conversation).await;
            match row.map_err(|error| super::lists::store_failed(&error))? {
                Some(_) if !is_broken(Rule::TurnLeaversAway) => Ok(()),
                _ => Err(no_such_conversation()),
            }
        }
        Err(_) => Err(unavailable("the conversation's owner can't be reached")),
    }
}

fn append(
    open: &Open,
    conversation: ConversationId,
    client_id: ClientId,
    command: Command,
) -> Reply<Pending> {
    let gateway = &open.gateway;
    let peer = &open.live()?.peer;
    let record = Record {
        tenant: peer.tenant,
        conversation,
        sender: peer.user,
        device: peer.device,
        client_id,
        rules: gateway.log.rules(),
        origin: gateway.hub.endpoint().0,
        command,
    };
    let partition = Partition::of(conversation, gateway.log.partitions());
    let span = tracing::debug_span!("append", %conversation, %client_id);
    let _entered = span.enter();
    gateway
        .log
        .append(partition, conversation, record::encode(&record))
        .map_err(|error| log_failed(&error))
}

fn log_failed(error: &LogError) -> RpcError {
    tracing::warn!(%error, "a record was not confirmed");
    unavailable("the log did not confirm")
}

/// Appends a command and waits for what its place in the order makes of it.
async fn change(
    open: &Rc<Open>,
    conversation: ConversationId,
    client_id: ClientId,
    command: Command,
) -> Reply<Seq> {
    let peer = &open.live()?.peer;
    admit(open, peer, conversation, open.gateway.clock.elapsed_ns())?;
    let device = peer.device;
    let outcome = open.gateway.hub.expect_outcome(conversation, device, client_id);
    let pending = append(open, conversation, client_id, command)?;
    let deadline: Duration = open.gateway.config.outcome_timeout.into();
    let decided = async {
        pending.await.map_err(|error| log_failed(&error))?;
        outcome.await.map_err(|_| unavailable("the outcome was lost"))
    };
    match tokio::time::timeout(deadline, decided).await {
        Ok(Ok(Outcome::Applied(seq) | Outcome::Settled(seq))) => Ok(seq),
        Ok(Ok(Outcome::Rejected(code))) => {
            Err(RpcError::word(error_word(code), reject_message(code)))
        }
        Ok(Err(error)) => Err(error),
        Err(_) => Err(unavailable("the outcome is not known yet")),
    }
}

async fn change_known(
    open: Rc<Open>,
    conversation: Id<ConversationId>,
    client_id: Id<ClientId>,
    command: Command,
) -> Reply<Changed> {
    let live = open.live()?;
    if !open.gateway.hub.is_subscribed(live.key, conversation.0) {
        may_append(&open, conversation.0).await?;
    }
    let seq = change(&open, conversation.0, client_id.0, command).await?;
    Ok(Changed { seq: SeqNo(seq) })
}

/// `conversation.create`. The id is derived, so that a repeat means the same conversation and two
/// people who open a direct one get the same.
pub async fn create(open: Rc<Open>, params: ConversationCreate) -> Reply<Created> {
    check_title(params.title.as_deref())?;
    let live = open.live()?;
    let (tenant, user, device) = (live.peer.tenant, live.peer.user, live.peer.device);
    let (kind, client_id) = (Kind::from(params.kind), params.client_id.0);
    let mut members = params.members.ids();
    members.retain(|member| *member != user);
    members.sort_unstable();
    members.dedup();
    let conversation = match (kind, members.as_slice()) {
        (Kind::Direct, [other]) => ConversationId::direct(tenant, user, *other),
        (Kind::Direct, _) => {
            let message = "params.members: a direct conversation has exactly one other user";
            return Err(RpcError::params(message));
        }
        _ if is_broken(Rule::FreshIds) => {
            let fresh = ClientId::from_bytes(open.gateway.entropy.bytes16());
            ConversationId::created(tenant, device, fresh)
        }
        _ => ConversationId::created(tenant, device, client_id),
    };
    if kind == Kind::Direct && params.title.is_some() {
        return Err(RpcError::params("params.title: a direct conversation has no title"));
    }
    let command = Command::Create { kind, title: params.title, members };
    let seq = change(&open, conversation, client_id, command).await?;
    let hub = &open.gateway.hub;
    let told = Rc::clone(hub).appeared(live.key, conversation, seq);
    let patience: Duration = open.gateway.config.owner_timeout.into();
    if tokio::time::timeout(patience, told).await.is_err() {
        // It exists; the session follows it as soon as the owner speaks.
        actix_rt::spawn(Rc::clone(hub).appeared(live.key, conversation, seq));
    }
    Ok(Created { conversation: Id(conversation), seq: SeqNo(seq) })
}

/// `conversation.update`.
pub async fn update(open: Rc<Open>, params: ConversationUpdate) -> Reply<Changed> {
    check_title(params.title.as_deref())?;
    let command = Command::Update { title: params.title };
    change_known(open, params.conversation, params.client_id, command).await
}

/// `conversation.leave`.
pub async fn leave(open: Rc<Open>, params: ConversationLeave) -> Reply<Changed> {
    change_known(open, params.conversation, params.client_id, Command::Leave).await
}

/// `members.add`.
pub async fn add(open: Rc<Open>, params: MembersAdd) -> Reply<Changed> {
    check_users(&params.users)?;
    let role = params.role.map_or(Role::Member, Role::from);
    let command = Command::Add { users: params.users.ids(), role };
    change_known(open, params.conversation, params.client_id, command).await
}

/// `members.remove`.
pub async fn remove(open: Rc<Open>, params: MembersRemove) -> Reply<Changed> {
    check_users(&params.users)?;
    let command = Command::Remove { users: params.users.ids() };
    change_known(open, params.conversation, params.client_id, command).await
}

/// `members.set_role`.
pub async fn set_role(open: Rc<Open>, params: MembersSetRole) -> Reply<Changed> {
    check_users(&params.users)?;
    let command = Command::SetRole { users: params.users.ids(), role: params.role.into() };
    change_known(open, params.conversation, params.client_id, command).await
}

fn check_users(users: &Users) -> Reply<()> {
    if users.0.is_empty() {
        return Err(RpcError::params("params.users: must name at least one user"));
    }
    Ok(())
}

fn check_title(title: Option<&str>) -> Reply<()> {
    let Some(title) = title else { return Ok(()) };
    let most = limits::TITLE_BYTES_MAX;
    if title.len() > most {
        let message = format!("params.title: has {} bytes, at most {most} are taken", title.len());
        return Err(RpcError::word(ErrorWord::TooLarge, message));
    }
    if title.trim().is_empty() {
        return Err(RpcError::params("params.title: must not be empty; leave it out for none"));
    }
    Ok(())
}
