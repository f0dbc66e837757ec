//! One of each frame of the link, for the golden files, and whatever else a frame may be, for the
//! property tests.

use harkara_domain as domain;
use harkara_protocol::{
    link::{Answer, Ask, DecodeError, Down, Entry, Frame, What},
    stored,
};
use proptest::{collection::vec, option, prelude::*};

use crate::samples;

fn entry() -> Entry {
    Entry::from(&domain::Entry {
        tenant: domain::TenantId::development(),
        kind: domain::Kind::Group,
        title: Some("Control room".to_owned()),
        role: domain::Role::Admin,
        from: 1,
        head: 8,
        read: 3,
        unread: 2,
        members: 3,
    })
}

/// Names and frames; what a push says stands behind it.
pub fn frames() -> Vec<(&'static str, Frame, Option<Down>)> {
    let cluster = || "control".to_owned();
    let mut all = vec![
        ("hello", Frame::Hello { protocol: 1, cluster: cluster(), gateway: 0x0102_0304_0506 }),
        ("welcome", Frame::Welcome { protocol: 1, cluster: cluster(), window: 524_288 }),
        ("ended", Frame::Ended { reason: "closing".to_owned() }),
        ("beat", Frame::Beat),
        ("opened", Frame::Opened { lane: 1 }),
        ("closed", Frame::Closed { lane: 1 }),
        ("resume", Frame::Resume { lane: 300 }),
        ("serving", Frame::Serving { partition: 7, serving: 3 }),
        ("released", Frame::Released { partition: 7, serving: 3 }),
        ("credit", Frame::Credit { partition: 7, serving: 3, bytes: 131_072 }),
        ("lost", Frame::Lost { lane: 300 }),
        ("resumed", Frame::Resumed { lane: 300 }),
    ];
    let asks = asks().into_iter();
    all.extend(asks.map(|(n, ask)| (n, Frame::Ask { lane: 2, partition: 7, serving: 3, ask })));
    let mut all: Vec<_> = all.into_iter().map(|(name, frame)| (name, frame, None)).collect();
    all.extend(whats().into_iter().map(|(name, what)| {
        let conversation = *samples::room().as_bytes();
        let down = Down { partition: 7, epoch: 1_795_338_000_123_000, conversation, what };
        (name, Frame::Push { lanes: vec![1, 2, 300] }, Some(down))
    }));
    all
}

fn asks() -> Vec<(&'static str, Ask)> {
    let (asha, bilal) = (*samples::asha().as_bytes(), *samples::bilal().as_bytes());
    let (conversation, user, request) = (*samples::room().as_bytes(), asha, 77);
    let both = || vec![asha, bilal];
    vec![
        ("ask.subscribe", Ask::Subscribe { conversation, users: both() }),
        ("ask.subscribe_inbox", Ask::SubscribeInbox { conversation, user }),
        ("ask.unsubscribe", Ask::Unsubscribe { conversation, users: both() }),
        ("ask.advance", Ask::Advance { request, conversation, user, seq: 8 }),
        (
            "ask.members",
            Ask::Members { request, conversation, user, after: Some(bilal), limit: 100 },
        ),
        ("ask.entry", Ask::Entry { request, conversation, user }),
        ("ask.typing", Ask::Typing { conversation, user, active: true }),
    ]
}

fn whats() -> Vec<(&'static str, What)> {
    let message = samples::history().remove(1);
    let (user, other) = (*samples::asha().as_bytes(), *samples::bilal().as_bytes());
    let (device, client_id) = (*samples::phone().as_bytes(), *samples::client(7).as_bytes());
    let code = domain::RejectCode::Conflict.into();
    let conversation = *samples::room().as_bytes();
    let members = vec![(user, domain::Role::Owner.into()), (other, domain::Role::Member.into())];
    let answer = |answer| What::Answer { request: 77, answer };
    vec![
        ("push.event", What::Event { seq: message.seq, event: stored::encode_event(&message) }),
        (
            "push.subscribed",
            What::Subscribed { head: 8, entries: vec![(user, Some(entry())), (other, None)] },
        ),
        ("push.applied", What::Applied { device, client_id, seq: 9 }),
        ("push.settled", What::Settled { device, client_id, seq: 4 }),
        ("push.rejected", What::Rejected { device, client_id, code }),
        ("push.inbox", What::Inbox { user, conversation, cause: 5, present: true }),
        ("push.read", What::Read { user, seq: 8, ordinal: 2 }),
        ("push.typing", What::Typing { user, active: false }),
        ("push.not_found", answer(Answer::NotFound)),
        ("push.beyond_head", answer(Answer::BeyondHead(8))),
        ("push.advanced", answer(Answer::Advanced)),
        ("push.members", answer(Answer::Members(members, true))),
        ("push.entry", answer(Answer::Entry(entry()))),
        ("push.unavailable", answer(Answer::Unavailable)),
    ]
}

