//! A server as the protocol describes it, in memory and without I/O: what the SDK is tested
//! against. Used by the property tests of the state machine and by the fake server on a socket.

use std::collections::BTreeMap;

use harkara_domain::{ClientId, ConversationId, DeviceId, SessionId, TenantId, UserId};
use harkara_protocol::{
    client::{
        Call, ErrorWord, Id, Notification, RequestId, RpcError, SeqNo,
        fields::{WireKind, WireRole},
        notifications::Change,
        replies::{
            Accepted, ConversationEntry, ConversationPage, Created, Done, Limits, MemberEntry,
            MembersPage, SessionStarted, TimelinePage, UserEntry, UsersResult,
        },
        requests::{ConversationCreate, MessageSend, SessionStart, TimelineRead},
    },
    json, time,
};
use serde_json::value::RawValue;

/// For how long the model recognizes repeats, milliseconds.
pub(crate) const WINDOW_MS: u64 = 600_000;

/// A conversation.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) kind: WireKind,
    pub(crate) title: Option<String>,
    pub(crate) members: Vec<UserId>,
    /// Params of `event`, sequence 1 first.
    pub(crate) events: Vec<Box<RawValue>>,
    /// Who sent what with which id, when and where it stands.
    pub(crate) sends: Vec<(DeviceId, ClientId, u64, u64)>,
}

/// A session of one user.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
    started: bool,
    /// Per conversation the last sequence that was pushed.
    pushed: BTreeMap<ConversationId, u64>,
    queue: Vec<String>,
}

impl Session {
    pub(crate) fn new(user: UserId, device: DeviceId) -> Self {
        let (pushed, queue) = Default::default();
        Self { user, device, started: false, pushed, queue }
    }

    fn say(&mut self, frame: bytes::Bytes) {
        self.queue.push(String::from_utf8(frame.to_vec()).unwrap());
    }
}

/// The server.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) now_ms: u64,
    pub(crate) conversations: BTreeMap<ConversationId, Conversation>,
    pub(crate) names: BTreeMap<UserId, String>,
    pub(crate) catch_up_max: u64,
    pub(crate) page_max: usize,
    /// What the next sends are refused with.
    pub(crate) refuse_sends: Vec<RpcError>,
}

fn text(frame: bytes::Bytes) -> String {
    String::from_utf8(frame.to_vec()).unwrap()
}

impl Model {
    pub(crate) fn new() -> Self {
        Self { catch_up_max: 5, page_max: 4, ..Self::default() }
    }

    pub(crate) fn add(&mut self, id: ConversationId, members: &[UserId]) {
        let (events, sends) = Default::default();
        let (kind, members) = (WireKind::Group, members.to_vec());
        let conversation = Conversation { kind, title: None, members, events, sends };
        self.conversations.insert(id, conversation);
        let created = serde_json::json!({"conversation_kind": "group", "title": null});
        self.append(id, self.conversations[&id].members[0], "conversation", created, None);
    }

    /// Appends an event; gives its sequence.
    pub(crate) fn append(
        &mut self,
        id: ConversationId,
        sender: UserId,
        kind: &str,
        more: serde_json::Value,
        own: Option<(DeviceId, ClientId)>,
    ) -> u64 {
        let at = time::format(1_795_338_000_000 + self.now_ms);
        let conversation = self.conversations.get_mut(&id).unwrap();
        let seq = conversation.events.len() as u64 + 1;
        let (device, client_id) = own.unwrap_or((
            DeviceId::from_bytes([0xdd; 16]),
            ClientId::from_bytes(u128::from(seq).to_be_bytes()),
        ));
        let mut event = serde_json::json!({
            "conversation": id.to_string(), "seq": seq, "at": at, "sender": sender.to_string(),
            "device": device.to_string(), "kind": kind, "client_id": client_id.to_string(),
            "chain": format!("{seq:064x}"),
        });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        conversation.events.push(serde_json::value::to_raw_value(&event).unwrap());
        seq
    }

    /// Somebody else writes.
    pub(crate) fn other(&mut self, id: ConversationId, sender: UserId, words: &str) -> u64 {
        let content = serde_json::json!({"content": {"type": "text", "text": words}});
        self.append(id, sender, "message", content, None)
    }

    fn entry(&self, id: ConversationId, behind: bool) -> ConversationEntry {
        let conversation = &self.conversations[&id];
        let head = conversation.events.len() as u64;
        ConversationEntry {
            id: Id(id),
            kind: Some(conversation.kind),
            title: conversation.title.clone(),
            role: Some(WireRole::Member),
            from: Some(SeqNo(1)),
            head: Some(SeqNo(head)),
            read: Some(SeqNo(0)),
            unread: Some(head),
            members: u32::try_from(conversation.members.len()).ok(),
            behind,
        }
    }

