//! Writing a step (step 6 of the path of a message), in an order that may end anywhere.
//!
//! A crash, or an outcome that stays unknown, can cut this off between any two statements. So
//! what comes later may rely on what came before, and never the other way round:
//!
//! 1. Lists. Whoever finds an event stored takes its record for done and does not look at the
//!    lists again, so their rows must be there first. A row that is there before its event is
//!    written by the same record again after a crash; meanwhile the owner, whom every reader asks,
//!    does not know the member yet.
//! 2. Events and rejections *in the order of the log*: a state that is loaded takes everything up
//!    to the newest row for done (soundness S1), so no row may be there before an older one.
//! 3. The snapshot, which stands on all of these.
//! 4. Rejections that the snapshot has pushed out of the state are forgotten.
//!
//! Each statement of 2 waits for the one before (S3). Rows of one partition that stand together
//! go in one unlogged batch, which is one mutation; a plain message alone is one insert.

use std::{iter::Peekable, slice, sync::Arc};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use harkara_domain::{
    ConversationId, Cursor, Event, Membership, Rejection, State, UserId, limits::REJECTIONS_KEPT,
};
use harkara_engine::{StoreError, store::Step};

use crate::{
    rows::{self, CursorColumns, EventColumns, RejectionColumns},
    store::Inner,
};

/// Rows in one batch: more don't make it cheaper per row.
const BATCH_ROWS: usize = 50;

/// Bytes of values in one batch, about: half of what ScyllaDB refuses to take (1 MiB) for a batch
/// of several partitions, an eighth of the mutation that a small commit log segment takes. A
/// single larger row goes alone.
const BATCH_BYTES: usize = 512 * 1024;

/// Rows of lists under way at once: 1,000 users in one request are 32 rounds of some ms.
const LISTS_AT_ONCE: usize = 32;

/// Batches of cursors under way at once.
const CURSORS_AT_ONCE: usize = 4;

/// Rows of one partition, in order.
enum Piece {
    Events(Vec<EventColumns>),
    Rejections(Vec<RejectionColumns>),
}

/// A step's events and rejections as pieces, in the order of the log.
struct Pieces<'a> {
    conversation: ConversationId,
    events: Peekable<slice::Iter<'a, Arc<Event>>>,
    rejections: Peekable<slice::Iter<'a, Rejection>>,
}

impl<'a> Pieces<'a> {
    fn new(conversation: ConversationId, step: &'a Step) -> Self {
        let (events, rejections) = (step.events.iter(), step.rejections.iter());
        Self { conversation, events: events.peekable(), rejections: rejections.peekable() }
    }

    /// The next event of this bucket (any for none), if no rejection comes before it.
    fn event(&mut self, bucket: Option<u64>) -> Option<&'a Event> {
        let first_rejection = self.rejections.peek().map(|rejection| rejection.position);
        let event = self.events.next_if(|event| {
            bucket.is_none_or(|bucket| rows::bucket(event.seq) == bucket)
                && first_rejection.is_none_or(|position| event.position < position)
        });
        event.map(Arc::as_ref)
    }

    /// The next rejection, if no event comes before it.
    fn rejection(&mut self) -> Option<&'a Rejection> {
        let first_event = self.events.peek().map(|event| event.position);
        let before = |of: &&Rejection| first_event.is_none_or(|position| of.position <= position);
        self.rejections.next_if(before)
    }
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let (mut events, mut bytes, mut bucket) = (Vec::new(), 0, None);
        while events.len() < BATCH_ROWS
            && bytes < BATCH_BYTES
            && let Some(event) = self.event(bucket)
        {
            bucket = Some(rows::bucket(event.seq));
            let columns = rows::event(self.conversation, event);
            bytes += columns.3.len();
            events.push(columns);
        }
        if !events.is_empty() {
            return Some(Piece::Events(events));
        }
        let mut rejections = Vec::new();
        while rejections.len() < BATCH_ROWS
            && let Some(rejection) = self.rejection()
        {
            rejections.push(rows::rejection(self.conversation, rejection));
        }
        (!rejections.is_empty()).then_some(Piece::Rejections(rejections))
    }
}

impl Inner {
    pub(crate) async fn write_step(
        &self,
        conversation: ConversationId,
        step: &Step,
    ) -> Result<(), StoreError> {
        self.write_lists(&step.memberships).await?;
        for piece in Pieces::new(conversation, step) {
            match piece {
                Piece::Events(rows) => {
                    self.calls.write_all(&self.statements.put_event, &rows).await?;
                }
                Piece::Rejections(rows) => {
                    self.calls.write_all(&self.statements.put_rejection, &rows).await?;
                }
            }
        }
        match &step.snapshot {
            Some(state) => self.write_snapshot(conversation, state).await,
            None => Ok(()),
        }
    }

    async fn write_lists(&self, memberships: &[Membership]) -> Result<(), StoreError> {
        let statement = &self.statements.put_membership;
        let rows: Vec<_> = memberships.iter().map(rows::membership).collect();
        stream::iter(rows)
            .map(|row| self.calls.write(statement, row))
            .buffer_unordered(LISTS_AT_ONCE)
            .try_collect()
            .await
    }

