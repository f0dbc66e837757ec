//! Rights: who gets which answer to what. The tables say it for every method and every relation
//! to a conversation, as `docs/protocol.md` does; the test asks the server for each cell.
//!
//! `rights/asks.rs` has the questions, `rights/cast.rs` who asks them.

mod asks;
mod cast;

use harkara_protocol::client::requests::{METHODS, UNSUPPORTED_METHODS};

use self::cast::Stage;
use crate::support::production::Production;

/// A group. `again` was removed and added again by the event 4; `tenant` belongs to another one,
/// though somebody has named them as a member. Words behind a method tell apart what it is asked
/// for; a role is that of the users it concerns.
const GROUP: &str = "
                           | owner     | admin     | member    | again     | removed      | never     | tenant
conversation.get           | ok        | ok        | ok        | ok        | not_found    | not_found | not_found
conversation.list          | listed    | listed    | listed    | listed    | absent       | absent    | absent
session.start              | listed    | listed    | listed    | listed    | unknown      | unknown   | unknown
members.list               | ok        | ok        | ok        | ok        | not_found    | not_found | not_found
timeline.read              | from 1    | from 1    | from 1    | from 4    | not_found    | not_found | not_found
timeline.read newest       | from 1    | from 1    | from 1    | from 4    | not_found    | not_found | not_found
timeline.read early        | from 1    | from 1    | from 1    | from none | not_found    | not_found | not_found
read.advance               | ok        | ok        | ok        | ok        | not_found    | not_found | not_found
read.advance far           | -32602    | -32602    | -32602    | -32602    | not_found    | not_found | not_found
typing.set                 | ok        | ok        | ok        | ok        | not_found    | not_found | not_found
message.send               | ok        | ok        | ok        | ok        | not_a_member | not_found | not_found
message.send reply early   | ok        | ok        | ok        | invalid_content | not_a_member | not_found | not_found
conversation.update        | ok        | ok        | forbidden | forbidden | not_a_member | not_found | not_found
members.add member         | ok        | ok        | forbidden | forbidden | not_a_member | not_found | not_found
members.add admin          | ok        | forbidden | forbidden | forbidden | not_a_member | not_found | not_found
members.add owner          | ok        | forbidden | forbidden | forbidden | not_a_member | not_found | not_found
members.add oneself        | conflict  | forbidden | forbidden | forbidden | not_a_member | not_found | not_found
members.remove member      | ok        | ok        | forbidden | forbidden | not_a_member | not_found | not_found
members.remove admin       | ok        | forbidden | forbidden | forbidden | not_a_member | not_found | not_found
members.remove owner       | ok        | forbidden | forbidden | forbidden | not_a_member | not_found | not_found
members.remove oneself     | forbidden | forbidden | forbidden | forbidden | not_a_member | not_found | not_found
members.set_role member    | ok        | forbidden | forbidden | forbidden | not_a_member | not_found | not_found
members.set_role admin     | ok        | forbidden | forbidden | forbidden | not_a_member | not_found | not_found
members.set_role owner     | ok        | forbidden | forbidden | forbidden | not_a_member | not_found | not_found
members.set_role oneself   | conflict  | forbidden | forbidden | forbidden | not_a_member | not_found | not_found
conversation.leave         | ok        | ok        | ok        | ok        | not_a_member | not_found | not_found
an event                   | told      | told      | told      | told      | silence      | silence   | silence
typing of another          | told      | told      | told      | told      | silence      | silence   | silence
users.get                  | found     | found     | found     | found     | found        | found     | absent
users.find                 | found     | found     | found     | found     | found        | found     | absent
message.edit               | unsupported | unsupported | unsupported | unsupported | unsupported | unsupported | unsupported
message.redact             | unsupported | unsupported | unsupported | unsupported | unsupported | unsupported | unsupported
message.react              | unsupported | unsupported | unsupported | unsupported | unsupported | unsupported | unsupported
message.unreact            | unsupported | unsupported | unsupported | unsupported | unsupported | unsupported | unsupported
presence.set               | unsupported | unsupported | unsupported | unsupported | unsupported | unsupported | unsupported
presence.watch             | unsupported | unsupported | unsupported | unsupported | unsupported | unsupported | unsupported
";

/// A channel: where it differs from a group, and that the rest does not.
const CHANNEL: &str = "
                           | owner     | admin     | member    | again     | removed      | never     | tenant
