//! Random histories: whatever is asked, in whatever order and however often, the invariants hold,
//! and a worker that takes over at any point comes to the same state byte for byte.

use std::collections::{HashMap, HashSet};

use harkara_domain::{Body, Command, Kind, Record, RejectCode, Role, chain};
use harkara_fanout::conversation::decide::Decision;
use harkara_protocol::stored::encode_state;
use proptest::prelude::*;

use crate::support::{self, Driven, Row, conversation, user};

fn command() -> impl Strategy<Value = Command> {
    let users = || prop::collection::vec(0u8..6, 1..4);
    let role = prop_oneof![Just(Role::Member), Just(Role::Admin), Just(Role::Owner)];
    prop_oneof![
        1 => users().prop_map(|users| support::create(&users)),
        8 => "[a-c]{1,3}".prop_map(|text| support::text(&text)),
        2 => (users(), 0u64..20).prop_map(|(_, reply)| reply_to(reply)),
        2 => users().prop_map(|users| support::add(&users)),
        2 => users().prop_map(|users| support::remove(&users)),
        1 => (users(), role).prop_map(|(users, role)| Command::SetRole {
            users: users.into_iter().map(user).collect(),
            role,
        }),
        1 => Just(Command::Leave),
        1 => Just(Command::Update { title: Some("Other room".to_owned()) }),
    ]
}

fn reply_to(seq: u64) -> Command {
    match support::text("reply") {
        Command::Send { content, salt, .. } => Command::Send { content, reply_to: Some(seq), salt },
        other => other,
    }
}

/// Few client ids, so that repeats and conflicts are frequent; times that step back and jump.
fn log() -> impl Strategy<Value = Vec<(Record, u64)>> {
    let one = (0u8..6, 0u64..40, command(), 0u64..1_000)
        .prop_map(|(sender, id, command, at)| (support::record(sender, id, command), at));
    prop::collection::vec(one, 1..120).prop_map(|mut log| {
        log.insert(0, (support::record(0, 1_000, support::create(&[1, 2])), 0));
        log
    })
}

fn run(driven: &mut Driven, log: &[(Record, u64)], from: usize) -> Vec<Decision> {
    let take = |(i, (record, at)): (usize, &(Record, u64))| driven.take(record, i as u64, *at);
    log.iter().enumerate().skip(from).map(take).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn invariants_hold(log in log()) {
        let mut driven = Driven::new();
        let decisions = run(&mut driven, &log, 0);
        let mut hash = chain::start(conversation());
        let (mut expected, mut last_at, mut ids) = (1, 0, HashSet::new());
        for row in &driven.rows {
            let Row::Event(event) = row else { continue };
            prop_assert_eq!(event.seq, expected, "sequence_is_gapless");
            expected += 1;
            prop_assert!(event.at >= last_at, "time never goes back");
            last_at = event.at;
            hash = chain::link(hash, event);
            prop_assert_eq!(event.chain, hash, "chain_is_unbroken");
            prop_assert!(ids.insert((event.device, event.client_id)), "visible_once");
        }
        prop_assert_eq!(driven.state.head + 1, expected);
        // The same request always has the same outcome, within the window and the ring.
        let mut first: HashMap<_, &Decision> = HashMap::new();
        for ((record, _), decision) in log.iter().zip(&decisions) {
            let key = (record.device, record.client_id, record.command.fingerprint());
            match (first.get(&key), decision) {
                (None, decision) => { first.insert(key, decision); }
                (Some(Decision::Event(event)), again) => {
                    prop_assert_eq!(again, &Decision::Settled(event.seq));
                }
                (Some(Decision::Rejection(rejection)), again) => {
                    prop_assert_eq!(again, &Decision::Repeated(rejection.code));
                }
                // A creation that found what it wanted left no trace: its client id was free for
                // something else since.
                (Some(Decision::Settled(_)), Decision::Repeated(RejectCode::Conflict))
                    if matches!(record.command, Command::Create { .. }) => {}
                (Some(before), again) => prop_assert_eq!(*before, again),
            }
        }
        let owners = driven.state.members.values().filter(|m| m.role == Role::Owner).count();
        prop_assert!(owners > 0 || driven.state.members.is_empty(), "somebody owns it");
    }

    /// S1: taken over at any point, with any part of the log read again, the state and every
    /// later decision are the same byte for byte.
    #[test]
    fn a_takeover_changes_nothing(
        log in log(), stored in 0.0f64..1.0, snapshot in 0.0f64..1.0, commit in 0.0f64..1.0,
    ) {
        let mut driven = Driven::new();
        let decisions = run(&mut driven, &log, 0);
        let part = |of: usize, share: f64| ((of as f64) * share) as usize;
        let stored = part(driven.rows.len(), stored);
        let rebuilt_after = driven.rebuilt(part(stored, snapshot), stored);
        // The commit is nowhere beyond the first record whose row is missing.
        let applied = rebuilt_after.state.applied.map_or(0, |p| p.offset as usize + 1);
        let commit = part(applied, commit);
        let mut rebuilt = rebuilt_after;
        let again = run(&mut rebuilt, &log, commit);
        prop_assert_eq!(&rebuilt.rows, &driven.rows);
        prop_assert_eq!(&rebuilt.state, &driven.state);
        prop_assert_eq!(&rebuilt.window, &driven.window);
        prop_assert_eq!(encode_state(&rebuilt.state), encode_state(&driven.state));
        for (decision, first) in again.iter().zip(&decisions[commit..]) {
            // A record is either skipped, since it was applied, or decided as before.
            prop_assert!(decision == &Decision::Skip || decision == first);
        }
    }

    /// Nobody's message stands where they were no member, and every member's `from` is the event
    /// that made them one.
    #[test]
    fn only_members_write(log in log()) {
        let mut driven = Driven::new();
        run(&mut driven, &log, 0);
        let mut members: HashMap<_, u64> = HashMap::new();
        for row in &driven.rows {
            let Row::Event(event) = row else { continue };
            if !matches!(event.body, Body::Created { .. }) {
                prop_assert!(members.contains_key(&event.sender), "members_only");
            }
            match &event.body {
                Body::Created { members: users, kind, .. } => {
                    prop_assert_eq!(*kind, Kind::Group);
                    members.extend(users.iter().map(|u| (*u, event.seq)));
                }
                Body::Added { users, .. } => members.extend(users.iter().map(|u| (*u, event.seq))),
                Body::Removed { users } => users.iter().for_each(|u| { members.remove(u); }),
                Body::Left { .. } => { members.remove(&event.sender); }
                _ => {}
            }
        }
        let known: HashMap<_, _> =
            driven.state.members.iter().map(|(u, m)| (*u, m.from)).collect();
        prop_assert_eq!(known, members);
    }
}
