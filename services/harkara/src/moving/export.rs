//! `harkara export`: a store that nobody writes to becomes an archive. Profiles first, then one
//! conversation after another in the order of their ids, so that it can go on where it was: behind
//! the last whole chunk. Everything is recomputed on the way (sequences, chain, state), since
//! damage should not travel.
//!
//! The caller holds the source's lock and has let the log's tail become events (`settle`).

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, bail, ensure};
use harkara_domain::{ConversationId, Event, Partition, Position, Seq, State, UserId};
use harkara_engine::{LogScan, Store, StoreScan};
use harkara_fanout::{
    conversation::{
        evolve,
        load::{self, Loaded},
    },
    inbox,
};

use super::{
    PAGE, Progress,
    archive::{Counts, Head, Place, Row, Source, Writer},
    patiently,
};

/// Writes everything into an archive, or what is missing of it: what is in it then.
///
/// # Errors
/// The source moves, is damaged or can't be read; the archive can't be written.
pub async fn export(
    store: &dyn StoreScan,
    log: &dyn LogScan,
    to: &Path,
    chunk_bytes: usize,
    progress: &Progress,
) -> anyhow::Result<Counts> {
    let source = settled(log).await?;
    let writer = Writer::open(to, source, chunk_bytes)?;
    let newest = Position { generation: log.generation(), offset: u64::MAX };
    let mut export = Export { store, newest, writer, progress };
    export.profiles().await?;
    export.conversations().await?;
    Ok(export.writer.counts())
}

/// Where the log ends, once all of it is stored.
async fn settled(log: &dyn LogScan) -> anyhow::Result<Source> {
    let mut ends = Vec::new();
    for partition in (0..log.partitions()).map(Partition) {
        let bounds = patiently("read the log's bounds", || log.bounds(partition)).await?;
        ensure!(
            bounds.committed >= bounds.end,
            "partition {partition} has records that are not stored as events yet: stop what \
             appends, let a worker finish, then export again"
        );
        ends.push(bounds.end);
    }
    Ok(Source { generation: log.generation().0, ends })
}

struct Export<'a> {
    store: &'a dyn StoreScan,
    /// No row may come from a record behind it.
    newest: Position,
    writer: Writer,
    progress: &'a Progress,
}

impl Export<'_> {
    async fn profiles(&mut self) -> anyhow::Result<()> {
        let Place::Profiles { mark } = self.writer.place().clone() else { return Ok(()) };
        let mut from = if mark.is_empty() { None } else { Some(unhex(&mark)?) };
        loop {
            let read = || self.store.all_profiles(from.clone(), PAGE);
            let page = patiently("read profiles", read).await?;
            for profile in page.rows {
                self.writer.push(&Row::Profile(profile))?;
            }
            from = page.next;
            let Some(mark) = &from else { return self.writer.cut(Place::Conversations) };
            if self.writer.is_full() {
                let mark = hex(mark);
                self.writer.cut(Place::Profiles { mark })?;
            }
        }
    }

    async fn conversations(&mut self) -> anyhow::Result<()> {
        let (after, within) = match self.writer.place() {
            Place::Done => return Ok(()),
            Place::Within { conversation, event } => (None, Some((conversation.parse()?, *event))),
            Place::Behind { conversation } => (Some(conversation.parse()?), None),
            Place::Conversations | Place::Profiles { .. } => (None, None),
        };
        let all = ids(self.store).await?;
        let first = match (after, within) {
            (Some(after), _) => all.partition_point(|id| *id <= after),
            (_, Some((within, _))) => all.partition_point(|id| *id < within),
            _ => 0,
        };
        let rest = all.get(first..).unwrap_or_default();
        self.progress.begin("export", first as u64, all.len() as u64);
        for id in rest {
            let skip = within.filter(|(within, _)| within == id).map_or(0, |(_, event)| event);
            self.conversation(*id, skip)
                .await
                .with_context(|| format!("conversation {id} can't be exported"))?;
            self.progress.add(1, 1, 0);
        }
        self.writer.cut(Place::Done)?;
        self.progress.end();
        Ok(())
    }

    /// One conversation behind event `skip`: its events, then what they come to.
    async fn conversation(&mut self, id: ConversationId, skip: Seq) -> anyhow::Result<()> {
        let store: &dyn Store = self.store;
        let Loaded { state, cursors, .. } =
            patiently("load a conversation", || load::state(store, id)).await?;
        let head =
            Head { conversation: id, tenant: state.tenant, head: state.head, chain: state.chain };
        self.writer.push(&Row::Conversation(head))?;
        let mut walk = State::empty(id);
        let mut lists = BTreeMap::new();
        while walk.head < state.head {
            let (after, until) = (walk.head, state.head);
            let read = || store.events(id, after, until, PAGE);
            let page = patiently("read events", read).await?;
            ensure!(!page.is_empty(), "its events behind {after} are missing: {REPAIR}");
            for event in page {
                self.event(&mut walk, &mut lists, event, skip, &head)?;
            }
        }
        walk.rejections.clone_from(&state.rejections);
        walk.applied = state.applied;
        ensure!(walk == state, "its snapshot is not what its events come to: {REPAIR}");
        ensure!(state.applied <= Some(self.newest), "it was caused by a later log: {REPAIR}");
        let lists = lists.into_iter().map(|(user, (present, cause))| (user, present, cause));
        self.writer.push(&Row::Memberships(lists.collect()))?;
        let mut cursors: Vec<_> = cursors.into_iter().collect();
        cursors.sort_unstable();
        self.writer.push(&Row::Cursors(cursors))?;
        self.writer.push(&Row::State(Box::new(state)))?;
        if self.writer.is_full() {
            self.writer.cut(Place::Behind { conversation: id.to_string() })?;
        }
        Ok(())
    }

    fn event(
        &mut self,
        walk: &mut State,
        lists: &mut BTreeMap<UserId, (bool, Seq)>,
        event: Event,
        skip: Seq,
        head: &Head,
    ) -> anyhow::Result<()> {
        if let Err(broken) = evolve::event(walk, &event) {
            bail!("{broken}: {REPAIR}");
        }
        for row in inbox::memberships(event.tenant, head.conversation, &event) {
            lists.insert(row.user, (row.present, row.cause));
        }
        let seq = event.seq;
        if seq > skip {
            let bytes = self.writer.push(&Row::Event(Box::new(event)))?;
            self.progress.add(0, 1, bytes);
            if self.writer.is_full() {
                let conversation = head.conversation.to_string();
                self.writer.cut(Place::Within { conversation, event: seq })?;
                self.writer.push(&Row::Conversation(*head))?;
            }
        }
        Ok(())
    }
}

/// What to do about a source that is damaged.
const REPAIR: &str = "`harkara verify` shows all that is wrong; restore a backup";

/// All conversations in the order of their ids: 16 bytes each, 16 MB for a million.
async fn ids(store: &dyn StoreScan) -> anyhow::Result<Vec<ConversationId>> {
    let mut found = Vec::new();
    let mut from: Option<Vec<u8>> = None;
    loop {
        let read = || store.all_conversations(from.clone(), PAGE);
        let page = patiently("list conversations", read).await?;
        found.extend(page.rows);
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> anyhow::Result<Vec<u8>> {
    let digits: Vec<_> = text.bytes().collect();
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    };
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
    bytes.context("the manifest's mark makes no sense: export to an empty directory")
}
