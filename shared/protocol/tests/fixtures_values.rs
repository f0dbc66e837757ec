//! The values behind the golden frames of the client protocol.

use harkara_protocol::{
    client::{
        ErrorWord, EventParams, Id, Notification, RpcError, SeqNo,
        fields::{Users, WireKind, WireRole},
        notifications::Change,
        replies::{
            Accepted, Changed, ConversationEntry, ConversationPage, Created, Done, Limits,
            MemberEntry, MembersPage, SessionStarted, TimelinePage, UserEntry, UsersResult,
        },
        requests::{
            Call, ConversationCreate, ConversationGet, ConversationLeave, ConversationList,
            ConversationUpdate, MembersAdd, MembersList, MembersRemove, MembersSetRole,
            MessageSend, ReadAdvance, SessionStart, TimelineRead, TypingSet, UsersFind, UsersGet,
        },
        rpc,
    },
    json, time,
};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::samples::{
    HINDI, START, URDU, asha, bilal, chitra, client, direct, history, phone, room, session, text,
};

const ROOM_TITLE: &str = "Control room";
const TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhc2hhIn0.c2lnbmF0dXJl";
const TICKET: &str = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA";

fn users(ids: &[harkara_domain::UserId]) -> Users {
    Users(ids.iter().copied().map(Id).collect())
}

fn message(text_of: &str) -> Box<RawValue> {
    serde_json::from_str(text(text_of).as_str()).expect("JSON")
}

/// Every request, with a name for its file. Ids are 1, 2, 3 …
pub fn requests() -> Vec<(&'static str, Call)> {
    let mut all = requests_about_conversations();
    all.splice(0..0, requests_about_users());
    all.extend(requests_about_members());
    all.extend(requests_about_messages());
    all.push(("session.start.resume", Call::SessionStart(resume())));
    all
}

fn resume() -> SessionStart {
    let cursors = [(Id(room()), SeqNo(5))];
    SessionStart { token: None, ticket: Some(TICKET.to_owned()), cursors: Some(cursors.into()) }
}

fn requests_about_users() -> Vec<(&'static str, Call)> {
    let cursors = [(Id(room()), SeqNo(5)), (Id(direct()), SeqNo(41))];
    let start =
        SessionStart { token: Some(TOKEN.to_owned()), ticket: None, cursors: Some(cursors.into()) };
    vec![
        ("session.start", Call::SessionStart(start)),
        ("session.start.bare", Call::SessionStart(SessionStart::default())),
        ("users.get", Call::UsersGet(UsersGet { users: users(&[asha(), bilal()]) })),
        ("users.find", Call::UsersFind(UsersFind { prefix: "bi".to_owned(), limit: Some(20) })),
    ]
}

fn requests_about_conversations() -> Vec<(&'static str, Call)> {
    let group = ConversationCreate {
        client_id: Id(client(1)),
        kind: WireKind::Group,
        title: Some(ROOM_TITLE.to_owned()),
        members: users(&[bilal()]),
    };
    let pair = ConversationCreate {
        client_id: Id(client(0x20)),
        kind: WireKind::Direct,
        title: None,
        members: users(&[bilal()]),
    };
    let page = ConversationList { after: Some(Id(room())), limit: Some(100) };
    let (conversation, client_id) = (Id(room()), Id(client(4)));
    let title = Some("नियंत्रण कक्ष".to_owned());
    let untitled = ConversationUpdate { conversation, client_id: Id(client(0x21)), title: None };
    let update = ConversationUpdate { conversation, client_id, title };
    let leave = ConversationLeave { conversation, client_id: Id(client(8)) };
    vec![
        ("conversation.create", Call::ConversationCreate(group)),
        ("conversation.create.direct", Call::ConversationCreate(pair)),
        ("conversation.get", Call::ConversationGet(ConversationGet { conversation })),
        ("conversation.list", Call::ConversationList(page)),
        ("conversation.update", Call::ConversationUpdate(update)),
        ("conversation.update.untitled", Call::ConversationUpdate(untitled)),
        ("conversation.leave", Call::ConversationLeave(leave)),
    ]
}

