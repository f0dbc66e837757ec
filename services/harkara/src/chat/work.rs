//! What takes a while because the server is asked: futures that know nothing of the screen and
//! give back what was found. One runs at a time; messages go on appearing meanwhile.

use std::{future::Future, pin::Pin, time::Duration};

use harkara_client::{
    CallError, Client, ConversationEntry, ConversationId, DevTokenError, Page, Range, Seq, Tls,
    UserEntry, UserId, WireRole, dev_token,
};

/// How long a line may wait for the names in it.
const ANSWER_WAIT: Duration = Duration::from_secs(3);

/// Direct conversations whose other member is looked up at one time.
const PARTNERS_MAX: usize = 50;

/// What was found.
#[derive(Debug)]
pub enum Found {
    /// A conversation to open with its newest events, and what users of it are called.
    Opened {
        entry: ConversationEntry,
        partner: Option<UserId>,
        page: Page,
        called: Vec<(UserId, String)>,
    },
    /// Earlier events.
    Earlier(Page),
    /// Members.
    Members(Vec<(UserId, WireRole)>),
    /// This conversation was left.
    Left(ConversationId),
    /// It did not work.
    Nothing(String),
}

/// Work under way.
pub type Work = Pin<Box<dyn Future<Output = Found> + Send>>;

/// What a line to print is waiting for.
#[derive(Debug)]
pub enum Learned {
    /// Names: of whom they were asked, and which were found.
    Names(Vec<UserId>, Vec<UserEntry>),
    /// The other members of direct conversations, likewise.
    Partners(Vec<ConversationId>, Vec<(ConversationId, UserId)>),
}

/// Asking for it.
pub type Asking = Pin<Box<dyn Future<Output = Learned> + Send>>;

fn told(result: Result<Found, CallError>) -> Found {
    result.unwrap_or_else(|error| Found::Nothing(error.to_string()))
}

/// Names of users.
pub fn names(client: Client, users: Vec<UserId>) -> Asking {
    Box::pin(async move {
        let asked = &users[..users.len().min(1_000)];
        let found = tokio::time::timeout(ANSWER_WAIT, client.users_get(asked)).await;
        let found = found.ok().and_then(Result::ok).unwrap_or_default();
        Learned::Names(asked.to_vec(), found)
    })
}

async fn partner_of(
    client: &Client,
    conversation: ConversationId,
    me: Option<UserId>,
) -> Result<Option<UserId>, CallError> {
    let members = client.members(conversation).await?;
    Ok(members.into_iter().map(|(user, _)| user).find(|user| Some(*user) != me))
}

/// Who is at the other end of these direct conversations.
pub fn partners(client: Client, mut ids: Vec<ConversationId>, me: Option<UserId>) -> Asking {
    ids.truncate(PARTNERS_MAX);
    Box::pin(async move {
        let mut found = Vec::new();
        for id in &ids {
            match tokio::time::timeout(ANSWER_WAIT, partner_of(&client, *id, me)).await {
                Ok(Ok(partner)) => found.extend(partner.map(|partner| (*id, partner))),
                Ok(Err(error)) => tracing::debug!(%error, "members of a conversation not read"),
                Err(_) => break,
            }
        }
        Learned::Partners(ids, found)
    })
}

async fn look_into(
    client: &Client,
    id: ConversationId,
    me: Option<UserId>,
    events: u32,
    called: Vec<(UserId, String)>,
) -> Result<Found, CallError> {
    let entry = client.conversation(id).await?;
    let direct = entry.kind == Some(harkara_client::WireKind::Direct);
    let partner = if direct { partner_of(client, id, me).await? } else { None };
    let page = client.timeline_read(id, Range::Newest, Some(events)).await?;
    Ok(Found::Opened { entry, partner, page, called })
}

/// Opens a conversation of the list.
pub fn open(client: Client, id: ConversationId, me: Option<UserId>, events: u32) -> Work {
    Box::pin(async move { told(look_into(&client, id, me, events, Vec::new()).await) })
}

/// Where users' names are looked up.
#[derive(Debug, Clone)]
pub struct Directory {
    /// The server's URL.
    pub url: String,
    /// Whose servers are believed, for `wss://`.
    pub tls: Option<Tls>,
    /// The server gives out development users: a name nobody has used yet stands for one too.
    pub development: bool,
}

impl Directory {
    /// The user of this name, as they write it themselves.
    async fn user(&self, client: &Client, name: &str) -> Result<(UserId, String), String> {
        let found = client.users_find(name, Some(50)).await.map_err(|e| e.to_string())?;
        let same = |user: &&UserEntry| user.name.to_lowercase() == name.to_lowercase();
        let exact = found.iter().find(|user| user.name == name);
        if let Some(user) = exact.or_else(|| found.iter().find(same)) {
            return Ok((user.id.0, user.name.clone()));
        }
        let nobody = || format!("nobody here is called {name:?}");
        if !self.development {
            return Err(nobody());
        }
        match dev_token(&self.url, self.tls.as_ref(), name, None).await {
            Ok(made) => Ok((made.user, name.to_owned())),
            Err(DevTokenError::Refused { .. }) => Err(nobody()),
            Err(error) => Err(format!("{name:?} can't be looked up: {error}")),
        }
    }

    async fn users(
        &self,
        client: &Client,
        names: &[String],
    ) -> Result<Vec<(UserId, String)>, String> {
        let mut users = Vec::new();
        for name in names {
            users.push(self.user(client, name).await?);
        }
        Ok(users)
    }
}

/// Begins a conversation (or finds the direct one) and opens it.
pub fn begin(
    client: Client,
    directory: Directory,
    title: Option<String>,
    names: Vec<String>,
    me: Option<UserId>,
    events: u32,
) -> Work {
    Box::pin(async move {
        let called = match directory.users(&client, &names).await {
            Ok(called) => called,
            Err(problem) => return Found::Nothing(problem),
        };
        let users: Vec<UserId> = called.iter().map(|(user, _)| *user).collect();
        let created = match (users.as_slice(), &title) {
            ([user], None) if Some(*user) == me => {
                return Found::Nothing("that is you; name somebody else".to_owned());
            }
            ([user], None) => client.create_direct(*user).await,
            _ => client.create_group(title, &users).await,
        };
        match created {
            Ok(id) => told(look_into(&client, id, me, events, called).await),
            Err(error) => Found::Nothing(error.to_string()),
        }
    })
}

/// Events before `seq`.
pub fn earlier(client: Client, id: ConversationId, seq: Seq, events: u32) -> Work {
    Box::pin(async move {
        told(client.timeline_read(id, Range::Before(seq), Some(events)).await.map(Found::Earlier))
    })
}

/// Who is in it.
pub fn members(client: Client, id: ConversationId) -> Work {
    Box::pin(async move { told(client.members(id).await.map(Found::Members)) })
}

/// Leaves it.
pub fn leave(client: Client, id: ConversationId) -> Work {
    Box::pin(async move { told(client.leave(id).await.map(|_| Found::Left(id))) })
}
