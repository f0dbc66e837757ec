//! A user's list of conversations, and how news of it travel (architecture D10, ADR 3).
//!
//! The owner of a conversation writes the rows of the lists that an event changes together with
//! the event; rows are merged by the event's sequence, so a replay or a late writer changes
//! nothing. Then it appends a record to each concerned user's inbox, which only tells that user's
//! sessions to look.

use harkara_domain::{
    Body, ClientId, Command, ConversationId, Event, Membership, Record, TenantId,
    command::RULES_VERSION,
};

/// The rows that an event changes.
pub fn memberships(
    tenant: TenantId,
    conversation: ConversationId,
    event: &Event,
) -> impl Iterator<Item = Membership> + use<> {
    let (users, present) = match &event.body {
        Body::Created { members, .. } => (members.clone(), true),
        Body::Added { users, .. } => (users.clone(), true),
        Body::Removed { users } => (users.clone(), false),
        Body::Left { .. } => (vec![event.sender], false),
        Body::Updated { .. } | Body::RoleSet { .. } | Body::Message { .. } => (Vec::new(), false),
    };
    let cause = event.seq;
    users.into_iter().map(move |user| Membership { tenant, user, conversation, present, cause })
}

/// The record that tells a user's inbox of a changed row. Its client id is derived from the
/// cause: a replay repeats it.
#[must_use]
pub fn record(membership: &Membership, event: &Event) -> Record {
    let Membership { tenant, user, conversation, present, cause } = *membership;
    Record {
        tenant,
        conversation: ConversationId::inbox(tenant, user),
        sender: event.sender,
        device: event.device,
        client_id: ClientId::caused(conversation, cause, user),
        rules: RULES_VERSION,
        origin: 0,
        command: Command::Inbox { user, conversation, cause, present },
    }
}

/// May the event of this command change anybody's list?
#[must_use]
pub fn may_concern(command: &Command) -> bool {
    !matches!(command, Command::Send { .. } | Command::Update { .. } | Command::SetRole { .. })
}

/// Does this event change anybody's list?
#[must_use]
pub fn concerns(event: &Event) -> bool {
    !matches!(event.body, Body::Updated { .. } | Body::RoleSet { .. } | Body::Message { .. })
}