fn requests_about_members() -> Vec<(&'static str, Call)> {
    let conversation = Id(room());
    let of = |n| Id(client(n));
    let chitra = users(&[chitra()]);
    let add = MembersAdd { conversation, client_id: of(5), users: chitra.clone(), role: None };
    let role = Some(WireRole::Admin);
    let admin = MembersAdd { conversation, client_id: of(0x22), users: chitra.clone(), role };
    let remove = MembersRemove { conversation, client_id: of(7), users: chitra };
    let users = users(&[bilal()]);
    let set = MembersSetRole { conversation, client_id: of(6), users, role: WireRole::Admin };
    let page = MembersList { conversation, after: Some(Id(asha())), limit: Some(500) };
    vec![
        ("members.add", Call::MembersAdd(add)),
        ("members.add.admin", Call::MembersAdd(admin)),
        ("members.remove", Call::MembersRemove(remove)),
        ("members.set_role", Call::MembersSetRole(set)),
        ("members.list", Call::MembersList(page)),
    ]
}

fn requests_about_messages() -> Vec<(&'static str, Call)> {
    let conversation = Id(room());
    let send = |n, of, reply_to| {
        let (client_id, content) = (Id(client(n)), message(of));
        Call::MessageSend(MessageSend { conversation, client_id, content, reply_to })
    };
    let read = |after, before, limit| {
        Call::TimelineRead(TimelineRead { conversation, after, before, limit })
    };
    vec![
        ("message.send", send(2, HINDI, None)),
        ("message.send.reply", send(3, URDU, Some(SeqNo(2)))),
        ("timeline.read", read(Some(SeqNo(0)), None, Some(500))),
        ("timeline.read.before", read(None, Some(SeqNo(41)), Some(50))),
        ("timeline.read.newest", read(None, None, None)),
        ("read.advance", Call::ReadAdvance(ReadAdvance { conversation, seq: SeqNo(3) })),
        ("typing.set", Call::TypingSet(TypingSet { conversation, active: true })),
    ]
}

/// The entry of the group in Asha's list after the third event.
pub fn entry() -> ConversationEntry {
    ConversationEntry {
        id: Id(room()),
        kind: Some(WireKind::Group),
        title: Some(ROOM_TITLE.to_owned()),
        role: Some(WireRole::Owner),
        from: Some(SeqNo(1)),
        head: Some(SeqNo(3)),
        read: Some(SeqNo(2)),
        unread: Some(1),
        members: Some(2),
        behind: false,
    }
}

fn behind() -> ConversationEntry {
    ConversationEntry {
        id: Id(direct()),
        kind: Some(WireKind::Direct),
        title: None,
        head: Some(SeqNo(4_057)),
        read: Some(SeqNo(41)),
        unread: Some(4_016),
        behind: true,
        ..entry()
    }
}

/// An entry whose owner can't be reached.
fn silent() -> ConversationEntry {
    ConversationEntry::new(direct(), None, false)
}

fn limits() -> Limits {
    Limits {
        frame_bytes_max: 65_536,
        content_bytes_max: 32_768,
        requests_in_flight_max: 64,
        sends_per_second_max: Some(50),
        conversations_per_page_max: 500,
        catch_up_events_max: 1_000,
        timeline_page_max: 500,
        users_per_request_max: 1_000,
        members_max: 20_000,
        dedup_window: 8_192,
        heartbeat_ms: 30_000,
    }
}

fn started() -> SessionStarted {
    SessionStarted {
        session: Id(session()),
        user: Id(asha()),
        device: Id(phone()),
        server_time: time::format(START),
        limits: limits(),
        conversations: vec![entry(), behind()],
        next: None,
        reset: vec![],
        unknown: vec![Id("019a4c3e-0000-7000-8000-00000000dead".parse().expect("a UUID"))],
        ticket: Some(TICKET.to_owned()),
    }
}

/// Every result, with its method.
pub fn results() -> Vec<(&'static str, Box<RawValue>)> {
    fn raw<T: Serialize>(value: T) -> Box<RawValue> {
        serde_json::value::to_raw_value(&value).expect("JSON")
    }
    let name = |id, name: &str| UserEntry { id: Id(id), name: name.to_owned() };
    let changed = |seq| raw(Changed { seq: SeqNo(seq) });
    let member = |user, role| MemberEntry { user: Id(user), role };
    let members = vec![member(asha(), WireRole::Owner), member(bilal(), WireRole::Member)];
    let events = history().iter().map(|e| json::event_item(room(), e).expect("JSON")).collect();
    let list =
        ConversationPage { conversations: vec![entry(), silent()], next: Some(Id(direct())) };
    vec![
        ("session.start", raw(started())),
        ("users.get", raw(UsersResult { users: vec![name(asha(), "आशा"), name(bilal(), "بلال")] })),
        ("users.find", raw(UsersResult { users: vec![name(bilal(), "bilal")] })),
        ("conversation.create", raw(Created { conversation: Id(room()), seq: SeqNo(1) })),
        ("conversation.get", raw(entry())),
        ("conversation.list", raw(list)),
        ("conversation.update", changed(4)),
        ("conversation.leave", changed(8)),
        ("members.add", changed(5)),
        ("members.remove", changed(7)),
        ("members.set_role", changed(6)),
        ("members.list", raw(MembersPage { members, next: None })),
        ("message.send", raw(Accepted { accepted: true })),
        ("timeline.read", raw(TimelinePage { events, head: SeqNo(8), complete: true })),
        ("read.advance", raw(Done {})),
        ("typing.set", raw(Done {})),
    ]
}

