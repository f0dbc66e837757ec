//! Requests with typed results, one method each. Those that change something take a new client id
//! here and keep it across repeats.

use harkara_domain::{ConversationId, Seq, UserId};
use harkara_protocol::client::{
    Call, Id, SeqNo,
    fields::{Users, WireKind, WireRole},
    replies::{
        Changed, ConversationEntry, ConversationPage, Created, Done, MembersPage, TimelinePage,
        UserEntry, UsersResult,
    },
    requests::{
        ConversationCreate, ConversationGet, ConversationLeave, ConversationList,
        ConversationUpdate, MembersAdd, MembersList, MembersRemove, MembersSetRole, ReadAdvance,
        TimelineRead, TypingSet, UsersFind, UsersGet,
    },
};

use super::Client;
use crate::{error::CallError, update::Event};

/// A page of a timeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// In rising sequence.
    pub events: Vec<Event>,
    /// The newest sequence.
    pub head: Seq,
    /// Nothing is left in the direction asked for.
    pub complete: bool,
}

/// Which part of a timeline to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// The newest events.
    Newest,
    /// Events above this sequence.
    After(Seq),
    /// Events below this sequence.
    Before(Seq),
}

fn list(users: &[UserId]) -> Users {
    Users(users.iter().copied().map(Id).collect())
}

impl Client {
    /// Opens the one conversation with another user, or finds it.
    ///
    /// # Errors
    /// See [`CallError`]; the same holds for every method here.
    pub async fn create_direct(&self, with: UserId) -> Result<ConversationId, CallError> {
        self.create(WireKind::Direct, None, &[with]).await
    }

    /// Makes a group of this user and others.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn create_group(
        &self,
        title: Option<String>,
        members: &[UserId],
    ) -> Result<ConversationId, CallError> {
        self.create(WireKind::Group, title, members).await
    }

    /// Makes a conversation of any kind.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn create(
        &self,
        kind: WireKind,
        title: Option<String>,
        members: &[UserId],
    ) -> Result<ConversationId, CallError> {
        let client_id = Id(self.new_id());
        let create = ConversationCreate { client_id, kind, title, members: list(members) };
        let created: Created = self.ask(Call::ConversationCreate(create)).await?;
        Ok(created.conversation.0)
    }

    /// One entry of the user's list.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn conversation(&self, id: ConversationId) -> Result<ConversationEntry, CallError> {
        self.ask(Call::ConversationGet(ConversationGet { conversation: Id(id) })).await
    }

    /// The user's whole list, page by page.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn conversations(&self) -> Result<Vec<ConversationEntry>, CallError> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let list = ConversationList { after, limit: None };
            let page: ConversationPage = self.ask(Call::ConversationList(list)).await?;
            all.extend(page.conversations);
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    /// Gives a conversation another name, or none.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn set_title(
        &self,
        conversation: ConversationId,
        title: Option<String>,
    ) -> Result<Seq, CallError> {
        let (conversation, client_id) = (Id(conversation), Id(self.new_id()));
        let update = ConversationUpdate { conversation, client_id, title };
        self.change(Call::ConversationUpdate(update)).await
    }

    /// Adds members.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn members_add(
        &self,
        conversation: ConversationId,
        users: &[UserId],
        role: Option<WireRole>,
    ) -> Result<Seq, CallError> {
        let (conversation, client_id) = (Id(conversation), Id(self.new_id()));
        let add = MembersAdd { conversation, client_id, users: list(users), role };
        self.change(Call::MembersAdd(add)).await
    }

    /// Removes members.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn members_remove(
        &self,
        conversation: ConversationId,
        users: &[UserId],
    ) -> Result<Seq, CallError> {
        let (conversation, client_id) = (Id(conversation), Id(self.new_id()));
        let remove = MembersRemove { conversation, client_id, users: list(users) };
        self.change(Call::MembersRemove(remove)).await
    }

    /// Gives members another role.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn members_set_role(
        &self,
        conversation: ConversationId,
        users: &[UserId],
        role: WireRole,
    ) -> Result<Seq, CallError> {
        let (conversation, client_id) = (Id(conversation), Id(self.new_id()));
        let set = MembersSetRole { conversation, client_id, users: list(users), role };
        self.change(Call::MembersSetRole(set)).await
    }

    /// Leaves a conversation.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn leave(&self, conversation: ConversationId) -> Result<Seq, CallError> {
        let (conversation, client_id) = (Id(conversation), Id(self.new_id()));
        self.change(Call::ConversationLeave(ConversationLeave { conversation, client_id })).await
    }

    async fn change(&self, call: Call) -> Result<Seq, CallError> {
        Ok(self.ask::<Changed>(call).await?.seq.0)
    }

    /// Every member with their role, page by page.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn members(
        &self,
        conversation: ConversationId,
    ) -> Result<Vec<(UserId, WireRole)>, CallError> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let list = MembersList { conversation: Id(conversation), after, limit: None };
            let page: MembersPage = self.ask(Call::MembersList(list)).await?;
            all.extend(page.members.iter().map(|member| (member.user.0, member.role)));
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    /// Events of a conversation, at most `limit` (500 are given at most).
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn timeline_read(
        &self,
        conversation: ConversationId,
        range: Range,
        limit: Option<u32>,
    ) -> Result<Page, CallError> {
        let (after, before) = match range {
            Range::Newest => (None, None),
            Range::After(seq) => (Some(SeqNo(seq)), None),
            Range::Before(seq) => (None, Some(SeqNo(seq))),
        };
        let (conversation, limit) = (Id(conversation), limit.map(i64::from));
        let read = TimelineRead { conversation, after, before, limit };
        let page: TimelinePage = self.ask(Call::TimelineRead(read)).await?;
        let events =
            page.events.iter().map(|item| Event::from_json(item)).collect::<Result<_, _>>();
        let events = events.map_err(|e: serde_json::Error| CallError::BadAnswer(e.to_string()))?;
        Ok(Page { events, head: page.head.0, complete: page.complete })
    }

    /// The user has read up to `seq`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn read_advance(
        &self,
        conversation: ConversationId,
        seq: Seq,
    ) -> Result<(), CallError> {
        let advance = ReadAdvance { conversation: Id(conversation), seq: SeqNo(seq) };
        self.ask::<Done>(Call::ReadAdvance(advance)).await.map(|Done {}| ())
    }

    /// The user is typing, or not any more.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn typing(
        &self,
        conversation: ConversationId,
        active: bool,
    ) -> Result<(), CallError> {
        let set = TypingSet { conversation: Id(conversation), active };
        self.ask::<Done>(Call::TypingSet(set)).await.map(|Done {}| ())
    }

    /// Names of users; unknown ones are left out. At most 1,000 at a time.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn users_get(&self, users: &[UserId]) -> Result<Vec<UserEntry>, CallError> {
        let get = UsersGet { users: list(users) };
        Ok(self.ask::<UsersResult>(Call::UsersGet(get)).await?.users)
    }

    /// Users whose name begins with `prefix`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn users_find(
        &self,
        prefix: &str,
        limit: Option<u32>,
    ) -> Result<Vec<UserEntry>, CallError> {
        let find = UsersFind { prefix: prefix.to_owned(), limit: limit.map(i64::from) };
        Ok(self.ask::<UsersResult>(Call::UsersFind(find)).await?.users)
    }
}
