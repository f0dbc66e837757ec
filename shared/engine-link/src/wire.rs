//! The contract's frames as `harkara_protocol::link` writes them, and back. The matches name every
//! variant and field, so that a new one does not compile before it has a form.

use std::sync::Arc;

use harkara_domain::{ClientId, ConversationId, Cursor, DeviceId, Entry, Epoch, Partition, UserId};
use harkara_engine::link::{Answer, Down, Outcome, Up, What};
use harkara_protocol::{
    link::{self, DecodeError, Raw},
    stored,
};

fn raw_users(users: &[UserId]) -> Vec<Raw> {
    users.iter().map(|user| *user.as_bytes()).collect()
}

fn users(raw: Vec<Raw>) -> Vec<UserId> {
    raw.into_iter().map(UserId::from_bytes).collect()
}

/// What a question looks like on the wire.
pub fn ask(up: &Up) -> link::Ask {
    let conversation = *up.conversation().as_bytes();
    match up {
        Up::Subscribe { users, .. } => {
            link::Ask::Subscribe { conversation, users: raw_users(users) }
        }
        Up::SubscribeInbox { user, .. } => {
            link::Ask::SubscribeInbox { conversation, user: *user.as_bytes() }
        }
        Up::Unsubscribe { users, .. } => {
            link::Ask::Unsubscribe { conversation, users: raw_users(users) }
        }
        Up::Advance { request, user, seq, .. } => link::Ask::Advance {
            request: *request,
            conversation,
            user: *user.as_bytes(),
            seq: *seq,
        },
        Up::Members { request, user, after, limit, .. } => link::Ask::Members {
            request: *request,
            conversation,
            user: *user.as_bytes(),
            after: after.map(|user| *user.as_bytes()),
            limit: u32::try_from(*limit).unwrap_or(u32::MAX),
        },
        Up::Entry { request, user, .. } => {
            link::Ask::Entry { request: *request, conversation, user: *user.as_bytes() }
        }
        Up::Typing { user, active, .. } => {
            link::Ask::Typing { conversation, user: *user.as_bytes(), active: *active }
        }
    }
}

/// A question that came over the wire.
pub fn up(ask: link::Ask) -> Up {
    let (id, user_id) = (ConversationId::from_bytes, UserId::from_bytes);
    match ask {
        link::Ask::Subscribe { conversation, users: raw } => {
            Up::Subscribe { conversation: id(conversation), users: users(raw) }
        }
        link::Ask::SubscribeInbox { conversation, user } => {
            Up::SubscribeInbox { conversation: id(conversation), user: user_id(user) }
        }
        link::Ask::Unsubscribe { conversation, users: raw } => {
            Up::Unsubscribe { conversation: id(conversation), users: users(raw) }
        }
        link::Ask::Advance { request, conversation, user, seq } => {
            Up::Advance { request, conversation: id(conversation), user: user_id(user), seq }
        }
        link::Ask::Members { request, conversation, user, after, limit } => Up::Members {
            request,
            conversation: id(conversation),
            user: user_id(user),
            after: after.map(user_id),
            limit: limit as usize,
        },
        link::Ask::Entry { request, conversation, user } => {
            Up::Entry { request, conversation: id(conversation), user: user_id(user) }
        }
        link::Ask::Typing { conversation, user, active } => {
            Up::Typing { conversation: id(conversation), user: user_id(user), active }
        }
    }
}

/// What an owner says, as bytes that all gateways share.
pub fn encode(down: &Down) -> Vec<u8> {
    link::encode_down(&link::Down {
        partition: down.partition.0,
        epoch: down.epoch.0,
        conversation: *down.conversation.as_bytes(),
        what: raw_what(&down.what),
    })
}

fn raw_what(what: &What) -> link::What {
    match what {
        What::Event(event) => {
            link::What::Event { seq: event.seq, event: stored::encode_event(event) }
        }
        What::Subscribed { head, entries } => link::What::Subscribed {
            head: *head,
            entries: entries
                .iter()
                .map(|(user, entry)| (*user.as_bytes(), entry.as_ref().map(Into::into)))
                .collect(),
        },
        What::Outcome { device, client_id, outcome } => {
            let (device, client_id) = (*device.as_bytes(), *client_id.as_bytes());
            match outcome {
                Outcome::Applied(seq) => link::What::Applied { device, client_id, seq: *seq },
                Outcome::Settled(seq) => link::What::Settled { device, client_id, seq: *seq },
                Outcome::Rejected(code) => {
                    link::What::Rejected { device, client_id, code: (*code).into() }
                }
            }
        }
        What::Inbox { user, conversation, cause, present } => link::What::Inbox {
            user: *user.as_bytes(),
            conversation: *conversation.as_bytes(),
            cause: *cause,
            present: *present,
        },
        What::Read { user, cursor: Cursor { seq, ordinal } } => {
            link::What::Read { user: *user.as_bytes(), seq: *seq, ordinal: *ordinal }
        }
        What::Typing { user, active } => {
            link::What::Typing { user: *user.as_bytes(), active: *active }
        }
        What::Answer { request, answer } => {
            link::What::Answer { request: *request, answer: raw_answer(answer) }
        }
    }
}