/// Every error: a name, the id of the request, the error.
pub fn errors() -> Vec<(String, Option<u64>, RpcError)> {
    let mut errors: Vec<(String, Option<u64>, RpcError)> = [
        ("parse_error", None, rpc::PARSE_ERROR, "the frame is not JSON: expected value"),
        ("invalid_request", None, rpc::INVALID_REQUEST, "a request needs an id"),
        ("method_not_found", Some(5), rpc::METHOD_NOT_FOUND, "no method \"message.sned\""),
        ("invalid_params", Some(6), rpc::INVALID_PARAMS, "params: missing field `client_id`"),
        ("internal_error", Some(7), rpc::INTERNAL_ERROR, "the server made a mistake: try again"),
    ]
    .map(|(name, id, code, message)| (name.to_owned(), id, RpcError::rpc(code, message)))
    .into();
    for (id, word) in (10..).zip(ErrorWord::ALL) {
        let mut error = RpcError::word(word, says(word));
        if word.retryable() {
            error = error.retry_after_ms(2_000);
        }
        errors.push((word.word().to_owned(), Some(id), error));
    }
    errors
}

fn says(word: ErrorWord) -> &'static str {
    match word {
        ErrorWord::Unauthenticated => "the first request must be session.start with a valid token",
        ErrorWord::Forbidden => "a member may not add members: ask an admin or an owner",
        ErrorWord::NotAMember => "you are no member of this conversation any more",
        ErrorWord::NotFound => "no such conversation",
        ErrorWord::Conflict => "this client_id was used before with another body",
        ErrorWord::TooLarge => "content has 66561 bytes in canonical form, at most 32768 are taken",
        ErrorWord::RateLimited => "more than 50 sends a second: wait",
        ErrorWord::Unavailable => "the conversation's owner can't be reached: try again",
        ErrorWord::Unsupported => "this server does not support message.edit yet",
        ErrorWord::InvalidContent => {
            "content of type \"text\" must have a non-empty string \"text\""
        }
        ErrorWord::StaleEpoch => "the conversation's keys have moved on: fetch the newest commit",
    }
}

/// Every notification, with a name for its file.
pub fn notifications() -> Vec<(&'static str, Notification<'static>)> {
    let names = [
        "event.conversation_created",
        "event.message",
        "event.message_reply",
        "event.conversation_updated",
        "event.member_added",
        "event.member_role",
        "event.member_removed",
        "event.member_left",
    ];
    let events: &'static [harkara_domain::Event] = history().leak();
    let event = |(name, event)| (name, Notification::Event(EventParams::new(room(), event)));
    let mut all: Vec<_> = names.into_iter().zip(events).map(event).collect();
    all.extend(other_notifications());
    all
}

fn other_notifications() -> Vec<(&'static str, Notification<'static>)> {
    let (conversation, client_id) = (Id(room()), Id(client(9)));
    let message = "you are no member of this conversation any more".to_owned();
    let listed = |change, entry| Notification::Conversation { conversation, change, entry };
    let gone = ConversationEntry::new(room(), None, false);
    let code = ErrorWord::NotAMember;
    let goaway = Notification::GoAway { reconnect_after_ms: 4_200, reason: "restart".to_owned() };
    vec![
        ("settled", Notification::Settled { conversation, client_id, seq: SeqNo(2) }),
        ("rejected", Notification::Rejected { conversation, client_id, code, message }),
        ("read", Notification::Read { conversation, user: Id(bilal()), seq: SeqNo(3) }),
        ("typing", Notification::Typing { conversation, user: Id(bilal()), active: true }),
        ("conversation.added", listed(Change::Added, entry())),
        ("conversation.changed", listed(Change::Changed, entry())),
        ("conversation.removed", listed(Change::Removed, gone)),
        ("session.goaway", goaway),
    ]
}
