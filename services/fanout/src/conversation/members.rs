//! The part of `decide` that is about members and their roles.

use harkara_domain::{Body, Kind, Member, RejectCode, Role, State, UserId, limits};

/// Users in rising order, each once, that fulfil a condition.
fn sorted(users: &[UserId], keep: impl Fn(&UserId) -> bool) -> Vec<UserId> {
    let mut kept: Vec<UserId> = users.iter().copied().filter(keep).collect();
    kept.sort_unstable();
    kept.dedup();
    kept
}

/// Membership of a direct conversation is fixed.
fn not_direct(state: &State) -> Result<(), RejectCode> {
    if state.kind == Kind::Direct { Err(RejectCode::Forbidden) } else { Ok(()) }
}

pub(super) fn add(
    state: &State,
    sender: &Member,
    users: &[UserId],
    role: Role,
) -> Result<Body, RejectCode> {
    not_direct(state)?;
    if !sender.role.may_add(role) {
        return Err(RejectCode::Forbidden);
    }
    let users = sorted(users, |user| !state.members.contains_key(user));
    if users.is_empty() {
        return Err(RejectCode::Conflict);
    }
    if state.members.len() + users.len() > limits::MEMBERS_MAX {
        return Err(RejectCode::TooLarge);
    }
    Ok(Body::Added { users, role })
}

pub(super) fn remove(
    state: &State,
    sender_id: UserId,
    sender: &Member,
    users: &[UserId],
) -> Result<Body, RejectCode> {
    not_direct(state)?;
    let users = sorted(users, |user| state.members.contains_key(user));
    let may = |user: &UserId| {
        let target = state.members.get(user);
        *user != sender_id && target.is_some_and(|t| sender.role.may_remove(t.role))
    };
    // Who may remove nobody learns nothing about who is a member: they are members themselves.
    if !sender.role.may_remove(Role::Member) || !users.iter().all(may) {
        return Err(RejectCode::Forbidden);
    }
    if users.is_empty() {
        return Err(RejectCode::NotFound);
    }
    Ok(Body::Removed { users })
}

pub(super) fn set_role(
    state: &State,
    sender: &Member,
    users: &[UserId],
    role: Role,
) -> Result<Body, RejectCode> {
    not_direct(state)?;
    if !sender.role.may_set_role() {
        return Err(RejectCode::Forbidden);
    }
    let named = sorted(users, |user| state.members.contains_key(user));
    if named.is_empty() {
        return Err(RejectCode::NotFound);
    }
    let users = sorted(&named, |user| state.members.get(user).is_some_and(|m| m.role != role));
    if users.is_empty() {
        return Err(RejectCode::Conflict);
    }
    let owner_stays = role == Role::Owner
        || state.members.iter().any(|(id, m)| m.role == Role::Owner && !users.contains(id));
    if !owner_stays {
        return Err(RejectCode::Forbidden);
    }
    Ok(Body::RoleSet { users, role })
}

pub(super) fn leave(state: &State, sender_id: UserId, sender: &Member) -> Result<Body, RejectCode> {
    not_direct(state)?;
    let others = || state.members.iter().filter(|(id, _)| **id != sender_id);
    let needs_owner = sender.role == Role::Owner && !others().any(|(_, m)| m.role == Role::Owner);
    let successor = if needs_owner {
        // The highest role, then the longest membership, then the lowest id.
        others().min_by_key(|(id, m)| (std::cmp::Reverse(m.role), m.from, **id)).map(|(id, _)| *id)
    } else {
        None
    };
    Ok(Body::Left { successor })
}