fn raw_answer(answer: &Answer) -> link::Answer {
    match answer {
        Answer::NotFound => link::Answer::NotFound,
        Answer::BeyondHead(head) => link::Answer::BeyondHead(*head),
        Answer::Advanced => link::Answer::Advanced,
        Answer::Members(members, more) => link::Answer::Members(
            members.iter().map(|(user, role)| (*user.as_bytes(), (*role).into())).collect(),
            *more,
        ),
        Answer::Entry(entry) => link::Answer::Entry(entry.into()),
        Answer::Unavailable => link::Answer::Unavailable,
    }
}

/// What an owner said, from its bytes.
pub fn decode(bytes: &[u8]) -> Result<Down, DecodeError> {
    let form = link::decode_down(bytes)?;
    Ok(Down {
        partition: Partition(form.partition),
        epoch: Epoch(form.epoch),
        conversation: ConversationId::from_bytes(form.conversation),
        what: what(form.what)?,
    })
}

fn what(form: link::What) -> Result<What, DecodeError> {
    let told = |device, client_id, outcome| What::Outcome {
        device: DeviceId::from_bytes(device),
        client_id: ClientId::from_bytes(client_id),
        outcome,
    };
    Ok(match form {
        link::What::Event { seq, event } => {
            What::Event(Arc::new(stored::decode_event(seq, &event)?))
        }
        link::What::Subscribed { head, entries } => {
            let entry = |(user, entry): (Raw, Option<link::Entry>)| {
                let entry = entry.map(Entry::try_from).transpose()?;
                Ok((UserId::from_bytes(user), entry))
            };
            let entries = entries.into_iter().map(entry).collect::<Result<_, DecodeError>>()?;
            What::Subscribed { head, entries }
        }
        link::What::Applied { device, client_id, seq } => {
            told(device, client_id, Outcome::Applied(seq))
        }
        link::What::Settled { device, client_id, seq } => {
            told(device, client_id, Outcome::Settled(seq))
        }
        link::What::Rejected { device, client_id, code } => {
            told(device, client_id, Outcome::Rejected(code.try_into()?))
        }
        link::What::Inbox { user, conversation, cause, present } => What::Inbox {
            user: UserId::from_bytes(user),
            conversation: ConversationId::from_bytes(conversation),
            cause,
            present,
        },
        link::What::Read { user, seq, ordinal } => {
            What::Read { user: UserId::from_bytes(user), cursor: Cursor { seq, ordinal } }
        }
        link::What::Typing { user, active } => {
            What::Typing { user: UserId::from_bytes(user), active }
        }
        link::What::Answer { request, answer: form } => {
            What::Answer { request, answer: answer(form)? }
        }
    })
}

fn answer(form: link::Answer) -> Result<Answer, DecodeError> {
    Ok(match form {
        link::Answer::NotFound => Answer::NotFound,
        link::Answer::BeyondHead(head) => Answer::BeyondHead(head),
        link::Answer::Advanced => Answer::Advanced,
        link::Answer::Members(members, more) => {
            let member =
                |(user, role): (Raw, link::Role)| Ok((UserId::from_bytes(user), role.try_into()?));
            let members = members.into_iter().map(member).collect::<Result<_, DecodeError>>()?;
            Answer::Members(members, more)
        }
        link::Answer::Entry(entry) => Answer::Entry(entry.try_into()?),
        link::Answer::Unavailable => Answer::Unavailable,
    })
}

#[cfg(test)]
mod tests {
    use harkara_domain::{
        Body, Event, Fingerprint, Generation, Hash, Kind, Position, RejectCode, Role, TenantId,
    };
    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    fn user() -> impl Strategy<Value = UserId> {
        any::<[u8; 16]>().prop_map(UserId::from_bytes)
    }

    fn conversation() -> impl Strategy<Value = ConversationId> {
        any::<[u8; 16]>().prop_map(ConversationId::from_bytes)
    }