    /// What a request is answered with; pushes come with [`Self::pump`].
    pub(crate) fn request(&mut self, session: &mut Session, frame: &str) -> Vec<String> {
        let request = match json::decode_request(frame) {
            Ok(request) => request,
            Err(bad) => return vec![text(json::encode_error(bad.id.as_ref(), &bad.error))],
        };
        let id = request.id;
        let answer = match request.call {
            Call::SessionStart(start) => self.start(session, &id, &start),
            _ if !session.started => {
                Err(RpcError::word(ErrorWord::Unauthenticated, "start a session first"))
            }
            Call::MessageSend(send) => self.send(session, &id, &send),
            Call::TimelineRead(read) => self.read(session, &id, &read),
            Call::ConversationCreate(create) => Ok(self.create(session, &id, &create)),
            other => self.small(session, &id, &other),
        };
        let answer = answer.unwrap_or_else(|error| json::encode_error(Some(&id), &error));
        // What the request caused before its answer was written comes first.
        let mut frames = std::mem::take(&mut session.queue);
        frames.push(text(answer));
        frames
    }

    fn small(
        &mut self,
        session: &Session,
        id: &RequestId,
        call: &Call,
    ) -> Result<bytes::Bytes, RpcError> {
        let user = |id: UserId, name: &String| UserEntry { id: Id(id), name: name.clone() };
        Ok(match call {
            Call::UsersGet(get) => {
                let known = |id: &Id<UserId>| Some(user(id.0, self.names.get(&id.0)?));
                let users = get.users.0.iter().filter_map(known).collect();
                json::encode_result(id, &UsersResult { users })
            }
            Call::UsersFind(find) => {
                let named = self.names.iter().filter(|(_, name)| name.starts_with(&find.prefix));
                let users = named.map(|(id, name)| user(*id, name)).collect();
                json::encode_result(id, &UsersResult { users })
            }
            Call::ConversationGet(get) => {
                self.visible(session, get.conversation.0)?;
                json::encode_result(id, &self.entry(get.conversation.0, false))
            }
            Call::ConversationList(_) => {
                let conversations = self.list(session.user);
                json::encode_result(id, &ConversationPage { conversations, next: None })
            }
            Call::MembersList(list) => {
                let conversation = self.visible(session, list.conversation.0)?;
                let member =
                    |user: &UserId| MemberEntry { user: Id(*user), role: WireRole::Member };
                let members = conversation.members.iter().map(member).collect();
                json::encode_result(id, &MembersPage { members, next: None })
            }
            _ => json::encode_result(id, &Done {}),
        })
    }

    fn visible(&self, session: &Session, id: ConversationId) -> Result<&Conversation, RpcError> {
        let found = self.conversations.get(&id).filter(|c| c.members.contains(&session.user));
        found.ok_or_else(|| RpcError::word(ErrorWord::NotFound, "no such conversation"))
    }

    fn list(&self, user: UserId) -> Vec<ConversationEntry> {
        let mine = self.conversations.iter().filter(|(_, c)| c.members.contains(&user));
        mine.map(|(id, _)| self.entry(*id, false)).collect()
    }

    fn start(
        &mut self,
        session: &mut Session,
        id: &RequestId,
        start: &SessionStart,
    ) -> Result<bytes::Bytes, RpcError> {
        session.started = true;
        let cursors = start.cursors.clone().unwrap_or_default();
        let mut reset = Vec::new();
        let mut conversations = self.list(session.user);
        for entry in &mut conversations {
            let head = entry.head.unwrap().0;
            let mut pushed = head;
            if let Some(SeqNo(cursor)) = cursors.get(&entry.id) {
                if *cursor > head {
                    reset.push(entry.id);
                } else if head - cursor > self.catch_up_max {
                    entry.behind = true;
                } else {
                    pushed = *cursor;
                }
            }
            session.pushed.insert(entry.id.0, pushed);
        }
        let mine: Vec<_> = conversations.iter().map(|entry| entry.id).collect();
        let unknown = cursors.keys().filter(|id| !mine.contains(id)).copied().collect();
        let started = SessionStarted {
            session: Id(SessionId::from_bytes([1; 16])),
            user: Id(session.user),
            device: Id(session.device),
            server_time: time::format(1_795_338_000_000 + self.now_ms),
            limits: self.limits(),
            conversations,
            next: None,
            reset,
            unknown,
            ticket: None,
        };
        Ok(json::encode_result(id, &started))
    }

