//! What a member sees of a conversation: the entry of their list, and pages of members.

use std::{collections::HashMap, ops::Bound};

use harkara_domain::{Cursor, Entry, Role, State, UserId};

/// Everybody's written read cursor.
pub type Cursors = HashMap<UserId, Cursor>;

/// How far a member has read: their cursor or what they sent, whichever is later.
#[must_use]
pub fn read(state: &State, cursors: &Cursors, user: UserId) -> Option<Cursor> {
    let member = state.members.get(&user)?;
    let sent = Cursor { seq: member.sent, ordinal: member.sent_ordinal };
    Some(cursors.get(&user).copied().unwrap_or_default().max(sent))
}

/// The entry of a member's list; none for everybody else.
#[must_use]
pub fn entry(state: &State, cursors: &Cursors, user: UserId) -> Option<Entry> {
    let member = state.members.get(&user)?;
    let read = read(state, cursors, user)?;
    Some(Entry {
        tenant: state.tenant,
        kind: state.kind,
        title: state.title.clone(),
        role: member.role,
        from: member.from,
        head: state.head,
        read: read.seq,
        unread: state.ordinal.saturating_sub(read.ordinal),
        members: u32::try_from(state.members.len()).unwrap_or(u32::MAX),
    })
}

/// Members above `after` in rising order, and whether there are more.
#[must_use]
pub fn members(state: &State, after: Option<UserId>, limit: usize) -> (Vec<(UserId, Role)>, bool) {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut range = state.members.range((from, Bound::Unbounded));
    let page: Vec<_> = range.by_ref().take(limit).map(|(user, m)| (*user, m.role)).collect();
    (page, range.next().is_some())
}
