//! What the log brings: decoded, queued at their conversations, decided, written, told (steps 4
//! to 7). Only a record whose work is durable counts as done.

use std::sync::Arc;

use actix::prelude::*;
use harkara_domain::{Command, ConversationId, Event, Position, Record, Seq, command::rules_known};
use harkara_engine::{
    EndpointId, Entry,
    link::{Outcome, What},
};
use harkara_protocol::record::{self, DecodeError};
use harkara_service_runtime::{
    Step,
    sabotage::{Rule, is_broken},
    telemetry::trace,
};

use super::actor::PartitionActor;
use crate::{
    conversation::slot::{Decided, Planned, Work},
    inbox,
};

/// Records that are remembered as done behind one that was set aside: 24 MB a partition, and hours
/// of a busy one. All of them are read again, and passed over, by the next owner.
const REMEMBERED_MAX: usize = 1_000_000;

/// A record whose event changes lists.
struct Caused {
    position: Position,
    by: By,
}

enum By {
    /// It was just written.
    Event(Arc<Event>),
    /// It was written before this worker took over.
    Stored(Seq),
}

/// Records in the order of the log.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Batch(pub Vec<Entry>);

impl Handler<Batch> for PartitionActor {
    type Result = ();

    fn handle(&mut self, batch: Batch, ctx: &mut Self::Context) {
        let span =
            tracing::debug_span!("consume", partition = %self.partition, records = batch.0.len());
        trace::follows(&span, batch.0.iter().filter_map(|entry| entry.trace.as_deref()));
        let _entered = span.enter();
        let now = self.context.clock.now_ms();
        self.context.metrics.in_flight(i64::try_from(batch.0.len()).unwrap_or(0));
        let mut touched = Vec::new();
        for entry in batch.0 {
            if self.stopped {
                break;
            }
            let waited = now.saturating_sub(entry.at).saturating_mul(1_000_000);
            self.context.metrics.step(Step::Consume, waited);
            self.progress.begin(entry.offset);
            match record::decode(&entry.record) {
                Ok(record) if record.rules > rules_known() && !is_broken(Rule::GuessNewer) => {
                    self.stop(&entry, "its rules");
                }
                Ok(record) => touched.extend(self.take(&entry, record)),
                Err(DecodeError::Newer { .. }) => self.stop(&entry, "its form"),
                Err(DecodeError::Malformed(why)) => self.quarantine(&entry, &why),
            }
        }
        touched.dedup();
        for conversation in touched {
            self.drive(conversation, ctx);
        }
        self.commit(ctx);
    }
}

impl PartitionActor {
    /// Queues a record at its conversation; what belongs to an inbox is only told.
    fn take(&mut self, entry: &Entry, record: Record) -> Option<ConversationId> {
        if let Command::Inbox { user, conversation, cause, present } = record.command {
            let what = What::Inbox { user, conversation, cause, present };
            self.delivery.publish(record.conversation, what);
            self.finish(entry.offset);
            return None;
        }
        let conversation = record.conversation;
        if self.aside.contains(&conversation) {
            self.leave(entry);
            return None;
        }
        let mut generation = self.context.log.generation();
        if is_broken(Rule::OneGeneration) {
            generation = harkara_domain::Generation(1);
        }
        if is_broken(Rule::CommitFirst) {
            self.progress.done(entry.offset);
        }
        let position = Position { generation, offset: entry.offset };
        self.slot(conversation).push_work(Work { position, at: entry.at, record });
        Some(conversation)
    }

    /// A record of a conversation that was set aside: it stays undone, and takes no room.
    fn leave(&mut self, entry: &Entry) {
        self.aside_records += 1;
        if !self.permits.is_closed() {
            self.permits.add_permits(1);
        }
        if self.progress.remembered() > REMEMBERED_MAX && !self.stopped {
            tracing::error!(
                partition = %self.partition, offset = entry.offset,
                "partition stopped: too much was done behind a record that can't be; \
                 upgrade this worker"
            );
            self.halt();
        }
    }

    fn halt(&mut self) {
        self.stopped = true;
        self.context.metrics.stopped(1);
        self.permits.close();
    }

    /// A newer version wrote this: going on would mean guessing (soundness S11, S12).
    fn stop(&mut self, entry: &Entry, what: &str) {
        tracing::error!(
            partition = %self.partition, offset = entry.offset,
            "partition stopped: a record is newer than this build by {what}; \
             upgrade this worker, or roll back what wrote it"
        );
        self.halt();
    }

    /// Damaged or nonsense: put aside, the log keeps it for whoever wants to look.
    fn quarantine(&mut self, entry: &Entry, why: &str) {
        tracing::error!(
            partition = %self.partition, offset = entry.offset, why,
            "record put aside: it can't be decoded"
        );
        self.context.metrics.quarantined();
        if is_broken(Rule::StickAtDamage) {
            return;
        }
        self.finish(entry.offset);
    }