    fn limits(&self) -> Limits {
        Limits {
            frame_bytes_max: 65_536,
            content_bytes_max: 32_768,
            requests_in_flight_max: 32,
            sends_per_second_max: None,
            conversations_per_page_max: 500,
            catch_up_events_max: self.catch_up_max,
            timeline_page_max: self.page_max as u64,
            users_per_request_max: 1_000,
            members_max: 20_000,
            dedup_window: 8_192,
            heartbeat_ms: 30_000,
        }
    }

    fn send(
        &mut self,
        session: &mut Session,
        id: &RequestId,
        send: &MessageSend,
    ) -> Result<bytes::Bytes, RpcError> {
        let conversation = send.conversation.0;
        if let Some(error) = self.refuse_sends.pop() {
            return Err(error);
        }
        let (now, device, client_id) = (self.now_ms, session.device, send.client_id.0);
        let sends = &self.visible(session, conversation)?.sends;
        let known = sends
            .iter()
            .find(|(d, c, at, _)| (*d, *c) == (device, client_id) && *at + WINDOW_MS >= now);
        let answer = json::encode_result(id, &Accepted { accepted: true });
        if let Some((_, _, _, seq)) = known {
            let (conversation, client_id, seq) = (send.conversation, send.client_id, SeqNo(*seq));
            session.say(answer);
            let settled = Notification::Settled { conversation, client_id, seq };
            return Ok(json::encode_notification(&settled));
        }
        let content = serde_json::json!({"content": &send.content});
        let own = Some((device, client_id));
        let seq = self.append(conversation, session.user, "message", content, own);
        let conversation = self.conversations.get_mut(&conversation).unwrap();
        conversation.sends.push((device, client_id, now, seq));
        Ok(answer)
    }

    fn read(
        &mut self,
        session: &Session,
        id: &RequestId,
        read: &TimelineRead,
    ) -> Result<bytes::Bytes, RpcError> {
        let conversation = self.visible(session, read.conversation.0)?;
        let limit = read.limit.map_or(self.page_max, |n| usize::try_from(n).unwrap());
        let limit = limit.min(self.page_max);
        let (all, head) = (&conversation.events, conversation.events.len());
        let clip = |seq: Option<SeqNo>, or: usize| {
            seq.map_or(or, |seq| usize::try_from(seq.0).unwrap().min(head))
        };
        let (from, to) = if read.after.is_some() {
            let from = clip(read.after, 0);
            (from, (from + limit).min(head))
        } else {
            let to = read.before.map_or(head, |seq| clip(Some(seq), 0).saturating_sub(1));
            (to.saturating_sub(limit), to)
        };
        let complete = if read.after.is_some() { to == head } else { from == 0 };
        let page =
            TimelinePage { events: all[from..to].to_vec(), head: SeqNo(head as u64), complete };
        Ok(json::encode_result(id, &page))
    }

    fn create(
        &mut self,
        session: &mut Session,
        id: &RequestId,
        create: &ConversationCreate,
    ) -> bytes::Bytes {
        let mut members = create.members.ids();
        let conversation = match (create.kind, members.first()) {
            (WireKind::Direct, Some(other)) => {
                ConversationId::direct(TenantId::development(), session.user, *other)
            }
            _ => ConversationId::from_bytes(*create.client_id.0.as_bytes()),
        };
        members.push(session.user);
        if !self.conversations.contains_key(&conversation) {
            self.add(conversation, &members);
            let made = self.conversations.get_mut(&conversation).unwrap();
            (made.kind, made.title) = (create.kind, create.title.clone());
        }
        for frame in self.pump(session) {
            session.queue.push(frame);
        }
        let created = Created { conversation: Id(conversation), seq: SeqNo(1) };
        json::encode_result(id, &created)
    }

    /// What is due to be pushed to a session: new conversations first, then events.
    pub(crate) fn pump(&self, session: &mut Session) -> Vec<String> {
        if !session.started {
            return Vec::new();
        }
        let mut frames = Vec::new();
        for entry in self.list(session.user) {
            let conversation = entry.id.0;
            let events = &self.conversations[&conversation].events;
            match session.pushed.get_mut(&conversation) {
                Some(pushed) => {
                    for event in &events[usize::try_from(*pushed).unwrap()..] {
                        let event = event.get();
                        frames.push(format!(
                            r#"{{"jsonrpc":"2.0","method":"event","params":{event}}}"#
                        ));
                    }
                    *pushed = events.len() as u64;
                }
                None => {
                    session.pushed.insert(conversation, events.len() as u64);
                    let (conversation, change) = (entry.id, Change::Added);
                    let added = Notification::Conversation { conversation, change, entry };
                    frames.push(text(json::encode_notification(&added)));
                }
            }
        }
        frames
    }
}