conversation.get           | ok        | ok        | ok        | ok        | not_found    | not_found | not_found
timeline.read              | from 1    | from 1    | from 1    | from 4    | not_found    | not_found | not_found
read.advance               | ok        | ok        | ok        | ok        | not_found    | not_found | not_found
typing.set                 | ok        | ok        | ok        | ok        | not_found    | not_found | not_found
message.send               | ok        | ok        | forbidden | forbidden | not_a_member | not_found | not_found
conversation.update        | ok        | ok        | forbidden | forbidden | not_a_member | not_found | not_found
members.add member         | ok        | ok        | forbidden | forbidden | not_a_member | not_found | not_found
members.add owner          | ok        | forbidden | forbidden | forbidden | not_a_member | not_found | not_found
members.remove member      | ok        | ok        | forbidden | forbidden | not_a_member | not_found | not_found
members.remove admin       | ok        | forbidden | forbidden | forbidden | not_a_member | not_found | not_found
members.set_role admin     | ok        | forbidden | forbidden | forbidden | not_a_member | not_found | not_found
conversation.leave         | ok        | ok        | ok        | ok        | not_a_member | not_found | not_found
an event                   | told      | told      | told      | told      | silence      | silence   | silence
";

/// A direct conversation: two owners, for ever.
const DIRECT: &str = "
                           | owner     | other     | never     | tenant
conversation.get           | ok        | ok        | not_found | not_found
conversation.list          | listed    | listed    | absent    | absent
session.start              | listed    | listed    | unknown   | unknown
members.list               | ok        | ok        | not_found | not_found
timeline.read              | from 1    | from 1    | not_found | not_found
read.advance               | ok        | ok        | not_found | not_found
typing.set                 | ok        | ok        | not_found | not_found
message.send               | ok        | ok        | not_found | not_found
conversation.update        | forbidden | forbidden | not_found | not_found
members.add member         | forbidden | forbidden | not_found | not_found
members.add oneself        | forbidden | forbidden | not_found | not_found
members.remove oneself     | forbidden | forbidden | not_found | not_found
members.set_role oneself   | forbidden | forbidden | not_found | not_found
conversation.leave         | forbidden | forbidden | not_found | not_found
an event                   | told      | told      | silence   | silence
";

/// What is about no conversation: who makes one is its owner.
const ABOUT_NONE: [&str; 1] = ["conversation.create"];

/// The relations, and for each question the answer that each of them expects.
fn table(text: &'static str) -> (Vec<&'static str>, Vec<(&'static str, Vec<&'static str>)>) {
    let mut lines = text.lines().filter(|line| !line.is_empty());
    let mut cells = lines.next().unwrap().split('|').map(str::trim);
    assert_eq!(cells.next(), Some(""));
    let relations: Vec<_> = cells.collect();
    let rows = lines.map(|line| {
        let mut cells = line.split('|').map(str::trim);
        let question = cells.next().unwrap();
        let answers: Vec<_> = cells.collect();
        assert_eq!(answers.len(), relations.len(), "{question}");
        (question, answers)
    });
    let rows = rows.collect();
    (relations, rows)
}

/// Asks for every cell; all that are wrong are shown together.
async fn hold(kind: &'static str, text: &'static str) {
    let (relations, rows) = table(text);
    let production = Production::new();
    let server = production.start_with("[gateway]\nsends_per_second_max = \"unlimited\"");
    let mut stage = Stage::new(&production, &server, kind, &relations).await;
    let (mut wrong, mut cells) = (Vec::new(), 0);
    for (question, answers) in rows {
        stage.set(question).await;
        // Owners come first in the table and last here: who leaves or hands over is gone.
        for (relation, expected) in relations.iter().zip(answers).rev() {
            let found = stage.ask(question, relation).await;
            cells += 1;
            if found != expected {
                wrong.push(format!("{kind}: {question} by {relation}: {found}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {cells} cells:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn in_a_group() {
    hold("group", GROUP).await;
}

#[tokio::test]
async fn in_a_channel() {
    hold("channel", CHANNEL).await;
}

#[tokio::test]
async fn in_a_direct_conversation() {
    hold("direct", DIRECT).await;
}

#[test]
fn every_method_is_in_the_table() {
    let (_, rows) = table(GROUP);
    let asked: Vec<_> =
        rows.iter().filter_map(|(question, _)| question.split(' ').next()).collect();
    let all = METHODS.iter().chain(UNSUPPORTED_METHODS);
    let missing: Vec<_> =
        all.filter(|method| !asked.contains(method) && !ABOUT_NONE.contains(method)).collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
}
