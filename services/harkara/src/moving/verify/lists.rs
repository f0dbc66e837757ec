//! Users' lists: what the events of a conversation come to is there, nothing else is, and every
//! inbox was told of something that is there.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use harkara_domain::{ClientId, ConversationId, Membership, Seq, TenantId, UserId};
use harkara_engine::{Store, StoreScan};
use harkara_fanout::inbox;

use super::{
    records::{Records, Told},
    report::Report,
};
use crate::moving::{AT_ONCE, PAGE, patiently};

/// What a conversation's events make of lists: present or not, and since which event.
pub type Lists = BTreeMap<UserId, (bool, Seq)>;

/// Each row that the events of a conversation come to is there. Rows of events above `head`, which
/// were written since, are newer.
///
/// # Errors
/// The store can't be read.
pub async fn complete(
    store: &dyn Store,
    (tenant, conversation, head): (TenantId, ConversationId, Seq),
    lists: &Lists,
    report: &Report,
) -> anyhow::Result<()> {
    stream::iter(lists)
        .map(|(user, wanted)| async move {
            let read = || store.membership(tenant, *user, conversation);
            let row = patiently("read a row of a list", read).await?;
            if row.is_some() {
                report.count(|counts| counts.memberships += 1);
            }
            let found = row.map(|row| (row.present, row.cause));
            if found != Some(*wanted) && found.is_none_or(|(_, cause)| cause <= head) {
                report.find(format!(
                    "conversation {conversation}: the list of user {user} has {}, its events come \
                     to {}",
                    described(found),
                    described(Some(*wanted))
                ));
            }
            anyhow::Ok(())
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

fn described(row: Option<(bool, Seq)>) -> String {
    match row {
        None => "no row".to_owned(),
        Some((true, cause)) => format!("\"present\" by event {cause}"),
        Some((false, cause)) => format!("\"not any more\" by event {cause}"),
    }
}

/// No row is there that no event caused. Where there are as many rows as events come to, and all
/// of those were found, there is no other.
///
/// # Errors
/// The store can't be read.
pub async fn extra(store: &dyn StoreScan, report: &Report) -> anyhow::Result<()> {
    let mut rows = 0;
    each(store, |page| {
        rows += page.len() as u64;
        async { Ok(()) }
    })
    .await?;
    if rows == report.counts().memberships {
        return Ok(());
    }
    each(store, |page| caused(store, page, report)).await
}

async fn each<F: Future<Output = anyhow::Result<()>>>(
    store: &dyn StoreScan,
    mut with: impl FnMut(Vec<Membership>) -> F,
) -> anyhow::Result<()> {
    let mut from: Option<Vec<u8>> = None;
    loop {
        let read = || store.all_memberships(from.clone(), PAGE);
        let page = patiently("read lists", read).await?;
        with(page.rows).await?;
        from = page.next;
        if from.is_none() {
            return Ok(());
        }
    }
}

/// Each of these rows names the event that caused it.
async fn caused(
    store: &dyn StoreScan,
    rows: Vec<Membership>,
    report: &Report,
) -> anyhow::Result<()> {
    stream::iter(rows)
        .map(|row| async move {
            let (id, cause) = (row.conversation, row.cause);
            let read = || store.events(id, cause.saturating_sub(1), cause, 1);
            let event = patiently("read an event", read).await?.pop();
            let by = |event| inbox::memberships(row.tenant, id, &event).any(|made| made == row);
            if !event.is_some_and(by) {
                report.find(format!(
                    "conversation {id}: the list of user {} has {}, and that event did not do it",
                    row.user,
                    described(Some((row.present, cause)))
                ));
            }
            anyhow::Ok(())
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// Each inbox was told of a row that is there, or of one that a later event replaced.
///
/// # Errors
/// The store can't be read.
pub async fn inboxes(
    store: &dyn StoreScan,
    records: &Records,
    report: &Report,
) -> anyhow::Result<()> {
    stream::iter(&records.told)
        .map(|told| async move {
            report.count(|counts| counts.inbox += 1);
            let Told { offset, inbox, client_id, tenant, user, conversation, cause } = *told;
            let read = || store.membership(tenant, user, conversation);
            let row = patiently("read a row of a list", read).await?;
            let known = row.is_some_and(|row| row.cause >= cause);
            let right = inbox == ConversationId::inbox(tenant, user)
                && client_id == ClientId::caused(conversation, cause, user);
            if !known || !right {
                report.find(format!(
                    "record {}/{offset} tells user {user} of event {cause} of conversation \
                     {conversation}, {}",
                    records.partition,
                    if right { "of which their list knows nothing" } else { "with a wrong id" }
                ));
            }
            anyhow::Ok(())
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}
