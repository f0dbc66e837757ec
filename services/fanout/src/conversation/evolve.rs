//! `evolve`: what an event or a rejection makes of the state. Takes nothing but the state and the
//! row, so that replaying rows gives the state that deciding gave (architecture D1, S1).

use harkara_domain::{
    Body, Event, Member, Rejection, Role, State, UserId, chain,
    invariants::{CHAIN_IS_UNBROKEN, SEQUENCE_IS_GAPLESS},
    limits::REJECTIONS_KEPT,
};

use harkara_service_runtime::sabotage::{Rule, is_broken};

use super::decide::first_role;

/// Rows that don't fit onto the state: the store lost or mixed up something. Nothing may be
/// served from it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{invariant} is broken: after event {head} comes {found}")]
pub struct Broken {
    /// The invariant's name.
    pub invariant: &'static str,
    /// Where the state stands.
    pub head: u64,
    /// What came.
    pub found: u64,
}

/// Applies the next event of the conversation.
///
/// # Errors
/// When it isn't the next one, or its hash doesn't fit; the state is then unchanged.
pub fn event(state: &mut State, event: &Event) -> Result<(), Broken> {
    let broken = |invariant| Broken { invariant, head: state.head, found: event.seq };
    if event.seq != state.head + 1 {
        return Err(broken(SEQUENCE_IS_GAPLESS.name));
    }
    if event.chain != chain::link(state.chain, event) {
        return Err(broken(CHAIN_IS_UNBROKEN.name));
    }
    state.tenant = event.tenant;
    state.head = event.seq;
    state.ordinal = event.ordinal;
    state.at = event.at;
    state.chain = event.chain;
    state.applied = Some(event.position);
    body(state, event);
    if let Some(sender) = state.members.get_mut(&event.sender) {
        sender.sent = event.seq;
        sender.sent_ordinal = event.ordinal;
    }
    Ok(())
}

/// Remembers a rejection.
pub fn rejection(state: &mut State, rejection: Rejection) {
    state.applied = Some(rejection.position);
    state.rejections.push_back(rejection);
    if state.rejections.len() > REJECTIONS_KEPT {
        state.rejections.pop_front();
    }
}

fn body(state: &mut State, event: &Event) {
    match &event.body {
        Body::Created { kind, title, members } => {
            state.kind = *kind;
            state.title.clone_from(title);
            for user in members {
                join(state, event, *user, first_role(*kind, *user, event.sender));
            }
        }
        Body::Updated { title, .. } => state.title.clone_from(title),
        Body::Added { users, role } => {
            for user in users {
                join(state, event, *user, *role);
            }
        }
        Body::Removed { users } => {
            for user in users {
                state.members.remove(user);
            }
        }
        Body::RoleSet { users, role } => {
            for user in users {
                set_role(state, *user, *role);
            }
        }
        Body::Left { successor } => {
            state.members.remove(&event.sender);
            if let Some(user) = successor {
                set_role(state, *user, Role::Owner);
            }
        }
        Body::Message { .. } => {}
    }
}

/// A new member sees the event that made them one, and nothing before it. They have read nothing.
fn join(state: &mut State, event: &Event, user: UserId, role: Role) {
    let from = if is_broken(Rule::FromTheFirst) { 1 } else { event.seq };
    let member = Member { role, from, sent: event.seq - 1, sent_ordinal: event.ordinal };
    state.members.insert(user, member);
}

fn set_role(state: &mut State, user: UserId, role: Role) {
    if let Some(member) = state.members.get_mut(&user) {
        member.role = role;
    }
}