    /// A record's work is durable.
    fn finish(&mut self, offset: u64) {
        self.progress.done(offset);
        self.context.metrics.in_flight(-1);
        if !self.permits.is_closed() {
            self.permits.add_permits(1);
        }
    }

    /// Decides what waits. True when something is being written now.
    pub(super) fn plan(&mut self, conversation: ConversationId, ctx: &mut Context<Self>) -> bool {
        let config = Arc::clone(&self.context.config);
        let slot = self.slot(conversation);
        let planned = slot.plan(config.conversation_batch_max, config.snapshot_every);
        let Some(planned) = planned else { return false };
        if !planned.writes() {
            self.written(conversation, planned, ctx);
            return false;
        }
        if !is_broken(Rule::WriteAhead) {
            self.slot(conversation).begin();
        }
        self.write(conversation, planned, ctx);
        true
    }

    fn write(&mut self, conversation: ConversationId, planned: Planned, ctx: &mut Context<Self>) {
        let tenant = planned.decided.iter().map(|d| d.record.tenant).next();
        let Some(tenant) = tenant else { return };
        let (store, patience) = (Arc::clone(&self.context.store), self.patience.clone());
        let start = self.context.clock.elapsed_ns();
        let events = planned.step.events.len();
        let writing = async move {
            let write = || store.write(tenant, conversation, planned.step.clone());
            patience.store("write events", write).await;
            planned
        };
        let span = tracing::debug_span!("store", %conversation, events);
        let writing = tracing::Instrument::instrument(writing, span);
        let writing = self.at_work.clone().at(conversation, writing);
        ctx.spawn(writing.into_actor(self).map(move |planned, actor, ctx| {
            actor.at_work.begin(conversation);
            let nanos = actor.context.clock.elapsed_ns().saturating_sub(start);
            actor.context.metrics.step(Step::Store, nanos);
            actor.slot(conversation).end();
            actor.written(conversation, planned, ctx);
            actor.drive(conversation, ctx);
        }));
    }

    /// The step is durable: tell, and let the commit move. A record whose event changes lists is
    /// done when the inboxes know.
    fn written(&mut self, conversation: ConversationId, planned: Planned, ctx: &mut Context<Self>) {
        let mut waiting = Vec::new();
        for decided in planned.decided {
            self.tell(conversation, &decided);
            let position = decided.position;
            match (decided.event, decided.replayed) {
                (Some(event), _) if inbox::concerns(&event) => {
                    waiting.push(Caused { position, by: By::Event(event) });
                }
                (_, Some(seq)) => waiting.push(Caused { position, by: By::Stored(seq) }),
                _ => self.finish(position.offset),
            }
        }
        if waiting.is_empty() {
            self.commit(ctx);
        } else {
            self.tell_inboxes(conversation, waiting, ctx);
        }
    }

    fn tell_inboxes(
        &mut self,
        conversation: ConversationId,
        waiting: Vec<Caused>,
        ctx: &mut Context<Self>,
    ) {
        let (log, store) = (Arc::clone(&self.context.log), Arc::clone(&self.context.store));
        let patience = self.patience.clone();
        let telling = async move {
            let mut rows = Vec::new();
            for Caused { position, by } in &waiting {
                let event = match by {
                    By::Event(event) => Some(Arc::clone(event)),
                    By::Stored(seq) => {
                        patience.caused_event(&*store, conversation, *seq, *position).await
                    }
                };
                let Some(event) = event else { continue };
                let changed = inbox::memberships(event.tenant, conversation, &event);
                rows.extend(changed.map(|row| (row, Arc::clone(&event))));
            }
            if !is_broken(Rule::NoInbox) {
                patience.tell_inboxes(&log, &rows).await;
            }
            waiting
        };
        let telling = self.at_work.clone().at(conversation, telling);
        ctx.spawn(telling.into_actor(self).map(|told, actor, ctx| {
            told.iter().for_each(|caused| actor.finish(caused.position.offset));
            actor.commit(ctx);
        }));
    }

    fn tell(&mut self, conversation: ConversationId, decided: &Decided) {
        if let Some(event) = &decided.event {
            self.delivery.publish(conversation, What::Event(Arc::clone(event)));
            self.delivery.expel(conversation, event.leavers());
        }
        let Some(outcome) = decided.outcome else { return };
        self.context.metrics.decided(outcome_name(outcome), 1);
        // A message's outcome is its event; everything else waits for its answer.
        let is_message = matches!(decided.record.command, Command::Send { .. });
        if is_message && matches!(outcome, Outcome::Applied(_)) {
            return;
        }
        let (device, client_id) = (decided.record.device, decided.record.client_id);
        let what = What::Outcome { device, client_id, outcome };
        self.delivery.tell(EndpointId(decided.record.origin), conversation, what);
    }
}

const fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Applied(_) => "applied",
        Outcome::Settled(_) => "settled",
        Outcome::Rejected(code) => code.word(),
    }
}