/// A frame's bytes, with what a push says.
pub fn encode(frame: &Frame, down: Option<&Down>) -> Vec<u8> {
    let mut bytes = harkara_protocol::link::encode(frame);
    bytes.extend(down.map(harkara_protocol::link::encode_down).unwrap_or_default());
    bytes
}

/// Reads them back.
pub fn decode(bytes: &[u8]) -> Result<(Frame, Option<Down>), DecodeError> {
    let (frame, rest) = harkara_protocol::link::decode(bytes)?;
    let is_push = matches!(frame, Frame::Push { .. });
    let down = is_push.then(|| harkara_protocol::link::decode_down(rest)).transpose()?;
    Ok((frame, down))
}

fn raw() -> impl Strategy<Value = [u8; 16]> {
    any::<[u8; 16]>()
}

fn ask() -> impl Strategy<Value = Ask> {
    let question = || (any::<u64>(), raw(), raw());
    prop_oneof![
        (raw(), vec(raw(), 0..20))
            .prop_map(|(conversation, users)| Ask::Subscribe { conversation, users }),
        (raw(), raw()).prop_map(|(conversation, user)| Ask::SubscribeInbox { conversation, user }),
        (raw(), vec(raw(), 0..20))
            .prop_map(|(conversation, users)| Ask::Unsubscribe { conversation, users }),
        (question(), any::<u64>()).prop_map(|((request, conversation, user), seq)| {
            Ask::Advance { request, conversation, user, seq }
        }),
        (question(), option::of(raw()), any::<u32>()).prop_map(
            |((request, conversation, user), after, limit)| {
                Ask::Members { request, conversation, user, after, limit }
            }
        ),
        question().prop_map(|(request, conversation, user)| {
            Ask::Entry { request, conversation, user }
        }),
        (raw(), raw(), any::<bool>()).prop_map(|(conversation, user, active)| Ask::Typing {
            conversation,
            user,
            active
        }),
    ]
}

fn some_entry() -> impl Strategy<Value = Entry> {
    let numbers = any::<(u64, u64, u64, u64, u32)>();
    (raw(), option::of(".*"), numbers).prop_map(
        |(tenant, title, (from, head, read, unread, members))| {
            let (kind, role) = (domain::Kind::Channel, domain::Role::Member);
            let tenant = domain::TenantId::from_bytes(tenant);
            (&domain::Entry { tenant, kind, title, role, from, head, read, unread, members }).into()
        },
    )
}

fn what() -> impl Strategy<Value = What> {
    let record = || (raw(), raw(), any::<u64>());
    let codes = prop::sample::select(&samples::REJECT_CODES[..]);
    let entries = vec((raw(), option::of(some_entry())), 0..10);
    let answer = prop_oneof![
        prop_oneof![Just(Answer::NotFound), Just(Answer::Advanced), Just(Answer::Unavailable)],
        any::<u64>().prop_map(Answer::BeyondHead),
        (vec(raw(), 0..20), any::<bool>()).prop_map(|(users, more)| {
            let role = domain::Role::Admin.into();
            Answer::Members(users.into_iter().map(|user| (user, role)).collect(), more)
        }),
        some_entry().prop_map(Answer::Entry),
    ];
    prop_oneof![
        (any::<u64>(), vec(any::<u8>(), 0..300))
            .prop_map(|(seq, event)| What::Event { seq, event }),
        (any::<u64>(), entries).prop_map(|(head, entries)| What::Subscribed { head, entries }),
        record().prop_map(|(device, client_id, seq)| What::Applied { device, client_id, seq }),
        record().prop_map(|(device, client_id, seq)| What::Settled { device, client_id, seq }),
        (raw(), raw(), codes).prop_map(|(device, client_id, code)| What::Rejected {
            device,
            client_id,
            code: code.into()
        }),
        (record(), any::<bool>()).prop_map(|((user, conversation, cause), present)| What::Inbox {
            user,
            conversation,
            cause,
            present
        }),
        (raw(), any::<(u64, u64)>()).prop_map(|(user, (seq, ordinal))| What::Read {
            user,
            seq,
            ordinal
        }),
        (raw(), any::<bool>()).prop_map(|(user, active)| What::Typing { user, active }),
        (any::<u64>(), answer).prop_map(|(request, answer)| What::Answer { request, answer }),
    ]
}

/// Any frame, with what a push says.
pub fn any_frame() -> impl Strategy<Value = (Frame, Option<Down>)> {
    let samples: Vec<Frame> = frames().into_iter().take(12).map(|(_, frame, _)| frame).collect();
    let place = any::<(u16, u16, u64)>();
    prop_oneof![
        prop::sample::select(samples).prop_map(|frame| (frame, None)),
        (place, ask()).prop_map(|((lane, partition, serving), ask)| {
            (Frame::Ask { lane, partition, serving, ask }, None)
        }),
        (any::<(u16, u64)>(), vec(any::<u16>(), 0..20), raw(), what()).prop_map(
            |((partition, epoch), lanes, conversation, what)| {
                (Frame::Push { lanes }, Some(Down { partition, epoch, conversation, what }))
            }
        ),
    ]
}
