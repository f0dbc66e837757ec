//! `decide`: what a record does to a conversation. Pure: the same state, window, record, position
//! and time give the same decision, on every worker and in every replay (architecture D1, S1).

use harkara_domain::{
    Body, Command, Event, Fingerprint, Kind, Member, Millis, Position, Record, RejectCode,
    Rejection, Role, Seq, State, UserId, chain, limits,
};

use harkara_service_runtime::sabotage::{Rule, is_broken, tread};

use super::{members, window::Window};

/// What a record does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It causes this event.
    Event(Box<Event>),
    /// It is refused, and the conversation remembers that.
    Rejection(Rejection),
    /// It repeats an earlier request, whose event stands there. Nothing changes.
    Settled(Seq),
    /// It repeats an earlier request that was refused, or reuses a client id for something else.
    /// Nothing changes.
    Repeated(RejectCode),
    /// It was applied before this state was built. Nothing changes.
    Skip,
}

/// Decides over one record at its place in the log.
#[must_use]
pub fn decide(
    state: &State,
    window: &Window,
    record: &Record,
    position: Position,
    at: Millis,
) -> Decision {
    let decides_again = is_broken(Rule::DecideAgain);
    if state.applied.is_some_and(|applied| position <= applied) && !decides_again {
        return Decision::Skip;
    }
    let fingerprint = record.command.fingerprint();
    if let Some(repeat) = repeated(state, window, record, fingerprint) {
        return repeat;
    }
    match body(state, record) {
        Ok(Some(body)) => Decision::Event(Box::new(event(state, record, position, at, body))),
        Ok(None) => Decision::Settled(1),
        Err(code) => Decision::Rejection(Rejection {
            position,
            device: record.device,
            client_id: record.client_id,
            fingerprint,
            code,
        }),
    }
}

/// The answer to a request that was there before.
fn repeated(
    state: &State,
    window: &Window,
    record: &Record,
    fingerprint: Fingerprint,
) -> Option<Decision> {
    if let Some((seq, first)) = window.find(record.device, record.client_id)
        && !is_broken(Rule::NoDedup)
    {
        return Some(if first == fingerprint {
            Decision::Settled(seq)
        } else {
            Decision::Repeated(RejectCode::Conflict)
        });
    }
    if is_broken(Rule::ForgetRejections) {
        return None;
    }
    let same = |r: &&Rejection| r.device == record.device && r.client_id == record.client_id;
    let rejection = state.rejections.iter().rev().find(same)?;
    Some(Decision::Repeated(if rejection.fingerprint == fingerprint {
        rejection.code
    } else {
        RejectCode::Conflict
    }))
}

fn event(state: &State, record: &Record, position: Position, at: Millis, body: Body) -> Event {
    let mut event = Event {
        tenant: record.tenant,
        seq: state.head + 1,
        ordinal: state.ordinal + u64::from(body.is_message()),
        // The log's time may step back at a leader change; an event's time never does (S9).
        at: if is_broken(Rule::LogTime) { at } else { at.max(state.at) },
        sender: record.sender,
        device: record.device,
        client_id: record.client_id,
        fingerprint: record.command.fingerprint(),
        position,
        body,
        chain: state.chain,
    };
    event.chain = chain::link(state.chain, &event);
    event
}

/// The body of the event that the command causes; none where a creation finds what it wants.
fn body(state: &State, record: &Record) -> Result<Option<Body>, RejectCode> {
    if let Command::Create { kind, title, members } = &record.command {
        return create(state, record, *kind, title.as_deref(), members);
    }
    if !state.exists() || state.tenant != record.tenant {
        return Err(RejectCode::NotFound);
    }
    let sender = state.members.get(&record.sender).ok_or(RejectCode::NotAMember)?;
    match &record.command {
        Command::Send { content, reply_to, salt } => {
            tread(content.as_bytes());
            may_send(state, sender, content.as_bytes().len(), *reply_to)?;
            #[cfg(feature = "next-rules")]
            next_rules(record.rules, content.as_bytes().len())?;
            let (content, reply_to, salt) = (content.clone(), *reply_to, *salt);
            Ok(Body::Message { content, reply_to, salt })
        }
        Command::Update { title } => update(state, sender, title.as_deref()),
        Command::Add { users, role } => members::add(state, sender, users, *role),
        Command::Remove { users } => members::remove(state, record.sender, sender, users),
        Command::SetRole { users, role } => members::set_role(state, sender, users, *role),
        Command::Leave => members::leave(state, record.sender, sender),
        Command::Inbox { .. } | Command::Create { .. } => Err(RejectCode::Unsupported),
    }
    .map(Some)
}

fn create(
    state: &State,
    record: &Record,
    kind: Kind,
    title: Option<&str>,
    members: &[UserId],
) -> Result<Option<Body>, RejectCode> {
    let mut everybody = members.to_vec();
    everybody.push(record.sender);
    everybody.sort_unstable();
    everybody.dedup();
    if state.exists() {
        // The id is derived from what makes the request unique (S8): it is the same request.
        let mine = state.tenant == record.tenant && state.kind == kind;
        let welcome = kind != Kind::Direct || state.members.contains_key(&record.sender);
        return if mine && welcome { Ok(None) } else { Err(RejectCode::Conflict) };
    }
    let is_pair = everybody.len() == 2 && title.is_none();
    if kind == Kind::Direct && !is_pair {
        return Err(RejectCode::InvalidContent);
    }
    let title_bytes = title.map_or(0, str::len);
    if everybody.len() > limits::MEMBERS_MAX || title_bytes > limits::TITLE_BYTES_MAX {
        return Err(RejectCode::TooLarge);
    }
    Ok(Some(Body::Created { kind, title: title.map(str::to_owned), members: everybody }))
}

fn may_send(
    state: &State,
    sender: &Member,
    bytes: usize,
    reply_to: Option<Seq>,
) -> Result<(), RejectCode> {
    if !sender.role.may_send(state.kind) {
        return Err(RejectCode::Forbidden);
    }
    if bytes > limits::CONTENT_BYTES_MAX {
        return Err(RejectCode::TooLarge);
    }
    match reply_to {
        Some(seq) if seq < sender.from.max(1) || seq > state.head => {
            Err(RejectCode::InvalidContent)
        }
        _ => Ok(()),
    }
}

/// What the rules of the build that comes next refuse: a record's stamp says which rules hold for
/// it, whoever decides and whenever (soundness S11).
#[cfg(feature = "next-rules")]
const fn next_rules(rules: u16, bytes: usize) -> Result<(), RejectCode> {
    if rules > harkara_domain::command::RULES_VERSION && bytes > 200 {
        return Err(RejectCode::TooLarge);
    }
    Ok(())
}

fn update(state: &State, sender: &Member, title: Option<&str>) -> Result<Body, RejectCode> {
    if state.kind == Kind::Direct || !sender.role.may_update() {
        return Err(RejectCode::Forbidden);
    }
    if title.map_or(0, str::len) > limits::TITLE_BYTES_MAX {
        return Err(RejectCode::TooLarge);
    }
    Ok(Body::Updated { kind: state.kind, title: title.map(str::to_owned) })
}

/// The role that everybody named at a creation gets.
#[must_use]
pub fn first_role(kind: Kind, user: UserId, creator: UserId) -> Role {
    if kind == Kind::Direct || user == creator { Role::Owner } else { Role::Member }
}