    async fn write_snapshot(
        &self,
        conversation: ConversationId,
        state: &State,
    ) -> Result<(), StoreError> {
        let row = rows::snapshot(conversation, state);
        self.calls.write(&self.statements.put_snapshot, row).await?;
        // Only what a full ring has pushed out: somebody who loads the state at this moment, from
        // the snapshot before, then still finds the last ones, and comes to the same state.
        let oldest = match state.rejections.front() {
            Some(oldest) if state.rejections.len() >= REJECTIONS_KEPT => oldest,
            _ => return Ok(()),
        };
        let (conversation, generation, offset, _) = rows::rejection(conversation, oldest);
        let row = (conversation, generation, offset);
        self.calls.write(&self.statements.forget_rejections, row).await
    }

    pub(crate) async fn write_cursors(
        &self,
        conversation: ConversationId,
        cursors: &[(UserId, Cursor)],
    ) -> Result<(), StoreError> {
        let batch = |some: &[(UserId, Cursor)]| -> Vec<CursorColumns> {
            some.iter().map(|(user, at)| rows::cursor(conversation, *user, *at)).collect()
        };
        let batches: Vec<_> = cursors.chunks(BATCH_ROWS).map(batch).collect();
        stream::iter(batches)
            .map(async |rows| self.calls.write_all(&self.statements.put_cursor, &rows).await)
            .buffer_unordered(CURSORS_AT_ONCE)
            .try_collect()
            .await
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use harkara_domain::{
        Body, ClientId, Content, DeviceId, Fingerprint, Generation, Hash, Position, RejectCode,
        Salt, Seq, TenantId,
    };

    use super::*;

    fn position(offset: u64) -> Position {
        Position { generation: Generation(1), offset }
    }

    fn event(seq: Seq, offset: u64, bytes: usize) -> Arc<Event> {
        Arc::new(Event {
            tenant: TenantId::from_bytes([1; 16]),
            seq,
            ordinal: seq,
            at: seq,
            sender: UserId::from_bytes([2; 16]),
            device: DeviceId::from_bytes([3; 16]),
            client_id: ClientId::from_bytes([4; 16]),
            fingerprint: Fingerprint([5; 8]),
            position: position(offset),
            body: Body::Message {
                content: Content::from_canonical(Bytes::from("x".repeat(bytes))),
                reply_to: None,
                salt: Salt([6; 16]),
            },
            chain: Hash([7; 32]),
        })
    }

    fn rejection(offset: u64) -> Rejection {
        Rejection {
            position: position(offset),
            device: DeviceId::from_bytes([3; 16]),
            client_id: ClientId::from_bytes([4; 16]),
            fingerprint: Fingerprint([5; 8]),
            code: RejectCode::Forbidden,
        }
    }

    /// Sequences as they are, offsets of rejections as negative numbers.
    fn pieces(events: Vec<Arc<Event>>, rejections: Vec<Rejection>) -> Vec<Vec<i64>> {
        let step = Step { events, rejections, ..Step::default() };
        let pieces = Pieces::new(ConversationId::from_bytes([9; 16]), &step);
        let numbers = |piece| match piece {
            Piece::Events(rows) => rows.iter().map(|row: &EventColumns| row.2).collect(),
            Piece::Rejections(rows) => rows.iter().map(|row: &RejectionColumns| -row.2).collect(),
        };
        pieces.map(numbers).collect()
    }

    #[test]
    fn rows_are_written_in_the_order_of_the_log() {
        let events = [(1, 10), (2, 20), (3, 50)].map(|(seq, offset)| event(seq, offset, 1));
        let rejections = [5, 30, 40, 60].map(rejection);
        let written = pieces(events.to_vec(), rejections.to_vec());
        assert_eq!(written, [vec![-5], vec![1, 2], vec![-30, -40], vec![3], vec![-60]]);
        assert_eq!(pieces(Vec::new(), Vec::new()), Vec::<Vec<i64>>::new());
    }

    #[test]
    fn pieces_end_with_their_partition() {
        let events = (4_094..=4_097).map(|seq| event(seq, seq, 1)).collect();
        assert_eq!(pieces(events, Vec::new()), [vec![4_094, 4_095], vec![4_096, 4_097]]);
    }

    #[test]
    fn pieces_are_bounded_in_rows_and_bytes() {
        let events = (1..=120).map(|seq| event(seq, seq, 1)).collect();
        let rows: Vec<_> = pieces(events, Vec::new()).iter().map(Vec::len).collect();
        assert_eq!(rows, [50, 50, 20]);
        let events = (1..=40).map(|seq| event(seq, seq, 32 * 1024)).collect();
        let rows: Vec<_> = pieces(events, Vec::new()).iter().map(Vec::len).collect();
        assert_eq!(rows, [16, 16, 8], "16 of 32 KiB are half a MiB");
    }
}