    fn any_up() -> impl Strategy<Value = Up> {
        let question = (any::<u64>(), conversation(), user());
        let numbers = (any::<u64>(), any::<bool>(), any::<u32>(), option::of(user()));
        (0..7, question, vec(user(), 0..9), numbers).prop_map(
            |(which, (request, conversation, user), users, (seq, active, limit, after))| {
                let limit = limit as usize;
                match which {
                    0 => Up::Subscribe { conversation, users },
                    1 => Up::SubscribeInbox { conversation, user },
                    2 => Up::Unsubscribe { conversation, users },
                    3 => Up::Advance { request, conversation, user, seq },
                    4 => Up::Members { request, conversation, user, after, limit },
                    5 => Up::Entry { request, conversation, user },
                    _ => Up::Typing { conversation, user, active },
                }
            },
        )
    }

    prop_compose! {
        fn any_entry()(
            tenant in any::<[u8; 16]>().prop_map(TenantId::from_bytes),
            title in option::of(".*"), (from, head, read, unread, members) in any::<(u64, u64, u64, u64, u32)>(),
            kind in prop::sample::select(vec![Kind::Direct, Kind::Group, Kind::Channel]),
            role in prop::sample::select(vec![Role::Member, Role::Admin, Role::Owner]),
        ) -> Entry {
            Entry { tenant, kind, title, role, from, head, read, unread, members }
        }
    }

    fn any_answer() -> impl Strategy<Value = Answer> {
        let some = (any::<u64>(), vec(user(), 0..9), any::<bool>(), any_entry());
        (0..6, some).prop_map(|(which, (head, users, more, entry))| match which {
            0 => Answer::NotFound,
            1 => Answer::BeyondHead(head),
            2 => Answer::Advanced,
            3 => Answer::Members(users.into_iter().map(|user| (user, entry.role)).collect(), more),
            4 => Answer::Entry(entry),
            _ => Answer::Unavailable,
        })
    }

    fn any_what() -> impl Strategy<Value = What> {
        let outcomes = prop_oneof![
            any::<u64>().prop_map(Outcome::Applied),
            any::<u64>().prop_map(Outcome::Settled),
            prop::sample::select(vec![RejectCode::NotAMember, RejectCode::Unsupported])
                .prop_map(Outcome::Rejected),
        ];
        let entries = vec((user(), option::of(any_entry())), 0..5);
        let ids = any::<([u8; 16], [u8; 16])>();
        let numbers = any::<(u64, u64, bool)>();
        (0..6, user(), conversation(), ids, numbers, (outcomes, entries, any_answer())).prop_map(
            |(which, user, conversation, (device, client_id), (a, b, flag), more)| {
                let (outcome, entries, answer) = more;
                match which {
                    0 => What::Subscribed { head: a, entries },
                    1 => What::Outcome {
                        device: DeviceId::from_bytes(device),
                        client_id: ClientId::from_bytes(client_id),
                        outcome,
                    },
                    2 => What::Inbox { user, conversation, cause: a, present: flag },
                    3 => What::Read { user, cursor: Cursor { seq: a, ordinal: b } },
                    4 => What::Typing { user, active: flag },
                    _ => What::Answer { request: a, answer },
                }
            },
        )
    }

    #[test]
    fn an_event_comes_as_it_was_stored() {
        let event = Event {
            tenant: TenantId::development(),
            seq: 7,
            ordinal: 5,
            at: 1_795_338_000_123,
            sender: UserId::from_bytes([1; 16]),
            device: DeviceId::from_bytes([2; 16]),
            client_id: ClientId::from_bytes([3; 16]),
            fingerprint: Fingerprint([4; 8]),
            position: Position { generation: Generation(3), offset: 1_000 },
            body: Body::Updated {
                kind: Kind::Group, title: Some("नियंत्रण कक्ष".to_owned())
            },
            chain: Hash([5; 32]),
        };
        let conversation = ConversationId::from_bytes([6; 16]);
        let (partition, epoch) = (Partition(1), Epoch(2));
        let down = Down { partition, epoch, conversation, what: What::Event(Arc::new(event)) };
        assert_eq!(decode(&encode(&down)), Ok(down));
    }

    proptest! {
        #[test]
        fn questions_come_as_they_were_asked(question in any_up()) {
            prop_assert_eq!(up(ask(&question)), question);
        }

        #[test]
        fn what_an_owner_says_comes_as_it_was_said(
            what in any_what(), conversation in conversation(),
            (partition, epoch) in any::<(u16, u64)>(),
        ) {
            let (partition, epoch) = (Partition(partition), Epoch(epoch));
            let down = Down { partition, epoch, conversation, what };
            prop_assert_eq!(decode(&encode(&down)), Ok(down));
        }
    }
}
